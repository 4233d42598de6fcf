// Timers that expire together: their order, and what a handler may do to the
// others. Cancelling and setting again in every state (P02).

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
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
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

// --- Order ------------------------------------------------------------------

TEST(TimerListTest, EqualDeadlinesFireInTheOrderSet) {
  for (int64_t deadline :
       {int64_t{0}, int64_t{5}, kSecond, 100 * kSecond, int64_t{1} << 55}) {
    SCOPED_TRACE(deadline);
    std::vector<Timer> timers(100);
    Wheel w(0);
    std::vector<int> expected;
    for (int i = 0; i < 100; ++i) {
      const int id = (i * 37) % 100;
      timers[static_cast<size_t>(id)].id = id;
      w.wheel.Insert(&timers[static_cast<size_t>(id)], deadline);
      expected.push_back(id);
    }
    EXPECT_THAT(w.AdvanceAndPop(deadline), ElementsAreArray(expected));
  }
}

TEST(TimerListTest, EqualDeadlinesSetAtDifferentTimesFireInTheOrderSet) {
  // Each is set from closer by, and so in a finer level.
  constexpr int64_t kDeadline = 1000 * kSecond;
  std::vector<Timer> timers(35);
  Wheel w(0);
  std::vector<int> expected;
  int64_t rest = kDeadline;
  for (int i = 0; i < 35; ++i, rest /= 2) {
    EXPECT_THAT(w.AdvanceAndPop(kDeadline - rest), IsEmpty());
    timers[static_cast<size_t>(i)].id = i;
    w.wheel.Insert(&timers[static_cast<size_t>(i)], kDeadline);
    expected.push_back(i);
  }
  EXPECT_THAT(w.AdvanceAndPop(kDeadline), ElementsAreArray(expected));
}

TEST(TimerListTest, ATimerSetAgainFiresAfterItsEquals) {
  Timer a(1), b(2), c(3);
  Wheel w(0);
  w.wheel.Insert(&a, 100);
  w.wheel.Insert(&b, 100);
  w.wheel.Insert(&c, 100);
  w.wheel.Insert(&a, 100);
  EXPECT_EQ(w.wheel.size(), 3u);
  EXPECT_THAT(w.AdvanceAndPop(100), ElementsAre(2, 3, 1));
}

TEST(TimerListTest, OneTurnFiresInTheOrderOfDeadlines) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::vector<Timer> timers(500);
    Wheel w(0);
    std::multimap<int64_t, int> model;
    for (int i = 0; i < 500; ++i) {
      timers[static_cast<size_t>(i)].id = i;
      const int64_t deadline = static_cast<int64_t>(random() % 100)
                               << (random() % 45);
      w.wheel.Insert(&timers[static_cast<size_t>(i)], deadline);
      model.emplace(deadline, i);
    }
    std::vector<int> expected;
    for (const auto& [deadline, id] : model) expected.push_back(id);
    EXPECT_THAT(w.AdvanceAndPop(kMax), ElementsAreArray(expected));
  }
}

TEST(TimerListTest, AListNotWalkedYetStaysInOrder) {
  Timer a(1), b(2), c(3), d(4), e(5);
  Wheel w(0);
  w.wheel.Insert(&b, 200);
  w.wheel.Insert(&d, 400);
  w.wheel.Insert(&e, 500);
  EXPECT_EQ(w.wheel.Advance(400, &w.expired), 2u);
  w.wheel.Insert(&a, 100);
  w.wheel.Insert(&c, 200);  // Equal to b, and set later.
  EXPECT_EQ(w.wheel.Advance(400, &w.expired), 2u);
  EXPECT_EQ(w.wheel.Advance(500, &w.expired), 1u);
  EXPECT_TRUE(w.wheel.Cancel(&e));  // The last of the list...
  w.wheel.Insert(&e, 450);          // ... has left, and comes back earlier.
  EXPECT_EQ(w.wheel.Advance(500, &w.expired), 1u);
  EXPECT_THAT(w.PopAll(), ElementsAre(1, 2, 3, 4, 5));
}

// --- Cancel in every state --------------------------------------------------

TEST(TimerListTest, CancelOfAnIdleTimerIsFalse) {
  Timer timer;
  Wheel w(0);
  EXPECT_FALSE(w.wheel.Cancel(&timer));
  w.wheel.Insert(&timer, 10);
  EXPECT_TRUE(w.wheel.Cancel(&timer));
  EXPECT_TRUE(timer.idle());
  EXPECT_FALSE(w.wheel.Cancel(&timer));
  w.wheel.Insert(&timer, 10);
  w.AdvanceAndPop(10);
  EXPECT_FALSE(w.wheel.Cancel(&timer));
}

TEST(TimerListTest, CancelOfAPendingTimerAnywhereInItsBucket) {
  for (int64_t deadline :
       {int64_t{0}, int64_t{7}, kSecond, 1000 * kSecond, int64_t{1} << 60}) {
    for (size_t victim = 0; victim < 3; ++victim) {
      SCOPED_TRACE(::testing::Message() << deadline << " " << victim);
      Timer timers[] = {Timer(0), Timer(1), Timer(2)};
      Wheel w(0);
      for (Timer& timer : timers) w.wheel.Insert(&timer, deadline);
      EXPECT_TRUE(w.wheel.Cancel(&timers[victim]));
      EXPECT_EQ(w.wheel.size(), 2u);
      EXPECT_EQ(w.wheel.NextDeadline(), deadline);
      std::vector<int> expected = {0, 1, 2};
      expected.erase(expected.begin() + static_cast<std::ptrdiff_t>(victim));
      EXPECT_THAT(w.AdvanceAndPop(deadline), ElementsAreArray(expected));
    }
  }
}

TEST(TimerListTest, CancelOfTheOnlyTimerLeavesNoDeadline) {
  for (int bit = 0; bit < 63; ++bit) {
    Timer timer;
    Wheel w(0);
    w.wheel.Insert(&timer, int64_t{1} << bit);
    EXPECT_TRUE(w.wheel.Cancel(&timer));
    EXPECT_TRUE(w.wheel.empty());
    EXPECT_EQ(w.wheel.NextDeadline(), TimerWheel::kNoDeadline);
    EXPECT_THAT(w.AdvanceAndPop(kMax), IsEmpty());
  }
}

TEST(TimerListTest, CancelOfAnExpiredTimerAnywhereInTheList) {
  for (size_t victim = 0; victim < 3; ++victim) {
    SCOPED_TRACE(victim);
    Timer timers[] = {Timer(0), Timer(1), Timer(2)};
    Timer later(3);
    Wheel w(0);
    for (Timer& timer : timers) w.wheel.Insert(&timer, 5);
    w.wheel.Insert(&later, 6);
    EXPECT_EQ(w.wheel.Advance(5, &w.expired), 3u);
    EXPECT_TRUE(timers[victim].expired());
    EXPECT_TRUE(w.wheel.Cancel(&timers[victim]));
    EXPECT_TRUE(timers[victim].idle());
    EXPECT_FALSE(w.wheel.Cancel(&timers[victim]));
    EXPECT_EQ(w.wheel.size(), 1u);
    EXPECT_EQ(w.wheel.Advance(6, &w.expired), 1u);
    std::vector<int> expected = {0, 1, 2, 3};
    expected.erase(expected.begin() + static_cast<std::ptrdiff_t>(victim));
    EXPECT_THAT(w.PopAll(), ElementsAreArray(expected));
  }
}

TEST(TimerListTest, CancelOfAllExpiredTimersEmptiesTheList) {
  Timer a(1), b(2);
  Wheel w(0);
  w.wheel.Insert(&a, 1);
  w.wheel.Insert(&b, 1);
  w.wheel.Advance(1, &w.expired);
  EXPECT_TRUE(w.wheel.Cancel(&b));
  EXPECT_TRUE(w.wheel.Cancel(&a));
  EXPECT_TRUE(w.expired.empty());
  w.wheel.Insert(&a, 0);
  w.wheel.Advance(1, &w.expired);
  EXPECT_THAT(w.PopAll(), ElementsAre(1));
}

TEST(TimerListTest, CancelOfTheEarliestUncoversTheNext) {
  // The others are in the same bucket, in one further on, and in other levels.
  for (int64_t next : {kSecond + 1, kSecond + 300'000, 2 * kSecond,
                       100 * kSecond, int64_t{1} << 60}) {
    SCOPED_TRACE(next);
    Timer earliest(1), other(2);
    Wheel w(0);
    w.wheel.Insert(&earliest, kSecond);
    w.wheel.Insert(&other, next);
    EXPECT_EQ(w.wheel.NextDeadline(), kSecond);
    EXPECT_TRUE(w.wheel.Cancel(&earliest));
    EXPECT_EQ(w.wheel.NextDeadline(), next);
    EXPECT_THAT(w.AdvanceAndPop(next - 1), IsEmpty());
    EXPECT_THAT(w.AdvanceAndPop(next), ElementsAre(2));
  }
}

// --- Setting again, and what a handler may do -------------------------------

TEST(TimerListTest, APendingTimerSetAgainHasOnlyItsNewDeadline) {
  for (int64_t from : {int64_t{50}, kSecond, 100 * kSecond}) {
    for (int64_t to : {int64_t{50}, int64_t{60}, kSecond, kSecond + 1,
                       100 * kSecond, 100 * kSecond + 1}) {
      SCOPED_TRACE(::testing::Message() << from << " to " << to);
      Timer timer(1);
      Wheel w(0);
      w.wheel.Insert(&timer, from);
      w.wheel.Insert(&timer, to);
      EXPECT_EQ(timer.deadline_ns(), to);
      EXPECT_EQ(w.wheel.size(), 1u);
      EXPECT_EQ(w.wheel.NextDeadline(), to);
      EXPECT_THAT(w.AdvanceAndPop(to - 1), IsEmpty());
      EXPECT_THAT(w.AdvanceAndPop(to), ElementsAre(1));
      EXPECT_TRUE(w.wheel.empty());
    }
  }
}

TEST(TimerListTest, AnExpiredTimerSetAgainLeavesTheList) {
  Timer a(1), b(2);
  Wheel w(0);
  w.wheel.Insert(&a, 1);
  w.wheel.Insert(&b, 2);
  EXPECT_EQ(w.wheel.Advance(2, &w.expired), 2u);
  w.wheel.Insert(&b, 3);
  EXPECT_TRUE(b.pending());
  EXPECT_THAT(w.PopAll(), ElementsAre(1));
  EXPECT_THAT(w.AdvanceAndPop(3), ElementsAre(2));
}

TEST(TimerListTest, AHandlerMayCancelDestroyAndInsert) {
  auto destroyed = std::make_unique<Timer>(2);
  Timer self(1), cancelled(3), set_again(4), last(5), fresh(6);
  Wheel w(0);
  w.wheel.Insert(&self, 1);
  w.wheel.Insert(destroyed.get(), 2);
  w.wheel.Insert(&cancelled, 3);
  w.wheel.Insert(&set_again, 4);
  w.wheel.Insert(&last, 5);
  w.wheel.Advance(5, &w.expired);
  ASSERT_EQ(w.expired.PopFront(), &self);
  w.wheel.Insert(&self, 1);  // Overdue already, as a periodic timer may be.
  w.wheel.Insert(&fresh, 0);
  EXPECT_TRUE(w.wheel.Cancel(destroyed.get()));
  destroyed.reset();
  EXPECT_TRUE(w.wheel.Cancel(&cancelled));
  w.wheel.Insert(&set_again, 10);
  EXPECT_THAT(w.PopAll(), ElementsAre(5));  // The walk ends.
  EXPECT_EQ(w.wheel.NextDeadline(), 0);
  EXPECT_THAT(w.AdvanceAndPop(5), ElementsAre(6, 1));
  EXPECT_THAT(w.AdvanceAndPop(10), ElementsAre(4));
}

}  // namespace
}  // namespace internal
}  // namespace weir
