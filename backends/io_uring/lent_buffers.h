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
// ring, and the lists of chunks that wait for their sockets. There are few buffers
// at first, and more when the kernel has had none left and there are more sockets:
// one that floods is to wait, not to be given more.
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
  // Half of them, at most, so that those who receive do not have to wait for
  // peers of others who do not.
  bool Keep(std::int32_t id);
  void Return(std::int32_t id);
  // Of a submission that may be given buffers, from its start to its end.
  void Join() { ++members_; }
  void Leave() { --members_; }
  // The kernel had no buffer left. False: there will be no more.
  bool AddForMembers() {
    return members_ > count_ && count_ < kMost && AddSlab();
  }

 private:
  // As large as a message is without being cut, mostly.
  static constexpr std::size_t kBufferBytes = 16384;
  // How many are allocated together, and, a power of two, how many there may be.
  static constexpr std::uint32_t kSlab = 128;
  static constexpr std::uint32_t kMost = 1024;
  // The kernel goes through all of them in turn, and small messages are at
  // their beginnings: those are not to compete for the same lines of a cache,
  // as they would at multiples of a power of two.
  static constexpr std::size_t kLineBytes = 64;
  static constexpr std::size_t kStride = kBufferBytes + kLineBytes;

  explicit LentBuffers(io_uring_buf_ring* buffers) : ring_(buffers) {}
  bool AddSlab();
  void Give(std::uint32_t id, int offset);
  std::byte* BufferOf(std::size_t id) const {
    return slabs_[id / kSlab].first + id % kSlab * kStride;
  }

  io_uring_buf_ring* const ring_;
  struct Slab {
    std::unique_ptr<std::byte[]> memory;
    // In `memory`, at the beginning of a line.
    std::byte* first = nullptr;
  };
  std::array<Slab, kMost / kSlab> slabs_;
  std::uint32_t count_ = 0;
  std::uint32_t members_ = 0;
  std::uint32_t kept_ = 0;
  struct Chunk {
    std::int32_t next = -1;
    std::uint32_t bytes = 0;
    bool kept = false;
  };
  std::array<Chunk, kMost> chunks_;
};

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_IO_URING_LENT_BUFFERS_H_
