// What an endpoint of datagrams hands over to a proactor: not the transfers, of
// which one call makes several, but the waits, for a datagram and for room for
// one. They move one datagram, where somebody waits for that.

#include <cstdint>
#include <memory>
#include <utility>

#include "core/endpoint.h"
#include "core/submission_result.h"
#include "platform/error.h"
#include "platform/socket_io.h"
#include "weir/status.h"

namespace weir::internal {
namespace {

using Kind = OperationRecord::Kind;

}  // namespace

// A call would block. Into the buffer of `record`, if there is one that has room.
void Endpoint::SubmitDatagramWait(OperationRecord* record) {
  Submission& submission = OwnSubmissions().receive;
  const bool receives = record != nullptr &&
                        record->kind == Kind::kReceiveFrom &&
                        !record->buffers[0].empty();
  submission.kind = receives ? Submission::Kind::kReceiveFrom
                             : Submission::Kind::kAwaitDatagram;
  submission.address = receives ? &record->address : nullptr;
  submission.truncated = false;
  if (!receives) {
    receive_submitted_ = Submit(submission, {});
    return;
  }
  receive_submitted_ = record->submitted =
      Submit(submission, std::span(record->buffers));
}

void Endpoint::FinishDatagramWait(std::int64_t result) {
  const Submission& submission = submissions->receive;
  OperationRecord* const record = extras().receives.front();
  const ErrorCause cause = CauseOfResult(result);
  if (submission.kind == Submission::Kind::kAwaitDatagram) {
    // What there is, a call says, but for an error that is told once.
    if (!IsUndone(cause)) readable_ = true;
    unreachable_ = unreachable_ || cause == ErrorCause::kConnectionRefused ||
                   cause == ErrorCause::kConnectionReset;
  } else {
    record->submitted = false;
    if (!IsUndone(cause)) {
      record->truncated = submission.truncated;
      FinishReceiveInto(
          record,
          result >= 0
              ? platform::IoOutcome{.bytes = static_cast<std::size_t>(result)}
              : platform::IoOutcome{.error = static_cast<int>(-result)},
          /*room=*/0);
      // There may be more.
      readable_ = true;
    }
  }
  Sweep(own().receives);
}

// A call would block.
void Endpoint::SubmitDatagram(OperationRecord* record) {
  Submission& submission = OwnSending().submission;
  submission.kind = Submission::Kind::kSendTo;
  submission.zero_copy = false;
  submission.address =
      record->address.is_unspecified() ? nullptr : &record->address;
  send_submitted_ = record->submitted =
      Submit(submission, std::span(record->buffers));
}

void Endpoint::FinishDatagram(std::int64_t result) {
  OperationRecord* const record = extras().sends.front();
  record->submitted = false;
  if (!IsUndone(CauseOfResult(result))) {
    absl::Status status;
    if (result >= 0) {
      record->result.bytes = record->size;
      CountUnsent(std::uint64_t{0} - record->size);
    } else {
      status = platform::SystemError(static_cast<int>(-result), "send",
                                     NameOfDestination(*record));
    }
    own().sends.Pop();
    End(record, std::move(status));
    writable_ = true;
  }
  Sweep(own().sends);
}

}  // namespace weir::internal
