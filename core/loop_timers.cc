// Timers of a loop: setting, cancelling and firing (P02).

#include <cstdint>
#include <memory>
#include <utility>

#include "core/loop_core.h"
#include "platform/clock.h"

namespace weir::internal {

TimerWheel& LoopCore::wheel() {
  if (wheel_ == nullptr) {
    wheel_ = std::make_unique<TimerWheel>(platform::MonotonicNanoseconds());
  }
  return *wheel_;
}

// A delay that reaches beyond the clock's range never fires.
std::int64_t LoopCore::DeadlineAfter(std::int64_t delay_ns) {
  const std::int64_t now = platform::MonotonicNanoseconds();
  return delay_ns > TimerWheel::kNoDeadline - 1 - now
             ? TimerWheel::kNoDeadline - 1
             : now + delay_ns;
}

void LoopCore::SetTimer(const std::shared_ptr<TimerRecord>& timer,
                        std::int64_t delay_ns, std::int64_t period_ns) {
  const std::int64_t deadline = DeadlineAfter(delay_ns);
  Access access(*this);
  if (access) {
    ApplySetTimer(*timer, deadline, period_ns);
    if (!timer->idle()) timer->self = timer;
  } else {
    Enqueue([this, timer, deadline, period_ns] {
      ApplySetTimer(*timer, deadline, period_ns);
      if (!timer->idle()) timer->self = timer;
    });
  }
}

void LoopCore::ApplySetTimer(TimerRecord& timer, std::int64_t deadline_ns,
                             std::int64_t period_ns) {
  if (ended_) return;
  timer.period_ns = period_ns;
  timer.changed = true;
  timer.missed = false;
  InsertTimer(timer, deadline_ns);
}

void LoopCore::InsertTimer(TimerNode& node, std::int64_t deadline_ns) {
  wheel().Insert(&node, deadline_ns);
  // A leader that waits for a later deadline has to be told.
  if (has_leader_ && wheel().NextDeadline() == deadline_ns) WakeIfWaiting();
}

void LoopCore::CancelTimer(const std::shared_ptr<TimerRecord>& timer) {
  Access access(*this);
  if (access) {
    ApplyCancelTimer(*timer);
  } else {
    Enqueue([this, timer] { ApplyCancelTimer(*timer); });
  }
}

void LoopCore::ApplyCancelTimer(TimerRecord& timer) {
  timer.changed = true;
  timer.missed = false;
  timer.period_ns = 0;
  if (wheel_ != nullptr) wheel_->Cancel(&timer);
  if (!timer.running) timer.self.reset();
}

bool LoopCore::FireTimer(TimerNode& node) {
  TimerRecord& timer = static_cast<TimerRecord&>(node);
  if (timer.running) {
    timer.missed = true;
    return false;
  }
  timer.running = true;
  timer.changed = false;
  Count(counters_.timers);
  Release();
  timer.handler();
  Acquire();
  timer.running = false;
  if (!ended_) {
    const std::int64_t now = platform::MonotonicNanoseconds();
    if (timer.missed) {
      timer.missed = false;
      InsertTimer(timer, now);
    } else if (!timer.changed && timer.period_ns > 0) {
      // Periods already over are skipped, so that a busy loop does not fall
      // ever further behind; the rhythm is kept.
      const std::int64_t behind = now - timer.deadline_ns();
      const std::int64_t periods = behind / timer.period_ns + 1;
      InsertTimer(timer, timer.deadline_ns() + periods * timer.period_ns);
    }
  }
  if (timer.idle()) {
    // Destroyed outside: the handler's captures are the application's.
    std::shared_ptr<TimerRecord> last = std::move(timer.self);
    Release();
    last.reset();
    Acquire();
  }
  return true;
}

}  // namespace weir::internal
