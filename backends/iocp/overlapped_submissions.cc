#include "backends/iocp/overlapped_submissions.h"

#include <utility>

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
      (submission.kind == Kind::kConnect || submission.kind == Kind::kAccept ||
       submission.kind == Kind::kSendFile)) {
    calls_.Give(call);
    return absl::FailedPreconditionError(
        "the socket's provider has no AcceptEx, ConnectEx or TransmitFile");
  }
  submission.reported = true;
  submission.result = Finish(*call, *started);
  // A warning (STATUS_BUFFER_OVERFLOW) to the system, which sends packets unless
  // there is an error, and an error to Winsock.
  if (*started == -std::int64_t{WSAEMSGSIZE}) {
    calls_.GiveDoubtful(call);
  } else {
    calls_.Give(call);
  }
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
    case Kind::kReceiveFrom:
      Count();
      return StartReceiveFrom(call, buffers,
                              SkipsPackets(*call.submission->socket));
    case Kind::kAwaitDatagram:
      Count();
      return StartWait(call, MSG_PEEK, SkipsPackets(*call.submission->socket));
    case Kind::kSendTo:
      if (call.submission->address == nullptr) return Send(call, buffers);
      Count();
      return StartSendTo(call, buffers, SkipsPackets(*call.submission->socket));
    case Kind::kSendFile:
      Count();
      return StartSendFile(call, *call.submission->part,
                           SkipsPackets(*call.submission->socket));
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
  StartedCall started;
  for (int i = 0; i < kEnoughAccepts; ++i) {
    Count();
    started = StartAccept(call, SkipsPackets(*call.submission->socket));
    if (!started.has_value() || !DiedWaiting(*started)) break;
    CloseUnaccepted(call);
    call.overlapped = {};
  }
  return started;
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
    case Kind::kSendFile:
      // It was cut off meanwhile.
      if (result == -std::int64_t{ERROR_HANDLE_EOF}) return call.bytes();
      [[fallthrough]];
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
    case Kind::kReceiveFrom:
      return FinishReceiveFrom(call, result);
    case Kind::kAwaitDatagram:
      return result == -std::int64_t{WSAEMSGSIZE} ? 0 : result;
    case Kind::kSendTo:
    case Kind::kAcceptMany:
    case Kind::kReceiveMany:
      break;
  }
  return result;
}

void OverlappedSubmissions::Complete(const PortPacket& packet,
                                     ReadyList& ready) {
  auto* call = static_cast<OverlappedCall*>(packet.overlapped);
  if (calls_.TakeDoubt(call)) return;
  Submission& submission = *call->submission;
  std::int64_t result = call->Result();
  // The handle was closed behind the cancellation, before the call had noticed
  // that: Wine looks at it once more.
  if (submission.cancelled && result == -std::int64_t{WSAENOTSOCK}) {
    result = kCancelled;
  }
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
  if (calls_.TakeDoubt(call)) return;
  CloseUnaccepted(*call);
  calls_.Give(call);
}

}  // namespace weir::internal
