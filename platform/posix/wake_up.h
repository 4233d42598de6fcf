// Something to wait for that another thread, or a signal handler, can end.

#ifndef WEIR_PLATFORM_POSIX_WAKE_UP_H_
#define WEIR_PLATFORM_POSIX_WAKE_UP_H_

#include "absl/status/statusor.h"

namespace weir::platform {

// An eventfd(2): its descriptor is readable from a Signal() until the next
// Drain(). Signals in between merge; none is lost (R18).
class WakeUp {
 public:
  // ResourceExhausted: no descriptor or no memory is left.
  static absl::StatusOr<WakeUp> Create();

  WakeUp(WakeUp&& other) noexcept;
  WakeUp& operator=(WakeUp&& other) noexcept;
  // Closes the descriptor; by then nobody may signal.
  ~WakeUp();

  // Any thread, and signal handlers: async-signal-safe, keeps errno, never
  // blocks.
  void Signal() const;

  // Makes the descriptor unreadable until the next Signal(). Returns whether
  // there was one since the last Drain(). Any thread; never blocks.
  bool Drain() const;

  // To be waited for; stays this object's.
  int descriptor() const { return descriptor_; }

 private:
  explicit WakeUp(int descriptor) : descriptor_(descriptor) {}

  int descriptor_;
};

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_POSIX_WAKE_UP_H_
