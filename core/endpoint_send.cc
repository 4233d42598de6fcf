// Sending for an endpoint, with non-blocking calls while it is thought to be
// writable.

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "core/endpoint.h"
#include "platform/error.h"
#include "platform/socket_io.h"
#include "platform/sockets.h"
#include "weir/status.h"

namespace weir::internal {
namespace {

using Kind = OperationRecord::Kind;

// What goes out together, and in the same way, of what waits in `sends`: how
// many buffers, and `*offered` bytes.
template <typename Buffer, std::size_t kMost>
std::size_t Gather(const OperationQueue& sends,
                   std::array<Buffer, kMost>& buffers, std::size_t* offered) {
  std::size_t count = 0;
  for (OperationRecord* at = sends.front();
       at != nullptr && at->zero_copy == sends.front()->zero_copy &&
       (at->kind == Kind::kSend || at->kind == Kind::kSendCopy);
       at = at->next) {
    for (std::size_t i = at->next_buffer;
         i < at->buffers.size() && count < buffers.size(); ++i) {
      buffers[count++] = at->buffers[i];
      *offered += at->buffers[i].size();
    }
  }
  return count;
}

}  // namespace

void Endpoint::ProgressSends() {
  while (OperationRecord* record = extras().sends.front()) {
    if (send_submitted_ || no_room_) return;
    switch (record->kind) {
      case Kind::kFlush:
        own().sends.Pop();
        End(record, extras().failure);
        continue;
      case Kind::kDisconnect: {
        own().sends.Pop();
        absl::Status status = extras().failure;
        if (status.ok()) {
          status = platform::Shutdown(socket(), ShutdownDirection::kSend);
        }
        End(record, std::move(status));
        continue;
      }
      default:
        break;
    }
    if (!writable_) {
      if (submits_datagrams_ && record->segment_bytes == 0) {
        SubmitDatagram(record);
      }
      return;
    }
    switch (record->kind) {
      case Kind::kConnect:
        if (Submits() && !connecting_) {
          SubmitConnect(record);
        } else {
          ProgressConnect(record);
        }
        break;
      case Kind::kSendFile:
        if (SubmitsFile(*record)) {
          SubmitFile(record);
        } else if (!SendFromFile(record)) {
          return;
        }
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
    status =
        platform::TakeError(socket(), "connect", record->address.ToString());
  }
  connecting_ = false;
  FinishConnect(record, std::move(status));
}

void Endpoint::FinishConnect(OperationRecord* record, absl::Status status) {
  // Made, and reset before anybody looked: the first transfer tells.
  const ErrorCause cause = CauseOf(status);
  if (cause == ErrorCause::kConnectionReset ||
      cause == ErrorCause::kBrokenPipe) {
    own().failure = std::exchange(status, absl::OkStatus());
  }
  if (status.ok()) {
    role_.store(SocketRole::kConnected, std::memory_order_release);
  } else {
    role_.store(SocketRole::kUnconnected, std::memory_order_release);
    broken_.store(true, std::memory_order_release);
  }
  own().sends.Pop();
  End(record, std::move(status));
}

// All that waits, up to the next operation of another kind, in one call.
void Endpoint::SendGathered() {
  if (!extras().failure.ok()) {
    EndAll(own().sends, extras().failure);
    return;
  }
  OperationRecord* const first = extras().sends.front();
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
  own().sends.Pop();
  End(record, absl::OkStatus());
}

void Endpoint::NoteUnsent(const platform::IoOutcome& outcome) {
  if (outcome.error == 0) {
    writable_ = false;
  } else {
    own().failure = platform::SystemError(outcome.error, "send");
    EndAll(own().sends, extras().failure);
  }
}

void Endpoint::SendTogether() {
  std::size_t offered = 0;
  if (Submits()) {
    std::array<std::span<std::byte>, platform::kMaxVectorBuffers> buffers;
    const std::size_t count = Gather(extras().sends, buffers, &offered);
    if (offered > 0) {
      SubmitSends(std::span(buffers).first(count));
    } else {
      NoteSent(0, count);
    }
    return;
  }
  std::array<ConstBuffer, platform::kMaxVectorBuffers> buffers;
  const std::size_t count = Gather(extras().sends, buffers, &offered);
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
  while (OperationRecord* record = extras().sends.front()) {
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
    own().sends.Pop();
    End(record, absl::OkStatus());
    if (count == 0) return;
  }
}

// False: others have waited long enough.
bool Endpoint::SendFromFile(OperationRecord* record) {
  std::uint64_t budget = kMostFileBytes;
  absl::Status status = extras().failure;
  while (status.ok() && record->result.bytes < record->size) {
    if (budget == 0) {
      again_ = true;
      return false;
    }
    const std::uint64_t most =
        std::min(budget, record->size - record->result.bytes);
    const platform::IoOutcome outcome = platform::SendFile(
        socket(), record->part.file, record->part.offset, most);
    if (outcome.would_block) {
      writable_ = false;
      return true;
    }
    if (outcome.error != 0) {
      status = own().failure =
          platform::SystemError(outcome.error, "send file");
      break;
    }
    if (outcome.bytes == 0) break;
    record->result.bytes += outcome.bytes;
    record->part.offset += outcome.bytes;
    budget -= outcome.bytes;
  }
  own().sends.Pop();
  End(record, std::move(status));
  return true;
}

CorkedData* Endpoint::Corked() const {
  LoopCore::Frame* const frame = loop_->FrameOfThisThread();
  return frame != nullptr && frame->running == this ? &frame->corked : nullptr;
}

bool Endpoint::Cork(LoopCore::Frame& frame, ConstBuffer data) {
  CorkedData& corked = frame.corked;
  if (data.empty()) return true;
  if (!corked.full() && (corked.empty() || data.size() >= kWorthACall) &&
      CorkedData::IsIn(data, frame.lent_now)) {
    corked.Add(data);
    return true;
  }
  return data.size() < kWorthACall &&
         corked.AddCopy(data, loop_->memory().CorkBuffer(frame));
}

absl::StatusOr<std::size_t> Endpoint::SendCopyWithCare(ConstBuffer data) {
  LoopCore::Frame* const frame = FrameInHandler();
  if (frame != nullptr && MayCork() && Cork(*frame, data)) {
    return UnsentHere();
  }
  if (role() != SocketRole::kConnected) return NotConnected("send");
  return SendCopyTo(data, SocketAddress(), 0);
}

// A send of the first part has returned `tried`.
void Endpoint::SendRestOfCorked(LoopCore::Frame& frame, std::int64_t tried) {
  const std::span<const ConstBuffer> parts = frame.corked.parts();
  platform::IoOutcome outcome = platform::AfterTry(socket(), parts[0], tried);
  std::size_t sent = outcome.bytes;
  if (outcome.ok() && sent == parts[0].size() && parts.size() > 1) {
    outcome = platform::SendVector(socket(), parts.subspan(1));
    sent += outcome.bytes;
  }
  if (outcome.error != 0) {
    frame.corked.Clear();
    own().failure = platform::SystemError(outcome.error, "send");
    calm_ = false;
  } else if (sent < frame.corked.size()) {
    writable_ = false;
    frame.corked.Skip(sent);
    QueueAll(frame.corked);
  } else {
    frame.corked.Clear();
  }
}

void Endpoint::QueueAll(CorkedData& corked) {
  // What is queued has to find nothing before it.
  const CorkedData taken = std::exchange(corked, CorkedData());
  for (const ConstBuffer& part : taken.parts()) SendOrQueue(part);
}

void Endpoint::AppendCopy(ConstBuffer data) {
  if (data.empty()) return;
  if (LoopCore::Frame* const frame = FrameInHandler();
      frame != nullptr && !Submits() && extras().sends.empty() &&
      Cork(*frame, data)) {
    if (on_short_way_ == this) {
      // What comes after it has to wait for it.
      LeaveShortWay();
      again_ = true;
    }
    return;
  }
  QueueCorked();
  SendOrQueue(data);
}

// What is large is not copied if the socket takes it at once.
void Endpoint::SendOrQueue(ConstBuffer data) {
  TakeLongWay();
  if (extras().sends.empty() && writable_ && extras().failure.ok() &&
      data.size() >= kWorthACall) {
    const platform::IoOutcome outcome = platform::Send(socket(), data);
    if (outcome.ok()) data = data.subspan(outcome.bytes);
    if (outcome.would_block || (outcome.ok() && !data.empty())) {
      writable_ = false;
    }
    if (outcome.error != 0) {
      own().failure = platform::SystemError(outcome.error, "send");
      return;
    }
  }
  if (data.empty()) return;
  OperationRecord* last = extras().sends.back();
  // What the mechanism has may not grow under its hands.
  if (last != nullptr && last->kind == Kind::kSendCopy && !last->submitted &&
      last->AppendCopy(data)) {
    CountUnsent(data.size());
    return;
  }
  Admit(NewCopy(data, SocketAddress()), absl::InfiniteDuration());
}

OperationRecord* Endpoint::NewCopy(ConstBuffer data,
                                   const SocketAddress& destination) {
  OperationRecord* record = NewOperation(Kind::kSendCopy);
  record->SetCopy(data, loop_->memory().TakeBlock(data.size()));
  record->address = destination;
  record->phase = OperationRecord::Phase::kQueued;
  return record;
}

}  // namespace weir::internal
