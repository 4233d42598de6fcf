// The timer wheel: when a timer expires, and when the loop is woken (P02).

#include <cstddef>
#include <cstdint>
#include <deque>
#include <ostream>
#include <random>
#include <vector>

#include "core/timer_wheel.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/timer_wheel_harness.h"

namespace weir {
namespace internal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(TimerWheelTest, EmptyWheelHasNoDeadline) {
  Wheel w(17);
  EXPECT_TRUE(w.wheel.empty());
  EXPECT_EQ(w.wheel.size(), 0u);
  EXPECT_EQ(w.wheel.NextDeadline(), TimerWheel::kNoDeadline);
  EXPECT_EQ(w.wheel.Advance(1000 * kSecond, &w.expired), 0u);
  EXPECT_TRUE(w.expired.empty());
  EXPECT_EQ(w.expired.PopFront(), nullptr);
  EXPECT_EQ(w.wheel.NextDeadline(), TimerWheel::kNoDeadline);
}

// --- One timer: every distance, from every alignment of the start -----------

struct Distance {
  int64_t start_ns;
  int64_t distance_ns;
};

void PrintTo(const Distance& d, std::ostream* os) {
  *os << "start " << d.start_ns << " distance " << d.distance_ns;
}

// All powers of two and their neighbours, which holds the edges of every slot,
// window and level whatever the wheel's constants are; likewise the windows'
// ends, which lie a few slots before a power of two.
std::vector<Distance> Distances() {
  std::vector<Distance> all;
  std::vector<int64_t> starts = {0, 1, 1'700'000'000 * kSecond + 123'456'789};
  for (int bit : {18, 22, 29, 33, 40, 49}) {
    starts.push_back((int64_t{1} << bit) - 1);
    starts.push_back(int64_t{1} << bit);
    starts.push_back(-(int64_t{1} << bit) + 1);
  }
  for (int64_t start : starts) {
    for (int bit = 0; bit < 63; ++bit) {
      const int64_t power = int64_t{1} << bit;
      for (int64_t off : {int64_t{-1}, int64_t{0}, int64_t{1}}) {
        all.push_back({start, power + off});
      }
      for (int slots : {1, 2, 3}) {
        const int64_t window = power - slots * (power >> 11);
        all.push_back({start, window - 1});
        all.push_back({start, window});
        all.push_back({start, window + 1});
      }
    }
  }
  return all;
}

TEST(TimerWheelTest, P02_NeverEarlyAndNeverLateAtAnyDistance) {
  for (const Distance& d : Distances()) {
    SCOPED_TRACE(::testing::PrintToString(d));
    const int64_t deadline = SaturatingAdd(d.start_ns, d.distance_ns);
    if (deadline <= d.start_ns || deadline == kMax) continue;
    Timer timer(1);
    Wheel w(d.start_ns);
    w.wheel.Insert(&timer, deadline);
    ASSERT_EQ(w.wheel.NextDeadline(), deadline);
    ASSERT_EQ(w.wheel.Advance(deadline - 1, &w.expired), 0u);
    ASSERT_TRUE(timer.pending());
    ASSERT_EQ(w.wheel.NextDeadline(), deadline);
    ASSERT_EQ(w.wheel.Advance(deadline, &w.expired), 1u);
    ASSERT_TRUE(timer.expired());
    ASSERT_THAT(w.PopAll(), ElementsAre(1));
    ASSERT_TRUE(timer.idle());
    ASSERT_EQ(w.wheel.NextDeadline(), TimerWheel::kNoDeadline);
  }
}

// A second timer fires at every halving of the rest, so that the first is
// carried down through the levels.
TEST(TimerWheelTest, P02_NeverEarlyWhenApproachedInSteps) {
  for (const Distance& d : Distances()) {
    SCOPED_TRACE(::testing::PrintToString(d));
    const int64_t deadline = SaturatingAdd(d.start_ns, d.distance_ns);
    if (deadline <= d.start_ns || deadline == kMax) continue;
    Timer timer(1);
    Timer step(2);
    Wheel w(d.start_ns);
    w.wheel.Insert(&timer, deadline);
    for (int64_t rest = d.distance_ns / 2; rest > 0; rest /= 2) {
      w.wheel.Insert(&step, deadline - rest);
      ASSERT_EQ(w.wheel.NextDeadline(), deadline - rest);
      ASSERT_THAT(w.AdvanceAndPop(deadline - rest), ElementsAre(2));
      ASSERT_EQ(w.wheel.NextDeadline(), deadline);
    }
    ASSERT_THAT(w.AdvanceAndPop(deadline), ElementsAre(1));
  }
}

TEST(TimerWheelTest, DeadlineNotAfterNowExpiresAtTheNextAdvance) {
  for (int64_t deadline :
       {kMin, int64_t{-1}, int64_t{0}, int64_t{999}, int64_t{1000}}) {
    SCOPED_TRACE(deadline);
    Timer timer(1);
    Wheel w(1000);
    w.wheel.Insert(&timer, deadline);
    EXPECT_EQ(w.wheel.NextDeadline(), deadline);
    EXPECT_THAT(w.AdvanceAndPop(1000), ElementsAre(1));
  }
}

TEST(TimerWheelTest, TheWholeRangeOfTimeWorks) {
  Timer first(1), last(2), beyond(3);
  Wheel w(kMin);
  w.wheel.Insert(&beyond, kMax);
  w.wheel.Insert(&last, kMax - 1);
  w.wheel.Insert(&first, kMin + 1);
  EXPECT_THAT(w.AdvanceAndPop(kMin), IsEmpty());
  EXPECT_THAT(w.AdvanceAndPop(kMin + 1), ElementsAre(1));
  EXPECT_EQ(w.wheel.NextDeadline(), kMax - 1);
  EXPECT_THAT(w.AdvanceAndPop(kMax - 2), IsEmpty());
  EXPECT_THAT(w.AdvanceAndPop(kMax - 1), ElementsAre(2));
  EXPECT_THAT(w.AdvanceAndPop(kMax), ElementsAre(3));
}

TEST(TimerWheelTest, TimeDoesNotRunBackwards) {
  Timer timer(1);
  Wheel w(1000);
  w.wheel.Advance(5000, &w.expired);
  w.wheel.Insert(&timer, 6000);
  EXPECT_THAT(w.AdvanceAndPop(10), IsEmpty());
  w.wheel.Insert(&timer, 4000);
  EXPECT_THAT(w.AdvanceAndPop(20), ElementsAre(1));
}

// A jump far past a level full of timers, into the middle of a bucket of a
// coarser level: what is left of that bucket comes down to where overdue timers
// still are, and must not hide them.
TEST(TimerWheelTest, AJumpLeavesNoOverdueTimerBehind) {
  for (int fill = 14; fill <= 38; fill += 2) {
    for (int jump = fill + 8; jump <= fill + 20; jump += 2) {
      for (int64_t rest : {int64_t{1} << fill, int64_t{3} << fill}) {
        SCOPED_TRACE(::testing::Message() << "fill " << fill << " jump " << jump
                                          << " rest " << rest);
        const int64_t target = int64_t{3} << jump;
        std::deque<Timer> overdue;
        Timer due(1), not_due(2);
        for (int i = 0; i < 200; ++i) overdue.emplace_back(i);
        Wheel w(0);
        int64_t at = 0;
        for (Timer& timer : overdue) {
          w.wheel.Insert(&timer, at += int64_t{1} << fill);
        }
        w.wheel.Insert(&due, target);
        w.wheel.Insert(&not_due, target + rest);
        ASSERT_LT(at, target);
        ASSERT_EQ(w.wheel.Advance(target, &w.expired), overdue.size() + 1);
        w.PopAll();
        ASSERT_EQ(w.wheel.NextDeadline(), target + rest);
        ASSERT_THAT(w.AdvanceAndPop(target + rest), ElementsAre(2));
      }
    }
  }
}

// --- Wake-ups ---------------------------------------------------------------

TEST(TimerWheelTest, NoWakeUpIsInVainWhereNothingIsCancelled) {
  std::mt19937_64 random(1);
  std::vector<Timer> timers(2000);
  Wheel w(0);
  for (Timer& timer : timers) {
    w.wheel.Insert(&timer,
                   static_cast<int64_t>(random() >> (2 + random() % 45)));
  }
  int64_t now = 0;
  while (!w.wheel.empty()) {
    const int64_t next = w.wheel.NextDeadline();
    ASSERT_GE(next, now);
    now = next;
    ASSERT_GT(w.wheel.Advance(now, &w.expired), 0u) << "at " << now;
    w.PopAll();
  }
}

TEST(TimerWheelTest, AtMostOneWakeUpIsInVainForACancelledTimer) {
  std::mt19937_64 random(2);
  std::vector<Timer> timers(2000);
  Wheel w(0);
  // Close together, so that buckets hold many.
  for (Timer& timer : timers) {
    w.wheel.Insert(&timer,
                   1000 * kSecond + static_cast<int64_t>(random() % kSecond));
  }
  size_t cancelled = 0;
  size_t in_vain = 0;
  int64_t now = 0;
  while (!w.wheel.empty()) {
    const int64_t next = w.wheel.NextDeadline();
    ASSERT_GE(next, now);
    now = next;
    if (w.wheel.Advance(now, &w.expired) == 0) ++in_vain;
    w.PopAll();
    Timer& victim = timers[random() % timers.size()];
    if (w.wheel.Cancel(&victim)) ++cancelled;
  }
  EXPECT_GT(cancelled, 500u);
  EXPECT_LE(in_vain, cancelled);
}

}  // namespace
}  // namespace internal
}  // namespace weir
