// The inbox: what threads without access leave for the one that has it; and who
// is woken when there is something to do.

#include <cstdint>
#include <utility>

#include "core/loop_core.h"

namespace weir::internal {

absl::Status LoopCore::Post(Message message) {
  if (!message) return absl::InvalidArgumentError("post: the message is empty");
  if (absl::Status status = CheckNotStopped("post"); !status.ok()) {
    return status;
  }
  {
    absl::MutexLock lock(&inbox_mu_);
    if (inbox_closed_) {
      return absl::FailedPreconditionError("post: the event loop is destroyed");
    }
    inbox_.push_back(std::move(message));
    inbox_filled_.store(true, std::memory_order_seq_cst);
  }
  WakeIfWaiting();
  return absl::OkStatus();
}

bool LoopCore::PostToFrame(std::uint64_t frame, Message message) {
  for (Frame* at = frames_; at != nullptr; at = at->next) {
    if (at->id != frame) continue;
    at->messages.push_back(std::move(message));
    work_or_lead_.SignalAll();
    WakeIfWaiting();
    return true;
  }
  return false;
}

absl::Status LoopCore::PostTo(std::uint64_t frame, Message message) {
  if (!message) return absl::InvalidArgumentError("post: the message is empty");
  if (absl::Status status = CheckNotStopped("post"); !status.ok()) {
    return status;
  }
  const auto left = [] {
    return absl::FailedPreconditionError(
        "post: that thread does not run the event loop");
  };
  if (!rules_.several_threads) {
    if (frame == 0 || newest_frame_.load(std::memory_order_acquire) != frame) {
      return left();
    }
    return Post(std::move(message));
  }
  Scope scope(*this);
  return PostToFrame(frame, std::move(message)) ? absl::OkStatus() : left();
}

bool LoopCore::RunOwnMessage() {
  Frame& frame = *FrameOfThisThread();
  if (frame.messages.empty()) return false;
  Message message = std::move(frame.messages.front());
  frame.messages.erase(frame.messages.begin());
  RunMessage(std::move(message));
  return true;
}

bool LoopCore::Enqueue(Command command) {
  {
    absl::MutexLock lock(&inbox_mu_);
    if (inbox_closed_) return false;
    commands_.push_back(std::move(command));
    has_commands_.store(true, std::memory_order_seq_cst);
    has_commands_or_stopped_.store(true, std::memory_order_seq_cst);
  }
  WakeIfWaiting();
  ApplyLeftCommands();
  return true;
}

void LoopCore::ApplyCommands(std::vector<Command>& spent) {
  while (has_commands_.load(std::memory_order_acquire)) {
    std::vector<Command> commands;
    {
      absl::MutexLock lock(&inbox_mu_);
      commands.swap(commands_);
      has_commands_.store(false, std::memory_order_relaxed);
      has_commands_or_stopped_.store(false, std::memory_order_seq_cst);
      // Stop sets both, this one last.
      if (stopped_.load(std::memory_order_seq_cst)) {
        has_commands_or_stopped_.store(true, std::memory_order_seq_cst);
      }
    }
    for (Command& command : commands) {
      command();
      spent.push_back(std::move(command));
    }
  }
}

// Nobody will run a stopped loop and find what was enqueued just when the
// loop was left: whoever enqueues, and whoever gives access up, looks.
void LoopCore::ApplyLeftCommands() {
  while (stopped() && has_commands_.load(std::memory_order_seq_cst) &&
         TryTake()) {
    std::vector<Command> spent;
    ApplyCommands(spent);
    Give();
  }
}

// Lead() sets waiting_ before it looks at the inbox for the last time, and a
// poster fills the inbox before it looks at waiting_: one of them sees the
// other (R18).
void LoopCore::WakeIfWaiting() {
  if (waiting_.exchange(false, std::memory_order_seq_cst)) {
    counters_.wake_ups.fetch_add(1, std::memory_order_relaxed);
    absl::MutexLock lock(&wake_mu_);
    if (backend_ != nullptr) backend_->Wake();
  }
}

// What was changed while another thread waits cannot wait for the next turn.
void LoopCore::TellLeader() {
  if (!has_leader_ || ended_) return;
  if (!dirty_.empty() || unsubmitted_) {
    FlushChanges();
    // A refusal shows again, and is told, when the leader submits.
    if (!SubmitChanges().ok() || retry_soon_) WakeIfWaiting();
  }
  if (HasWork() || !later_.empty() || !carried_over_.empty()) WakeIfWaiting();
}

// There may be work now: for a thread that idles, else for the leader.
void LoopCore::TellOthers() {
  if (idle_threads_ > 0 && HasWork()) {
    work_or_lead_.Signal();
    if (dirty_.empty() && !unsubmitted_) return;
  }
  TellLeader();
}

// As if it were waiting: the outer loop does. What the mechanism is to be told,
// and what is left for the next turn, would wait for a turn that nobody makes.
void LoopCore::BeWakeable() {
  FlushChanges();
  bool has_work = !SubmitChanges().ok() || retry_soon_;
  has_work = has_work || HasWork() || !later_.empty() || !carried_over_.empty();
  waiting_.store(true, std::memory_order_seq_cst);
  if (has_work || inbox_filled_.load(std::memory_order_seq_cst) ||
      has_commands_.load(std::memory_order_seq_cst)) {
    WakeIfWaiting();
  }
}

}  // namespace weir::internal
