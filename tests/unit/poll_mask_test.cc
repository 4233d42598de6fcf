// Conditions as the bits of poll(2), as tables.

#include "backends/poll_mask.h"

#include <poll.h>

#include <cstdint>

#include "gtest/gtest.h"

namespace weir::internal {
namespace {

constexpr std::uint32_t kPeerClosedMask = 0x2000;  // POLLRDHUP, by the ABI

unsigned Bits(Condition conditions) {
  return static_cast<unsigned>(conditions);
}

TEST(PollMaskTest, AsksForTheDirectionsAndThePeersCloseOnly) {
  const struct {
    Condition conditions;
    std::uint32_t mask;
  } cases[] = {
      {Condition::kNone, 0},
      {Condition::kReadable, POLLIN},
      {Condition::kWritable, POLLOUT},
      {Condition::kPeerClosed, kPeerClosedMask},
      {Condition::kReadable | Condition::kWritable, POLLIN | POLLOUT},
      {Condition::kReadable | Condition::kPeerClosed, POLLIN | kPeerClosedMask},
      // "reported in any case": asking for them has no bit.
      {Condition::kClosed, 0},
      {Condition::kError, 0},
      {Condition::kAll, POLLIN | POLLOUT | kPeerClosedMask},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(PollMaskFor(c.conditions), c.mask) << Bits(c.conditions);
  }
}

TEST(PollMaskTest, UnderstandsEachReportedBit) {
  const struct {
    std::uint32_t mask;
    Condition conditions;
  } cases[] = {
      {0, Condition::kNone},
      {POLLIN, Condition::kReadable},
      {POLLOUT, Condition::kWritable},
      {kPeerClosedMask, Condition::kPeerClosed},
      {POLLHUP, Condition::kClosed},
      {POLLERR, Condition::kError},
      {POLLNVAL, Condition::kError},
      {POLLIN | POLLOUT | kPeerClosedMask | POLLHUP | POLLERR, Condition::kAll},
      // Out-of-band data alone are not readable (survey trap 30).
      {POLLPRI, Condition::kNone},
      {POLLIN | POLLPRI, Condition::kReadable},
      // io_uring adds these to what was asked for (survey 2.1, liburing #317).
      {POLLIN | POLLRDNORM, Condition::kReadable},
      {POLLOUT | POLLWRNORM, Condition::kWritable},
      {POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLWRBAND, Condition::kNone},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Bits(ConditionsFromPollMask(c.mask)), Bits(c.conditions))
        << c.mask;
  }
}

// Every mask of the five bits that mean something comes back.
TEST(PollMaskTest, WhatWasAskedForIsUnderstoodWhenReported) {
  for (unsigned bits = 0; bits < 8; ++bits) {
    const auto conditions = static_cast<Condition>(bits);
    EXPECT_EQ(Bits(ConditionsFromPollMask(PollMaskFor(conditions))), bits);
  }
}

}  // namespace
}  // namespace weir::internal
