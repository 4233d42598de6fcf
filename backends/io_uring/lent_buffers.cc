#include "backends/io_uring/lent_buffers.h"

#include <sys/mman.h>

#include <cerrno>
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
  constexpr std::size_t kBytes = kBuffers * sizeof(io_uring_buf);
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                      MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
  if (memory == MAP_FAILED) return Refused(errno, "mmap");
  io_uring_buf_reg request{};
  request.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
  request.ring_entries = kBuffers;
  request.bgid = kGroup;
  const int result = ring.RegisterBuffers(request);
  if (result < 0) {
    munmap(memory, kBytes);
    return Refused(-result, "io_uring_register PBUF_RING");
  }
  return std::unique_ptr<LentBuffers>(
      new LentBuffers(static_cast<io_uring_buf_ring*>(memory)));
}

LentBuffers::LentBuffers(io_uring_buf_ring* buffers)
    : ring_(buffers),
      memory_(std::make_unique_for_overwrite<std::byte[]>(kBuffers * kStride +
                                                          kLineBytes)),
      first_(memory_.get() +
             (kLineBytes -
              reinterpret_cast<std::uintptr_t>(memory_.get()) % kLineBytes)) {
  io_uring_buf_ring_init(ring_);
  for (std::uint32_t id = 0; id < kBuffers; ++id) {
    Give(id, static_cast<int>(id));
  }
  io_uring_buf_ring_advance(ring_, static_cast<int>(kBuffers));
}

LentBuffers::~LentBuffers() { munmap(ring_, kBuffers * sizeof(io_uring_buf)); }

void LentBuffers::Give(std::uint32_t id, int offset) {
  io_uring_buf_ring_add(ring_, BufferOf(id), kBufferBytes,
                        static_cast<unsigned short>(id),
                        io_uring_buf_ring_mask(kBuffers), offset);
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

void LentBuffers::Return(std::int32_t id) {
  Give(static_cast<std::uint32_t>(id), 0);
  io_uring_buf_ring_advance(ring_, 1);
}

}  // namespace weir::internal
