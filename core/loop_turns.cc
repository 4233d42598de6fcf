// Turns: who runs the loop, who leads, and who takes work.

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/loop_core.h"
#include "core/run_scope.h"
#include "platform/clock.h"

namespace weir::internal {
namespace {

constexpr std::int64_t kForever = Backend::kForever;
// How soon a change that failed for want of memory is tried again.
constexpr std::int64_t kRetryNs = 10'000'000;

}  // namespace

absl::Status LoopCore::EnterRun(const char* operation) {
  if (FrameOfThisThread() != nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        operation, ": called from a handler of the same event loop"));
  }
  absl::MutexLock lock(&run_mu_);
  if (absl::Status status = CheckNotStopped(operation); !status.ok()) {
    return status;
  }
  if (runners_ >= threads_) {
    return absl::FailedPreconditionError(
        absl::StrCat(operation, ": the event loop is run already, by ",
                     runners_, " of at most ", threads_, " threads"));
  }
  if (!rules_.several_threads) {
    const std::thread::id self = std::this_thread::get_id();
    const std::thread::id owner = owner_.load(std::memory_order_relaxed);
    if (owner != std::thread::id() && owner != self) {
      return absl::FailedPreconditionError(absl::StrCat(
          operation,
          ": an event loop for one thread belongs to the first thread that "
          "runs it; ask for more with EventLoopOptions::threads"));
    }
    owner_.store(self, std::memory_order_relaxed);
  }
  ++runners_;
  return absl::OkStatus();
}

void LoopCore::LeaveRun() {
  bool last = false;
  {
    absl::MutexLock lock(&run_mu_);
    last = runners_ == 1 && shutdown_on_exit_.load();
    if (!last) --runners_;
  }
  if (last) {
    DoShutdown();
    absl::MutexLock lock(&run_mu_);
    --runners_;
  }
}

absl::StatusOr<int> LoopCore::Run(absl::Duration timeout, bool once) {
  const std::shared_ptr<LoopCore> keep = shared_from_this();
  if (absl::Status status = EnterRun(once ? "run one turn" : "run");
      !status.ok()) {
    return status;
  }
  std::int64_t deadline = kForever;
  if (timeout <= absl::ZeroDuration()) {
    deadline = 0;
  } else if (timeout < absl::Hours(24 * 365 * 100)) {
    deadline =
        platform::MonotonicNanoseconds() + absl::ToInt64Nanoseconds(timeout);
  }
  absl::Status failure;
  int delivered = 0;
  {
    RunScope scope(*this);
    bool waited = false;
    while (!stopped()) {
      if (waited || (!once && HasWork())) {
        // Whoever is idle takes the next piece, or the lead.
        if (idle_threads_ > 0 && HasWork()) work_or_lead_.Signal();
        if ((rules_.several_threads || HasWork()) && RunSomeWork(delivered)) {
          if (rules_.several_threads) TellLeader();
          continue;
        }
      }
      if (once && waited &&
          (delivered > 0 || deadline == 0 ||
           (deadline != kForever &&
            platform::MonotonicNanoseconds() >= deadline))) {
        break;
      }
      if (has_leader_) {
        Follow(deadline);
      } else if (failure = Lead(deadline); !failure.ok()) {
        break;
      }
      waited = true;
    }
    if (stopped() && !rules_.several_threads) {
      DisarmAll();
      EndSubmissions();
    }
    // Somebody else has to take the lead, or to see that it is over.
    if (idle_threads_ > 0) work_or_lead_.SignalAll();
    if (embedded_ && !stopped()) BeWakeable();
  }
  LeaveRun();
  if (!failure.ok()) return failure;
  return delivered;
}

std::int64_t LoopCore::WaitTime(std::int64_t deadline_ns) {
  if (deadline_ns == 0 || HasWork()) return 0;
  std::int64_t until = deadline_ns;
  if (wheel_ != nullptr) until = std::min(until, wheel_->NextDeadline());
  if (until == kForever && !retry_soon_) return kForever;
  const std::int64_t wait =
      until == kForever
          ? kForever
          : std::max<std::int64_t>(0,
                                   until - platform::MonotonicNanoseconds());
  return retry_soon_ ? std::min(wait, kRetryNs) : wait;
}

// What was left for this turn.
void LoopCore::CarryOver() {
  for (RegistrationRecord* record : carried_over_) {
    if (!std::exchange(record->end_is_readable, false)) continue;
    ReadyList::AddConditions(*record, Condition::kReadable);
    ready_.Push(*record);
  }
  carried_over_.clear();
  while (WatchedSocket* endpoint = later_.Pop()) ready_.Push(*endpoint);
}

// Mostly there is nothing to be done but to wait, which is not to cost a call
// for each thing that there might be.
absl::Status LoopCore::Lead(std::int64_t deadline_ns) {
  if (has_commands()) {
    std::vector<Command> spent;
    ApplyCommands(spent);
  }
  if (!carried_over_.empty() || !later_.empty()) CarryOver();
  FlushChanges();
  if (!ended_endpoints_.empty() || !graveyard_.empty()) Reap();
  absl::Status status;
  if (rules_.several_threads) status = SubmitChanges();
  std::int64_t timeout = WaitTime(deadline_ns);
  ++turn_;
  Count(counters_.turns);
  has_leader_ = true;
  waiting_.store(true, std::memory_order_seq_cst);
  if (inbox_filled_.load(std::memory_order_seq_cst) ||
      has_commands_.load(std::memory_order_seq_cst) || stopped()) {
    timeout = 0;
  }
  Release();
  if (status.ok()) status = backend_->Wait(timeout);
  Acquire();
  waiting_.store(false, std::memory_order_relaxed);
  has_leader_ = false;
  backend_->Collect(ready_);
  DigestReports();
  counters_.system_calls.store(backend_->system_calls(),
                               std::memory_order_relaxed);
  if (wheel_ != nullptr && !wheel_->empty()) {
    wheel_->Advance(platform::MonotonicNanoseconds(), &expired_);
  }
  if (inbox_filled_.load(std::memory_order_acquire)) TakeInbox();
  if (termination_ != nullptr && termination_->TakeRequested()) {
    messages_.push_back([this] {
      if (termination_handler_) {
        termination_handler_();
      } else {
        Stop();
      }
    });
  }
  return status;
}

void LoopCore::TakeInbox() {
  if (next_message_ == messages_.size()) {
    messages_.clear();
    next_message_ = 0;
  }
  absl::MutexLock lock(&inbox_mu_);
  if (messages_.empty()) {
    messages_.swap(inbox_);
  } else {
    std::move(inbox_.begin(), inbox_.end(), std::back_inserter(messages_));
    inbox_.clear();
  }
  inbox_filled_.store(false, std::memory_order_relaxed);
}

void LoopCore::Follow(std::int64_t deadline_ns) {
  ++idle_threads_;
  const Frame& frame = *FrameOfThisThread();
  while (!stopped() && has_leader_ && !HasWork() && frame.messages.empty()) {
    if (deadline_ns == kForever) {
      work_or_lead_.Wait(&mu_);
      continue;
    }
    const std::int64_t left =
        deadline_ns == 0 ? 0 : deadline_ns - platform::MonotonicNanoseconds();
    if (left <= 0) break;
    work_or_lead_.WaitWithTimeout(&mu_, absl::Nanoseconds(left));
  }
  --idle_threads_;
}

// Sockets, then messages, then timers: all that one wait brought is run before
// the next, so none can starve another (survey trap 65).
bool LoopCore::RunSomeWork(int& delivered) {
  if (rules_.several_threads && RunOwnMessage()) {
    ++delivered;
    return true;
  }
  if (RunReadySockets(delivered)) return true;
  if (next_message_ < messages_.size()) {
    RunMessage(std::move(messages_[next_message_++]));
    ++delivered;
    return true;
  }
  if (TimerNode* node = expired_.PopFront(); node != nullptr) {
    if (node->owner() == TimerNode::Owner::kOperation) {
      ExpireOperation(static_cast<OperationRecord&>(*node));
    } else if (FireTimer(*node)) {
      ++delivered;
    }
    return true;
  }
  return false;
}

void LoopCore::RunMessage(Message message) {
  Count(counters_.messages);
  Release();
  std::move(message)();
  // The captures go before anything else runs, and outside the lock.
  message = nullptr;
  Acquire();
}

}  // namespace weir::internal
