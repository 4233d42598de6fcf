// The clock that deadlines are measured with.

#ifndef WEIR_PLATFORM_CLOCK_H_
#define WEIR_PLATFORM_CLOCK_H_

#include <cstdint>

namespace weir::platform {

// Nanoseconds since some moment in the past. Never goes back and never jumps
// when the time of day is set. Time while the machine sleeps counts on Windows,
// and not on Linux. Any thread.
std::int64_t MonotonicNanoseconds();

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_CLOCK_H_
