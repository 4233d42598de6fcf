// A thread's stay in a loop, from the taking of access to its giving up.

#ifndef WEIR_CORE_RUN_SCOPE_H_
#define WEIR_CORE_RUN_SCOPE_H_

#include <algorithm>
#include <atomic>
#include <iterator>
#include <utility>

#include "core/loop_core.h"

namespace weir::internal {

// Holds a thread's place in the loop, and its access.
class RunScope {
 public:
  explicit RunScope(LoopCore& loop) : loop_(loop) {
    frame_.loop = &loop;
    frame_.outer = LoopCore::current_frame_;
    LoopCore::current_frame_ = &frame_;
    loop_.Take();
    frame_.id = ++loop_.last_frame_;
    loop_.newest_frame_.store(frame_.id, std::memory_order_release);
    frame_.next = loop_.frames_;
    loop_.frames_ = &frame_;
  }
  ~RunScope() {
    LoopCore::Frame** at = &loop_.frames_;
    while (*at != &frame_) at = &(*at)->next;
    *at = frame_.next;
    if (!loop_.rules_.several_threads) {
      loop_.newest_frame_.store(0, std::memory_order_release);
    }
    // Others take over what this thread was to do itself.
    std::move(frame_.messages.begin(), frame_.messages.end(),
              std::back_inserter(loop_.messages_));
    if (!frame_.messages.empty() && loop_.rules_.several_threads) {
      loop_.TellOthers();
    }
    loop_.memory().TakeBack(frame_);
    loop_.Give();
    LoopCore::current_frame_ = frame_.outer;
    loop_.ApplyLeftCommands();
  }

 private:
  LoopCore& loop_;
  LoopCore::Frame frame_;
};

}  // namespace weir::internal

#endif  // WEIR_CORE_RUN_SCOPE_H_
