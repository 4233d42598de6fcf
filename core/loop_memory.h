// Memory that a loop keeps for whoever needs some next: records of operations,
// blocks of copies, and the buffers that are lent to handlers.

#ifndef WEIR_CORE_LOOP_MEMORY_H_
#define WEIR_CORE_LOOP_MEMORY_H_

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "core/loop_frame.h"
#include "core/mutex.h"
#include "core/operation_record.h"

namespace weir::internal {

class LoopMemory {
 public:
  static constexpr std::size_t kLentBytes = 64 * 1024;

  explicit LoopMemory(LoopCore& loop) : loop_(loop) {}
  LoopMemory(const LoopMemory&) = delete;
  LoopMemory& operator=(const LoopMemory&) = delete;

  // Any thread. Null, or false, if there is none, there are enough, or it is
  // not for this thread: of a loop of one thread, it is that one's alone.
  OperationRecord* TakeOperation();
  bool GiveOperation(OperationRecord* record);
  // Of a loop of one thread, by that one.
  OperationRecord* TakeOperationHere() { return operations_.Take(); }
  // Any thread.
  CopyBlock TakeBlock(std::size_t size);
  void GiveBlock(CopyBlock block);

  // The thread's whose frame it is, valid until it leaves.
  std::span<std::byte> LentBuffer(LoopFrame& frame) {
    if (frame.lent == nullptr) [[unlikely]] {
      Borrow(frame.lent, buffers_, kLentBytes);
      frame.lent_now = std::span(frame.lent.get(), kLentBytes);
    }
    return std::span(frame.lent.get(), kLentBytes);
  }
  std::span<std::byte> CorkBuffer(LoopFrame& frame) {
    if (frame.cork == nullptr) [[unlikely]] {
      Borrow(frame.cork, buffers_, kLentBytes);
    }
    return std::span(frame.cork.get(), kLentBytes);
  }
  std::span<std::byte> DatagramBuffer(LoopFrame& frame);
  // With access to the loop: what was lent to a thread that leaves.
  void TakeBack(LoopFrame& frame);

 private:
  using Buffer = std::unique_ptr<std::byte[]>;

  // Calls `use`, which says whether it could, if this thread may.
  template <typename Use>
  bool WithPools(Use use);
  // Takes a buffer of `size` from `pool`, or makes it.
  void Borrow(Buffer& buffer, std::vector<Buffer>& pool, std::size_t size);

  LoopCore& loop_;
  // Of several threads: with the lock. Of one: by that one.
  Mutex mu_;
  OperationPool operations_;
  std::vector<CopyBlock> blocks_;
  // With access to the loop.
  std::vector<Buffer> buffers_;
  std::vector<Buffer> datagram_buffers_;
};

}  // namespace weir::internal

#endif  // WEIR_CORE_LOOP_MEMORY_H_
