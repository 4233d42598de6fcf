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
  OperationRecord* const record = own().sends.Pop();
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
  submissions->buffers = 1;
  own().sends.Push(record);
  lends_ = false;
  if (running_) again_ = true;
}

void Endpoint::EndShortCopy() {
  CountUnsent(std::uint64_t{0} - submissions->copied);
  loop_->GiveBlock(std::move(submissions->copy));
  submissions->copied = 0;
  send_submitted_ = false;
}

// What is corked goes out.
void Endpoint::SubmitShortCopy(LoopCore::Frame& frame) {
  const ConstBuffer data = std::exchange(frame.corked, ConstBuffer());
  Submission& send = submissions->send;
  if (!lends_ || submissions->copied > 0 ||
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
  EndpointSubmissions& mine = *submissions;
  // The watch has ended, or the receiving.
  if (wanted != settled_ || mine.receive.reported) return -1;
  if (mine.send.reported) {
    if (mine.copied == 0 ||
        mine.send.result != static_cast<std::int64_t>(mine.copied)) {
      return -1;
    }
    mine.send.reported = false;
    EndShortCopy();
  }
  frame.running = this;
  running_ = true;
  int told = 0;
  while (lends_) {
    if (told == kMostTold) [[unlikely]] {
      again_ = true;
      break;
    }
    const std::optional<ReceivedChunk> chunk = loop_->NextChunk(mine.receive);
    if (!chunk.has_value()) break;
    loop_->CountLentBufferHere();
    receive_handler_(Received{.data = chunk->data, .status = {}});
    loop_->ReturnChunk(chunk->id);
    ++told;
  }
  if (!frame.corked.empty()) SubmitShortCopy(frame);
  if (mine.receive.reported) [[unlikely]]
    TakeAtOnce(mine.receive);
  frame.running = nullptr;
  running_ = false;
  if (again_ || !lends_) [[unlikely]] {
    return told + Run(Condition::kNone, SubmissionResults());
  }
  return told;
}

}  // namespace weir::internal
