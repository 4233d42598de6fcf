// The core's record of one timer.

#ifndef WEIR_CORE_TIMER_RECORD_H_
#define WEIR_CORE_TIMER_RECORD_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "core/timer_wheel.h"
#include "weir/timer.h"

namespace weir::internal {

class LoopCore;

// Everything but the constants belongs to whoever has access to the loop.
class TimerRecord final : public TimerNode {
 public:
  TimerRecord(std::shared_ptr<LoopCore> core, TimerHandler timer_handler)
      : loop(std::move(core)), handler(std::move(timer_handler)) {}

  const std::shared_ptr<LoopCore> loop;
  TimerHandler handler;
  // Zero for a one-shot.
  std::int64_t period_ns = 0;
  bool running = false;
  // Set anew, or cancelled, by or during its own handler.
  bool changed = false;
  // Expired while its handler was running on another thread.
  bool missed = false;
  // Keeps the record while it is set or its handler runs.
  std::shared_ptr<TimerRecord> self;
};

}  // namespace weir::internal

#endif  // WEIR_CORE_TIMER_RECORD_H_
