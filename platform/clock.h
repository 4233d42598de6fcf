// The clock that deadlines are measured with.

#ifndef WEIR_PLATFORM_CLOCK_H_
#define WEIR_PLATFORM_CLOCK_H_

#include <cstdint>

namespace weir::platform {

// Nanoseconds since some moment in the past. Never goes back, never jumps when
// the time of day is set, and counts no time while the machine sleeps. Any
// thread.
std::int64_t MonotonicNanoseconds();

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_CLOCK_H_
