// A timer of an event loop: one-shot or periodic, settable any number of
// times without allocating.

#ifndef WEIR_TIMER_H_
#define WEIR_TIMER_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"

namespace weir {

namespace internal {
class TimerRecord;
}  // namespace internal

// Made by EventLoop::CreateTimer, which gives it its handler. The handler runs
// on a thread that runs the loop, never inside a call on the timer and never
// concurrently with itself; it may set or cancel this and other timers, and
// destroy this object. A timer never fires early and is late by less than a
// millisecond on a loop that is not busy (P02).
//
// Thread: any. Destroying the timer cancels it.
//
// Errors of every call: FailedPrecondition, the timer is empty or its loop was
// stopped or destroyed; and those named.
class Timer {
 public:
  Timer() = default;
  Timer(Timer&&) noexcept = default;
  Timer& operator=(Timer&& other) noexcept;
  ~Timer();

  // Fires once, when `delay` has passed; a delay of zero or less means in the
  // next turn. Replaces what was set before.
  absl::Status Set(absl::Duration delay);

  // Fires every `period`, first when one period has passed. Turns missed
  // because the loop was busy are skipped, not made up for. InvalidArgument
  // if the period is shorter than a microsecond.
  absl::Status SetPeriodic(absl::Duration period);

  // Not set any more; a handler that is running finishes. OK if it was not
  // set, and when the loop is stopped or destroyed. On the loop's thread the handler is not called after this returned.
  absl::Status Cancel();

 private:
  friend class EventLoop;
  explicit Timer(std::shared_ptr<internal::TimerRecord> record)
      : record_(std::move(record)) {}

  std::shared_ptr<internal::TimerRecord> record_;
};

using TimerHandler = absl::AnyInvocable<void()>;

}  // namespace weir

#endif  // WEIR_TIMER_H_
