#include "platform/clock.h"

#include <cstdint>

#include "platform/windows/winsock.h"

namespace weir::platform {

std::int64_t MonotonicNanoseconds() {
  constexpr std::int64_t kSecond = 1'000'000'000;
  // Fixed at the system's start; neither call fails since Windows XP.
  static const std::int64_t frequency = [] {
    LARGE_INTEGER value;
    ::QueryPerformanceFrequency(&value);
    return std::int64_t{value.QuadPart};
  }();
  LARGE_INTEGER count;
  ::QueryPerformanceCounter(&count);
  const std::int64_t ticks = count.QuadPart;
  // In two parts, which do not overflow.
  return ticks / frequency * kSecond + ticks % frequency * kSecond / frequency;
}

}  // namespace weir::platform
