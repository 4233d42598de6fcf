#include "core/operation_record.h"

#include <algorithm>
#include <utility>

#include "core/endpoint.h"

namespace weir::internal {

void OperationRecord::Indicate() {
  if (accept_handler) [[unlikely]] {
    return IndicateAccept();
  }
  if (handler) {
    handler(result);
    handler = nullptr;
  } else if (datagram_handler) {
    datagram_handler(DatagramCompletion{.status = result.status,
                                        .bytes = result.bytes,
                                        .truncated = truncated,
                                        .source = address});
    datagram_handler = nullptr;
  }
}

// A connection that nothing can be made of, as the loop was stopped, is the
// result for whoever asks.
void OperationRecord::IndicateAccept() {
  absl::StatusOr<AcceptedStream> stream;
  if (!result.ok()) {
    stream = result.status;
  } else {
    stream = Endpoint::MakeAccepted(std::exchange(accepted, kInvalidSocket),
                                    address.family(), address, *target);
    result.status = stream.status();
  }
  MarkDone();
  accept_handler(std::move(stream));
  accept_handler = nullptr;
}

void OperationRecord::Clear() {
  kind = Kind::kReceive;
  phase = Phase::kDone;
  truncated = false;
  submitted = false;
  zero_copy = false;
  next_buffer = 0;
  thread = 0;
  segment_bytes = 0;
  result.status = absl::OkStatus();
  result.bytes = 0;
  size = 0;
  // Keeps the memory of a long list for the next one.
  buffers.erase(buffers.begin(), buffers.end());
  if (!address.is_unspecified()) address = SocketAddress();
  copy.reset();
  if (handler) handler = nullptr;
  if (accept_handler) accept_handler = nullptr;
  if (datagram_handler) datagram_handler = nullptr;
  target = nullptr;
  keep = nullptr;
  done.store(false, std::memory_order_relaxed);
}

void OperationRecord::SetBuffers(std::span<const ConstBuffer> data) {
  for (const ConstBuffer& buffer : data) SetBuffer(buffer);
}

void OperationRecord::SetCopy(ConstBuffer data, CopyBlock block) {
  copy = std::move(block);
  std::copy(data.begin(), data.end(), copy.data());
  buffers.push_back(std::span(copy.data(), data.size()));
  size = data.size();
}

bool OperationRecord::AppendCopy(ConstBuffer data) {
  std::span<std::byte>& held = buffers.front();
  std::byte* const end = held.data() + held.size();
  if (copy.size() - static_cast<std::size_t>(end - copy.data()) < data.size()) {
    return false;
  }
  std::copy(data.begin(), data.end(), end);
  held = std::span(held.data(), held.size() + data.size());
  size += data.size();
  return true;
}

OperationPool::~OperationPool() {
  while (OperationRecord* record = free_.Pop()) delete record;
}

}  // namespace weir::internal
