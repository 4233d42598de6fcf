#include "core/operation_record.h"

#include <algorithm>
#include <utility>

#include "core/endpoint.h"

namespace weir::internal {

void OperationRecord::Indicate() {
  // A connection that nothing can be made of, as the loop was stopped, is the
  // result for whoever asks.
  auto* const accept = std::get_if<AcceptHandler>(&handler);
  absl::StatusOr<AcceptedStream> stream;
  if (accept != nullptr) {
    if (result.ok()) {
      stream = Endpoint::MakeAccepted(std::exchange(accepted, kInvalidSocket),
                                      address.family(), address, target);
      result.status = stream.status();
    } else {
      stream = result.status;
    }
  }
  // Without a handle nobody else can look.
  if (references.load(std::memory_order_acquire) > 1) {
    absl::MutexLock lock(&mu);
    done.store(true, std::memory_order_release);
  }
  if (auto* transfer = std::get_if<CompletionHandler>(&handler)) {
    if (*transfer) (*transfer)(result);
  } else if (accept != nullptr) {
    (*accept)(std::move(stream));
  } else if (auto* datagram = std::get_if<DatagramHandler>(&handler)) {
    (*datagram)(DatagramCompletion{.status = result.status,
                                   .bytes = result.bytes,
                                   .truncated = truncated,
                                   .source = address});
  }
  handler = std::monostate();
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
  handler = std::monostate();
  target.reset();
  keep.reset();
  done.store(false, std::memory_order_relaxed);
}

// Nothing is written through them: the kinds that receive have other buffers.
void OperationRecord::SetBuffers(std::span<const ConstBuffer> data) {
  for (const ConstBuffer& buffer : data) {
    buffers.push_back(std::span(const_cast<std::byte*>(buffer.data()),
                                buffer.size()));
    size += buffer.size();
  }
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
