// The buffers of a transfer as Winsock wants them.

#ifndef WEIR_PLATFORM_WINDOWS_SOCKET_BUFFERS_H_
#define WEIR_PLATFORM_WINDOWS_SOCKET_BUFFERS_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <span>

#include "platform/socket_io.h"
#include "platform/windows/winsock.h"

namespace weir::platform {

// The first kMaxVectorBuffers of them, and of each what a ULONG can say.
class SocketBuffers {
 public:
  template <typename Byte>
  explicit SocketBuffers(std::span<Byte> buffer) : count_(1) {
    Set(0, buffer);
  }
  template <typename Byte>
  explicit SocketBuffers(std::span<const std::span<Byte>> buffers)
      : count_(std::min(buffers.size(), kMaxVectorBuffers)) {
    for (std::size_t i = 0; i < count_; ++i) Set(i, buffers[i]);
  }

  WSABUF* data() { return buffers_.data(); }
  DWORD count() const { return static_cast<DWORD>(count_); }
  // How many bytes they have together.
  std::size_t size() const {
    std::size_t total = 0;
    for (std::size_t i = 0; i < count_; ++i) total += buffers_[i].len;
    return total;
  }

 private:
  template <typename Byte>
  void Set(std::size_t i, std::span<Byte> buffer) {
    constexpr std::size_t kMost = std::numeric_limits<ULONG>::max();
    // WSASend takes no pointer to const, but writes nothing.
    buffers_[i].buf = const_cast<CHAR*>(
        reinterpret_cast<const CHAR*>(buffer.data()));
    buffers_[i].len = static_cast<ULONG>(std::min(buffer.size(), kMost));
  }

  const std::size_t count_;
  // Only the first count_ are initialised.
  std::array<WSABUF, kMaxVectorBuffers> buffers_;
};

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_WINDOWS_SOCKET_BUFFERS_H_
