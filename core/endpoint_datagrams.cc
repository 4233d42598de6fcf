// Sending datagrams for an endpoint: what waits goes to the system in one call,
// and copies of one length for one destination, of whose ends nobody is told,
// as one walk through its network stack.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "core/endpoint.h"
#include "platform/datagram_io.h"
#include "platform/error.h"

namespace weir::internal {
namespace {

using Kind = OperationRecord::Kind;

// Those of who did not ask for it are joined if they fit on every way: the
// least that IPv6 carries everywhere, without its headers (RFC 8200, 5). A
// longer one may have to be cut on the way, as only one that is sent alone can
// be.
constexpr std::size_t kMostJoined = 1232;

// What a datagram on its own would meet as well.
bool IsOfDestination(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsPermissionDenied(status) || absl::IsResourceExhausted(status);
}

// Of a copy: how long its datagrams are, but for the last, and how many.
std::size_t SegmentOf(const OperationRecord& copy) {
  return copy.segment_bytes == 0 ? copy.size : copy.segment_bytes;
}
std::size_t SegmentsOf(const OperationRecord& copy) {
  return copy.segment_bytes == 0
             ? 1
             : (copy.size + copy.segment_bytes - 1) / copy.segment_bytes;
}

// Several, which nobody but the sender of all of them knows to be together.
bool IsOfSeveral(const OperationRecord& record) {
  return record.kind == Kind::kSendCopy && record.segment_bytes != 0;
}

}  // namespace

class Endpoint::DatagramBatch {
 public:
  // False if there is no room.
  bool Add(const OperationRecord& record) {
    const std::size_t parts = record.buffers.size();
    if (count_ == batch_.size() || parts > buffers_.size() - used_) {
      return false;
    }
    const std::span<ConstBuffer> data =
        std::span(buffers_).subspan(used_, parts);
    std::copy(record.buffers.begin(), record.buffers.end(), data.begin());
    used_ += parts;
    batch_[count_++] = {
        .data = data,
        .destination = IsToPeer(record) ? nullptr : &record.address,
        .segment_size = record.segment_bytes};
    return true;
  }

  platform::BatchOutcome Send(NativeSocket socket) const {
    return platform::SendDatagrams(socket, std::span(batch_).first(count_));
  }

 private:
  static bool IsToPeer(const OperationRecord& record) {
    return record.address.family() == AddressFamily::kUnspecified;
  }

  std::size_t count_ = 0;
  std::size_t used_ = 0;
  std::array<platform::OutgoingDatagram, platform::kMaxDatagramBatch> batch_;
  std::array<ConstBuffer, platform::kMaxBatchBuffers> buffers_;
};

std::string Endpoint::NameOfDestination(const OperationRecord& record) {
  return record.address.is_unspecified() ? "" : record.address.ToString();
}

bool Endpoint::JoinsDatagrams() {
  if (!joins_known_) {
    joins_known_ = true;
    joins_datagrams_ = platform::TakesSegments(socket());
  }
  return joins_datagrams_ && !joins_in_doubt_;
}

bool Endpoint::JoinLast(ConstBuffer data, const SocketAddress& destination,
                        std::size_t segment_bytes) {
  OperationRecord* const last = extras().sends.back();
  if (last == nullptr || last->kind != Kind::kSendCopy || last->submitted ||
      data.empty() || last->size == 0 || last->address != destination) {
    return false;
  }
  const std::size_t segment = SegmentOf(*last);
  const std::size_t segments = SegmentsOf(*last);
  // The last of those that are joined may be shorter, no other.
  if (segment > kMostJoined || last->size != segment * segments ||
      (segment_bytes == 0 ? data.size() > segment : segment_bytes != segment) ||
      segments + (data.size() + segment - 1) / segment >
          platform::kMaxSegments ||
      !JoinsDatagrams() || !last->AppendCopy(data)) {
    return false;
  }
  last->segment_bytes = segment;
  CountUnsent(data.size());
  return true;
}

// What waits, as much as one call takes. One that is refused ends alone: where
// it is not the first, the next round begins with it.
void Endpoint::SendDatagrams() {
  if (IsOfSeveral(*extras().sends.front()) && !JoinsDatagrams()) SplitFirst();
  DatagramBatch batch;
  for (const OperationRecord* at = extras().sends.front();
       at != nullptr &&
       (at->kind == Kind::kSendTo || at->kind == Kind::kSendCopy) &&
       (!IsOfSeveral(*at) || JoinsDatagrams()) && batch.Add(*at);
       at = at->next) {
  }
  const platform::BatchOutcome outcome = batch.Send(socket());
  if (outcome.would_block) {
    writable_ = false;
    return;
  }
  if (outcome.error != 0) {
    FirstDatagramRefused(outcome.error);
    return;
  }
  if (joins_in_doubt_) joins_in_doubt_ = joins_datagrams_ = false;
  for (std::size_t sent = outcome.count; sent > 0; --sent) {
    OperationRecord* record = own().sends.Pop();
    record->result.bytes = record->size;
    CountUnsent(std::uint64_t{0} - record->size);
    End(record, absl::OkStatus());
  }
}

// Several may have been refused because the way that they would take cannot cut
// them (EIO, EINVAL; udp(7)), or for what one alone would meet as well: how one
// fares tells.
void Endpoint::FirstDatagramRefused(int error) {
  const OperationRecord& first = *extras().sends.front();
  absl::Status status =
      platform::SystemError(error, "send", NameOfDestination(first));
  joins_in_doubt_ = false;
  if (IsOfSeveral(first)) {
    const bool too_long_for_some_ways = first.segment_bytes > kMostJoined;
    SplitFirst();
    if (!IsOfDestination(status)) {
      joins_in_doubt_ = !too_long_for_some_ways;
      return;
    }
  }
  End(own().sends.Pop(), std::move(status));
}

// The first of those to be sent becomes as many as it has datagrams.
void Endpoint::SplitFirst() {
  OperationQueue& sends = own().sends;
  OperationRecord* const several = sends.Pop();
  OperationQueue all;
  ConstBuffer data = several->buffers.front();
  while (!data.empty()) {
    const ConstBuffer one =
        data.first(std::min(data.size(), several->segment_bytes));
    all.Push(NewCopy(one, several->address));
    data = data.subspan(one.size());
  }
  all.Append(sends);
  sends = all;
  several->phase = OperationRecord::Phase::kDone;
  Release(several);
}

OperationQueue Endpoint::MakeCopies(ConstBuffer data,
                                    const SocketAddress& destination,
                                    std::size_t segment_bytes) {
  // In blocks that are used again, if they have room for several.
  std::size_t together = data.size();
  if (segment_bytes != 0) {
    together =
        segment_bytes * std::clamp(CopyBlock::kUsual / segment_bytes,
                                   std::size_t{1}, platform::kMaxSegments);
  }
  OperationQueue made;
  do {
    const ConstBuffer part = data.first(std::min(data.size(), together));
    OperationRecord* const record = NewCopy(part, destination);
    if (part.size() > segment_bytes) record->segment_bytes = segment_bytes;
    made.Push(record);
    data = data.subspan(part.size());
  } while (!data.empty());
  return made;
}

}  // namespace weir::internal
