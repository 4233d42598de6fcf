// Bytes that are known by their place, so that one that is lost, doubled or out
// of order is seen wherever it comes out.

#ifndef WEIR_TESTS_MODEL_BYTE_PATTERN_H_
#define WEIR_TESTS_MODEL_BYTE_PATTERN_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "weir/file.h"

namespace weir::model {

// The pattern begins anew after so many bytes; a prime, so that no size that is
// lost is a multiple of it.
inline constexpr std::uint64_t kPatternPeriod = 65521;

// Writes what belongs at `place` and behind it.
void FillPattern(std::span<std::byte> room, std::uint64_t place);

// The first byte of `data` that does not belong there; data.size() if all do.
std::size_t FirstStrayByte(std::span<const std::byte> data,
                           std::uint64_t place);

// A file that holds the pattern from its beginning, four periods of it. Any
// thread.
const File& PatternFile();
// The offset in it at which what belongs at `place` begins.
inline std::uint64_t PatternOffset(std::uint64_t place) {
  return place % kPatternPeriod;
}

}  // namespace weir::model

#endif  // WEIR_TESTS_MODEL_BYTE_PATTERN_H_
