// What the tests of the timer wheel share.

#ifndef WEIR_TESTS_UNIT_TIMER_WHEEL_HARNESS_H_
#define WEIR_TESTS_UNIT_TIMER_WHEEL_HARNESS_H_

#include <cstdint>
#include <limits>
#include <vector>

#include "core/timer_wheel.h"

namespace weir {
namespace internal {

inline constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
inline constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
inline constexpr int64_t kSecond = 1'000'000'000;

// A timer with a name, as an owner would derive one from the node.
struct Timer : TimerNode {
  explicit Timer(int timer_id = 0) : id(timer_id) {}
  int id;
};

// A wheel and what it expires into. Its end takes out every timer, whatever
// state a failed test left it in; so a test declares its timers before it.
struct Wheel {
  explicit Wheel(int64_t now_ns) : wheel(now_ns) {}
  ~Wheel() {
    wheel.Advance(kMax, &expired);
    PopAll();
  }

  std::vector<int> PopAll() {
    std::vector<int> ids;
    while (TimerNode* node = expired.PopFront()) {
      ids.push_back(static_cast<Timer*>(node)->id);
    }
    return ids;
  }
  std::vector<int> AdvanceAndPop(int64_t now_ns) {
    wheel.Advance(now_ns, &expired);
    return PopAll();
  }

  TimerWheel wheel;
  TimerList expired;
};

inline int64_t SaturatingAdd(int64_t a, int64_t b) {
  if (b > 0 && a > kMax - b) return kMax;
  if (b < 0 && a < kMin - b) return kMin;
  return a + b;
}

}  // namespace internal
}  // namespace weir

#endif  // WEIR_TESTS_UNIT_TIMER_WHEEL_HARNESS_H_
