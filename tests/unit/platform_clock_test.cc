#include "platform/clock.h"

#include <chrono>
#include <cstdint>

#include "gtest/gtest.h"

namespace weir::platform {
namespace {

// The C++ library's steady clock is the same clock of the system, if it may
// count in coarser steps and from another moment.
std::int64_t SystemNanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

TEST(PlatformClock, IsTheMonotonicClockInNanoseconds) {
  constexpr std::int64_t kStep = 1'000;
  for (int i = 0; i < 1000; ++i) {
    const std::int64_t before = SystemNanoseconds();
    const std::int64_t now = MonotonicNanoseconds();
    const std::int64_t after = SystemNanoseconds();
    ASSERT_LE(before, now + kStep);
    ASSERT_LE(now, after + kStep);
  }
}

TEST(PlatformClock, NeverGoesBack) {
  std::int64_t last = MonotonicNanoseconds();
  for (int i = 0; i < 100'000; ++i) {
    const std::int64_t now = MonotonicNanoseconds();
    ASSERT_LE(last, now);
    last = now;
  }
}

}  // namespace
}  // namespace weir::platform
