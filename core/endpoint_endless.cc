// What an endpoint has a proactor do without end: receive into the mechanism's
// buffers, and accept.

#include <cstdint>
#include <optional>
#include <utility>

#include "core/endpoint.h"
#include "core/submission_result.h"
#include "platform/sockets.h"
#include "weir/status.h"

namespace weir::internal {

// Until something comes, it costs no memory.
void Endpoint::SubmitBareReceive() {
  const absl::Status status = loop_->StartReceiveMany(*this);
  receive_submitted_ = receives_bare = status.ok();
  if (!status.ok()) NoteRefusalOfMany(status);
}

void Endpoint::SubmitMany(Submission::Kind kind) {
  if (kind == Submission::Kind::kReceiveMany && submissions == nullptr &&
      !several_threads_ && loop_->capabilities().receives_by_socket) {
    SubmitBareReceive();
    return;
  }
  Submission& submission = OwnSubmissions().receive;
  submission.kind = kind;
  submission.address = nullptr;
  LoopCore::Scope scope(*loop_);
  const absl::Status status = loop_->StartSubmission(submission, {});
  if (status.ok()) {
    receive_submitted_ = true;
    TakeAtOnce(submission);
    // There may be something to take already.
    again_ = true;
  } else {
    NoteRefusalOfMany(status);
  }
}

void Endpoint::NoteRefusalOfMany(const absl::Status& why) {
  if (absl::IsUnimplemented(why)) {
    // As long as there is something: nothing is watched for then.
    receive_by_call_ = true;
    again_ = readable_;
  } else {
    NoteRefusal(why);
  }
}

int Endpoint::LendChunks() {
  int told = 0;
  while (told < kMostTold && !paused_ && !closing_ && LendChunk()) {
    ++told;
  }
  if (told > 0 || paused_ || closing_ || receive_submitted_) return told;
  if (end_seen_) return EndReceiver(EndOfStream());
  if (receive_by_call_) {
    if (!readable_) return 0;
    receive_by_call_ = false;
    told = LendReceived(*LoopCore::CurrentFrame());
    if (told > 0 || !HasReceiver()) return told;
  }
  SubmitMany(Submission::Kind::kReceiveMany);
  return 0;
}

bool Endpoint::LendChunk() {
  if (submissions == nullptr) return false;
  std::optional<ReceivedChunk> chunk;
  {
    LoopCore::Scope scope(*loop_);
    chunk = loop_->NextChunk(submissions->receive);
    if (!chunk.has_value()) TakeAtOnce(submissions->receive);
  }
  if (!chunk.has_value()) return false;
  loop_->CountLentBuffer();
  has_lent_ = true;
  Unlock();
  receive_handler_(Received{.data = chunk->data, .status = {}});
  Lock();
  LoopCore::Scope scope(*loop_);
  loop_->ReturnChunk(chunk->id);
  return true;
}

int Endpoint::LendSubmittedAccepts() {
  int told = 0;
  while (told < kMostTold && MayAccept() && LendSubmittedAccept()) {
    ++told;
  }
  if (told > 0 || !MayAccept() || receive_submitted_) return told;
  if (receive_by_call_) {
    // Until a call finds nothing: at the limit of descriptors a multishot accept
    // is refused even if nobody waits (survey 2.2).
    if (!readable_) return 0;
    told = LendAccepted();
    if (!readable_) receive_by_call_ = false;
    if (told > 0 || receive_by_call_) return told;
  }
  SubmitMany(Submission::Kind::kAcceptMany);
  return 0;
}

bool Endpoint::LendSubmittedAccept() {
  if (submissions == nullptr) return false;
  std::optional<NativeSocket> native;
  {
    LoopCore::Scope scope(*loop_);
    native = loop_->NextAccepted(submissions->receive);
  }
  if (!native.has_value()) return false;
  SocketAddress peer;
  if (extras().accepting.peer_address) {
    // Of one that was reset while it waited, the system has forgotten it.
    peer = platform::PeerAddress(*native).value_or(SocketAddress());
  }
  absl::StatusOr<AcceptedStream> accepted =
      MakeAccepted(*native, family_, peer, *loop_);
  if (!accepted.ok() && loop_->stopped()) return false;
  TellAccepted(std::move(accepted));
  return true;
}

// What the mechanism has brought and nobody will be told of.
void Endpoint::DropUntold() {
  if (submissions == nullptr) return;
  Submission& receive = submissions->receive;
  LoopCore::Scope scope(*loop_);
  if (receive.kind == Submission::Kind::kAcceptMany) {
    while (auto native = loop_->NextAccepted(receive)) {
      (void)platform::Close(*native);
    }
    return;
  }
  while (auto chunk = loop_->NextChunk(receive)) loop_->ReturnChunk(chunk->id);
}

void Endpoint::FinishMany(std::int64_t result) {
  if (closing_) DropUntold();
  const bool accepts =
      submissions->receive.kind == Submission::Kind::kAcceptMany;
  switch (CauseOfResult(result)) {
    case ErrorCause::kNone:
      if (result == 0 && !accepts) end_seen_ = true;
      break;
    case ErrorCause::kCancelled:
    case ErrorCause::kInterrupted:
      break;
    case ErrorCause::kNoBuffers:
    case ErrorCause::kNoMemory:
    case ErrorCause::kWouldBlock:
    case ErrorCause::kInvalidArgument:
      receive_by_call_ = true;
      readable_ = false;
      break;
    default:
      if (accepts) {
        // The call that is made when somebody waits says what is the matter.
        receive_by_call_ = true;
        readable_ = false;
      } else {
        (void)ReceiveFailed(static_cast<int>(-result));
      }
      break;
  }
}

}  // namespace weir::internal
