#include "core/corked_data.h"

#include <algorithm>

namespace weir::internal {

bool CorkedData::AddCopy(ConstBuffer data, std::span<std::byte> buffer) {
  const bool moves =
      count_ == 1 && copied_ == 0 && parts_[0].size() < kWorthAPart;
  const std::size_t moved = moves ? parts_[0].size() : 0;
  if (buffer.size() - copied_ < moved + data.size()) return false;
  if (moves) {
    std::copy(parts_[0].begin(), parts_[0].end(), buffer.begin());
    parts_[0] = buffer.first(moved);
    copied_ = moved;
  }
  std::byte* const end = buffer.data() + copied_;
  const bool continues =
      copied_ > 0 &&
      parts_[count_ - 1].data() + parts_[count_ - 1].size() == end;
  if (!continues && full()) return false;
  std::copy(data.begin(), data.end(), end);
  copied_ += data.size();
  if (continues) {
    ConstBuffer& last = parts_[count_ - 1];
    last = std::span(last.data(), last.size() + data.size());
  } else {
    Add(std::span(end, data.size()));
  }
  return true;
}

void CorkedData::Skip(std::size_t bytes) {
  std::size_t sent = 0;
  while (bytes >= parts_[sent].size()) bytes -= parts_[sent++].size();
  std::copy(parts_.begin() + sent, parts_.begin() + count_, parts_.begin());
  count_ -= sent;
  parts_[0] = parts_[0].subspan(bytes);
}

}  // namespace weir::internal
