// What the handlers of one stream have given to SendCopy while they were
// called, to be sent together when they have returned.

#ifndef WEIR_CORE_CORKED_DATA_H_
#define WEIR_CORE_CORKED_DATA_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "weir/stream.h"

namespace weir::internal {

// In order. Owns none of it: what was lent to the handler stays where it is,
// the rest is copied into a buffer of the thread.
class CorkedData {
 public:
  static constexpr std::size_t kMostParts = 16;

  bool empty() const { return count_ == 0; }
  bool full() const { return count_ == kMostParts; }
  std::span<const ConstBuffer> parts() const {
    return std::span(parts_).first(count_);
  }
  std::size_t size() const {
    std::size_t size = 0;
    for (const ConstBuffer& part : parts()) size += part.size();
    return size;
  }
  // Whether all of it is where it was lent.
  bool all_lent() const { return copied_ == 0; }
  // Whether a part of it is in `buffer`.
  bool RefersTo(ConstBuffer buffer) const {
    for (const ConstBuffer& part : parts()) {
      if (IsIn(part, buffer)) return true;
    }
    return false;
  }
  static bool IsIn(ConstBuffer data, ConstBuffer buffer) {
    return reinterpret_cast<std::uintptr_t>(data.data()) -
               reinterpret_cast<std::uintptr_t>(buffer.data()) <
           buffer.size();
  }

  // Where it is now, it stays until it is sent.
  void Add(ConstBuffer data) { parts_[count_++] = data; }
  // Copies it into `buffer`, which is the same each time. False if there is no
  // room.
  bool AddCopy(ConstBuffer data, std::span<std::byte> buffer);
  // `bytes` of it have been sent, and not all.
  void Skip(std::size_t bytes);
  void Clear() {
    count_ = 0;
    copied_ = 0;
  }

 private:
  // A lent part of less is copied, once there is more to be sent with it.
  static constexpr std::size_t kWorthAPart = 1024;

  std::size_t count_ = 0;
  // Of the buffer.
  std::size_t copied_ = 0;
  std::array<ConstBuffer, kMostParts> parts_;
};

}  // namespace weir::internal

#endif  // WEIR_CORE_CORKED_DATA_H_
