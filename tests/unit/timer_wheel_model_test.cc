// Random operations on a timer wheel, compared with a std::multimap (P02).

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "core/timer_wheel.h"
#include "gtest/gtest.h"
#include "tests/unit/timer_wheel_harness.h"

namespace weir {
namespace internal {
namespace {

class ModelRun {
 public:
  explicit ModelRun(uint64_t seed)
      : random_(seed),
        // How far this run's times spread, so that some stay within a slot and
        // others go through all of time.
        bits_(1 + static_cast<int>(random_() % 60)),
        now_(Start()),
        timers_(1 + random_() % 300),
        where_(timers_.size()),
        w_(now_) {
    for (size_t i = 0; i < timers_.size(); ++i) {
      timers_[i].id = static_cast<int>(i);
    }
  }

  void Run(int operations) {
    for (int i = 0; i < operations; ++i) {
      SCOPED_TRACE(::testing::Message() << "operation " << i);
      switch (random_() % 16) {
        case 0:
          Advance(SaturatingAdd(now_, Magnitude()));
          break;
        case 1:
        case 2:
          Advance(w_.wheel.NextDeadline() == kMax ? now_
                                                  : w_.wheel.NextDeadline());
          break;
        case 3:
          Advance(SaturatingAdd(w_.wheel.NextDeadline(), -1));
          break;
        case 4:
        case 5:
        case 6:
          Cancel(random_() % timers_.size());
          break;
        case 7:
        case 8:
          Pop();
          break;
        case 9:
          while (!w_.expired.empty()) Pop();
          break;
        default:
          Insert(random_() % timers_.size(), Deadline());
      }
      Check();
      if (::testing::Test::HasFatalFailure()) return;
    }
    Advance(kMax);
    while (!w_.expired.empty()) Pop();
    EXPECT_TRUE(list_.empty());
    EXPECT_TRUE(pending_.empty());
  }

 private:
  // std::multimap keeps equal keys in the order inserted, as the wheel must.
  using Model = std::multimap<int64_t, size_t>;
  struct Where {
    Model* model = nullptr;
    Model::iterator position;
  };

  int64_t Start() {
    return static_cast<int64_t>(random_() >> (1 + random_() % 62)) -
           (random_() % 4 == 0 ? kSecond : 0);
  }
  int64_t Magnitude() {
    const int bits = static_cast<int>(random_() % static_cast<uint64_t>(bits_));
    return static_cast<int64_t>(random_() & ((uint64_t{2} << bits) - 1));
  }
  int64_t Deadline() {
    switch (random_() % 8) {
      case 0:  // Overdue.
        return SaturatingAdd(now_, -Magnitude());
      case 1:  // Equal to another one.
        return timers_[random_() % timers_.size()].deadline_ns();
      case 2:  // At an edge.
        return SaturatingAdd(now_, Magnitude()) & ~((int64_t{1} << 18) - 1);
      default:
        return SaturatingAdd(now_, Magnitude());
    }
  }

  void Leave(size_t i) {
    if (where_[i].model == nullptr) return;
    where_[i].model->erase(where_[i].position);
    where_[i].model = nullptr;
  }
  void Enter(size_t i, Model& model, int64_t deadline) {
    where_[i] = {&model, model.emplace(deadline, i)};
  }

  void Insert(size_t i, int64_t deadline) {
    if (where_[i].model == &pending_) ++changed_;
    Leave(i);
    Enter(i, pending_, deadline);
    w_.wheel.Insert(&timers_[i], deadline);
  }
  void Cancel(size_t i) {
    if (where_[i].model == &pending_) ++changed_;
    const bool was_set = where_[i].model != nullptr;
    Leave(i);
    ASSERT_EQ(w_.wheel.Cancel(&timers_[i]), was_set);
  }
  void Advance(int64_t now) {
    const bool woken = !pending_.empty() && now == w_.wheel.NextDeadline();
    now_ = std::max(now_, now);
    size_t due = 0;
    while (!pending_.empty() && pending_.begin()->first <= now_) {
      const auto [deadline, i] = *pending_.begin();
      Leave(i);
      Enter(i, list_, deadline);
      ++due;
    }
    ASSERT_EQ(w_.wheel.Advance(now, &w_.expired), due);
    if (woken && due == 0) ++in_vain_;
    ASSERT_LE(in_vain_, changed_);
  }
  void Pop() {
    TimerNode* node = w_.expired.PopFront();
    if (list_.empty()) {
      ASSERT_EQ(node, nullptr);
      return;
    }
    const size_t i = list_.begin()->second;
    ASSERT_EQ(node, &timers_[i]);
    Leave(i);
  }

  void Check() {
    ASSERT_EQ(w_.wheel.size(), pending_.size());
    ASSERT_EQ(w_.expired.empty(), list_.empty());
    // Asking also brings the wheel's bound up to date, so not each time.
    if (random_() % 2 == 0) {
      const int64_t next = w_.wheel.NextDeadline();
      if (pending_.empty()) {
        ASSERT_EQ(next, TimerWheel::kNoDeadline);
      } else {
        ASSERT_LE(next, pending_.begin()->first);
      }
    }
    const size_t i = random_() % timers_.size();
    ASSERT_EQ(timers_[i].pending(), where_[i].model == &pending_);
    ASSERT_EQ(timers_[i].expired(), where_[i].model == &list_);
    ASSERT_EQ(timers_[i].idle(), where_[i].model == nullptr);
  }

  std::mt19937_64 random_;
  const int bits_;
  int64_t now_;
  std::vector<Timer> timers_;
  std::vector<Where> where_;
  Model pending_;
  Model list_;
  size_t changed_ = 0;  // Pending timers cancelled or set again.
  size_t in_vain_ = 0;
  Wheel w_;
};

// WEIR_TEST_SEED=<n> runs one seed only.
TEST(TimerWheelModelTest, P02_RandomOperationsMatchAModel) {
  uint64_t first = 1;
  uint64_t last = 400;
  if (const char* seed = std::getenv("WEIR_TEST_SEED"); seed != nullptr) {
    first = last = std::stoull(seed);
  }
  for (uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE(::testing::Message() << "WEIR_TEST_SEED=" << seed);
    ModelRun(seed).Run(3000);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace internal
}  // namespace weir
