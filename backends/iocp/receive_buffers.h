// Buffers that are filled when there is something to receive: idle sockets hold
// none (R20, O12).

#ifndef WEIR_BACKENDS_IOCP_RECEIVE_BUFFERS_H_
#define WEIR_BACKENDS_IOCP_RECEIVE_BUFFERS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace weir::internal {

// As many as are out at the same time: one for each thread that runs the loop.
class ReceiveBuffers {
 public:
  static constexpr std::size_t kBytes = 16384;

  std::int32_t Take() {
    if (free_.empty()) {
      free_.push_back(static_cast<std::int32_t>(buffers_.size()));
      buffers_.push_back(std::make_unique_for_overwrite<std::byte[]>(kBytes));
    }
    const std::int32_t id = free_.back();
    free_.pop_back();
    return id;
  }
  void Return(std::int32_t id) { free_.push_back(id); }
  std::span<std::byte> operator[](std::int32_t id) {
    return std::span(buffers_[static_cast<std::size_t>(id)].get(), kBytes);
  }

 private:
  std::vector<std::unique_ptr<std::byte[]>> buffers_;
  std::vector<std::int32_t> free_;
};

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_IOCP_RECEIVE_BUFFERS_H_
