#include "platform/clock.h"

#include <cstdint>
#include <ctime>

#include "gtest/gtest.h"

namespace weir::platform {
namespace {

std::int64_t SystemNanoseconds() {
  timespec time;
  EXPECT_EQ(::clock_gettime(CLOCK_MONOTONIC, &time), 0);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

TEST(PlatformClock, IsTheMonotonicClockInNanoseconds) {
  for (int i = 0; i < 1000; ++i) {
    const std::int64_t before = SystemNanoseconds();
    const std::int64_t now = MonotonicNanoseconds();
    const std::int64_t after = SystemNanoseconds();
    ASSERT_LE(before, now);
    ASSERT_LE(now, after);
  }
}

}  // namespace
}  // namespace weir::platform
