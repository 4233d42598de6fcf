#include "backends/io_uring/lent_buffers.h"

#include <sys/mman.h>

#include <cerrno>
#include <new>
#include <span>
#include <utility>

#include "platform/error.h"

namespace weir::internal {
namespace {

// Whatever the reason, there is another way to receive.
absl::Status Refused(int error, const char* operation) {
  return absl::UnimplementedError(
      platform::SystemError(error, operation).message());
}

}  // namespace

absl::StatusOr<std::unique_ptr<LentBuffers>> LentBuffers::Create(Ring& ring) {
  constexpr std::size_t kBytes = kMost * sizeof(io_uring_buf);
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                      MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
  if (memory == MAP_FAILED) return Refused(errno, "mmap");
  io_uring_buf_reg request{};
  request.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
  request.ring_entries = kMost;
  request.bgid = kGroup;
  const int result = ring.RegisterBuffers(request);
  if (result < 0) {
    munmap(memory, kBytes);
    return Refused(-result, "io_uring_register PBUF_RING");
  }
  auto* const entries = static_cast<io_uring_buf_ring*>(memory);
  io_uring_buf_ring_init(entries);
  auto buffers = std::unique_ptr<LentBuffers>(new LentBuffers(entries));
  if (!buffers->AddSlab()) return Refused(ENOMEM, "buffers to receive into");
  return buffers;
}

LentBuffers::~LentBuffers() { munmap(ring_, kMost * sizeof(io_uring_buf)); }

bool LentBuffers::AddSlab() {
  constexpr std::size_t kBytes = kSlab * kStride + kLineBytes;
  Slab& slab = slabs_[count_ / kSlab];
  slab.memory.reset(new (std::nothrow) std::byte[kBytes]);
  if (slab.memory == nullptr) return false;
  slab.first = slab.memory.get() +
               (kLineBytes -
                reinterpret_cast<std::uintptr_t>(slab.memory.get()) % kLineBytes);
  for (std::uint32_t i = 0; i < kSlab; ++i) {
    Give(count_ + i, static_cast<int>(i));
  }
  io_uring_buf_ring_advance(ring_, static_cast<int>(kSlab));
  count_ += kSlab;
  return true;
}

void LentBuffers::Give(std::uint32_t id, int offset) {
  io_uring_buf_ring_add(ring_, BufferOf(id), kBufferBytes,
                        static_cast<unsigned short>(id),
                        io_uring_buf_ring_mask(kMost), offset);
}

void LentBuffers::Append(Submission& submission, std::int32_t id,
                         std::size_t bytes) {
  chunks_[static_cast<std::size_t>(id)] = {
      .next = -1, .bytes = static_cast<std::uint32_t>(bytes)};
  if (submission.last_chunk < 0) {
    submission.first_chunk = id;
  } else {
    chunks_[static_cast<std::size_t>(submission.last_chunk)].next = id;
  }
  submission.last_chunk = id;
}

std::optional<ReceivedChunk> LentBuffers::Next(Submission& submission) {
  const std::int32_t id = submission.first_chunk;
  if (id < 0) return std::nullopt;
  const auto index = static_cast<std::size_t>(id);
  submission.first_chunk = chunks_[index].next;
  if (submission.first_chunk < 0) submission.last_chunk = -1;
  return ReceivedChunk{.data = std::span(BufferOf(index), chunks_[index].bytes),
                       .id = id};
}

bool LentBuffers::Keep(std::int32_t id) {
  if (kept_ >= count_ / 2) return false;
  ++kept_;
  chunks_[static_cast<std::size_t>(id)].kept = true;
  return true;
}

void LentBuffers::Return(std::int32_t id) {
  if (std::exchange(chunks_[static_cast<std::size_t>(id)].kept, false)) --kept_;
  Give(static_cast<std::uint32_t>(id), 0);
  io_uring_buf_ring_advance(ring_, 1);
}

}  // namespace weir::internal
