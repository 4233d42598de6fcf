// A mechanism that refuses, on a backend that follows a script (R13; the Linux
// half of survey trap 39), and waits that end early or fail.

#include <chrono>
#include <thread>

#include "absl/time/clock.h"
#include "tests/backends/fake_backend_fixture.h"
#include "tests/conformance/loop_threads.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

absl::Status NoMemory() {
  return absl::ResourceExhaustedError("arm: no memory, says the script");
}
absl::Status Refusal() {
  return absl::InvalidArgumentError("arm: refused, says the script");
}

class CoreRefusals : public OnFakeBackend {};
WEIR_FAKE_BACKEND_SUITE(CoreRefusals);

TEST_P(CoreRefusals, R13_NoMemoryForANewRegistration) {
  Connection connection = Ready();
  Recorder recorder;
  fake_->RefuseArm(NoMemory(), 3);
  auto registration =
      loop_->Register(connection.server, {.interest = Interest::kReadable},
                      recorder.Handler());
  if (GetParam() == ReadinessModel::kPersistent) {
    // Told at once, and everything is as it was.
    EXPECT_CODE(registration, kResourceExhausted);
    EXPECT_TRUE(recorder.handler_destroyed());
    EXPECT_EQ(loop_->counters().registrations, 0u);
    EXPECT_THAT(recorder.Take(), IsEmpty());
    EXPECT_CODE(loop_->Register(connection.server,
                                {.interest = Interest::kReadable},
                                recorder.Handler()),
                kResourceExhausted);
    EXPECT_CODE(loop_->Register(connection.server,
                                {.interest = Interest::kReadable},
                                recorder.Handler()),
                kResourceExhausted);
    registration =
        loop_->Register(connection.server, {.interest = Interest::kReadable},
                        recorder.Handler());
  }
  ASSERT_OK(registration);
  // Tried again without anything else happening.
  while (!fake_->IsArmed(connection.server.native())) {
    ASSERT_OK(loop_->RunOnce(absl::Milliseconds(100)));
  }
  EXPECT_THAT(recorder.Take(), IsEmpty());
  fake_->Report(connection.server.native(), Condition::kReadable);
  Turn();
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
}

// A want of memory is not "was not registered": the change is tried again, in
// a wait that would otherwise be for ever.
TEST_P(CoreRefusals, R13_AChangeWithoutMemoryIsTriedAgain) {
  Connection connection = Ready();
  Recorder recorder;
  const Registration registration =
      Register(connection.server, {.interest = Interest::kReadable}, recorder);
  Turn();
  fake_->RefuseArm(NoMemory(), 3);
  RegistrationChange change;
  change.interest = Interest::kWritable;
  ASSERT_OK(registration.Modify(std::move(change)));
  fake_->TakeArmCalls();
  Must(loop_->RunOnce(absl::Milliseconds(200)));
  const auto calls = fake_->TakeArmCalls();
  ASSERT_EQ(calls.size(), 4u);
  for (const auto& call : calls) {
    EXPECT_EQ(call.from.conditions & Condition::kReadable,
              Condition::kReadable);
    EXPECT_EQ(call.to.conditions & Condition::kWritable, Condition::kWritable);
  }
  EXPECT_TRUE(registration.is_live());
  EXPECT_THAT(recorder.Take(), IsEmpty());
}

// The same for a change made while another thread waits, for ever.
TEST_P(CoreRefusals, R13_AChangeWithoutMemoryDuringAWaitIsTriedAgain) {
  MakeLoop(2);
  Connection connection = Ready();
  Recorder recorder;
  const Registration registration = Register(
      connection.server, {.interest = Interest::kReadable}, recorder);
  LoopThreads threads(*loop_, 1);
  ASSERT_TRUE(fake_->AwaitArmed(connection.server.native(), kPatience));
  ASSERT_TRUE(fake_->AwaitBlocked(kPatience));
  fake_->TakeArmCalls();
  fake_->RefuseArm(NoMemory());
  RegistrationChange change;
  change.interest = Interest::kWritable;
  ASSERT_OK(registration.Modify(std::move(change)));
  // The refused one, and the one that follows by itself.
  std::size_t calls = 0;
  const absl::Time deadline = absl::Now() + absl::Seconds(5);
  while (calls < 2 && absl::Now() < deadline) {
    std::this_thread::yield();
    calls += fake_->TakeArmCalls().size();
  }
  EXPECT_EQ(calls, 2u);
  threads.StopAndJoin();
}

// "Submit: called after changes made while another thread is in Wait", so that
// a mechanism may keep changes until then.
TEST_P(CoreRefusals, R16_ARegistrationDuringAWaitIsSubmitted) {
  MakeLoop(2);
  Connection connection = Ready();
  Recorder recorder;
  LoopThreads threads(*loop_, 1);
  ASSERT_TRUE(fake_->AwaitBlocked(kPatience));
  const int before = fake_->submits();
  Register(connection.server, {.interest = Interest::kReadable}, recorder);
  EXPECT_GE(fake_->submits(), before + 1);
  EXPECT_TRUE(fake_->IsArmed(connection.server.native()));
  threads.StopAndJoin();
}

// And a Submit that the kernel did not take: the changes must not lie there
// until something else happens.
TEST_P(CoreRefusals, R13_ASubmissionRefusedDuringAWaitIsTriedAgain) {
  MakeLoop(2);
  Connection connection = Ready();
  Recorder recorder;
  LoopThreads threads(*loop_, 1);
  ASSERT_TRUE(fake_->AwaitBlocked(kPatience));
  const int before = fake_->submits();
  fake_->RefuseSubmit(absl::UnavailableError("io_uring_enter: busy"));
  Register(connection.server, {.interest = Interest::kReadable}, recorder);
  EXPECT_TRUE(fake_->AwaitSubmits(before + 2, absl::Seconds(5)));
  threads.StopAndJoin();
}

// Refused for good: one event tells, with the status, and it is over.
TEST_P(CoreRefusals, R13_ARefusedChangeEndsInErrorAndRemoved) {
  Connection connection = Ready();
  Recorder recorder;
  const Registration registration =
      Register(connection.server, {.interest = Interest::kReadable}, recorder);
  Turn();
  fake_->RefuseArm(Refusal());
  RegistrationChange change;
  change.interest = Interest::kWritable;
  ASSERT_OK(registration.Modify(std::move(change)));
  EXPECT_EQ(Turn(), 1);
  EXPECT_THAT(recorder.events(),
              ElementsAre(Events::kError | Events::kRemoved));
  ASSERT_EQ(recorder.errors().size(), 1u);
  EXPECT_EQ(recorder.errors()[0], Refusal());
  EXPECT_TRUE(recorder.handler_destroyed());
  EXPECT_FALSE(registration.is_live());
  EXPECT_CODE(registration.Remove(), kFailedPrecondition);
  // The socket is as good as before.
  Recorder next;
  Register(connection.server, {.interest = Interest::kReadable}, next);
  Turn();
  EXPECT_TRUE(fake_->IsArmed(connection.server.native()));
}

TEST_P(CoreRefusals, R13_ARefusedNewRegistration) {
  Connection connection = Ready();
  Connection other = Ready();
  Recorder recorder;
  Recorder other_recorder;
  fake_->RefuseArm(Refusal());
  const auto registration =
      loop_->Register(connection.server, {.interest = Interest::kReadable},
                      recorder.Handler());
  Register(other.server, {.interest = Interest::kReadable}, other_recorder);
  Turn();
  if (GetParam() == ReadinessModel::kPersistent) {
    EXPECT_CODE(registration, kInvalidArgument);
    EXPECT_THAT(recorder.events(), IsEmpty());
  } else {
    ASSERT_OK(registration);
    EXPECT_THAT(recorder.events(),
                ElementsAre(Events::kError | Events::kRemoved));
  }
  EXPECT_TRUE(recorder.handler_destroyed());
  EXPECT_EQ(loop_->counters().registrations, 1u);
  fake_->Report(other.server.native(), Condition::kReadable);
  Turn();
  EXPECT_THAT(other_recorder.Take(), ElementsAre(Events::kReadable));
}

// --- waits

// "Returning early, with nothing to collect, is allowed": the time is kept.
TEST_P(CoreRefusals, P02_EarlyReturnsOfWaitDoNotShortenATimeout) {
  fake_->EndWaitsEarly(5);
  const absl::Duration timeout = absl::Milliseconds(10);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(Must(loop_->RunOnce(timeout)), 0);
  EXPECT_GE(absl::FromChrono(std::chrono::steady_clock::now() - begin),
            timeout);
  EXPECT_GE(loop_->counters().turns, 6u);
}

TEST_P(CoreRefusals, P02_EarlyReturnsOfWaitDoNotMakeATimerEarly) {
  std::chrono::steady_clock::time_point fired;
  Timer timer = Must(
      loop_->CreateTimer([&] { fired = std::chrono::steady_clock::now(); }));
  fake_->EndWaitsEarly(5);
  const auto set = std::chrono::steady_clock::now();
  ASSERT_OK(timer.Set(absl::Milliseconds(10)));
  EXPECT_EQ(Must(loop_->RunOnce(kPatience)), 1);
  EXPECT_GE(absl::FromChrono(fired - set), absl::Milliseconds(10));
}

// A wait that fails: Run says so, nothing is lost, and it can be run again.
TEST_P(CoreRefusals, P05_AWaitThatFailsIsReported) {
  Connection connection = Ready();
  Recorder recorder;
  Register(connection.server, {.interest = Interest::kReadable}, recorder);
  Turn();
  bool posted = false;
  ASSERT_OK(loop_->Post([&] { posted = true; }));
  fake_->RefuseWait(absl::InternalError("the mechanism is broken"));
  EXPECT_CODE(loop_->Run(), kInternal);
  fake_->RefuseWait(absl::InternalError("the mechanism is broken"));
  EXPECT_CODE(loop_->RunOnce(kPatience), kInternal);
  fake_->Report(connection.server.native(), Condition::kReadable);
  EXPECT_EQ(Must(loop_->RunOnce(kPatience)), 2);
  EXPECT_TRUE(posted);
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
}

}  // namespace
}  // namespace weir::conformance
