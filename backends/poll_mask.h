// Conditions as the bits of poll(2), which epoll and io_uring share.

#ifndef WEIR_BACKENDS_POLL_MASK_H_
#define WEIR_BACKENDS_POLL_MASK_H_

#include <poll.h>

#include <array>
#include <cstdint>

#include "weir/backend.h"

namespace weir::internal {

// POLLRDHUP needs _GNU_SOURCE, which g++ and clang++ define; its value is ABI.
inline constexpr std::uint32_t kPollPeerClosed = 0x2000;

struct PollBit {
  std::uint32_t mask;
  Condition condition;
};

//   condition    asked for by   reported by
//   kReadable    POLLIN         POLLIN
//   kWritable    POLLOUT        POLLOUT
//   kPeerClosed  POLLRDHUP      POLLRDHUP
//   kClosed      (always)       POLLHUP
//   kError       (always)       POLLERR, POLLNVAL
inline constexpr PollBit kPollBits[] = {
    {POLLIN, Condition::kReadable},
    {POLLOUT, Condition::kWritable},
    {kPollPeerClosed, Condition::kPeerClosed},
    {POLLHUP, Condition::kClosed},
    {POLLERR, Condition::kError},
    {POLLNVAL, Condition::kError},
};

// The bits that mean something as an index: every wait translates every event.
// kPollPeerClosed is taken to just above the others.
inline constexpr std::uint32_t kLowPollBits = 0x3f;
inline constexpr std::uint32_t kMostFolded =
    kLowPollBits | kPollPeerClosed >> 7;
constexpr std::uint32_t FoldPollMask(std::uint32_t mask) {
  return (mask & kLowPollBits) | (mask & kPollPeerClosed) >> 7;
}
static_assert(kMostFolded == 0x7f);

inline constexpr auto kConditionsOfFoldedPollMasks = [] {
  std::array<Condition, kMostFolded + 1> table{};
  for (std::uint32_t folded = 0; folded <= kMostFolded; ++folded) {
    for (const PollBit& bit : kPollBits) {
      if ((folded & FoldPollMask(bit.mask)) != 0) {
        table[folded] |= bit.condition;
      }
    }
  }
  return table;
}();

constexpr Condition ConditionsFromPollMask(std::uint32_t mask) {
  return kConditionsOfFoldedPollMasks[FoldPollMask(mask)];
}

constexpr std::uint32_t PollMaskFor(Condition conditions) {
  std::uint32_t mask = 0;
  if (Has(conditions, Condition::kReadable)) mask |= POLLIN;
  if (Has(conditions, Condition::kWritable)) mask |= POLLOUT;
  if (Has(conditions, Condition::kPeerClosed)) mask |= kPollPeerClosed;
  return mask;
}

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_POLL_MASK_H_
