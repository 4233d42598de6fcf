// How registrations for socket notifications end: what is waited for, and what
// is not.

#include "tests/iocp/notification_registry_fixture.h"

namespace weir::internal {
namespace {

// Survey trap 38.
TEST_F(NotificationRegistryTest, R09_TheRecordStaysUntilRemoveWasDequeued) {
  registry_.Arm(record_, kReads);
  EXPECT_THAT(Wait(), IsEmpty());
  source_.HoldBackRemovals(true);
  source_.Set(kSocket, kNotifyIn);
  EXPECT_TRUE(registry_.Forget(record_, HandleFate::kStaysOpen));
  EXPECT_THAT(Wait(), IsEmpty());
  EXPECT_THAT(Wait(), IsEmpty());
  EXPECT_EQ(record_.pins(), 1u);
  source_.HoldBackRemovals(false);
  EXPECT_THAT(Wait(), IsEmpty());
  EXPECT_EQ(record_.pins(), 0u);
  EXPECT_EQ(registry_.slots_in_use(), 0u);
  EXPECT_FALSE(source_.IsRegistered(kSocket));
}

// Survey trap 39.
TEST_F(NotificationRegistryTest, R13_AFailedCallOnRemovalIsNotARemoval) {
  registry_.Arm(record_, kReads);
  EXPECT_THAT(Wait(), IsEmpty());
  registry_.Forget(record_, HandleFate::kStaysOpen);
  source_.FailNextCall(kNoMemory);
  EXPECT_FALSE(registry_.Submit().ok());
  EXPECT_EQ(record_.pins(), 1u);
  EXPECT_TRUE(source_.IsRegistered(kSocket));
  EXPECT_THAT(Wait(), IsEmpty());
  EXPECT_EQ(record_.pins(), 0u);
  EXPECT_FALSE(source_.IsRegistered(kSocket));
}

// Survey trap 39, its other half: no packet will come.
TEST_F(NotificationRegistryTest, R13_AFailedElementOnRemovalIsARemoval) {
  registry_.Arm(record_, kReads);
  EXPECT_THAT(Wait(), IsEmpty());
  registry_.Forget(record_, HandleFate::kStaysOpen);
  source_.FailNext(NotifyOperation::kRemove, kNotFound);
  EXPECT_TRUE(registry_.Submit().ok());
  EXPECT_EQ(record_.pins(), 0u);
  EXPECT_EQ(registry_.slots_in_use(), 0u);
}

// Survey trap 40.
TEST_F(NotificationRegistryTest, R10_ClosingBeforeRemoveWasSeenLeaksNothing) {
  source_.HoldBackRemovals(true);
  for (int i = 0; i < 3; ++i) {
    Record record(kSocket);
    registry_.Arm(record, kReads);
    EXPECT_THAT(Wait(), IsEmpty());
    if (i > 0) registry_.Forget(record, HandleFate::kStaysOpen);
    if (i > 1) (void)registry_.Submit();
    registry_.Forget(record, HandleFate::kCloses);
    EXPECT_TRUE(registry_.Submit().ok());
    source_.Close(kSocket);
    EXPECT_EQ(record.pins(), 0u);
    EXPECT_EQ(registry_.slots_in_use(), 0u);
    source_.Open(kSocket);
  }
}

// A failed call before a close is not made up for: the number may be another's.
TEST_F(NotificationRegistryTest, R10_AClosedHandleIsNotNamedAgain) {
  registry_.Arm(record_, kReads);
  EXPECT_THAT(Wait(), IsEmpty());
  registry_.Forget(record_, HandleFate::kCloses);
  source_.FailNextCall(kNoMemory);
  EXPECT_FALSE(registry_.Submit().ok());
  source_.Close(kSocket);
  source_.Open(kSocket);
  Record next(kSocket);
  registry_.Arm(next, kReads);
  EXPECT_THAT(Wait(), IsEmpty());
  EXPECT_THAT(Wait(), IsEmpty());
  EXPECT_TRUE(source_.IsEnabled(kSocket));
}

TEST_F(NotificationRegistryTest, R10_AQueuedPacketDoesNotReachTheNextSocket) {
  registry_.Arm(record_, kReads);
  EXPECT_THAT(Wait(), IsEmpty());
  source_.Set(kSocket, kNotifyIn);
  registry_.Forget(record_, HandleFate::kCloses);
  EXPECT_TRUE(registry_.Submit().ok());
  source_.Close(kSocket);
  source_.Open(kSocket);
  Record next(kSocket);
  registry_.Arm(next, kReads);
  EXPECT_THAT(Wait(), IsEmpty());
  EXPECT_GT(registry_.dropped(), 0u);
  source_.Set(kSocket, kNotifyIn);
  EXPECT_THAT(Wait(), ElementsAre(Report{&next, Condition::kReadable}));
}

// Survey trap 44: what comes before REMOVE comes first, and nothing is kept.
TEST_F(NotificationRegistryTest, R18_WaitingForRemoveKeepsNoOtherPacketBack) {
  registry_.Arm(record_, kReads);
  registry_.Arm(other_, kReads);
  EXPECT_THAT(Wait(), IsEmpty());
  source_.HoldBackRemovals(true);
  registry_.Forget(record_, HandleFate::kStaysOpen);
  Record again(kSocket);
  registry_.Arm(again, kReads);
  EXPECT_TRUE(registry_.Submit().ok());
  source_.Post({.key = 2, .bytes = 1});
  source_.Set(kOther, kNotifyIn);
  source_.Post({.key = 2, .bytes = 2});
  EXPECT_THAT(Wait(), ElementsAre(Report{&other_, Condition::kReadable}));
  EXPECT_THAT(foreign_, ElementsAre(1, 2));
}

// A key is for life: the next registration of a handle waits for the end of the
// one before, as long as that can be told.
TEST_F(NotificationRegistryTest, R08_RegisteredAnewWhenRemoveHasCome) {
  registry_.Arm(record_, kReads);
  EXPECT_THAT(Wait(), IsEmpty());
  source_.Set(kSocket, kNotifyIn);
  registry_.Forget(record_, HandleFate::kStaysOpen);
  Record again(kSocket);
  registry_.Arm(again, kReads);
  EXPECT_THAT(Wait(), IsEmpty());
  EXPECT_THAT(Wait(), ElementsAre(Report{&again, Condition::kReadable}));
}

TEST_F(NotificationRegistryTest, R08_RegisteredAnewIfRemoveDoesNotCome) {
  registry_.Arm(record_, kReads);
  EXPECT_THAT(Wait(), IsEmpty());
  source_.HoldBackRemovals(true);
  registry_.Forget(record_, HandleFate::kStaysOpen);
  Record again(kSocket);
  registry_.Arm(again, kReads);
  source_.Set(kSocket, kNotifyIn);
  std::vector<Report> reports;
  for (int i = 0; i < 5 && reports.empty(); ++i) reports = Wait();
  EXPECT_THAT(reports, ElementsAre(Report{&again, Condition::kReadable}));
}

}  // namespace
}  // namespace weir::internal
