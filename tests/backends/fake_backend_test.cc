// The core's own rules, in both readiness models, on a backend that follows a
// script: what it makes of reports that are late, double or lost.

#include <vector>

#include "tests/backends/fake_backend_fixture.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CoreReports : public OnFakeBackend {};
WEIR_FAKE_BACKEND_SUITE(CoreReports);

TEST_P(CoreReports, P06_TheBackendGivenIsTheOneUsed) {
  EXPECT_EQ(loop_->backend_name(), "fake");
  EXPECT_FALSE(loop_->backend_reason().empty());
  EXPECT_EQ(loop_->capabilities().readiness_model, GetParam());
  EXPECT_CODE(EventLoop::Create(std::unique_ptr<Backend>()),
              kInvalidArgument);
}

// R02: several reports of one socket in one batch are one event.
TEST_P(CoreReports, R02_ReportsOfOneSocketMerge) {
  Connection connection = Ready();
  Recorder recorder;
  Register(connection.server,
           {.interest = Interest::kReadable | Interest::kWritable}, recorder);
  Turn();
  fake_->Report(connection.server.native(), Condition::kReadable);
  fake_->Report(connection.server.native(), Condition::kWritable);
  fake_->Report(connection.server.native(), Condition::kReadable);
  EXPECT_EQ(Turn(), 1);
  EXPECT_THAT(recorder.Take(),
              ElementsAre(Events::kReadable | Events::kWritable));
}

// Survey traps 31 and 38: a packet that was on its way when the registration
// was removed, fetched together with the removal or long after it.
TEST_P(CoreReports, R09_AReportAfterTheRemovalIsNotTold) {
  Connection connection = Ready();
  Recorder recorder;
  const Registration registration =
      Register(connection.server, {.interest = Interest::kReadable}, recorder);
  Turn();
  const NativeSocket native = connection.server.native();
  fake_->Report(native, Condition::kReadable);
  ASSERT_OK(registration.Remove());
  Turn();
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kRemoved));
  EXPECT_TRUE(recorder.handler_destroyed());
  Turn();
  Turn();
  EXPECT_THAT(recorder.Take(), IsEmpty());
}

// The record outlives the packet that names it, however late that comes: the
// sanitizer sees it if not.
TEST_P(CoreReports, R09_AReportLongAfterTheRemovalDoesNoHarm) {
  Connection connection = Ready();
  Recorder recorder;
  const Registration registration =
      Register(connection.server, {.interest = Interest::kReadable}, recorder);
  Turn();
  fake_->Report(connection.server.native(), Condition::kReadable);
  // The report is kept back for some turns.
  fake_->RefuseWait(absl::UnavailableError("not yet"));
  ASSERT_OK(registration.Remove());
  connection.server.Close();
  EXPECT_CODE(loop_->RunOnce(absl::ZeroDuration()), kUnavailable);
  Turn();
  Turn();
  Turn();
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kRemoved));
}

// R10, survey trap 33: the late report names the record, not the number.
TEST_P(CoreReports, R10_ALateReportIsNotToldToTheNextRegistration) {
  Connection connection = Ready();
  Recorder old_one;
  Recorder new_one;
  const Registration registration =
      Register(connection.server, {.interest = Interest::kReadable}, old_one);
  Turn();
  fake_->Report(connection.server.native(), Condition::kReadable);
  ASSERT_OK(registration.Remove());
  Register(connection.server, {.interest = Interest::kReadable}, new_one);
  Turn();
  EXPECT_THAT(old_one.Take(), ElementsAre(Events::kRemoved));
  EXPECT_THAT(new_one.Take(), IsEmpty());
  fake_->Report(connection.server.native(), Condition::kReadable);
  Turn();
  EXPECT_THAT(new_one.Take(), ElementsAre(Events::kReadable));
}

TEST_P(CoreReports, R07_AReportForADisabledRegistrationIsNotTold) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Ready();
    Recorder recorder;
    const Registration registration = Register(
        connection.server, mode.With(Interest::kReadable), recorder);
    Turn();
    fake_->Report(connection.server.native(), Condition::kReadable);
    ASSERT_OK(registration.Disable());
    Turn();
    EXPECT_THAT(recorder.Take(), IsEmpty());
    // Nor an error, which would have to be taken off the socket.
    fake_->Report(connection.server.native(), Condition::kError);
    Turn();
    EXPECT_THAT(recorder.Take(), IsEmpty());
    ASSERT_OK(registration.Enable());
    fake_->TakeArmCalls();
    Turn();
    // It looks at the present state, which the mechanism reports again.
    EXPECT_EQ(fake_->TakeArmCalls().size(), 1u);
    fake_->Report(connection.server.native(), Condition::kReadable);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    ASSERT_OK(registration.Remove());
    Turn();
  }
}

// R06: whatever the mechanism goes on reporting.
TEST_P(CoreReports, R06_AReportForAFiredOneShotIsNotTold) {
  for (const Trigger trigger : {Trigger::kLevel, Trigger::kEdge}) {
    Connection connection = Ready();
    Recorder recorder;
    const Registration registration =
        Register(connection.server,
                 {.interest = Interest::kReadable | Interest::kHangup,
                  .trigger = trigger,
                  .persistence = Persistence::kOneShot},
                 recorder);
    Turn();
    fake_->Report(connection.server.native(), Condition::kReadable);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    fake_->Report(connection.server.native(),
                  Condition::kReadable | Condition::kPeerClosed |
                      Condition::kClosed | Condition::kError);
    Turn();
    EXPECT_THAT(recorder.Take(), IsEmpty());
    ASSERT_OK(registration.Remove());
    Turn();
  }
}

// What was not asked for is not told.
TEST_P(CoreReports, R01_OnlyWhatIsOfInterestIsTold) {
  Connection connection = Connected(test::LocalFamily());
  Recorder recorder;
  Register(connection.server, {.interest = Interest::kReadable}, recorder);
  Turn();
  fake_->Report(connection.server.native(), Condition::kWritable);
  EXPECT_EQ(Turn(), 0);
  EXPECT_THAT(recorder.Take(), IsEmpty());
}

// P06, R04: a report that was overtaken is found out, dropped and counted.
TEST_P(CoreReports, R04_AReportOvertakenByADrainIsDropped) {
  if (GetParam() != ReadinessModel::kSingleShot) {
    GTEST_SKIP() << "reports of this model describe the moment of the wait";
  }
  Connection connection = Ready();
  Recorder recorder;
  Register(connection.server, {.interest = Interest::kReadable}, recorder);
  Turn();
  Turn();
  EXPECT_EQ(Drain(connection.server), "x");
  fake_->Report(connection.server.native(), Condition::kReadable);
  EXPECT_EQ(Turn(), 0);
  EXPECT_THAT(recorder.Take(), IsEmpty());
  EXPECT_EQ(loop_->counters().stale_reports, 1u);
  // Armed anew, nothing lost.
  Turn();
  EXPECT_TRUE(fake_->IsArmed(connection.server.native()));
}

// "With kNone it says only that the watch has ended": it is armed anew.
TEST_P(CoreReports, R05_AWatchThatEndedByItselfIsArmedAnew) {
  if (GetParam() != ReadinessModel::kSingleShot) {
    GTEST_SKIP() << "watches of this model do not end";
  }
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected(test::LocalFamily());
    Recorder recorder;
    const Registration registration = Register(
        connection.server, mode.With(Interest::kReadable), recorder);
    Turn();
    fake_->Report(connection.server.native(), Condition::kNone);
    EXPECT_EQ(Turn(), 0);
    EXPECT_FALSE(fake_->IsArmed(connection.server.native()));
    EXPECT_EQ(Turn(), 0);
    EXPECT_TRUE(fake_->IsArmed(connection.server.native()));
    Send(connection.client, "x");
    fake_->Report(connection.server.native(), Condition::kReadable);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    ASSERT_OK(registration.Remove());
    Turn();
  }
}

// Survey trap 45: reports were lost, whose is not known.
TEST_P(CoreReports, R05_AfterALossEverythingIsArmedAnew) {
  std::vector<Connection> connections;
  std::vector<Recorder> recorders(4);
  std::vector<Registration> registrations;
  for (std::size_t i = 0; i < 4; ++i) {
    connections.push_back(Ready());
    registrations.push_back(Register(connections[i].server,
                                     kAllModes[i].With(Interest::kReadable),
                                     recorders[i]));
  }
  Connection silent = Ready();
  Recorder silent_recorder;
  ASSERT_OK(Register(silent.server, {.interest = Interest::kReadable},
                     silent_recorder)
                .Disable());
  Turn();
  fake_->TakeArmCalls();
  fake_->ReportLoss();
  Turn();
  Turn();
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(fake_->IsArmed(connections[i].server.native()));
  }
  // Each was forgotten and told again.
  int armed_again = 0;
  for (const auto& call : fake_->TakeArmCalls()) {
    if (!call.from.present && call.to.present &&
        Has(call.to.conditions, Condition::kReadable)) {
      ++armed_again;
    }
  }
  EXPECT_EQ(armed_again, 4);
  for (std::size_t i = 0; i < 4; ++i) {
    fake_->Report(connections[i].server.native(), Condition::kReadable);
  }
  EXPECT_EQ(Turn(), 4);
  for (Recorder& recorder : recorders) {
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  }
  EXPECT_THAT(silent_recorder.Take(), IsEmpty());
}

}  // namespace
}  // namespace weir::conformance
