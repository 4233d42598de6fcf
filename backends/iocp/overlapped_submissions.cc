#include "backends/iocp/overlapped_submissions.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/iocp/notification_slot.h"
#include "backends/iocp/overlapped_functions.h"
#include "platform/error.h"
#include "platform/socket_io.h"
#include "platform/sockets.h"
#include "platform/windows/socket_buffers.h"
#include "platform/windows/socket_info.h"
#include "platform/windows/winsock.h"

namespace weir::internal {
namespace {

using Kind = Submission::Kind;
using platform::ToSocket;

// How many connections the system may take before the core has said so.
constexpr std::uint32_t kPostedAccepts = 8;
// More looks than there can be reason for, and connections that wait to be taken.
constexpr int kEnoughLooks = 8;
constexpr int kEnoughAccepts = 64;

constexpr std::int64_t kCancelled = -std::int64_t{ERROR_OPERATION_ABORTED};

bool SkipsPackets(const WatchedSocket& socket) {
  return (socket.backend_data & kSkipsPackets) != 0;
}

// Of a connection that died while it waited to be accepted, and not of the
// listener.
bool DiedWaiting(std::int64_t result) {
  switch (-result) {
    case WSAECONNRESET:
    case WSAECONNABORTED:
    case WSAENOTCONN:
    case ERROR_NETNAME_DELETED:
      return true;
    default:
      return false;
  }
}

}  // namespace

// --- starting

// Once for each record: which port a handle belongs to cannot be asked, nor
// changed.
absl::Status OverlappedSubmissions::Associate(WatchedSocket& socket) {
  if ((socket.backend_data & kAssociated) != 0) return absl::OkStatus();
  if ((socket.backend_data & kOthersPort) == 0) {
    const auto handle = reinterpret_cast<HANDLE>(socket.socket());
    Count();
    if (port_.Associate(handle, PortKey::kOverlapped)) {
      socket.backend_data |= kAssociated;
      if (SkipPacketsOnSuccess(socket.socket())) {
        socket.backend_data |= kSkipsPackets;
      }
      return absl::OkStatus();
    }
    absl::Status refusal = platform::SystemError(
        static_cast<int>(GetLastError()), "CreateIoCompletionPort");
    if (absl::IsResourceExhausted(refusal)) return refusal;
    socket.backend_data |= kOthersPort;
  }
  return absl::FailedPreconditionError(
      "CreateIoCompletionPort: the socket belongs to another port");
}

absl::Status OverlappedSubmissions::Start(
    Submission& submission, std::span<const std::span<std::byte>> buffers) {
  if (absl::Status status = Associate(*submission.socket); !status.ok()) {
    return status;
  }
  submission.backend_data = nullptr;
  submission.cancelled = false;
  submission.burst = 0;
  submission.sent_before = 0;
  if (submission.kind == Kind::kReceiveMany ||
      submission.kind == Kind::kAcceptMany) {
    submission.result = 0;
    submission.in_flight = true;
    submission.socket->Pin();
    if (submission.kind == Kind::kAcceptMany) {
      PostAccepts(submission);
      EndAccepts(submission, nullptr);
    } else {
      WaitForData(submission);
    }
    return absl::OkStatus();
  }
  OverlappedCall* call = calls_.Take(submission);
  const StartedCall started = Call(*call, buffers);
  if (!started.has_value()) {
    submission.backend_data = call;
    submission.in_flight = true;
    submission.socket->Pin();
    return absl::OkStatus();
  }
  if (*started == -std::int64_t{WSAEOPNOTSUPP} &&
      submission.kind != Kind::kReceive && submission.kind != Kind::kSend) {
    calls_.Give(call);
    return absl::FailedPreconditionError(
        "the socket's provider has no AcceptEx or ConnectEx");
  }
  submission.reported = true;
  submission.result = Finish(*call, *started);
  calls_.Give(call);
  return absl::OkStatus();
}

StartedCall OverlappedSubmissions::Call(
    OverlappedCall& call, std::span<const std::span<std::byte>> buffers) {
  switch (call.submission->kind) {
    case Kind::kReceive:
      return Receive(call, buffers);
    case Kind::kSend:
      return Send(call, buffers);
    case Kind::kConnect:
      return Connect(call);
    case Kind::kAccept:
    case Kind::kAcceptMany:
    case Kind::kReceiveMany:
      break;
  }
  return Accept(call);
}

StartedCall OverlappedSubmissions::Receive(
    OverlappedCall& call, std::span<const std::span<std::byte>> buffers) {
  platform::SocketBuffers given(buffers);
  DWORD flags = 0;
  Count();
  // The array of buffers may go when the call returns (WSARecv, Remarks); not
  // asked for the number of bytes, which can be wrong (the same).
  const bool succeeded =
      ::WSARecv(ToSocket(call.socket), given.data(), given.count(), nullptr,
                &flags, &call.overlapped, nullptr) == 0;
  return Started(succeeded, call, SkipsPackets(*call.submission->socket));
}

StartedCall OverlappedSubmissions::Send(
    OverlappedCall& call, std::span<const std::span<std::byte>> buffers) {
  platform::SocketBuffers given(buffers);
  Count();
  const bool succeeded =
      ::WSASend(ToSocket(call.socket), given.data(), given.count(), nullptr, 0,
                &call.overlapped, nullptr) == 0;
  return Started(succeeded, call, SkipsPackets(*call.submission->socket));
}

StartedCall OverlappedSubmissions::Connect(OverlappedCall& call) {
  Count();
  return StartConnect(call, *call.submission->address,
                      SkipsPackets(*call.submission->socket));
}

StartedCall OverlappedSubmissions::Accept(OverlappedCall& call) {
  Count();
  return StartAccept(call, SkipsPackets(*call.submission->socket));
}

// --- ending

// What the system leaves to be done, and to be found out, when a call of one end
// has ended.
std::int64_t OverlappedSubmissions::Finish(OverlappedCall& call,
                                           std::int64_t result) {
  switch (call.submission->kind) {
    case Kind::kReceive:
      if (result == -std::int64_t{WSAESHUTDOWN}) return 0;
      // Some versions call a reset an end.
      if (result == 0 && platform::WasReset(call.socket)) {
        return -std::int64_t{WSAECONNRESET};
      }
      return result;
    case Kind::kSend:
      // It was cancelled in the middle.
      if (result == kCancelled && call.bytes() > 0) return call.bytes();
      if (result >= 0) return result;
      call.submission->sent_before = call.bytes();
      return -std::int64_t{
          platform::SendErrorOf(call.socket, static_cast<int>(-result))};
    case Kind::kConnect:
      if (result >= 0) FinishConnect(call);
      return result;
    case Kind::kAccept:
      if (result < 0) {
        CloseUnaccepted(call);
        return result;
      }
      return static_cast<std::int64_t>(
          FinishAccept(call, call.submission->address));
    case Kind::kAcceptMany:
    case Kind::kReceiveMany:
      break;
  }
  return result;
}

void OverlappedSubmissions::Complete(const PortPacket& packet,
                                     ReadyList& ready) {
  auto* call = static_cast<OverlappedCall*>(packet.overlapped);
  Submission& submission = *call->submission;
  std::int64_t result = call->Result();
  if (submission.kind == Kind::kAcceptMany) {
    CompleteAccept(call, result, ready);
    return;
  }
  if (submission.kind == Kind::kReceiveMany) {
    CompleteWait(call, result, ready);
    return;
  }
  if (submission.kind == Kind::kAccept && result < 0 && DiedWaiting(result) &&
      !submission.cancelled) {
    CloseUnaccepted(*call);
    call->overlapped = {};
    const StartedCall again = Accept(*call);
    if (!again.has_value()) return;
    result = *again;
  }
  submission.backend_data = nullptr;
  result = Finish(*call, result);
  calls_.Give(call);
  submission.socket->Unpin();
  ready.Report(submission, result);
}

// Without a packet; the core looks for it when it has called.
void OverlappedSubmissions::End(Submission& submission, std::int64_t result) {
  submission.in_flight = false;
  submission.reported = true;
  submission.result = result;
  submission.socket->Unpin();
}

void OverlappedSubmissions::Cancel(Submission& submission) {
  const bool again = std::exchange(submission.cancelled, true);
  if (submission.kind == Kind::kReceiveMany &&
      submission.backend_data == nullptr) {
    // The kernel has nothing of it.
    if (again) return;
    untold_.push_back(&submission);
    has_untold_.store(true, std::memory_order_seq_cst);
    return;
  }
  for (auto* call = static_cast<OverlappedCall*>(submission.backend_data);
       call != nullptr; call = call->next) {
    Count();
    CancelCall(*call);
  }
}

void OverlappedSubmissions::ReportUntold(ReadyList& ready) {
  if (!has_untold_.exchange(false, std::memory_order_seq_cst)) return;
  for (Submission* submission : untold_) {
    submission->socket->Unpin();
    ready.Report(*submission, kCancelled);
  }
  untold_.clear();
}

void OverlappedSubmissions::Discard(const PortPacket& packet) {
  auto* call = static_cast<OverlappedCall*>(packet.overlapped);
  CloseUnaccepted(*call);
  calls_.Give(call);
}

// --- accepting without end

// The calls that are posted are a list, in Submission::backend_data; how many,
// in Submission::burst.
void OverlappedSubmissions::PostAccepts(Submission& submission) {
  for (int posted = 0; posted < kEnoughAccepts && !submission.cancelled &&
                       submission.burst < kPostedAccepts;
       ++posted) {
    if (!PostAccept(submission, calls_.Take(submission))) return;
  }
}

// False: no more can be posted now.
bool OverlappedSubmissions::PostAccept(Submission& submission,
                                       OverlappedCall* call) {
  const StartedCall started = Accept(*call);
  if (!started.has_value()) {
    call->next = static_cast<OverlappedCall*>(submission.backend_data);
    submission.backend_data = call;
    ++submission.burst;
    return true;
  }
  if (*started >= 0) {
    accepted_.Append(submission, FinishAccept(*call, nullptr));
  } else {
    CloseUnaccepted(*call);
    if (!DiedWaiting(*started)) submission.result = *started;
  }
  calls_.Give(call);
  return *started >= 0 || DiedWaiting(*started);
}

void OverlappedSubmissions::CompleteAccept(OverlappedCall* call,
                                           std::int64_t result,
                                           ReadyList& ready) {
  Submission& submission = *call->submission;
  auto* at = static_cast<OverlappedCall*>(submission.backend_data);
  if (at == call) {
    submission.backend_data = call->next;
  } else {
    while (at->next != call) at = at->next;
    at->next = call->next;
  }
  --submission.burst;
  if (result >= 0) {
    accepted_.Append(submission, FinishAccept(*call, nullptr));
    ready.Push(*submission.socket);
    submission.result = 0;
  } else {
    CloseUnaccepted(*call);
    if (!DiedWaiting(result)) submission.result = result;
  }
  calls_.Give(call);
  if (submission.result >= 0) PostAccepts(submission);
  EndAccepts(submission, &ready);
}

// If none is posted any more. `ready` null: it has just been started.
void OverlappedSubmissions::EndAccepts(Submission& submission,
                                       ReadyList* ready) {
  if (submission.burst > 0) return;
  const std::int64_t result =
      submission.cancelled ? kCancelled : submission.result;
  End(submission, result);
  if (ready != nullptr) ready->Report(submission, result);
}

// --- receiving without end

// Waits, with nothing to receive into, for something to receive. False: it has to
// be waited for.
bool OverlappedSubmissions::WaitForData(Submission& submission) {
  OverlappedCall* call = calls_.Take(submission);
  WSABUF nothing{};
  DWORD flags = 0;
  Count();
  const bool succeeded =
      ::WSARecv(ToSocket(call->socket), &nothing, 1, nullptr, &flags,
                &call->overlapped, nullptr) == 0;
  const StartedCall started =
      Started(succeeded, *call, SkipsPackets(*submission.socket));
  if (!started.has_value()) {
    submission.backend_data = call;
    submission.burst = static_cast<std::uint32_t>(Reading::kWaits);
    return false;
  }
  calls_.Give(call);
  NoteWaited(submission, *started);
  return true;
}

void OverlappedSubmissions::CompleteWait(OverlappedCall* call,
                                         std::int64_t result,
                                         ReadyList& ready) {
  Submission& submission = *call->submission;
  submission.backend_data = nullptr;
  calls_.Give(call);
  if (submission.cancelled || result == kCancelled) {
    submission.socket->Unpin();
    ready.Report(submission, kCancelled);
    return;
  }
  NoteWaited(submission, result);
  ready.Push(*submission.socket);
}

// A receive is to look. What came before an error is still there, on some
// versions; that this side has ended receiving is what the receive calls an end.
void OverlappedSubmissions::NoteWaited(Submission& submission,
                                       std::int64_t result) {
  if (result < 0 && result != -std::int64_t{WSAESHUTDOWN}) {
    submission.result = result;
  }
  submission.burst = static_cast<std::uint32_t>(Reading::kReads);
}

std::optional<ReceivedChunk> OverlappedSubmissions::NextChunk(
    Submission& submission) {
  if (submission.kind != Kind::kReceiveMany || !submission.in_flight ||
      submission.cancelled || submission.backend_data != nullptr) {
    return std::nullopt;
  }
  for (int look = 0; look < kEnoughLooks; ++look) {
    const bool failed = submission.result < 0;
    if (submission.burst == static_cast<std::uint32_t>(Reading::kDrained) &&
        !failed && !WaitForData(submission)) {
      return std::nullopt;
    }
    const std::int32_t id = buffers_.Take();
    const std::span<std::byte> buffer = buffers_[id];
    Count();
    const platform::IoOutcome outcome =
        platform::Receive(submission.socket->socket(), buffer);
    if (outcome.bytes > 0) {
      submission.burst = static_cast<std::uint32_t>(
          outcome.bytes < buffer.size() ? Reading::kDrained : Reading::kReads);
      return ReceivedChunk{.data = buffer.first(outcome.bytes), .id = id};
    }
    buffers_.Return(id);
    if (!outcome.would_block || failed) {
      const std::int64_t result =
          outcome.error != 0 ? -std::int64_t{outcome.error} : 0;
      End(submission, failed ? submission.result : result);
      return std::nullopt;
    }
    submission.burst = static_cast<std::uint32_t>(Reading::kDrained);
  }
  // It may be started anew.
  End(submission, 1);
  return std::nullopt;
}

}  // namespace weir::internal
