#include "core/loop_memory.h"

#include <utility>

#include "core/loop_core.h"

namespace weir::internal {
namespace {

constexpr std::size_t kDatagramBytes = 16 * 64 * 1024;
constexpr std::size_t kMostBlocks = 1024;

void GiveBack(std::unique_ptr<std::byte[]>& buffer,
              std::vector<std::unique_ptr<std::byte[]>>& pool) {
  if (buffer != nullptr) pool.push_back(std::move(buffer));
}

}  // namespace

template <typename Use>
bool LoopMemory::WithPools(Use use) {
  if (loop_.several_threads()) {
    absl::MutexLock lock(&mu_);
    return use();
  }
  return loop_.FrameOfThisThread() != nullptr && use();
}

OperationRecord* LoopMemory::TakeOperation() {
  OperationRecord* record = nullptr;
  WithPools([&] {
    record = operations_.Take();
    return record != nullptr;
  });
  return record;
}

bool LoopMemory::GiveOperation(OperationRecord* record) {
  return WithPools([&] { return operations_.Give(record); });
}

CopyBlock LoopMemory::TakeBlock(std::size_t size) {
  if (size > CopyBlock::kUsual) return CopyBlock(size);
  CopyBlock block;
  const bool taken = WithPools([&] {
    if (blocks_.empty()) return false;
    block = std::move(blocks_.back());
    blocks_.pop_back();
    return true;
  });
  return taken ? std::move(block) : CopyBlock(CopyBlock::kUsual);
}

void LoopMemory::GiveBlock(CopyBlock block) {
  if (block.size() != CopyBlock::kUsual) return;
  WithPools([&] {
    if (blocks_.size() >= kMostBlocks) return false;
    blocks_.push_back(std::move(block));
    return true;
  });
}

void LoopMemory::Borrow(Buffer& buffer, std::vector<Buffer>& pool,
                        std::size_t size) {
  const LoopCore::Scope scope(loop_);
  if (pool.empty()) {
    buffer = std::make_unique_for_overwrite<std::byte[]>(size);
  } else {
    buffer = std::move(pool.back());
    pool.pop_back();
  }
}

std::span<std::byte> LoopMemory::DatagramBuffer(LoopFrame& frame) {
  if (frame.lent_for_datagrams == nullptr) {
    Borrow(frame.lent_for_datagrams, datagram_buffers_, kDatagramBytes);
  }
  return std::span(frame.lent_for_datagrams.get(), kDatagramBytes);
}

void LoopMemory::TakeBack(LoopFrame& frame) {
  GiveBack(frame.cork, buffers_);
  GiveBack(frame.lent, buffers_);
  GiveBack(frame.lent_for_datagrams, datagram_buffers_);
}

}  // namespace weir::internal
