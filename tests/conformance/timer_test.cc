// Timers through the loop (P02). That nothing is early is asserted exactly;
// how late it may be depends on the machine, so only gross lateness fails.

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "tests/conformance/conformance.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;

absl::Time Monotonic() {
  // As good as any other zero: only differences are used.
  return absl::UnixEpoch() +
         absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

// A loaded machine may be this late.
constexpr absl::Duration kGross = absl::Seconds(5);

class TimerTest : public Conformance {
 protected:
  Timer NewTimer(std::function<void()> handler) {
    return Must(loop().CreateTimer(std::move(handler)));
  }
};
WEIR_CONFORMANCE_SUITE(TimerTest);

// Sub-millisecond delays included: a wait in rounded milliseconds would be
// early or, on a loop that looks at the clock, spin.
TEST_P(TimerTest, P02_NeverEarly) {
  for (const absl::Duration delay :
       {absl::Microseconds(50), absl::Microseconds(700),
        absl::Microseconds(1001), absl::Milliseconds(3),
        absl::Microseconds(12345)}) {
    SCOPED_TRACE(absl::FormatDuration(delay));
    std::optional<absl::Time> fired;
    Timer timer = NewTimer([&] { fired = Monotonic(); });
    const absl::Time set = Monotonic();
    ASSERT_OK(timer.Set(delay));
    const std::uint64_t turns = loop().counters().turns;
    TurnUntil([&] { return fired.has_value(); });
    EXPECT_GE(*fired - set, delay);
    EXPECT_LE(*fired - set, delay + kGross);
    // It waits in the kernel instead of looking at the clock again and again.
    EXPECT_LE(loop().counters().turns - turns, 4u);
  }
}

TEST_P(TimerTest, P02_ZeroAndLessFireInTheNextTurn) {
  int fired = 0;
  Timer timer = NewTimer([&] { ++fired; });
  for (const absl::Duration delay :
       {absl::ZeroDuration(), absl::Nanoseconds(-1), absl::Hours(-1),
        -absl::InfiniteDuration()}) {
    ASSERT_OK(timer.Set(delay));
    const int before = fired;
    EXPECT_EQ(Turn(), 1);
    EXPECT_EQ(fired, before + 1);
  }
}

TEST_P(TimerTest, P02_ATimerSetByItsHandlerFiresInALaterTurn) {
  int fired = 0;
  Timer timer;
  timer = NewTimer([&] {
    ++fired;
    EXPECT_OK(timer.Set(absl::ZeroDuration()));
  });
  ASSERT_OK(timer.Set(absl::ZeroDuration()));
  for (int turn = 1; turn <= 5; ++turn) {
    EXPECT_EQ(Turn(), 1);
    EXPECT_EQ(fired, turn);
  }
}

TEST_P(TimerTest, P02_OneShotFiresOnceAndCanBeSetAgain) {
  int fired = 0;
  Timer timer = NewTimer([&] { ++fired; });
  ASSERT_OK(timer.Set(absl::Microseconds(1)));
  TurnUntil([&] { return fired == 1; });
  TurnPastSentinel();
  EXPECT_EQ(fired, 1);
  ASSERT_OK(timer.Set(absl::Microseconds(1)));
  TurnUntil([&] { return fired == 2; });
}

TEST_P(TimerTest, P02_SettingAgainReplaces) {
  std::optional<absl::Time> fired;
  Timer timer = NewTimer([&] { fired = Monotonic(); });
  ASSERT_OK(timer.Set(absl::ZeroDuration()));
  const absl::Time set = Monotonic();
  ASSERT_OK(timer.Set(absl::Milliseconds(15)));
  Turn();
  TurnUntil([&] { return fired.has_value(); });
  EXPECT_GE(*fired - set, absl::Milliseconds(15));
  // And to something earlier.
  fired.reset();
  ASSERT_OK(timer.Set(absl::Hours(1)));
  ASSERT_OK(timer.Set(absl::ZeroDuration()));
  EXPECT_EQ(Turn(), 1);
  EXPECT_TRUE(fired.has_value());
}

TEST_P(TimerTest, P02_TimersFireInTheOrderOfTheirDeadlines) {
  std::vector<int> order;
  std::vector<Timer> timers;
  for (int i = 0; i < 8; ++i) {
    timers.push_back(NewTimer([&order, i] { order.push_back(i); }));
  }
  for (int i = 0; i < 8; ++i) {
    ASSERT_OK(timers[static_cast<std::size_t>(i)].Set(
        absl::Milliseconds(25) * (8 - i)));
  }
  TurnUntil([&] { return order.size() == 8; });
  EXPECT_THAT(order, ElementsAre(7, 6, 5, 4, 3, 2, 1, 0));
}

// P02: the n-th call is not before n periods; missed periods are skipped.
TEST_P(TimerTest, P02_PeriodicKeepsItsRhythm) {
  const absl::Duration period = absl::Milliseconds(4);
  std::vector<absl::Time> fired;
  Timer timer = NewTimer([&] { fired.push_back(Monotonic()); });
  const absl::Time set = Monotonic();
  ASSERT_OK(timer.SetPeriodic(period));
  TurnUntil([&] { return fired.size() == 10; });
  for (std::size_t i = 0; i < fired.size(); ++i) {
    EXPECT_GE(fired[i] - set, period * static_cast<double>(i + 1)) << i;
  }
  ASSERT_OK(timer.Cancel());
  TurnPastSentinel();
  EXPECT_EQ(fired.size(), 10u);
}

TEST_P(TimerTest, P02_PeriodsMissedAreSkipped) {
  const absl::Duration period = absl::Milliseconds(2);
  std::vector<absl::Time> fired;
  Timer timer = NewTimer([&] { fired.push_back(Monotonic()); });
  const absl::Time before_set = Monotonic();
  ASSERT_OK(timer.SetPeriodic(period));
  const absl::Time after_set = Monotonic();
  // The loop is busy for many periods.
  while (Monotonic() - after_set < period * 20) {
  }
  const absl::Time resumed = Monotonic();
  EXPECT_EQ(Turn(), 1);
  EXPECT_EQ(fired.size(), 1u);
  TurnUntil([&] { return fired.size() == 2; });
  // At the end of the period in which the loop resumed, not at once to make
  // up.
  const std::int64_t whole = (resumed - after_set) / period;
  EXPECT_GE(whole, 20);
  EXPECT_GE(fired[1] - before_set, period * (whole + 1));
}

TEST_P(TimerTest, P05_BadPeriodsAreRefused) {
  Timer timer = NewTimer([] { FAIL(); });
  EXPECT_CODE(timer.SetPeriodic(absl::ZeroDuration()), kInvalidArgument);
  EXPECT_CODE(timer.SetPeriodic(absl::Nanoseconds(999)), kInvalidArgument);
  EXPECT_CODE(timer.SetPeriodic(-absl::Seconds(1)), kInvalidArgument);
  Turn();
}

TEST_P(TimerTest, P05_EmptyTimersAndHandlersAreRefused) {
  EXPECT_CODE(loop().CreateTimer(nullptr), kInvalidArgument);
  Timer empty;
  EXPECT_CODE(empty.Set(absl::ZeroDuration()), kFailedPrecondition);
  EXPECT_CODE(empty.SetPeriodic(absl::Seconds(1)), kFailedPrecondition);
  EXPECT_CODE(empty.Cancel(), kFailedPrecondition);
}

TEST_P(TimerTest, P02_CancelledTimersDoNotFire) {
  Timer timer = NewTimer([] { FAIL(); });
  EXPECT_OK(timer.Cancel());
  ASSERT_OK(timer.Set(absl::ZeroDuration()));
  ASSERT_OK(timer.Cancel());
  ASSERT_OK(timer.Cancel());
  {
    Timer destroyed = NewTimer([] { FAIL(); });
    ASSERT_OK(destroyed.Set(absl::ZeroDuration()));
  }
  EXPECT_EQ(Turn(), 0);
  TurnPastSentinel();
}

// Both have expired in one turn: the first to run stops the other.
TEST_P(TimerTest, P02_CancelledByAnotherInTheSameTurn) {
  Timer second;
  int fired = 0;
  Timer first = NewTimer([&] {
    ++fired;
    EXPECT_OK(second.Cancel());
  });
  second = NewTimer([] { FAIL() << "it was cancelled"; });
  ASSERT_OK(first.Set(absl::ZeroDuration()));
  ASSERT_OK(second.Set(absl::ZeroDuration()));
  TurnUntil([&] { return fired == 1; });
  TurnPastSentinel();
}

TEST_P(TimerTest, P02_DestroyedByAnotherInTheSameTurn) {
  std::optional<Timer> second;
  int fired = 0;
  Timer first = NewTimer([&] {
    ++fired;
    second.reset();
  });
  second.emplace(NewTimer([] { FAIL() << "it was destroyed"; }));
  ASSERT_OK(first.Set(absl::ZeroDuration()));
  ASSERT_OK(second->Set(absl::ZeroDuration()));
  TurnUntil([&] { return fired == 1; });
  TurnPastSentinel();
}

TEST_P(TimerTest, P02_APeriodicTimerCancelsItself) {
  int fired = 0;
  Timer timer;
  timer = NewTimer([&] {
    if (++fired == 3) {
      EXPECT_OK(timer.Cancel());
    }
  });
  ASSERT_OK(timer.SetPeriodic(absl::Microseconds(10)));
  TurnUntil([&] { return fired == 3; });
  TurnPastSentinel();
  EXPECT_EQ(fired, 3);
}

// The handler's captures outlive the call that destroys the timer.
TEST_P(TimerTest, P02_AHandlerDestroysItsOwnTimer) {
  auto held = std::make_shared<int>(7);
  const std::weak_ptr<int> watch = held;
  auto timer = std::make_unique<Timer>();
  int seen = 0;
  *timer = Must(loop().CreateTimer([&, held = std::move(held)] {
    timer.reset();
    seen = *held;
  }));
  ASSERT_OK(timer->SetPeriodic(absl::Microseconds(10)));
  TurnUntil([&] { return seen != 0; });
  EXPECT_EQ(seen, 7);
  EXPECT_TRUE(watch.expired());
  TurnPastSentinel();
}

TEST_P(TimerTest, P02_ThousandsFireOnceEachAndNoneEarly) {
  constexpr int kTimers = 5000;
  std::mt19937 random(1);
  struct One {
    Timer timer;
    absl::Time due;
    int fired = 0;
  };
  std::vector<One> timers(kTimers);
  int fired = 0;
  int early = 0;
  for (One& one : timers) {
    one.timer = NewTimer([&] {
      ++fired;
      ++one.fired;
      if (Monotonic() < one.due) ++early;
    });
    const absl::Duration delay = absl::Microseconds(random() % 50'000);
    one.due = Monotonic() + delay;
    ASSERT_OK(one.timer.Set(delay));
  }
  TurnUntil([&] { return fired == kTimers; });
  EXPECT_EQ(early, 0);
  for (const One& one : timers) EXPECT_EQ(one.fired, 1);
  EXPECT_EQ(loop().counters().timers, std::uint64_t{kTimers});
}

// A delay that no clock reaches is a timer that does not fire; and the waits
// are computed without overflow.
TEST_P(TimerTest, P02_DelaysBeyondTheClockNeverFire) {
  std::vector<Timer> timers;
  for (const absl::Duration delay :
       {absl::InfiniteDuration(), absl::Hours(24 * 365 * 290),
        absl::Nanoseconds(std::numeric_limits<std::int64_t>::max()),
        absl::Nanoseconds(std::numeric_limits<std::int64_t>::max()) * 4}) {
    timers.push_back(NewTimer([] { FAIL(); }));
    ASSERT_OK(timers.back().Set(delay));
  }
  timers.push_back(NewTimer([] { FAIL(); }));
  ASSERT_OK(timers.back().SetPeriodic(absl::InfiniteDuration()));
  EXPECT_EQ(Must(loop().RunOnce(absl::Milliseconds(2))), 0);
  TurnPastSentinel();
}

// RunOnce's timeout: zero only looks, and nothing returns early.
TEST_P(TimerTest, P02_ATimeoutIsNeverEarly) {
  EXPECT_EQ(Must(loop().RunOnce(absl::ZeroDuration())), 0);
  EXPECT_EQ(Must(loop().RunOnce(-absl::InfiniteDuration())), 0);
  for (const absl::Duration timeout :
       {absl::Microseconds(300), absl::Microseconds(2500),
        absl::Milliseconds(11)}) {
    const absl::Time begin = Monotonic();
    EXPECT_EQ(Must(loop().RunOnce(timeout)), 0);
    EXPECT_GE(Monotonic() - begin, timeout);
    EXPECT_LE(Monotonic() - begin, timeout + kGross);
  }
}

// Timers after the end of their loop.
TEST_P(TimerTest, P05_TimersOfAStoppedOrDestroyedLoopAreRefused) {
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  Timer timer = Must(loop().CreateTimer([held = std::move(held)] { FAIL(); }));
  ASSERT_OK(timer.Set(absl::ZeroDuration()));
  loop().Stop();
  EXPECT_CODE(timer.Set(absl::ZeroDuration()), kFailedPrecondition);
  EXPECT_CODE(timer.SetPeriodic(absl::Seconds(1)), kFailedPrecondition);
  EXPECT_CODE(loop().CreateTimer([] {}), kFailedPrecondition);
  EXPECT_CODE(loop().PostAfter(absl::ZeroDuration(), [] {}),
              kFailedPrecondition);
  EXPECT_OK(timer.Cancel());
  DestroyLoop();
  EXPECT_CODE(timer.Set(absl::ZeroDuration()), kFailedPrecondition);
  timer = Timer();
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace weir::conformance
