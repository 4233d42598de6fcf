// The runtime's record of one operation, and queues of them.

#ifndef WEIR_CORE_OPERATION_RECORD_H_
#define WEIR_CORE_OPERATION_RECORD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/synchronization/mutex.h"
#include "core/mutex.h"
#include "core/timer_wheel.h"
#include "weir/backend.h"
#include "weir/counted_ref.h"
#include "weir/datagram_socket.h"
#include "weir/file.h"
#include "weir/listener.h"
#include "weir/native_socket.h"
#include "weir/operation.h"
#include "weir/socket_address.h"

namespace weir::internal {

class Endpoint;
class LoopCore;

// Any thread. The last one destroys the loop.
void AddReference(LoopCore& loop);
void DropReference(LoopCore& loop);

// Memory for a copy of what is to be sent.
class CopyBlock {
 public:
  // What blocks that are used again have room for.
  static constexpr std::size_t kUsual = 16384;

  CopyBlock() = default;
  explicit CopyBlock(std::size_t size)
      : data_(new std::byte[size]), size_(size) {}
  CopyBlock(CopyBlock&& other) noexcept
      : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
  CopyBlock& operator=(CopyBlock&& other) noexcept {
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  std::byte* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  void reset() { *this = CopyBlock(); }

 private:
  std::unique_ptr<std::byte[]> data_;
  std::size_t size_ = 0;
};

// Recycled: see OperationPool. Everything but `references`, `done` and what Wait
// reads belongs to whoever has the endpoint (Endpoint::Guard), or, before it is
// queued, to the thread that starts it.
class OperationRecord final : public TimerNode {
 public:
  enum class Kind : std::uint8_t {
    kReceive,
    kReceiveFrom,
    kAccept,
    kAddressChange,
    kConnect,
    kSend,
    kSendTo,
    kSendCopy,
    kSendFile,
    kFlush,
    kDisconnect,
    kReset,
    // Not an operation: the rest of a receiver after an error.
    kPause,
  };
  enum class Phase : std::uint8_t {
    kQueued,  // in its endpoint's queue of a direction
    kEnded,   // in its queue of those to be indicated
    kDone,    // indicated
  };

  OperationRecord() : TimerNode(TimerNode::Owner::kOperation) {}

  static Operation MakeHandle(OperationRecord* record) {
    Operation handle;
    record->Ref();
    handle.record_ = record;
    return handle;
  }

  void Ref() { references.fetch_add(1, std::memory_order_relaxed); }
  // True if that was the last: the caller frees or recycles it. Whoever has the
  // only one is the only one who could make another.
  bool Unref() {
    return references.load(std::memory_order_acquire) == 1 ||
           references.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }

  // Calls the handler. An accept makes its stream first, and is done only then;
  // all others are marked done before.
  void Indicate();
  // As it was made. Not while it is referenced.
  void Clear();

  // What is to be sent.
  void SetBuffer(ConstBuffer data) {
    // Nothing is written through it: the kinds that receive have other buffers.
    buffers.push_back(
        std::span(const_cast<std::byte*>(data.data()), data.size()));
    size += data.size();
  }
  void SetBuffers(std::span<const ConstBuffer> data);
  // Of kSendCopy: takes `data` into `block`, which has room for it.
  void SetCopy(ConstBuffer data, CopyBlock block);
  // False if there is no room.
  bool AppendCopy(ConstBuffer data);

  // What a handle can ask for is there from now on. Without a handle nobody else
  // can look.
  void MarkDone() {
    if (references.load(std::memory_order_acquire) == 1) return;
    absl::MutexLock lock(&mu);
    done.store(true, std::memory_order_release);
  }
  void IndicateAccept();

  // A receive of a stream with one buffer, and nothing besides: no handle, no
  // deadline.
  bool IsPlainReceive() const {
    return kind == Kind::kReceive && buffers.size() == 1 && keep == nullptr;
  }
  // A copy that the mechanism is sending, all of it and nothing else.
  bool IsSubmittedCopy() const {
    return kind == Kind::kSendCopy && submitted && result.bytes == 0 &&
           result.status.ok();
  }
  OperationRecord* next = nullptr;
  Kind kind = Kind::kReceive;
  Phase phase = Phase::kDone;
  bool truncated = false;
  // The mechanism has it, alone or with others: its end, which is asked for if
  // result.status says so, waits for the report.
  bool submitted = false;
  bool zero_copy = false;
  // A send of which bytes went out: buffers[0] begins with the first unsent.
  std::uint32_t next_buffer = 0;
  // The frame whose thread indicates it; 0: any.
  std::uint64_t thread = 0;
  // Of kSendTo: not 0, the data are several datagrams, each this long.
  std::size_t segment_bytes = 0;
  std::atomic<std::uint32_t> references{0};

  Completion result;
  // Bytes to be sent; sent are result.bytes.
  std::uint64_t size = 0;
  absl::InlinedVector<std::span<std::byte>, 4> buffers;
  SocketAddress address;
  // Of kSendFile: what is left, or what the mechanism sends of it.
  FilePart part;
  NativeSocket accepted = kInvalidSocket;
  // Of kSendCopy: what buffers[0] points into.
  CopyBlock copy;
  // At most one of them; which, the kind says.
  CompletionHandler handler;
  AcceptHandler accept_handler;
  DatagramHandler datagram_handler;
  // Where an accepted stream goes.
  CountedRef<LoopCore> target;
  // Set if something besides the endpoint names the record: a handle, a timer.
  CountedRef<Endpoint> keep;

  std::atomic<bool> done{false};
  Mutex mu;
};

// First in, first out; holds one reference of each.
class OperationQueue {
 public:
  bool empty() const { return head_ == nullptr; }
  OperationRecord* front() const { return head_; }
  bool HasOne() const { return head_ != nullptr && head_ == tail_; }
  OperationRecord* back() const { return tail_; }

  void Push(OperationRecord* record) {
    record->next = nullptr;
    (tail_ == nullptr ? head_ : tail_->next) = record;
    tail_ = record;
  }
  // `other` goes behind what there is, and belongs to this one.
  void Append(const OperationQueue& other) {
    if (other.empty()) return;
    (tail_ == nullptr ? head_ : tail_->next) = other.head_;
    tail_ = other.tail_;
  }
  OperationRecord* Pop() {
    OperationRecord* record = head_;
    if (record != nullptr) {
      head_ = record->next;
      if (head_ == nullptr) tail_ = nullptr;
      record->next = nullptr;
    }
    return record;
  }
  bool Remove(OperationRecord* record) {
    OperationRecord* before = nullptr;
    for (OperationRecord* at = head_; at != nullptr;
         before = at, at = at->next) {
      if (at != record) continue;
      (before == nullptr ? head_ : before->next) = at->next;
      if (tail_ == at) tail_ = before;
      at->next = nullptr;
      return true;
    }
    return false;
  }

 private:
  OperationRecord* head_ = nullptr;
  OperationRecord* tail_ = nullptr;
};

// Records that wait for their next use, so that an operation in the steady state
// allocates nothing. The owner serialises its calls.
class OperationPool {
 public:
  OperationPool() = default;
  OperationPool(const OperationPool&) = delete;
  OperationPool& operator=(const OperationPool&) = delete;
  ~OperationPool();

  // Null if there is none.
  OperationRecord* Take() {
    if (!free_.empty()) --size_;
    return free_.Pop();
  }
  // False if there are enough.
  bool Give(OperationRecord* record) {
    if (size_ >= kMost) return false;
    ++size_;
    free_.Push(record);
    return true;
  }

 private:
  static constexpr int kMost = 4096;
  OperationQueue free_;
  int size_ = 0;
};

}  // namespace weir::internal

#endif  // WEIR_CORE_OPERATION_RECORD_H_
