// The life of registrations for socket notifications, case by case: what is
// asked of the system, and what is made of what it says.

#include "tests/iocp/notification_registry_fixture.h"

namespace weir::internal {
namespace {

// --- arming

TEST_F(NotificationRegistryTest, R03_WhatHoldsWhenItIsArmedIsReported) {
  source_.Set(kSocket, kNotifyIn);
  registry_.Arm(record_, kReads);
  EXPECT_THAT(Wait(), ElementsAre(Report{&record_, Condition::kReadable}));
}

TEST_F(NotificationRegistryTest, R06_AReportEndsTheWatch) {
  registry_.Arm(record_, kReads);
  source_.Set(kSocket, kNotifyIn);
  EXPECT_THAT(Wait(), ElementsAre(Report{&record_, Condition::kReadable}));
  EXPECT_FALSE(source_.IsEnabled(kSocket));
  EXPECT_THAT(Wait(), IsEmpty());

  registry_.Arm(record_, kReads);
  EXPECT_THAT(Wait(), ElementsAre(Report{&record_, Condition::kReadable}));
}

TEST_F(NotificationRegistryTest, R12_ManyChangesAndTheirPacketsTakeOneCall) {
  source_.Set(kSocket, kNotifyIn);
  source_.Set(kOther, kNotifyOut);
  registry_.Arm(record_, kReads);
  registry_.Arm(other_, kWrites);
  EXPECT_THAT(Wait(), ElementsAre(Report{&record_, Condition::kReadable},
                                  Report{&other_, Condition::kWritable}));
  EXPECT_EQ(source_.calls(), 1);
}

TEST_F(NotificationRegistryTest, R12_AWatchThatComesAndGoesCostsNoCall) {
  registry_.Arm(record_, kReads);
  registry_.Arm(record_, Watch{});
  EXPECT_TRUE(registry_.Submit().ok());
  EXPECT_EQ(source_.calls(), 0);
}

TEST_F(NotificationRegistryTest, R07_GoingQuietDisables) {
  registry_.Arm(record_, kReads);
  EXPECT_THAT(Wait(), IsEmpty());
  EXPECT_TRUE(source_.IsEnabled(kSocket));
  registry_.Arm(record_, Watch{});
  EXPECT_THAT(Wait(), IsEmpty());
  EXPECT_TRUE(source_.IsRegistered(kSocket));
  EXPECT_FALSE(source_.IsEnabled(kSocket));
}

TEST_F(NotificationRegistryTest, R07_APacketThatComesAfterDisableIsDropped) {
  registry_.Arm(record_, kReads);
  EXPECT_THAT(Wait(), IsEmpty());
  source_.Set(kSocket, kNotifyIn);  // Is queued.
  registry_.Arm(record_, Watch{});
  EXPECT_THAT(Wait(), IsEmpty());
  EXPECT_EQ(registry_.dropped(), 1u);
}

// What was queued for one watch is told from what the next has found by nothing
// in the packet: it is in doubt, until the port has been found empty.
TEST_F(NotificationRegistryTest, R05_APacketOfAnEarlierWatchIsDoubtful) {
  registry_.Arm(record_, kReads);
  EXPECT_THAT(Wait(), IsEmpty());
  source_.Set(kSocket, kNotifyIn);
  registry_.Arm(record_, Watch{});
  EXPECT_TRUE(registry_.Submit().ok());
  source_.Clear(kSocket, kNotifyIn);
  registry_.Arm(record_, kReads);
  EXPECT_THAT(Wait(), ElementsAre(Report{&record_, Condition::kReadable,
                                         /*doubtful=*/true}));
}

TEST_F(NotificationRegistryTest, R05_AfterAnEmptyWaitNothingIsDoubtful) {
  registry_.Arm(record_, kWrites);
  EXPECT_THAT(Wait(), IsEmpty());
  registry_.Arm(record_, kReads);
  EXPECT_THAT(Wait(), IsEmpty());
  source_.Set(kSocket, kNotifyIn);
  EXPECT_THAT(Wait(), ElementsAre(Report{&record_, Condition::kReadable}));
}

TEST_F(NotificationRegistryTest, R14_AnEndAloneIsNewsToAReader) {
  registry_.Arm(record_, kReads);
  source_.Set(kSocket, kNotifyHangup);
  const auto reports = Wait();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_TRUE(Has(reports[0].conditions, Condition::kPeerClosed));
}

TEST_F(NotificationRegistryTest, R15_AnErrorIsReportedWhateverIsAskedFor) {
  registry_.Arm(record_, kErrors);
  registry_.Arm(other_, kWrites);
  EXPECT_THAT(Wait(), IsEmpty());
  // A failed connect may come without OUT.
  source_.Set(kSocket, kNotifyError);
  source_.Set(kOther, kNotifyError);
  for (const Report& report : Wait()) {
    EXPECT_TRUE(Has(report.conditions, Condition::kError));
  }
}

// Survey trap 19: an end that nobody asked about is looked at once.
TEST_F(NotificationRegistryTest, R07_AnEndDoesNotSpinUnderAnEmptyInterest) {
  registry_.Arm(record_, kErrors);
  source_.Set(kSocket, kNotifyHangup);
  EXPECT_THAT(Wait(), IsEmpty());
  EXPECT_THAT(Wait(kNotifyForever), IsEmpty());
  EXPECT_THAT(Wait(kNotifyForever), IsEmpty());
  EXPECT_GT(source_.blocked(), 0);
}

TEST_F(NotificationRegistryTest, R07_AQuietWatchDoesNotSpin) {
  source_.Set(kSocket, kNotifyHangup | kNotifyIn);
  registry_.Arm(record_, kQuietWatch);
  EXPECT_THAT(Wait(), IsEmpty());
  EXPECT_THAT(Wait(kNotifyForever), IsEmpty());
  EXPECT_EQ(source_.blocked(), 1);
}

// --- failures

TEST_F(NotificationRegistryTest, R13_AFailedCallHasChangedNothing) {
  registry_.Arm(record_, kReads);
  source_.FailNextCall(kNoMemory);
  EXPECT_TRUE(absl::IsResourceExhausted(registry_.Submit()));
  EXPECT_FALSE(source_.IsRegistered(kSocket));
  EXPECT_LT(registry_.LongestWaitMs(), kNotifyForever);

  EXPECT_TRUE(registry_.Submit().ok());
  EXPECT_TRUE(source_.IsEnabled(kSocket));
  EXPECT_EQ(registry_.LongestWaitMs(), kNotifyForever);
}

// The wait takes place all the same.
TEST_F(NotificationRegistryTest, R13_AFailedCallDoesNotKeepPacketsBack) {
  registry_.Arm(record_, kReads);
  EXPECT_THAT(Wait(), IsEmpty());
  source_.Set(kSocket, kNotifyIn);
  registry_.Arm(other_, kReads);
  source_.FailNextCall(kNoMemory);
  EXPECT_THAT(Wait(), ElementsAre(Report{&record_, Condition::kReadable}));
  EXPECT_THAT(Wait(), IsEmpty());
  EXPECT_TRUE(source_.IsEnabled(kOther));
}

TEST_F(NotificationRegistryTest, R13_AFailedElementFailsAlone) {
  registry_.Arm(record_, kReads);
  registry_.Arm(other_, kReads);
  source_.Close(kSocket);
  source_.Set(kOther, kNotifyIn);
  EXPECT_THAT(Wait(),
              ElementsAre(Report{&other_, Condition::kReadable},
                          Report{&record_, Condition::kNone,
                                 /*doubtful=*/false,
                                 static_cast<int>(kNotASocket)}));
}

TEST_F(NotificationRegistryTest, R13_WantOfMemoryForOneIsTriedAgain) {
  source_.Set(kSocket, kNotifyIn);
  registry_.Arm(record_, kReads);
  source_.FailNext(NotifyOperation::kEnable, kNoMemory);
  EXPECT_THAT(Wait(), IsEmpty());
  EXPECT_THAT(Wait(), ElementsAre(Report{&record_, Condition::kReadable}));
}

class BadElementFailsCall : public NotificationRegistryTest {
 protected:
  BadElementFailsCall()
      : NotificationRegistryTest({.bad_element_fails_call = true}) {}
};

TEST_F(BadElementFailsCall, R13_TheOthersTakeEffect) {
  registry_.Arm(record_, kReads);
  registry_.Arm(other_, kReads);
  source_.Close(kSocket);
  const auto reports = Wait();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].refusal, static_cast<int>(kNotASocket));
  EXPECT_TRUE(source_.IsEnabled(kOther));
}

class EnableRefused : public NotificationRegistryTest {
 protected:
  EnableRefused() : NotificationRegistryTest({.enable_overwrites = false}) {}
};

TEST_F(EnableRefused, R08_AnotherWatchIsPutInPlaceByDisabling) {
  registry_.Arm(record_, kReads);
  EXPECT_THAT(Wait(), IsEmpty());
  source_.Set(kSocket, kNotifyOut);
  for (int i = 0; i < 2; ++i) {
    registry_.Arm(record_, kWrites);
    EXPECT_TRUE(registry_.Submit().ok());
    const auto reports = Wait();
    ASSERT_EQ(reports.size(), 1u);
    EXPECT_EQ(reports[0].conditions, Condition::kWritable);
    EXPECT_EQ(reports[0].refusal, 0);
    registry_.Arm(record_, kReads);
    EXPECT_THAT(Wait(), IsEmpty());
  }
}

}  // namespace
}  // namespace weir::internal
