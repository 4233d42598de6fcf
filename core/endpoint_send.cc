// Sending for an endpoint, with non-blocking calls while it is thought to be
// writable.

#include <algorithm>
#include <array>
#include <string>
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

// What a datagram on its own would meet as well.
bool IsOfDestination(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsPermissionDenied(status) || absl::IsResourceExhausted(status);
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

// Datagrams that go to the system as one call, and copies of one length for one
// destination, of whose ends nobody is told, as one walk through its network
// stack.
class Endpoint::DatagramBatch {
 public:
  explicit DatagramBatch(bool joins) : joins_(joins) {}

  // False if there is no room.
  bool Add(const OperationRecord& record) {
    const std::size_t parts = record.buffers.size();
    if (parts > buffers_.size() - used_) return false;
    const bool joined = joins_ && MayJoin(record);
    if (!joined && count_ == batch_.size()) return false;
    std::copy(record.buffers.begin(), record.buffers.end(),
              buffers_.begin() + static_cast<std::ptrdiff_t>(used_));
    used_ += parts;
    if (!joined) {
      first_ = &record;
      begin_ = used_ - parts;
      bytes_ = 0;
      batch_[count_] = {
          .data = {},
          .destination = IsToPeer(record) ? nullptr : &record.address,
          .segment_size = record.segment_bytes};
      records_[count_++] = 0;
    } else {
      batch_[count_ - 1].segment_size = first_->size;
    }
    bytes_ += record.size;
    last_bytes_ = record.size;
    ++records_[count_ - 1];
    batch_[count_ - 1].data =
        std::span(buffers_).subspan(begin_, used_ - begin_);
    return true;
  }

  platform::BatchOutcome Send(NativeSocket socket) const {
    return platform::SendDatagrams(socket, std::span(batch_).first(count_));
  }
  // How many records the datagram of that number stands for.
  std::size_t records(std::size_t number) const { return records_[number]; }

 private:
  // A datagram that is longer may not fit where it goes: the least that IPv6
  // carries everywhere, without its headers (RFC 8200, 5).
  static constexpr std::uint64_t kMostJoined = 1232;
  static constexpr std::uint64_t kMostBytes = 60'000;
  // UDP_MAX_SEGMENTS of the oldest Linux that can.
  static constexpr std::size_t kMostSegments = 64;

  static bool IsToPeer(const OperationRecord& record) {
    return record.address.family() == AddressFamily::kUnspecified;
  }

  // The last of those that are joined may be shorter, no other.
  bool MayJoin(const OperationRecord& record) const {
    return count_ > 0 && first_->kind == Kind::kSendCopy &&
           record.kind == Kind::kSendCopy && first_->size <= kMostJoined &&
           last_bytes_ == first_->size && record.size > 0 &&
           record.size <= first_->size && bytes_ + record.size <= kMostBytes &&
           records_[count_ - 1] < kMostSegments &&
           used_ - begin_ + record.buffers.size() <=
               platform::kMaxVectorBuffers &&
           record.address == first_->address;
  }

  const bool joins_;
  std::size_t count_ = 0;
  std::size_t used_ = 0;
  // Of the last datagram: the record that it began with, where its buffers
  // begin, its bytes, and those of the last record.
  const OperationRecord* first_ = nullptr;
  std::size_t begin_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t last_bytes_ = 0;
  std::array<platform::OutgoingDatagram, platform::kMaxDatagramBatch> batch_;
  std::array<std::size_t, platform::kMaxDatagramBatch> records_;
  std::array<ConstBuffer, platform::kMaxBatchBuffers> buffers_;
};

std::string Endpoint::NameOfDestination(const OperationRecord& record) {
  return record.address.is_unspecified() ? "" : record.address.ToString();
}

// What waits, as much as one call takes. One that is refused ends alone: where
// it is not the first, the next round begins with it.
void Endpoint::SendDatagrams() {
  if (!joins_known_ && !extras().sends.HasOne()) {
    joins_known_ = true;
    joins_datagrams_ = platform::TakesSegments(socket());
  }
  DatagramBatch batch(joins_datagrams_);
  for (const OperationRecord* at = extras().sends.front();
       at != nullptr &&
       (at->kind == Kind::kSendTo || at->kind == Kind::kSendCopy) &&
       batch.Add(*at);
       at = at->next) {
  }
  const platform::BatchOutcome outcome = batch.Send(socket());
  if (outcome.would_block) {
    writable_ = false;
    return;
  }
  if (outcome.error != 0) {
    absl::Status status = platform::SystemError(
        outcome.error, "send", NameOfDestination(*extras().sends.front()));
    // The way that they would take may not do that (EIO, EINVAL; udp(7)).
    if (batch.records(0) > 1 && !IsOfDestination(status)) {
      joins_datagrams_ = false;
      return;
    }
    End(own().sends.Pop(), std::move(status));
    return;
  }
  for (std::size_t i = 0; i < outcome.count; ++i) {
    for (std::size_t left = batch.records(i); left > 0; --left) {
      OperationRecord* record = own().sends.Pop();
      record->result.bytes = record->size;
      CountUnsent(std::uint64_t{0} - record->size);
      End(record, absl::OkStatus());
    }
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
         corked.AddCopy(data, loop_->CorkBuffer(frame));
}

absl::StatusOr<std::size_t> Endpoint::SendCopyWithCare(ConstBuffer data) {
  LoopCore::Frame* const frame = FrameInHandler();
  if (frame != nullptr && MayCork() && Cork(*frame, data)) {
    return unsent() + frame->corked.size() +
           (SendsUnrecorded() ? submissions->sending->unrecorded : 0);
  }
  if (absl::Status status = CheckConnected("send"); !status.ok()) return status;
  return SendCopyTo(data, SocketAddress());
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
