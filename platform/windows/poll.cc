#include "platform/poll.h"

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "platform/error.h"
#include "platform/windows/winsock.h"

namespace weir::platform {
namespace {

SHORT ToRequest(PollBits bits) {
  int request = 0;
  if ((bits & PollBits::kReadable) != PollBits::kNone) request |= POLLRDNORM;
  if ((bits & PollBits::kWritable) != PollBits::kNone) request |= POLLWRNORM;
  return static_cast<SHORT>(request);
}

// WSAPoll's words for how a socket stands, and ours:
//
//   the peer has ended its side     POLLHUP             readable, hang-up
//   the connection was reset        POLLHUP POLLERR     all, and an error
//   the connect has failed          POLLERR             an error
//   no socket                       POLLNVAL            an error
//
// It tells POLLHUP and POLLERR unasked, and of both sides' end nothing more
// than of the peer's.
PollBits FromAnswer(SHORT answer, PollBits requested) {
  PollBits bits = PollBits::kNone;
  if ((answer & POLLRDNORM) != 0) bits |= PollBits::kReadable;
  if ((answer & POLLWRNORM) != 0) bits |= PollBits::kWritable;
  if ((answer & POLLHUP) != 0) {
    bits |= requested & (PollBits::kReadable | PollBits::kHangup);
    if ((answer & POLLERR) != 0) {
      bits |= PollBits::kBothClosed | (requested & PollBits::kWritable);
    }
  }
  if ((answer & (POLLERR | POLLNVAL)) != 0) bits |= PollBits::kError;
  return bits;
}

absl::Status PollWith(std::span<WSAPOLLFD> polls,
                      std::span<PollEntry> entries) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    polls[i].fd = ToSocket(entries[i].socket);
    polls[i].events = ToRequest(entries[i].requested);
    polls[i].revents = 0;
  }
  if (::WSAPoll(polls.data(), static_cast<ULONG>(entries.size()), 0) < 0) {
    // None of them is a socket: told of the call as well as of each.
    const int error = ::WSAGetLastError();
    if (error != WSAENOTSOCK) return SystemError(error, "poll");
    for (std::size_t i = 0; i < entries.size(); ++i) {
      polls[i].revents = POLLNVAL;
    }
  }
  for (std::size_t i = 0; i < entries.size(); ++i) {
    // A socket number that is negative is passed over without a word.
    entries[i].returned =
        entries[i].socket == kInvalidSocket
            ? PollBits::kError
            : FromAnswer(polls[i].revents, entries[i].requested);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status PollNow(std::span<PollEntry> entries) {
  constexpr std::size_t kFewEntries = 64;
  if (entries.empty()) return absl::OkStatus();
  if (entries.size() <= kFewEntries) {
    std::array<WSAPOLLFD, kFewEntries> polls;
    return PollWith(polls, entries);
  }
  thread_local std::vector<WSAPOLLFD> polls;
  if (polls.size() < entries.size()) polls.resize(entries.size());
  return PollWith(polls, entries);
}

}  // namespace weir::platform
