// Receiving for an endpoint, with non-blocking calls while it is thought to be
// readable; and what is done with reports before anything else.

#include <utility>

#include "core/endpoint.h"
#include "platform/address_changes.h"
#include "platform/error.h"
#include "platform/socket_io.h"
#include "platform/sockets.h"
#include "weir/status.h"

namespace weir::internal {
namespace {

using Kind = OperationRecord::Kind;

bool HasReports(Condition reports, Condition direction) {
  return Has(reports, direction | Condition::kClosed | Condition::kError);
}

}  // namespace

void Endpoint::Progress() {
  const Condition reports = std::exchange(reports_, Condition::kNone);
  if (HasReports(reports, Condition::kReadable | Condition::kPeerClosed)) {
    readable_ = true;
  }
  if (HasReports(reports, Condition::kWritable)) writable_ = true;
  if (Has(reports, Condition::kPeerClosed | Condition::kClosed |
                       Condition::kError)) {
    hangup_reported_ = true;
  }
  if (Has(reports, Condition::kClosed | Condition::kError)) {
    over_reported_ = true;
  }
  if (Has(reports, Condition::kError) &&
      loop_->capabilities().errors_without_cause) {
    NoteUntoldError();
  }
  if (closing_ || refused_ || cancel_receive_ || cancel_send_ ||
      receive_submitted_ || send_submitted_) {
    if (!TakeTurningPoints(reports)) return;
  }
  no_room_ = false;
  if (!extras().sends.empty()) ProgressSends();
  if (!extras().receives.empty()) ProgressReceives();
  if (!extras().resets.empty()) ProgressResets();
}

// What else is to be done before data is moved: false if there is none to move
// any more.
bool Endpoint::TakeTurningPoints(Condition reports) {
  TakeReports();
  // A multishot receive of Linux tries again after what it has received only if
  // more data or an end is there, and a reset is neither (tcp_inq_hint()): one
  // that comes together with data may never be told, above all if a send has met
  // it. Started anew, it looks.
  if (ReceivesWithoutEnd() &&
      (Has(reports, Condition::kClosed | Condition::kError) ||
       (!extras().failure.ok() && !hangup_reported_))) {
    hangup_reported_ = true;
    cancel_receive_ = true;
  }
  if (closing_ || refused_) {
    AbortAll(closing_ ? ClosedStatus() : extras().failure);
    CancelSubmissions();
    if (closing_) CloseHandle();
    return false;
  }
  CancelSubmissions();
  return true;
}

// A receive may call it an end, or not be told at all.
void Endpoint::NoteUntoldError() {
  if (type_ == SocketType::kDatagram) {
    unreachable_ = true;
  } else if (role() == SocketRole::kConnected && extras().failure.ok()) {
    own().failure =
        platform::SystemError(platform::kConnectionResetCode, "receive");
  }
}

int Endpoint::TakeUnreachable() {
  const int code = unreachable_ ? platform::kConnectionRefusedCode : 0;
  unreachable_ = false;
  return code;
}

void Endpoint::ProgressReceives() {
  while (OperationRecord* record = extras().receives.front()) {
    if (Submits() && !end_seen_) {
      if (!receive_submitted_) SubmitReceive(record);
      return;
    }
    if (receive_submitted_) return;
    if (!readable_ && !end_seen_) {
      if (submits_datagrams_) SubmitDatagramWait(record);
      return;
    }
    switch (record->kind) {
      case Kind::kAccept:
        AcceptInto(record);
        break;
      case Kind::kAddressChange:
        NoteAddressChange(record);
        break;
      default:
        ReceiveInto(record);
        break;
    }
  }
}

void Endpoint::ReceiveInto(OperationRecord* record) {
  platform::ReceiveFromOutcome outcome;
  std::size_t room = 0;
  if (end_seen_) {
    // Nothing more.
  } else if (record->kind == Kind::kReceiveFrom) {
    outcome = platform::ReceiveFrom(socket(), record->buffers[0],
                                    &record->address);
    record->truncated = outcome.truncated;
    if (outcome.would_block) outcome.error = TakeUnreachable();
  } else {
    for (const auto& buffer : record->buffers) room += buffer.size();
    static_cast<platform::IoOutcome&>(outcome) =
        record->buffers.size() == 1
            ? platform::Receive(socket(), record->buffers[0])
            : platform::ReceiveVector(socket(), record->buffers);
  }
  FinishReceiveInto(record, outcome, room);
}

// A receive of the first that waits, into `room`, has gone as `outcome` says.
void Endpoint::FinishReceiveInto(OperationRecord* record,
                                 const platform::IoOutcome& outcome,
                                 std::size_t room) {
  if (outcome.would_block && outcome.error == 0) {
    NotReadable();
    return;
  }
  absl::Status status;
  if (outcome.error != 0) {
    status = ReceiveFailed(outcome.error);
    unreachable_ = false;
  }
  if (type_ == SocketType::kStream && outcome.ok()) {
    NoteReceived(outcome.bytes, room);
  }
  if (end_seen_ && status.ok() && outcome.bytes == 0) status = EndOfStream();
  own().receives.Pop();
  record->result.bytes = outcome.bytes;
  End(record, std::move(status));
}

void Endpoint::NotReadable() {
  readable_ = false;
  hangup_reported_ = false;
}

// How the connection was lost, as far as is known; OK: it was not.
absl::Status Endpoint::Loss() const {
  for (const absl::Status* status :
       {&extras().receive_failure, &extras().failure}) {
    if (status->ok()) continue;
    // As against an error of the call alone.
    if (absl::IsUnavailable(*status) || absl::IsDeadlineExceeded(*status) ||
        absl::IsPermissionDenied(*status)) {
      return *status;
    }
  }
  return absl::OkStatus();
}

// What a receive of 0 bytes means. The system tells a reset once, and a send may
// have met it (sk_err in Linux): what was received is then not all there was.
absl::Status Endpoint::EndOfStream() const {
  if (!has_extras()) return absl::OkStatus();
  return extras().receive_failure.ok() ? Loss() : extras().receive_failure;
}

// After the transfers, which may have met it.
void Endpoint::ProgressResets() {
  absl::Status loss = Loss();
  if (loss.ok() && over_reported_) {
    loss = platform::TakeError(socket(), "receive");
    if (!loss.ok() && extras().failure.ok()) own().failure = loss;
  }
  if (!loss.ok()) EndAll(own().resets, loss);
}

// A stream that has failed stays so; a datagram socket goes on. What a receive
// meets counts for more than the broken pipe that a send may have met before it:
// the next receive is told the same. Want of memory takes nothing of either, and
// a later receive may have some.
absl::Status Endpoint::ReceiveFailed(int error) {
  absl::Status status = platform::SystemError(error, "receive");
  if (type_ == SocketType::kStream && !absl::IsResourceExhausted(status)) {
    end_seen_ = true;
    own().receive_failure = status;
    if (extras().failure.ok()) own().failure = status;
  }
  return status;
}

void Endpoint::AcceptInto(OperationRecord* record) {
  SocketAddress peer;
  const platform::AcceptOutcome outcome = platform::Accept(socket(), &peer);
  if (outcome.would_block) {
    NotReadable();
    return;
  }
  own().receives.Pop();
  absl::Status status;
  if (outcome.ok()) {
    record->accepted = outcome.socket;
    record->address = peer;
  } else {
    status = platform::SystemError(outcome.error, "accept");
  }
  End(record, std::move(status));
}

void Endpoint::NoteAddressChange(OperationRecord* record) {
  const absl::StatusOr<bool> changed =
      platform::AddressChanges::TakeChangedFrom(socket());
  if (changed.ok() && !*changed) {
    // All that was told has been read.
    NotReadable();
    return;
  }
  own().receives.Pop();
  End(record, changed.status());
}

}  // namespace weir::internal
