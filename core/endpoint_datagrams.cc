// Sending datagrams for an endpoint: what waits goes to the system in one call,
// and copies of one length for one destination as one walk through its network
// stack.

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
// Not more than one datagram could have.
constexpr std::uint64_t kMostBytes = 60'000;

// What a datagram on its own would meet as well.
bool IsOfDestination(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsPermissionDenied(status) || absl::IsResourceExhausted(status);
}

// Of a copy: how long its datagrams are, but for the last, and how many.
std::uint64_t SegmentOf(const OperationRecord& copy) {
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
      segments_ = 0;
      batch_[count_] = {
          .data = {},
          .destination = IsToPeer(record) ? nullptr : &record.address,
          .segment_size = record.segment_bytes};
      records_[count_++] = 0;
    } else {
      batch_[count_ - 1].segment_size = SegmentOf(*first_);
    }
    bytes_ += record.size;
    segments_ += SegmentsOf(record);
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
  static bool IsToPeer(const OperationRecord& record) {
    return record.address.family() == AddressFamily::kUnspecified;
  }

  // The last of those that are joined may be shorter, no other.
  bool MayJoin(const OperationRecord& record) const {
    return count_ > 0 && first_->kind == Kind::kSendCopy &&
           record.kind == Kind::kSendCopy &&
           SegmentOf(*first_) <= kMostJoined &&
           bytes_ == segments_ * SegmentOf(*first_) && record.size > 0 &&
           (record.segment_bytes == 0
                ? record.size <= SegmentOf(*first_)
                : record.segment_bytes == SegmentOf(*first_)) &&
           bytes_ + record.size <= kMostBytes &&
           segments_ + SegmentsOf(record) <= platform::kMaxSegments &&
           used_ - begin_ + record.buffers.size() <=
               platform::kMaxVectorBuffers &&
           record.address == first_->address;
  }

  const bool joins_;
  std::size_t count_ = 0;
  std::size_t used_ = 0;
  // Of the last datagram of the batch: the record that it began with, where its
  // buffers begin, its bytes, and how many datagrams it becomes.
  const OperationRecord* first_ = nullptr;
  std::size_t begin_ = 0;
  std::uint64_t bytes_ = 0;
  std::size_t segments_ = 0;
  std::array<platform::OutgoingDatagram, platform::kMaxDatagramBatch> batch_;
  std::array<std::size_t, platform::kMaxDatagramBatch> records_;
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
  return joins_datagrams_;
}

// What waits, as much as one call takes. One that is refused ends alone: where
// it is not the first, the next round begins with it.
void Endpoint::SendDatagrams() {
  const bool several =
      IsOfSeveral(*extras().sends.front()) || !extras().sends.HasOne();
  const bool joins = several && !joins_in_doubt_ && JoinsDatagrams();
  if (!joins && IsOfSeveral(*extras().sends.front())) SplitFirst();
  DatagramBatch batch(joins);
  for (const OperationRecord* at = extras().sends.front();
       at != nullptr &&
       (at->kind == Kind::kSendTo || at->kind == Kind::kSendCopy) &&
       (joins || !IsOfSeveral(*at)) && batch.Add(*at);
       at = at->next) {
  }
  const platform::BatchOutcome outcome = batch.Send(socket());
  if (outcome.would_block) {
    writable_ = false;
    return;
  }
  if (outcome.error != 0) {
    DatagramRefused(outcome.error, batch.records(0));
    return;
  }
  if (joins_in_doubt_) joins_in_doubt_ = joins_datagrams_ = false;
  for (std::size_t i = 0; i < outcome.count; ++i) {
    for (std::size_t left = batch.records(i); left > 0; --left) {
      OperationRecord* record = own().sends.Pop();
      record->result.bytes = record->size;
      CountUnsent(std::uint64_t{0} - record->size);
      End(record, absl::OkStatus());
    }
  }
}

// The first that is to be sent, or as many as `records` together. The way that
// they would take may not do that (EIO, EINVAL; udp(7)), or one alone would be
// refused as well: then it was not for their being together.
void Endpoint::DatagramRefused(int error, std::size_t records) {
  const OperationRecord& first = *extras().sends.front();
  absl::Status status =
      platform::SystemError(error, "send", NameOfDestination(first));
  const bool is_of_several = IsOfSeveral(first);
  const bool joined = records > 1 || SegmentOf(first) <= kMostJoined;
  if (is_of_several) SplitFirst();
  if ((records > 1 || is_of_several) && !IsOfDestination(status)) {
    // What is too long to be joined with others will not be tried again.
    joins_in_doubt_ = joined;
    return;
  }
  joins_in_doubt_ = false;
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
