// The present state of many sockets, without waiting.

#ifndef WEIR_PLATFORM_POLL_H_
#define WEIR_PLATFORM_POLL_H_

#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "weir/native_socket.h"

namespace weir::platform {

// The values are those of weir::Condition (weir/backend.h), bit for bit.
enum class PollBits : std::uint8_t {
  kNone = 0,
  kReadable = 1,
  kWritable = 2,
  // The peer will send no more (POLLRDHUP).
  kHangup = 4,
  // Neither side will send any more, or a stream was never connected
  // (POLLHUP). Returned whether requested or not. On Windows, only the former,
  // and only if the connection was reset.
  kBothClosed = 8,
  // An error is pending (POLLERR), or this is no open descriptor (POLLNVAL);
  // TakeError() tells. Returned whether requested or not.
  kError = 0x40,
};

constexpr PollBits operator|(PollBits a, PollBits b) {
  return static_cast<PollBits>(static_cast<std::uint8_t>(a) |
                               static_cast<std::uint8_t>(b));
}
constexpr PollBits operator&(PollBits a, PollBits b) {
  return static_cast<PollBits>(static_cast<std::uint8_t>(a) &
                               static_cast<std::uint8_t>(b));
}
constexpr PollBits& operator|=(PollBits& a, PollBits b) { return a = a | b; }

struct PollEntry {
  NativeSocket socket = kInvalidSocket;
  PollBits requested = PollBits::kNone;
  // Set by PollNow().
  PollBits returned = PollBits::kNone;
};

// Sets every entry's `returned` to what holds of its socket at this moment.
// One system call, poll(2) with timeout zero, however many entries (none for
// no entries). Allocates only when it sees more entries than any call on the
// thread before. Any thread.
// On an error (no memory) the entries are unspecified.
absl::Status PollNow(std::span<PollEntry> entries);

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_POLL_H_
