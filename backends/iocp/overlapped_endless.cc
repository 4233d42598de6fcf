// The submissions that go on until they are cancelled: accepting, and receiving
// into buffers of the pool.

#include <cstdint>
#include <optional>

#include "backends/iocp/overlapped_functions.h"
#include "backends/iocp/overlapped_submissions.h"
#include "platform/socket_io.h"
#include "platform/windows/winsock.h"

namespace weir::internal {
namespace {

using Kind = Submission::Kind;

// How many connections the system may take before the core has said so.
constexpr std::uint32_t kPostedAccepts = 8;
// More looks than there can be reason for.
constexpr int kEnoughLooks = 8;

}  // namespace

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
    submission.result = *started;
  }
  calls_.Give(call);
  return *started >= 0;
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
  Count();
  const StartedCall started =
      StartWait(*call, /*flags=*/0, SkipsPackets(*submission.socket));
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
