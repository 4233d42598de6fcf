// Timers on several threads (P02).

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include "tests/conformance/conformance.h"
#include "tests/conformance/loop_threads.h"

namespace weir::conformance {
namespace {

absl::Time Monotonic() {
  return absl::UnixEpoch() +
         absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

// A loaded machine may be this late.
constexpr absl::Duration kGross = absl::Seconds(5);

class TimerThreads : public Conformance {};
WEIR_CONFORMANCE_SUITE(TimerThreads);

// Set by another thread while the loop waits for ever, or for a later one.
TEST_P(TimerThreads, P02_SetFromAnotherThreadDuringAWait) {
  for (const int size : {1, 3}) {
    SCOPED_TRACE(size);
    const auto other = NewLoop(size);
    LoopThreads threads(*other, size);
    Tally fired;
    absl::Notification idle;
    ASSERT_OK(other->Post([&] { idle.Notify(); }));
    ASSERT_TRUE(Await(idle));
    Timer far = Must(other->CreateTimer([] { FAIL(); }));
    ASSERT_OK(far.Set(absl::Hours(1)));
    Timer near = Must(other->CreateTimer([&] { fired.Add(); }));
    for (int i = 1; i <= 20; ++i) {
      ASSERT_OK(near.Set(absl::Microseconds(500)));
      ASSERT_TRUE(fired.AwaitAtLeast(i));
    }
    ASSERT_OK(near.Set(absl::Hours(1)));
    ASSERT_OK(near.Set(absl::ZeroDuration()));
    ASSERT_TRUE(fired.AwaitAtLeast(21));
    threads.StopAndJoin();
  }
}

// A periodic timer on several threads never runs concurrently with itself.
TEST_P(TimerThreads, P02_ATimerHandlerNeverRunsConcurrentlyWithItself) {
  const auto other = NewLoop(4);
  Exclusive exclusive;
  Tally fired;
  Timer timer = Must(other->CreateTimer([&] {
    const Exclusive::Visit visit(exclusive);
    fired.Add();
    // Longer than its period.
    const absl::Time begin = Monotonic();
    while (Monotonic() - begin < absl::Microseconds(50)) {
    }
  }));
  ASSERT_OK(timer.SetPeriodic(absl::Microseconds(10)));
  {
    LoopThreads threads(*other, 4);
    // And is set anew by another thread all the time.
    for (int i = 1; i <= 200; ++i) {
      ASSERT_TRUE(fired.AwaitAtLeast(i));
      ASSERT_OK(timer.SetPeriodic(absl::Microseconds(10)));
    }
  }
  EXPECT_FALSE(exclusive.violated());
}

}  // namespace
}  // namespace weir::conformance
