// What a mechanism says of a socket besides its conditions, and what it is told
// of its end, on a backend that follows a script.

#include <utility>
#include <vector>

#include "platform/error.h"
#include "tests/backends/fake_backend_fixture.h"
#include "weir/status.h"
#include "weir/stream.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ForgetCall = test::FakeBackend::ForgetCall;

class CoreNotices : public OnFakeBackend {
 protected:
  bool single_shot() const {
    return GetParam() == ReadinessModel::kSingleShot;
  }
};
WEIR_FAKE_BACKEND_SUITE(CoreNotices);

// --- the end of a socket

TEST_P(CoreNotices, R09_TheMechanismIsToldOfTheEndOfARegistration) {
  Connection connection = Ready();
  Recorder recorder;
  const Registration registration =
      Register(connection.server, {.interest = Interest::kReadable}, recorder);
  const NativeSocket native = connection.server.native();
  Turn();
  ASSERT_OK(registration.Disable());
  Turn();
  // That was no end.
  EXPECT_THAT(fake_->TakeForgetCalls(), IsEmpty());
  ASSERT_OK(registration.Remove());
  EXPECT_THAT(fake_->TakeForgetCalls(),
              ElementsAre(ForgetCall{native, HandleFate::kStaysOpen}));
  Turn();
  EXPECT_THAT(fake_->TakeForgetCalls(), IsEmpty());
}

TEST_P(CoreNotices, R10_AndThatTheHandleCloses) {
  Connection connection = Ready();
  Recorder recorder;
  Register(connection.server, {.interest = Interest::kReadable}, recorder);
  const NativeSocket native = connection.server.native();
  Turn();
  const int submits = fake_->submits();
  connection.server.Close();
  EXPECT_THAT(fake_->TakeForgetCalls(),
              ElementsAre(ForgetCall{native, HandleFate::kCloses}));
  EXPECT_GT(fake_->submits(), submits);
}

// A handle that stayed open is closed while a packet is to come that names the
// record.
TEST_P(CoreNotices, R10_AndIfItClosesBeforeTheRecordHasGone) {
  Connection connection = Ready();
  Recorder recorder;
  const Registration registration =
      Register(connection.server, {.interest = Interest::kReadable}, recorder);
  const NativeSocket native = connection.server.native();
  Turn();
  fake_->Report(native, Condition::kReadable);
  ASSERT_OK(registration.Remove());
  connection.server.Close();
  EXPECT_THAT(fake_->TakeForgetCalls(),
              ElementsAre(ForgetCall{native, HandleFate::kStaysOpen},
                          ForgetCall{native, HandleFate::kCloses}));
  Turn();
}

TEST_P(CoreNotices, C01_TheMechanismIsToldOfTheEndOfAStream) {
  Connection connection = Ready();
  const NativeSocket native = connection.client.native();
  Stream stream = Must(Stream::Attach(*loop_, std::move(connection.client)));
  Turn();
  MustOk(stream.Close());
  Turn();
  EXPECT_THAT(fake_->TakeForgetCalls(),
              ElementsAre(ForgetCall{native, HandleFate::kCloses}));
}

// --- a report that may be of an earlier watch

TEST_P(CoreNotices, R05_ADoubtfulReportIsCheckedBeforeItIsTold) {
  if (!single_shot()) GTEST_SKIP() << "a persistent report is of the wait";
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected(test::LocalFamily());
    Recorder recorder;
    const Registration registration = Register(
        connection.server, mode.With(Interest::kReadable), recorder);
    Turn();
    fake_->ReportDoubtful(connection.server.native(), Condition::kReadable);
    Turn();
    EXPECT_THAT(recorder.Take(), IsEmpty());
    Send(connection.client, "x");
    Turn();  // Armed anew.
    fake_->ReportDoubtful(connection.server.native(), Condition::kReadable);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    ASSERT_OK(registration.Remove());
    Turn();
  }
}

// --- a socket that the mechanism does not take

TEST_P(CoreNotices, R13_ARefusalThatComesLateEndsThatRegistrationAlone) {
  if (!single_shot()) GTEST_SKIP() << "a persistent mechanism refuses at once";
  Connection connection = Ready();
  Recorder refused;
  Recorder other;
  Register(connection.server, {.interest = Interest::kReadable}, refused);
  Register(connection.client, {.interest = Interest::kWritable}, other);
  Turn();
  fake_->ReportRefusal(connection.server.native(), platform::kConnectionRefusedCode);
  fake_->Report(connection.client.native(), Condition::kWritable);
  Turn();
  EXPECT_THAT(refused.Take(),
              ElementsAre(Events::kRemoved | Events::kError));
  ASSERT_EQ(refused.errors().size(), 1u);
  EXPECT_EQ(CauseOf(refused.errors()[0]), ErrorCause::kConnectionRefused);
  EXPECT_THAT(other.Take(), ElementsAre(Events::kWritable));
}

// --- an error of which the system says no more

class CoreErrors : public CoreNotices {
 protected:
  void SetUp() override { MakeLoop(1, /*errors_without_cause=*/true); }
};
WEIR_FAKE_BACKEND_SUITE(CoreErrors);

TEST_P(CoreErrors, R15_AnErrorWithoutACauseIsAResetOnce) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Ready();
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(Interest::kHangup), recorder);
    const NativeSocket native = connection.server.native();
    Turn();
    fake_->Report(native, Condition::kError | Condition::kClosed);
    Turn();
    EXPECT_EQ(recorder.count(Events::kError), 1u);
    ASSERT_EQ(recorder.errors().size(), 1u);
    EXPECT_EQ(CauseOf(recorder.errors()[0]), ErrorCause::kConnectionReset);
    // It lasts, and is no news.
    for (int i = 0; i < 3; ++i) {
      if (fake_->IsArmed(native)) {
        fake_->Report(native, Condition::kError | Condition::kClosed);
      }
      Turn();
    }
    EXPECT_EQ(recorder.count(Events::kError), 1u);
    ASSERT_OK(registration.Remove());
    Turn();
  }
}

// What was told once is all there is to tell.
TEST_P(CoreErrors, R07_AFailedStreamIsNotWatchedForNothing) {
  if (!single_shot()) GTEST_SKIP() << "a persistent mechanism keeps quiet";
  Connection connection = Ready();
  Recorder recorder;
  const Registration registration =
      Register(connection.server, {.interest = Interest::kReadable}, recorder);
  ASSERT_OK(registration.Modify({.interest = Interest::kNone}));
  Turn();
  const NativeSocket native = connection.server.native();
  fake_->Report(native, Condition::kError | Condition::kClosed);
  Turn();
  EXPECT_EQ(recorder.count(Events::kError), 1u);
  Turn();
  EXPECT_FALSE(fake_->IsArmed(native));
}

TEST_P(CoreErrors, R15_OfADatagramSocketItIsAnUnreachablePort) {
  Connection pair = DatagramPair();
  Recorder recorder;
  Register(pair.client, {.interest = Interest::kReadable}, recorder);
  Turn();
  fake_->Report(pair.client.native(), Condition::kError);
  Turn();
  ASSERT_EQ(recorder.errors().size(), 1u);
  EXPECT_EQ(CauseOf(recorder.errors()[0]), ErrorCause::kConnectionRefused);
}

// A receive of nothing, after such an error, is not the end of the stream.
TEST_P(CoreErrors, O04_AStreamThatFailedDoesNotEndInOrder) {
  Connection connection = Connected(AddressFamily::kIpv4);
  const NativeSocket native = connection.client.native();
  Stream stream = Must(Stream::Attach(*loop_, std::move(connection.client)));
  std::vector<absl::Status> ended;
  std::byte buffer[8];
  ASSERT_OK(stream.Receive(buffer, [&](const Completion& result) {
    ended.push_back(result.status);
  }));
  Turn();
  Turn();
  connection.server.Close();
  fake_->Report(native, Condition::kError | Condition::kClosed);
  while (ended.empty()) Turn();
  EXPECT_EQ(CauseOf(ended[0]), ErrorCause::kConnectionReset);
}

}  // namespace
}  // namespace weir::conformance
