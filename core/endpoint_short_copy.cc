// The most ordinary of what a proactor does for a stream: it receives without
// end, and sends what the receiver has given to SendCopy.

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "core/endpoint.h"

namespace weir::internal {

// Lets go of the record of the copy that is being sent.
void Endpoint::TakeShortCopy() {
  OperationRecord* const record = sends_.Pop();
  submissions->copy = std::move(record->copy);
  submissions->copied = static_cast<std::size_t>(record->size);
  Release(record);
}

// Nothing is in the queue of sends while it has none.
void Endpoint::QueueShortCopy() {
  OperationRecord* const record =
      NewOperation(OperationRecord::Kind::kSendCopy);
  record->copy = std::move(submissions->copy);
  record->size = std::exchange(submissions->copied, std::size_t{0});
  record->buffers.push_back(
      std::span(record->copy.data(), static_cast<std::size_t>(record->size)));
  record->phase = OperationRecord::Phase::kQueued;
  record->submitted = true;
  buffers_submitted_ = 1;
  sends_.Push(record);
  lends_ = nullptr;
  if (running_) again_ = true;
}

void Endpoint::EndShortCopy() {
  CountUnsent(std::uint64_t{0} - submissions->copied);
  loop_->GiveBlock(std::move(submissions->copy));
  submissions->copied = 0;
  send_submitted_ = false;
}

// What is corked goes out.
void Endpoint::SubmitShortCopy() {
  const ConstBuffer data = TakeCorked();
  Submission& send = submissions->send;
  if (lends_ == nullptr || submissions->copied > 0 ||
      data.size() > CopyBlock::kUsual) {
    QueueCopy(data, SocketAddress());
    return;
  }
  submissions->copy = loop_->TakeBlock(data.size());
  std::copy(data.begin(), data.end(), submissions->copy.data());
  const std::span<std::byte> buffer(submissions->copy.data(), data.size());
  send.kind = Submission::Kind::kSend;
  send.zero_copy = false;
  send.address = nullptr;
  if (!loop_->StartSubmission(send, std::span(&buffer, 1)).ok()) [[unlikely]] {
    // Why, the run in earnest is told.
    loop_->GiveBlock(std::move(submissions->copy));
    QueueCopy(data, SocketAddress());
    return;
  }
  send_submitted_ = true;
  submissions->copied = data.size();
  CountUnsent(data.size());
  if (!send.reported) return;
  if (send.result == static_cast<std::int64_t>(data.size())) {
    send.reported = false;
    EndShortCopy();
  } else {
    QueueShortCopy();
    TakeAtOnce(send);
  }
}

int Endpoint::RunLent(LoopCore::Frame& frame) {
  Submissions& own = *submissions;
  // The watch has ended, or the receiving.
  if (wanted != settled_ || own.receive.reported) return -1;
  if (own.send.reported) {
    if (own.copied == 0 ||
        own.send.result != static_cast<std::int64_t>(own.copied)) {
      return -1;
    }
    own.send.reported = false;
    EndShortCopy();
  }
  frame.running = this;
  running_ = true;
  int told = 0;
  while (lends_ != nullptr) {
    if (told == kMostTold) [[unlikely]] {
      again_ = true;
      break;
    }
    const std::optional<ReceivedChunk> chunk = loop_->NextChunk(own.receive);
    if (!chunk.has_value()) break;
    loop_->CountLentBufferHere();
    (*lends_)(Received{.data = chunk->data, .status = {}});
    loop_->ReturnChunk(chunk->id);
    ++told;
  }
  if (corked_ > 0) SubmitShortCopy();
  if (own.receive.reported) [[unlikely]]
    TakeAtOnce(own.receive);
  frame.running = nullptr;
  running_ = false;
  if (again_ || lends_ == nullptr) [[unlikely]] {
    return told + Run(Condition::kNone, Results());
  }
  return told;
}

}  // namespace weir::internal
