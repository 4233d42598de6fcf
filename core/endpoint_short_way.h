// What a report of data comes to, as a rule: what is there goes to the receiver; or
// ends the one receive that waits, whose handler starts one send, whose handler
// starts the next receive. Compiled into the loop's delivery, which comes by for
// every message. Whatever is not as expected is left to a run in earnest.

#ifndef WEIR_CORE_ENDPOINT_SHORT_WAY_H_
#define WEIR_CORE_ENDPOINT_SHORT_WAY_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/base/attributes.h"
#include "core/endpoint.h"
#include "platform/socket_io.h"

namespace weir::internal {

// Whether a receive into `buffer` has brought something, and all there was.
inline bool IsPart(std::int64_t received, std::span<const std::byte> buffer) {
  return static_cast<std::uint64_t>(received) - 1 < buffer.size() - 1;
}

ABSL_ATTRIBUTE_ALWAYS_INLINE inline int Endpoint::RunCalm(
    LoopCore::Frame& frame) {
  frame.running = this;
  running_ = true;
  const std::span<std::byte> buffer = loop_->memory().LentBuffer(frame);
  const std::int64_t tried = platform::TryReceive(socket(), buffer);
  if (!IsPart(tried, buffer)) [[unlikely]] {
    return RunUncalm(frame, buffer, tried);
  }
  loop_->CountLentBufferHere();
  receive_handler_(Received{
      .data = buffer.first(static_cast<std::size_t>(tried)), .status = {}});
  if (!frame.corked.empty()) SendCorked(frame);
  frame.running = nullptr;
  running_ = false;
  if (!calm_) [[unlikely]] {
    return 1 + Run(Condition::kNone, SubmissionResults());
  }
  return 1;
}

ABSL_ATTRIBUTE_ALWAYS_INLINE inline int Endpoint::RunExpected(
    LoopCore::Frame& frame) {
  EndpointExtras& mine = *extras_.load(std::memory_order_relaxed);
  if (!mine.receives.empty()) [[unlikely]]
    TakeShortWay();
  ShortTransfer& receive = mine.short_way.receive;
  ShortTransfer& send = mine.short_way.send;
  const std::int64_t tried = platform::TryReceive(socket(), receive.buffer);
  if (!IsPart(tried, receive.buffer)) [[unlikely]]
    return RunUnexpected(tried);
  frame.running = on_short_way_ = this;
  running_ = true;
  Completion done;
  done.bytes = static_cast<std::size_t>(tried);
  receive.Tell(done);
  int told = 1;
  for (; !again_; ++told) {
    if (send.state != ShortTransfer::State::kWaits) break;
    if (told > kMostRounds) [[unlikely]] {
      again_ = true;
      break;
    }
    const std::span<std::byte> data = send.buffer;
    const std::int64_t sent = platform::TrySend(socket(), data);
    if (sent != static_cast<std::int64_t>(data.size())) [[unlikely]] {
      LeaveShortSend(sent);
      break;
    }
    done.bytes = data.size();
    send.Tell(done);
  }
  frame.running = on_short_way_ = nullptr;
  running_ = false;
  expects_ = receive.state == ShortTransfer::State::kWaits;
  if (again_) [[unlikely]] {
    return told + Run(Condition::kNone, SubmissionResults());
  }
  return told;
}

}  // namespace weir::internal

#endif  // WEIR_CORE_ENDPOINT_SHORT_WAY_H_
