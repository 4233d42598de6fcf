// The end of an endpoint: what is pending ends, the handle is closed, and the
// close is told, last (C01).

#include <utility>

#include "core/endpoint.h"
#include "platform/error.h"
#include "platform/socket_io.h"
#include "platform/socket_options.h"
#include "platform/sockets.h"

namespace weir::internal {

// One for all of them: mostly nobody is told.
const absl::Status& Endpoint::ClosedStatus() {
  static const absl::Status& closed =
      *new absl::Status(absl::CancelledError("the socket was closed"));
  return closed;
}

absl::Status Endpoint::Close(CloseHandler handler, CloseMode mode) {
  if (closed_.exchange(true, std::memory_order_seq_cst)) {
    return absl::FailedPreconditionError("close: the socket is closed");
  }
  Guard guard(*this);
  if (guard) {
    if (finished_) {
      return absl::FailedPreconditionError("close: the socket is closed");
    }
    ApplyClose(std::move(handler), mode);
  } else if (!loop_->Enqueue([keep = CountedRef(*this), mode,
                              given = std::move(handler)]() mutable {
               keep->ApplyClose(std::move(given), mode);
             })) {
    return absl::FailedPreconditionError("close: the event loop is destroyed");
  }
  return absl::OkStatus();
}

void Endpoint::ApplyClose(CloseHandler handler, CloseMode mode) {
  closing_ = true;
  if (CorkedData* const corked = Corked()) corked->Clear();
  close_mode_ = mode;
  if (handler) own().close_handler = std::move(handler);
  Schedule();
}

void Endpoint::AbortZeroCopy() {
  if (submissions == nullptr || submissions->sending == nullptr) return;
  const Submission& send = submissions->sending->submission;
  if (!send.in_flight || !send.zero_copy) return;
  if (const HandleGate::Visit handle(handle_gate(), handle_closed_); handle) {
    (void)platform::Abort(socket());
  }
}

void Endpoint::Refuse(absl::Status status) {
  Lock();
  if (extras().failure.ok()) own().failure = std::move(status);
  readable_ = writable_ = true;
  refused_ = true;
  Unlock();
}

// Before the pending operations are indicated: their handlers find the socket
// closed.
void Endpoint::CloseHandle() {
  if (handle_is_closed()) return;
  {
    // With nobody to be told of before the close.
    const bool may_wait = !extras().HasOperations() && !HasReceiver();
    LoopCore::Scope scope(*loop_);
    if (!loop_->Unwatch(*this, HandleFate::kCloses, may_wait)) {
      loop_->Schedule(*this, /*later=*/true);
      return;
    }
  }
  DropUntold();
  BarHandle();
  if (send_submitted_ && submissions->sending->submission.zero_copy) {
    (void)platform::Abort(socket());
  } else if (type_ == SocketType::kStream &&
             close_mode_ == CloseMode::kAbortive) {
    // Also where the connection is made, but nobody was told so yet.
    (void)platform::SetOption(socket(), SocketOption::kLinger, 0);
  } else if (type_ == SocketType::kStream && role() == SocketRole::kConnected &&
             !end_seen_) {
    // Closed with received data unread, a TCP connection is reset, and what
    // was sent is lost on the way (tcp_close() in Linux; RFC 1122, 4.2.2.13).
    // Some may have come since the last wait.
    (void)platform::Shutdown(socket(), ShutdownDirection::kSend);
    platform::DiscardArrived(socket());
  }
  if (has_extras()) own().source = nullptr;
  (void)platform::Close(socket());
}

bool Endpoint::Finished() const {
  return closing_ && handle_is_closed() && !receive_submitted_ &&
         !send_submitted_ && !extras().HasOperations() && !HasReceiver() &&
         !finished_ && entering_.load(std::memory_order_seq_cst) == 0;
}

int Endpoint::Finish() {
  finished_ = true;
  closed_.store(true, std::memory_order_release);
  CloseHandler last;
  if (has_extras()) last = std::exchange(own().close_handler, nullptr);
  int told = 0;
  if (last) {
    Unlock();
    last();
    last = nullptr;
    Lock();
    told = 1;
  }
  LoopCore::Scope scope(*loop_);
  loop_->Forget(*this);
  return told;
}

// Nothing can be started any more: the loop is stopped. A handler can still
// close, to be told when it is over.
int Endpoint::ShutDown(Condition conditions, SubmissionResults results) {
  Lock();
  closing_ = true;
  // The threads that were to indicate something have left.
  if (has_extras()) own().handed_over = false;
  if (receive_submitted_ && !results.has_received) {
    results.has_received = true;
    results.received = -platform::kCancelledCode;
  }
  if (send_submitted_ && !results.has_sent) {
    results.has_sent = true;
    results.sent = -platform::kCancelledCode;
  }
  Unlock();
  int told = Run(conditions, results);
  while (!finished_) told += Run(Condition::kNone, SubmissionResults());
  return told;
}

absl::Status Endpoint::Detach() {
  if (absl::Status status = CheckUsable("detach"); !status.ok()) return status;
  Guard guard(*this);
  if (!guard) {
    return absl::FailedPreconditionError(
        "detach: the event loop belongs to another thread");
  }
  if (absl::Status status = CheckUnbroken("detach"); !status.ok()) {
    return status;
  }
  const CorkedData* const corked = Corked();
  if (extras().HasOperations() || HasReceiver() ||
      (corked != nullptr && !corked->empty())) {
    return absl::FailedPreconditionError("detach: operations are pending");
  }
  closed_.store(true, std::memory_order_release);
  closing_ = true;
  {
    LoopCore::Scope scope(*loop_);
    (void)loop_->Unwatch(*this, HandleFate::kStaysOpen, /*may_wait=*/false);
  }
  BarHandle();
  Schedule();
  return absl::OkStatus();
}

}  // namespace weir::internal
