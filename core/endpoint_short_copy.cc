// The most ordinary of what a proactor does for a stream: it receives without
// end, and sends what the receiver has given to SendCopy.

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "core/endpoint.h"

namespace weir::internal {
namespace {

// `parts` have `size` bytes.
template <typename Parts>
CopyBlock CopyOf(LoopCore& loop, const Parts& parts, std::size_t size) {
  CopyBlock block = loop.memory().TakeBlock(size);
  std::byte* end = block.data();
  for (const auto& part : parts) end = std::copy(part.begin(), part.end(), end);
  return block;
}

void ReturnChunks(LoopCore& loop, std::span<const std::int32_t> chunks) {
  for (const std::int32_t id : chunks) loop.ReturnChunk(id);
}

}  // namespace

// Lets go of the record of the copy that is being sent.
void Endpoint::TakeShortCopy() {
  EndpointSubmissions::Sending& sending = *submissions->sending;
  OperationRecord* const record = own().sends.Pop();
  sending.copy = std::move(record->copy);
  sending.unrecorded = static_cast<std::size_t>(record->size);
  sending.part_count = 0;
  for (const std::span<std::byte>& buffer : record->buffers) {
    sending.parts[sending.part_count++] = buffer;
  }
  CountUnsent(std::uint64_t{0} - record->size);
  Release(record);
}

// Nothing is in the queue of sends while it has none.
void Endpoint::QueueShortCopy() {
  EndpointSubmissions::Sending& sending = *submissions->sending;
  OperationRecord* const record =
      NewOperation(OperationRecord::Kind::kSendCopy);
  record->copy = std::move(sending.copy);
  record->size = std::exchange(sending.unrecorded, std::size_t{0});
  for (std::uint32_t i = 0; i < sending.part_count; ++i) {
    record->buffers.push_back(sending.parts[i]);
  }
  record->phase = OperationRecord::Phase::kQueued;
  record->submitted = true;
  sending.buffers = sending.part_count;
  CountUnsent(record->size);
  own().sends.Push(record);
  lends_ = false;
  if (running_) again_ = true;
}

void Endpoint::EndShortCopy() {
  EndpointSubmissions::Sending& sending = *submissions->sending;
  if (sending.kept_count > 0) {
    ReturnKeptChunks();
  } else {
    loop_->memory().GiveBlock(std::move(sending.copy));
  }
  sending.unrecorded = 0;
  send_submitted_ = false;
}

void Endpoint::ReturnKeptChunks() {
  EndpointSubmissions::Sending& sending = *submissions->sending;
  LoopCore::Scope scope(*loop_);
  ReturnChunks(
      *loop_,
      std::span(sending.kept).first(std::exchange(sending.kept_count, 0)));
}

// What is left of it to be sent waits without them.
void Endpoint::CopyOutOfChunks(OperationRecord& record) {
  const auto size = static_cast<std::size_t>(record.size);
  record.copy = CopyOf(*loop_, record.buffers, size);
  record.buffers.clear();
  record.buffers.push_back(std::span(record.copy.data(), size));
  submissions->sending->buffers = 1;
}

// Whether all that is corked is in `chunks`, which are its own from now on.
bool Endpoint::KeepChunks(const LoopCore::Frame& frame,
                          std::span<const std::int32_t> chunks) {
  EndpointSubmissions::Sending& sending = OwnSending();
  if (!frame.corked.all_lent()) return false;
  for (const std::int32_t id : chunks) {
    if (!loop_->KeepChunk(id)) return false;
    sending.kept[sending.kept_count++] = id;
  }
  return true;
}

// What is corked goes out. `chunks` are those that it is in, and are taken
// over.
void Endpoint::SubmitShortCopy(LoopCore::Frame& frame,
                               std::span<const std::int32_t> chunks) {
  EndpointSubmissions::Sending& sending = OwnSending();
  const std::size_t size = frame.corked.size();
  if (!lends_ || sending.unrecorded > 0) {
    QueueAll(frame.corked);
    ReturnChunks(*loop_, chunks);
    return;
  }
  sending.part_count = 0;
  const bool kept = KeepChunks(frame, chunks);
  if (kept) {
    for (const ConstBuffer& part : frame.corked.parts()) {
      // Nothing is written through it.
      sending.parts[sending.part_count++] =
          std::span(const_cast<std::byte*>(part.data()), part.size());
    }
  } else {
    sending.copy = CopyOf(*loop_, frame.corked.parts(), size);
    sending.parts[sending.part_count++] = std::span(sending.copy.data(), size);
    sending.kept_count = 0;
  }
  Submission& send = sending.submission;
  send.kind = Submission::Kind::kSend;
  send.zero_copy = false;
  send.address = nullptr;
  if (!loop_
           ->StartSubmission(send,
                             std::span(sending.parts).first(sending.part_count))
           .ok()) [[unlikely]] {
    // Why, the run in earnest is told.
    QueueAll(frame.corked);
    loop_->memory().GiveBlock(std::move(sending.copy));
    ReturnChunks(*loop_, chunks);
    sending.kept_count = 0;
    return;
  }
  if (!kept) ReturnChunks(*loop_, chunks);
  frame.corked.Clear();
  send_submitted_ = true;
  sending.unrecorded = size;
  if (!send.reported) return;
  if (send.result == static_cast<std::int64_t>(size)) {
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
  EndpointSubmissions::Sending* const sending = mine.sending.get();
  if (sending != nullptr && sending->submission.reported) {
    if (sending->unrecorded == 0 ||
        sending->submission.result !=
            static_cast<std::int64_t>(sending->unrecorded)) {
      return -1;
    }
    sending->submission.reported = false;
    EndShortCopy();
  }
  frame.running = this;
  running_ = true;
  int told = 0;
  // Those that what is corked is in.
  std::array<std::int32_t, kMostTold> kept;
  std::size_t kept_count = 0;
  while (lends_) {
    if (told == kMostTold) [[unlikely]] {
      again_ = true;
      break;
    }
    const std::optional<ReceivedChunk> chunk = loop_->NextChunk(mine.receive);
    if (!chunk.has_value()) break;
    loop_->CountLentBufferHere();
    frame.lent_now = chunk->data;
    receive_handler_(Received{.data = chunk->data, .status = {}});
    if (frame.corked.RefersTo(chunk->data)) {
      kept[kept_count++] = chunk->id;
    } else {
      loop_->ReturnChunk(chunk->id);
    }
    ++told;
  }
  if (!frame.corked.empty()) {
    SubmitShortCopy(frame, std::span(kept).first(kept_count));
  } else {
    ReturnChunks(*loop_, std::span(kept).first(kept_count));
  }
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
