// Sending for an endpoint, with non-blocking calls while it is thought to be
// writable.

#include <algorithm>
#include <array>
#include <utility>

#include "core/endpoint.h"
#include "platform/datagram_io.h"
#include "platform/error.h"
#include "platform/socket_io.h"
#include "platform/sockets.h"
#include "weir/status.h"

namespace weir::internal {
namespace {

using Kind = OperationRecord::Kind;

// What one run sends from files before the others have their turn.
constexpr std::uint64_t kMostFileBytes = 1 << 20;

}  // namespace

void Endpoint::ProgressSends() {
  while (OperationRecord* record = sends_.front()) {
    if (send_submitted_ || no_room_) return;
    switch (record->kind) {
      case Kind::kFlush:
        sends_.Pop();
        End(record, failure_);
        continue;
      case Kind::kDisconnect: {
        sends_.Pop();
        absl::Status status = failure_;
        if (status.ok()) {
          status = platform::Shutdown(socket(), ShutdownDirection::kSend);
        }
        End(record, std::move(status));
        continue;
      }
      default:
        break;
    }
    if (!writable_) return;
    switch (record->kind) {
      case Kind::kConnect:
        if (Submits() && !connecting_) {
          SubmitConnect(record);
        } else {
          ProgressConnect(record);
        }
        break;
      case Kind::kSendFile:
        if (!SendFromFile(record)) return;
        break;
      default:
        if (type_ == SocketType::kDatagram) {
          SendDatagrams();
        } else {
          SendGathered();
        }
        break;
    }
  }
}

void Endpoint::ProgressConnect(OperationRecord* record) {
  absl::Status status;
  if (!connecting_) {
    const auto result = platform::Connect(socket(), record->address);
    if (result.ok() && *result == platform::ConnectResult::kInProgress) {
      connecting_ = true;
      writable_ = false;
      return;
    }
    status = result.status();
  } else {
    status = platform::TakeError(socket(), "connect",
                                 record->address.ToString());
  }
  connecting_ = false;
  FinishConnect(record, std::move(status));
}

void Endpoint::FinishConnect(OperationRecord* record, absl::Status status) {
  // Made, and reset before anybody looked: the first transfer tells.
  const ErrorCause cause = CauseOf(status);
  if (cause == ErrorCause::kConnectionReset ||
      cause == ErrorCause::kBrokenPipe) {
    failure_ = std::exchange(status, absl::OkStatus());
  }
  if (status.ok()) {
    role_.store(SocketRole::kConnected, std::memory_order_release);
  } else {
    role_.store(SocketRole::kUnconnected, std::memory_order_release);
    broken_.store(true, std::memory_order_release);
  }
  sends_.Pop();
  End(record, std::move(status));
}

// All that waits, up to the next operation of another kind, in one call.
void Endpoint::SendGathered() {
  if (!failure_.ok()) {
    EndAll(sends_, failure_);
    return;
  }
  OperationRecord* const first = sends_.front();
  if (first->next == nullptr && first->buffers.size() == 1 && !Submits())
      [[likely]] {
    SendAlone(first);
    return;
  }
  SendTogether();
}

// One buffer, and nothing to go out with it.
void Endpoint::SendAlone(OperationRecord* record) {
  std::span<std::byte>& data = record->buffers[0];
  if (record->next_buffer == 0 && !data.empty()) {
    const platform::IoOutcome outcome = platform::Send(socket(), data);
    if (outcome.bytes < data.size()) {
      NoteUnsent(outcome);
      if (outcome.ok()) NoteSent(outcome.bytes, 1);
      return;
    }
    record->result.bytes += outcome.bytes;
    CountUnsent(std::uint64_t{0} - outcome.bytes);
  }
  sends_.Pop();
  End(record, absl::OkStatus());
}

void Endpoint::NoteUnsent(const platform::IoOutcome& outcome) {
  if (outcome.error == 0) {
    writable_ = false;
  } else {
    failure_ = platform::SystemError(outcome.error, "send");
    EndAll(sends_, failure_);
  }
}

void Endpoint::SendTogether() {
  std::size_t offered = 0;
  if (Submits()) {
    std::array<std::span<std::byte>, platform::kMaxVectorBuffers> buffers;
    const std::size_t count = Gather(buffers, &offered);
    if (offered > 0) {
      SubmitSends(std::span(buffers).first(count));
    } else {
      NoteSent(0, count);
    }
    return;
  }
  std::array<ConstBuffer, platform::kMaxVectorBuffers> buffers;
  const std::size_t count = Gather(buffers, &offered);
  platform::IoOutcome outcome;
  if (offered > 0) {
    outcome = count == 1 ? platform::Send(socket(), buffers[0])
                         : platform::SendVector(
                               socket(), std::span(buffers).first(count));
  }
  if (outcome.bytes < offered) NoteUnsent(outcome);
  if (outcome.ok()) NoteSent(outcome.bytes, count);
}

void Endpoint::NoteSent(std::size_t bytes, std::size_t count) {
  while (OperationRecord* record = sends_.front()) {
    if (record->kind != Kind::kSend && record->kind != Kind::kSendCopy) return;
    while (record->next_buffer < record->buffers.size()) {
      // A buffer that was not offered is not sent, empty or not.
      if (count == 0) return;
      std::span<std::byte>& buffer = record->buffers[record->next_buffer];
      const std::size_t sent = std::min(bytes, buffer.size());
      bytes -= sent;
      record->result.bytes += sent;
      CountUnsent(std::uint64_t{0} - sent);
      if (sent < buffer.size()) {
        buffer = buffer.subspan(sent);
        return;
      }
      --count;
      ++record->next_buffer;
    }
    sends_.Pop();
    End(record, absl::OkStatus());
    if (count == 0) return;
  }
}

// What waits, as much as one call takes. One that is refused ends alone: where
// it is not the first, the next round begins with it.
void Endpoint::SendDatagrams() {
  std::array<platform::OutgoingDatagram, platform::kMaxDatagramBatch> batch;
  std::array<ConstBuffer, platform::kMaxBatchBuffers> buffers;
  std::size_t count = 0;
  std::size_t used = 0;
  for (const OperationRecord* at = sends_.front();
       at != nullptr && count < batch.size() &&
       (at->kind == Kind::kSendTo || at->kind == Kind::kSendCopy) &&
       at->buffers.size() <= buffers.size() - used;
       at = at->next) {
    const std::span parts = std::span(buffers).subspan(used, at->buffers.size());
    std::copy(at->buffers.begin(), at->buffers.end(), parts.begin());
    used += parts.size();
    const bool to_peer = at->address.family() == AddressFamily::kUnspecified;
    batch[count++] = {.data = parts,
                      .destination = to_peer ? nullptr : &at->address,
                      .segment_size = at->segment_bytes};
  }
  const platform::BatchOutcome outcome =
      platform::SendDatagrams(socket(), std::span(batch).first(count));
  if (outcome.would_block) {
    writable_ = false;
    return;
  }
  if (outcome.error != 0) {
    OperationRecord* record = sends_.Pop();
    const bool to_peer = batch[0].destination == nullptr;
    End(record, platform::SystemError(
                    outcome.error, "send",
                    to_peer ? "" : record->address.ToString()));
    return;
  }
  for (std::size_t i = 0; i < outcome.count; ++i) {
    OperationRecord* record = sends_.Pop();
    record->result.bytes = record->size;
    CountUnsent(std::uint64_t{0} - record->size);
    End(record, absl::OkStatus());
  }
}

// False: others have waited long enough.
bool Endpoint::SendFromFile(OperationRecord* record) {
  std::uint64_t budget = kMostFileBytes;
  absl::Status status = failure_;
  while (status.ok() && record->result.bytes < record->size) {
    if (budget == 0) {
      again_ = true;
      return false;
    }
    const std::uint64_t most =
        std::min(budget, record->size - record->result.bytes);
    const platform::IoOutcome outcome =
        platform::SendFile(socket(), record->file,
                           record->offset + record->result.bytes, most);
    if (outcome.would_block) {
      writable_ = false;
      return true;
    }
    if (outcome.error != 0) {
      status = failure_ = platform::SystemError(outcome.error, "send file");
      break;
    }
    if (outcome.bytes == 0) break;
    record->result.bytes += outcome.bytes;
    budget -= outcome.bytes;
  }
  sends_.Pop();
  End(record, std::move(status));
  return true;
}

bool Endpoint::Cork(LoopCore::Frame& frame, ConstBuffer data) {
  if (corked_ == 0 && IsLent(frame, data)) {
    cork_ = data.data();
    corked_ = data.size();
    return true;
  }
  const std::span<std::byte> buffer = loop_->CorkBuffer(frame);
  if (data.size() > buffer.size() - corked_) return false;
  if (cork_ != buffer.data()) {
    std::copy_n(cork_, corked_, buffer.begin());
    cork_ = buffer.data();
  }
  std::copy(data.begin(), data.end(), buffer.begin() + corked_);
  corked_ += data.size();
  return true;
}

absl::StatusOr<std::size_t> Endpoint::SendCopyWithCare(ConstBuffer data) {
  LoopCore::Frame* const frame = FrameInHandler();
  if (frame != nullptr && MayCork(data) && Cork(*frame, data)) {
    return unsent_.load(std::memory_order_relaxed) + corked_;
  }
  if (absl::Status status = CheckConnected("send"); !status.ok()) return status;
  return SendCopyTo(data, SocketAddress());
}

// What is left of `data` of which a send has returned `tried`.
void Endpoint::QueueUnsent(ConstBuffer data, std::int64_t tried) {
  const platform::IoOutcome outcome =
      platform::AfterTry(socket(), data, tried);
  if (outcome.error != 0) {
    failure_ = platform::SystemError(outcome.error, "send");
  } else if (outcome.bytes < data.size()) {
    writable_ = false;
    QueueCopy(data.subspan(outcome.bytes), SocketAddress());
  }
}

void Endpoint::AppendCopy(ConstBuffer data) {
  if (data.empty()) return;
  if (LoopCore::Frame* const frame = FrameInHandler();
      frame != nullptr && !Submits() && sends_.empty() &&
      data.size() < kWorthACall && Cork(*frame, data)) {
    return;
  }
  QueueCorked();
  if (sends_.empty() && writable_ && failure_.ok() &&
      data.size() >= kWorthACall) {
    const platform::IoOutcome outcome = platform::Send(socket(), data);
    if (outcome.ok()) data = data.subspan(outcome.bytes);
    if (outcome.would_block || (outcome.ok() && !data.empty())) {
      writable_ = false;
    }
    if (outcome.error != 0) {
      failure_ = platform::SystemError(outcome.error, "send");
      return;
    }
  }
  if (data.empty()) return;
  OperationRecord* last = sends_.back();
  // What the mechanism has may not grow under its hands.
  if (last != nullptr && last->kind == Kind::kSendCopy && !last->submitted &&
      last->AppendCopy(data)) {
    CountUnsent(data.size());
    return;
  }
  QueueCopy(data, SocketAddress());
}

void Endpoint::QueueCopy(ConstBuffer data, const SocketAddress& destination) {
  OperationRecord* record = NewOperation(Kind::kSendCopy);
  record->SetCopy(data, loop_->TakeBlock(data.size()));
  record->address = destination;
  record->phase = OperationRecord::Phase::kQueued;
  Admit(record, absl::InfiniteDuration());
}

}  // namespace weir::internal
