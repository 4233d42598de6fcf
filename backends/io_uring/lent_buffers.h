// Buffers that the kernel takes when it has something to receive: idle sockets
// hold none (R20, O12).

#ifndef WEIR_BACKENDS_IO_URING_LENT_BUFFERS_H_
#define WEIR_BACKENDS_IO_URING_LENT_BUFFERS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/io_uring/ring.h"
#include "weir/backend.h"

namespace weir::internal {

// A provided-buffer ring (io_uring_register_buf_ring(3)), the only one of its
// ring, and the lists of chunks that wait for their sockets.
class LentBuffers {
 public:
  static constexpr std::uint16_t kGroup = 0;

  // Unimplemented: the kernel has no such rings, or no memory for one.
  static absl::StatusOr<std::unique_ptr<LentBuffers>> Create(Ring& ring);
  ~LentBuffers();
  LentBuffers(const LentBuffers&) = delete;
  LentBuffers& operator=(const LentBuffers&) = delete;

  // The kernel has filled `bytes` of buffer `id` for `submission`.
  void Append(Submission& submission, std::int32_t id, std::size_t bytes);
  std::optional<ReceivedChunk> Next(Submission& submission);
  void Return(std::int32_t id);

 private:
  // As large as a message is without being cut, mostly; how many is a power of
  // two.
  static constexpr std::size_t kBufferBytes = 16384;
  static constexpr std::uint32_t kBuffers = 128;
  // The kernel goes through all of them in turn, and small messages are at
  // their beginnings: those are not to compete for the same lines of a cache,
  // as they would at multiples of a power of two.
  static constexpr std::size_t kLineBytes = 64;
  static constexpr std::size_t kStride = kBufferBytes + kLineBytes;

  explicit LentBuffers(io_uring_buf_ring* buffers);
  void Give(std::uint32_t id, int offset);
  std::byte* BufferOf(std::size_t id) const { return first_ + id * kStride; }

  io_uring_buf_ring* const ring_;
  const std::unique_ptr<std::byte[]> memory_;
  // In memory_, at the beginning of a line.
  std::byte* const first_;
  struct Chunk {
    std::int32_t next = -1;
    std::uint32_t bytes = 0;
  };
  std::array<Chunk, kBuffers> chunks_;
};

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_IO_URING_LENT_BUFFERS_H_
