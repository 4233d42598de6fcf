#include "platform/clock.h"

#include <cstdint>
#include <ctime>

namespace weir::platform {

std::int64_t MonotonicNanoseconds() {
  timespec time;
  // Fails only for a clock that does not exist (clock_gettime(2)).
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace weir::platform
