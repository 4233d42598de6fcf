// What an endpoint hands over to a proactor: one transfer in each direction at a
// time, which keeps their order (O06).

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "core/endpoint.h"
#include "core/submission_result.h"
#include "platform/error.h"
#include "platform/sockets.h"
#include "weir/status.h"

namespace weir::internal {
namespace {

using Kind = OperationRecord::Kind;

// The memory that may be sent from without a copy is limited
// (net.core.optmem_max), and not every kind of socket can.
bool IsRefusalOfZeroCopy(ErrorCause cause) {
  return cause == ErrorCause::kNoBuffers || cause == ErrorCause::kNoMemory ||
         cause == ErrorCause::kNotSupported;
}

}  // namespace

bool Endpoint::Submit(Submission& submission,
                      std::span<const std::span<std::byte>> buffers) {
  LoopCore::Scope scope(*loop_);
  const absl::Status status = loop_->StartSubmission(submission, buffers);
  if (status.ok()) {
    TakeAtOnce(submission);
  } else {
    NoteRefusal(status);
  }
  return status.ok();
}

// What has ended when it was started is reported to the next round.
void Endpoint::TakeAtOnce(Submission& submission) {
  if (!std::exchange(submission.reported, false)) return;
  if (&submission == &submissions->receive) {
    submissions->results.has_received = true;
    submissions->results.received = submission.result;
  } else {
    submissions->results.has_sent = true;
    submissions->results.sent = submission.result;
  }
  again_ = true;
}

void Endpoint::NoteRefusal(const absl::Status& why) {
  if (absl::IsFailedPrecondition(why)) {
    submits_ = submits_datagrams_ = false;
    again_ = true;
  } else {
    no_room_ = true;
    loop_->Schedule(*this, /*later=*/true);
  }
}

void Endpoint::SubmitReceive(OperationRecord* record) {
  Submission& submission = OwnSubmissions().receive;
  const bool accepts = record->kind == Kind::kAccept;
  // The kernel was asked not to wait (the socket is non-blocking), and it does
  // not: readiness says when to try again.
  if (receive_would_block_ && !readable_) return;
  submission.kind =
      accepts ? Submission::Kind::kAccept : Submission::Kind::kReceive;
  submission.address = accepts ? &record->address : nullptr;
  receive_submitted_ = record->submitted =
      Submit(submission, std::span(record->buffers));
}

void Endpoint::SubmitConnect(OperationRecord* record) {
  Submission& submission = OwnSending().submission;
  submission.kind = Submission::Kind::kConnect;
  submission.zero_copy = false;
  submission.address = &record->address;
  send_submitted_ = record->submitted = Submit(submission, {});
}

void Endpoint::SubmitSends(std::span<const std::span<std::byte>> buffers) {
  Submission& submission = OwnSending().submission;
  submission.kind = Submission::Kind::kSend;
  submission.address = nullptr;
  submission.zero_copy = extras().sends.front()->zero_copy && !copies_sends_ &&
                         family_ != AddressFamily::kUnix &&
                         loop_->capabilities().zero_copy_sends;
  send_submitted_ = Submit(submission, buffers);
  if (!send_submitted_) return;
  submissions->sending->buffers = static_cast<std::uint32_t>(buffers.size());
  std::size_t count = 0;
  for (OperationRecord* at = extras().sends.front();
       at != nullptr && count < buffers.size(); at = at->next) {
    at->submitted = true;
    count += at->buffers.size() - at->next_buffer;
  }
}

void Endpoint::SubmitFile(OperationRecord* record) {
  Submission& submission = OwnSending().submission;
  submission.kind = Submission::Kind::kSendFile;
  submission.zero_copy = false;
  record->part.length =
      std::min(kMostFileBytes, record->size - record->result.bytes);
  submission.part = &record->part;
  send_submitted_ = record->submitted = Submit(submission, {});
}

void Endpoint::FinishFile(std::int64_t result) {
  OperationRecord* const record = extras().sends.front();
  const std::int64_t sent =
      result < 0 ? submissions->sending->submission.sent_before : result;
  record->result.bytes += static_cast<std::uint64_t>(sent);
  record->part.offset += static_cast<std::uint64_t>(sent);
  if (result < 0) {
    EndAll(own().sends, extras().failure);
  } else if (result == 0 || record->result.bytes == record->size) {
    own().sends.Pop();
    End(record, absl::OkStatus());
  }
}

// A reset that a send has met is the receive's as well: the system tells it once.
void Endpoint::TakeReports() {
  if (submissions == nullptr) return;
  const SubmissionResults results =
      std::exchange(submissions->results, SubmissionResults());
  if (results.has_sent && type_ == SocketType::kStream) {
    NoteSendFailure(results.sent);
  }
  if (results.has_received) FinishReceive(results.received);
  if (results.has_sent) FinishSend(results.sent);
}

void Endpoint::NoteSendFailure(std::int64_t result) {
  const ErrorCause cause = CauseOfResult(result);
  if (result < 0 && extras().sends.front()->kind != Kind::kConnect &&
      cause != ErrorCause::kWouldBlock && !IsUndone(cause) &&
      !(submissions->sending->submission.zero_copy &&
        IsRefusalOfZeroCopy(cause))) {
    // A lost connection is told as that, also where this is a broken pipe.
    if (absl::Status loss = Loss(); !loss.ok()) {
      own().failure = std::move(loss);
    } else {
      own().failure = platform::SystemError(static_cast<int>(-result), "send");
    }
  }
}

void Endpoint::FinishReceive(std::int64_t result) {
  receive_submitted_ = false;
  cancel_receive_ = false;
  if (type_ == SocketType::kDatagram) {
    FinishDatagramWait(result);
    return;
  }
  if (submissions->receive.kind == Submission::Kind::kReceiveMany ||
      submissions->receive.kind == Submission::Kind::kAcceptMany) {
    FinishMany(result);
    return;
  }
  OperationRecord* record = extras().receives.front();
  record->submitted = false;
  const ErrorCause cause = CauseOfResult(result);
  receive_would_block_ = cause == ErrorCause::kWouldBlock;
  if (receive_would_block_) {
    readable_ = false;
  } else if (!IsUndone(cause)) {
    own().receives.Pop();
    absl::Status status;
    if (record->kind == Kind::kAccept) {
      if (result >= 0) {
        record->accepted = static_cast<NativeSocket>(result);
      } else {
        status = platform::SystemError(static_cast<int>(-result), "accept");
      }
    } else if (result < 0) {
      status = ReceiveFailed(static_cast<int>(-result));
    } else {
      record->result.bytes = static_cast<std::size_t>(result);
      if (result == 0) {
        end_seen_ = true;
        status = EndOfStream();
      }
    }
    End(record, std::move(status));
  }
  if (has_extras()) Sweep(own().receives);
}

void Endpoint::FinishSend(std::int64_t result) {
  send_submitted_ = false;
  cancel_send_ = false;
  if (type_ == SocketType::kDatagram) {
    FinishDatagram(result);
    return;
  }
  for (OperationRecord* at = extras().sends.front();
       at != nullptr && at->submitted; at = at->next) {
    at->submitted = false;
  }
  OperationRecord* record = extras().sends.front();
  if (submissions->sending->kept_count > 0) {
    if (result < static_cast<std::int64_t>(record->size)) {
      CopyOutOfChunks(*record);
    }
    ReturnKeptChunks();
  }
  const ErrorCause cause = CauseOfResult(result);
  // A connect that would block is refused: nothing says when it would not.
  if (cause == ErrorCause::kWouldBlock && record->kind != Kind::kConnect) {
    writable_ = false;
  } else if (cause == ErrorCause::kInterrupted &&
             record->kind == Kind::kConnect) {
    // It goes on by itself (connect(2)): readiness says when it is decided.
    connecting_ = true;
    writable_ = false;
  } else if (IsUndone(cause)) {
    // Those that were not to end are tried again.
  } else if (submissions->sending->submission.zero_copy &&
             IsRefusalOfZeroCopy(cause)) {
    copies_sends_ = true;
  } else if (record->kind == Kind::kConnect) {
    absl::Status status;
    if (result < 0) {
      status = platform::SystemError(static_cast<int>(-result), "connect",
                                     record->address.ToString());
    }
    FinishConnect(record, std::move(status));
    // The system has taken a connection that was reset apart
    // (inet_stream_connect() in Linux).
    if (!extras().failure.ok()) end_seen_ = true;
  } else if (record->kind == Kind::kSendFile) {
    FinishFile(result);
  } else if (result < 0) {
    if (submissions->sending->submission.sent_before > 0) {
      NoteSent(static_cast<std::size_t>(
                   submissions->sending->submission.sent_before),
               submissions->sending->buffers);
    }
    EndAll(own().sends, extras().failure);
  } else {
    NoteSent(static_cast<std::size_t>(result), submissions->sending->buffers);
  }
  Sweep(own().sends);
}

void Endpoint::CancelSubmissions() {
  const bool receive = cancel_receive_ && receive_submitted_;
  const bool send = cancel_send_ && send_submitted_;
  cancel_receive_ = cancel_send_ = false;
  if (!receive && !send) return;
  EndpointSubmissions& mine = OwnSubmissions();
  LoopCore::Scope scope(*loop_);
  if (receive) loop_->CancelSubmission(mine.receive);
  if (send) loop_->CancelSubmission(mine.sending->submission);
}

void Endpoint::Abort(OperationQueue& queue, bool submitted,
                     const absl::Status& why) {
  if (!submitted) {
    EndAll(queue, why);
    return;
  }
  for (OperationRecord* at = queue.front(); at != nullptr; at = at->next) {
    if (at->result.status.ok()) at->result.status = why;
  }
  AskForEnd(queue);
}

void Endpoint::AbortAll(const absl::Status& why) {
  if (!extras().HasOperations()) {
    // What goes on by itself has no record.
    cancel_receive_ = cancel_receive_ || receive_submitted_;
    cancel_send_ = cancel_send_ || send_submitted_;
    return;
  }
  Abort(own().receives, receive_submitted_, why);
  Abort(own().sends, send_submitted_, why);
  EndAll(own().resets, why);
}

void Endpoint::Sweep(OperationQueue& queue) {
  for (;;) {
    OperationRecord* at = queue.front();
    while (at != nullptr && at->result.status.ok()) at = at->next;
    if (at == nullptr) return;
    absl::Status why = at->result.status;
    (void)ApplyCancel(*at, std::move(why));
  }
}

}  // namespace weir::internal
