#include "tests/model/byte_pattern.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/conformance/conformance.h"

namespace weir::model {
namespace {

constexpr std::uint64_t kPeriodsInFile = 4;

// Two periods, so that one period from any place on is in one piece.
const std::vector<std::byte>& Table() {
  static const std::vector<std::byte>* const table = [] {
    auto* made = new std::vector<std::byte>(2 * kPatternPeriod);
    std::mt19937 random(20011);
    for (std::uint64_t i = 0; i < kPatternPeriod; ++i) {
      (*made)[i] = (*made)[i + kPatternPeriod] =
          static_cast<std::byte>(random() & 0xff);
    }
    return made;
  }();
  return *table;
}

// Calls `use(part of the table, offset)` for `size` bytes from `place` on, until
// it returns false.
template <typename Use>
void ForEachPart(std::size_t size, std::uint64_t place, Use use) {
  for (std::size_t at = 0; at < size;) {
    const std::size_t part =
        std::min<std::size_t>(size - at, kPatternPeriod);
    const std::byte* from = Table().data() + (place + at) % kPatternPeriod;
    if (!use(std::span(from, part), at)) return;
    at += part;
  }
}

}  // namespace

void FillPattern(std::span<std::byte> room, std::uint64_t place) {
  ForEachPart(room.size(), place,
              [&](std::span<const std::byte> part, std::size_t at) {
                std::copy(part.begin(), part.end(), room.data() + at);
                return true;
              });
}

std::size_t FirstStrayByte(std::span<const std::byte> data,
                           std::uint64_t place) {
  std::size_t stray = data.size();
  ForEachPart(data.size(), place,
              [&](std::span<const std::byte> part, std::size_t at) {
                const std::byte* found = data.data() + at;
                if (std::memcmp(found, part.data(), part.size()) == 0) {
                  return true;
                }
                stray = at + static_cast<std::size_t>(
                                 std::mismatch(part.begin(), part.end(), found)
                                     .first -
                                 part.begin());
                return false;
              });
  return stray;
}

const File& PatternFile() {
  static const File* const file = [] {
    const std::string path = absl::StrCat(testing::TempDir(), "/weir_pattern_",
                                          test::ProcessId());
    std::FILE* out = std::fopen(path.c_str(), "wb");
    bool written = out != nullptr;
    for (std::uint64_t i = 0; written && i < kPeriodsInFile; ++i) {
      written = std::fwrite(Table().data(), 1, kPatternPeriod, out) ==
                kPatternPeriod;
    }
    written = out != nullptr && std::fclose(out) == 0 && written;
    auto* made = new File(conformance::Must(File::Open(path), "pattern file"));
    // Where it is open it goes when it is closed.
    std::remove(path.c_str());
    if (!written) ADD_FAILURE() << "cannot write " << path;
    return made;
  }();
  return *file;
}

}  // namespace weir::model
