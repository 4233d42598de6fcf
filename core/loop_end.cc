// How a loop ends: what stops it, and what becomes of all that it has then.

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/endpoint.h"
#include "core/loop_core.h"
#include "core/run_scope.h"

namespace weir::internal {

absl::Status LoopCore::CheckNotStopped(const char* operation) const {
  if (!stopped()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(operation, ": the event loop is stopped"));
}

void LoopCore::Stop() {
  stopped_.store(true, std::memory_order_seq_cst);
  has_commands_or_stopped_.store(true, std::memory_order_seq_cst);
  if (rules_.several_threads) {
    absl::MutexLock lock(&mu_);
    work_or_lead_.SignalAll();
  }
  WakeIfWaiting();
}

absl::Status LoopCore::OnTermination(absl::AnyInvocable<void()> handler) {
  if (absl::Status status = CheckNotStopped("watch for termination");
      !status.ok()) {
    return status;
  }
  if (watches_termination_.exchange(true)) {
    return absl::AlreadyExistsError(
        "watch for termination: the event loop does so already");
  }
  auto watch = platform::TerminationWatch::Create(
      [backend = backend_.get()] { backend->Wake(); });
  if (!watch.ok()) {
    watches_termination_.store(false);
    return watch.status();
  }
  auto install = [this, watch = *std::move(watch),
                  handler = std::move(handler)]() mutable {
    termination_ = std::move(watch);
    termination_handler_ = std::move(handler);
    // A signal that came before this found nobody to tell.
    backend_->Wake();
  };
  Access access(*this);
  if (access) {
    install();
  } else {
    Enqueue(std::move(install));
  }
  return absl::OkStatus();
}

void LoopCore::Shutdown() {
  Stop();
  if (FrameOfThisThread() != nullptr) {
    shutdown_on_exit_.store(true);
    return;
  }
  {
    absl::MutexLock lock(&run_mu_);
    run_mu_.Await(absl::Condition(
        +[](int* runners) { return *runners == 0; }, &runners_));
  }
  DoShutdown();
}

void LoopCore::DoShutdown() {
  std::vector<Message> unread;
  std::vector<Command> spent;
  {
    RunScope scope(*this);
    if (ended_) return;
    {
      absl::MutexLock lock(&inbox_mu_);
      inbox_closed_ = true;
      unread.swap(inbox_);
    }
    // The last that other threads asked for: nothing can come after it.
    ApplyCommands(spent);
    termination_.reset();
    // With one thread, the one that ran the loop has done so, if it stopped it.
    if (rules_.several_threads || capabilities_.usable_by_any_thread ||
        owner_.load() == std::this_thread::get_id()) {
      EndSubmissions();
    }
    for (const auto& record : records_) BeginRemoval(*record);
    // A handler may remove, close and cancel, but it cannot register or start
    // anything: the loop is stopped.
    for (;;) {
      if (endpoints_ != nullptr) {
        ShutDownEndpoint(CountedRef(*endpoints_));
        continue;
      }
      WatchedSocket* socket = ready_.Pop();
      if (socket == nullptr) break;
      auto& record = static_cast<LoopRecord&>(*socket);
      if (record.use == LoopRecord::Use::kRegistration) {
        Dispatch(static_cast<RegistrationRecord&>(record));
      }
    }
    while (later_.Pop() != nullptr) {
    }
    if (wheel_ != nullptr) {
      wheel_->Advance(TimerWheel::kNoDeadline, &expired_);
    }
    while (TimerNode* node = expired_.PopFront()) {
      if (node->owner() == TimerNode::Owner::kOperation) {
        ExpireOperation(static_cast<OperationRecord&>(*node));
        continue;
      }
      auto& timer = static_cast<TimerRecord&>(*node);
      // The Timer may live on; what its handler holds may not (C04).
      TimerHandler handler = std::exchange(timer.handler, nullptr);
      std::shared_ptr<TimerRecord> last = std::move(timer.self);
      Release();
      handler = nullptr;
      last.reset();
      Acquire();
    }
    std::move(messages_.begin(), messages_.end(), std::back_inserter(unread));
    messages_.clear();
    (void)backend_->Submit();
    ended_ = true;
  }
  // Destroyed where no lock is held: the captures are the application's.
  unread.clear();
  spent.clear();
  termination_handler_ = nullptr;
  // What the kernel still has of the records goes with its descriptor.
  {
    absl::MutexLock lock(&wake_mu_);
    backend_.reset();
  }
  for (const auto& record : graveyard_) record->socket->Forget(*record);
  graveyard_.clear();
  ended_endpoints_.clear();
}

}  // namespace weir::internal
