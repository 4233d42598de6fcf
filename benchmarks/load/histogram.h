// How long each of many messages took.

#ifndef WEIR_BENCHMARKS_LOAD_HISTOGRAM_H_
#define WEIR_BENCHMARKS_LOAD_HISTOGRAM_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace benchmarks {

// Counts by value, exact to one part in 64.
class Histogram {
 public:
  void Add(std::int64_t nanoseconds) {
    ++counts_[IndexOf(
        static_cast<std::uint64_t>(std::max<std::int64_t>(nanoseconds, 0)))];
    ++total_;
  }
  void Clear() { *this = Histogram(); }

  // The value that a part `quantile` of all does not exceed.
  std::int64_t Quantile(double quantile) const {
    const double wanted = quantile * static_cast<double>(total_);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (static_cast<double>(seen) >= wanted && seen > 0) return ValueOf(i);
    }
    return 0;
  }

 private:
  static constexpr int kBits = 6;
  static constexpr std::uint64_t kParts = std::uint64_t{1} << kBits;

  // Below kParts the value itself; from there on kParts for each power of two.
  static std::size_t IndexOf(std::uint64_t value) {
    if (value < kParts) return static_cast<std::size_t>(value);
    const int shift = static_cast<int>(std::bit_width(value)) - 1 - kBits;
    return (static_cast<std::size_t>(shift) << kBits) +
           static_cast<std::size_t>(value >> shift);
  }
  static std::int64_t ValueOf(std::size_t index) {
    if (index < kParts) return static_cast<std::int64_t>(index);
    const std::size_t shift = (index >> kBits) - 1;
    return static_cast<std::int64_t>((index - (shift << kBits)) << shift);
  }

  std::array<std::uint64_t, 48 * kParts> counts_{};
  std::uint64_t total_ = 0;
};

}  // namespace benchmarks

#endif  // WEIR_BENCHMARKS_LOAD_HISTOGRAM_H_
