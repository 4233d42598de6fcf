#include "platform/poll.h"

#include <poll.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "platform/error.h"
#include "platform/posix/retry.h"
#include "platform/posix/sockaddr.h"

namespace weir::platform {
namespace {

struct BitRow {
  PollBits bit;
  // What is asked for; 0 if it comes unasked.
  short request;
  // What in the answer means it.
  short answer;
};

constexpr BitRow kBits[] = {
    {PollBits::kReadable, POLLIN, POLLIN},
    {PollBits::kWritable, POLLOUT, POLLOUT},
    {PollBits::kHangup, POLLRDHUP, POLLRDHUP},
    {PollBits::kBothClosed, 0, POLLHUP},
    {PollBits::kError, 0, POLLERR | POLLNVAL},
};

short ToRequest(PollBits bits) {
  int request = 0;
  for (const BitRow& row : kBits) {
    if ((bits & row.bit) != PollBits::kNone) request |= row.request;
  }
  return static_cast<short>(request);
}

PollBits FromAnswer(short answer) {
  PollBits bits = PollBits::kNone;
  for (const BitRow& row : kBits) {
    if ((answer & row.answer) != 0) bits |= row.bit;
  }
  return bits;
}

// Returns 0 or an error number.
int Poll(std::span<pollfd> polls) {
  const int result =
      RetryInterrupted([&] { return ::poll(polls.data(), polls.size(), 0); });
  if (result >= 0) return 0;
  // More entries than the process may have descriptors (the limit can be set
  // below the number that are open): in halves it works.
  if (errno != EINVAL || polls.size() <= 1) return errno;
  const std::size_t half = polls.size() / 2;
  const int error = Poll(polls.first(half));
  return error != 0 ? error : Poll(polls.subspan(half));
}

absl::Status PollWith(std::span<pollfd> polls, std::span<PollEntry> entries) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    polls[i].fd = ToDescriptor(entries[i].socket);
    polls[i].events = ToRequest(entries[i].requested);
    polls[i].revents = 0;
  }
  if (const int error = Poll(polls.first(entries.size()))) {
    return SystemError(error, "poll");
  }
  for (std::size_t i = 0; i < entries.size(); ++i) {
    // poll(2) passes over a negative descriptor without a word.
    entries[i].returned =
        polls[i].fd < 0 ? PollBits::kError : FromAnswer(polls[i].revents);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status PollNow(std::span<PollEntry> entries) {
  constexpr std::size_t kFewEntries = 64;
  if (entries.empty()) return absl::OkStatus();
  if (entries.size() <= kFewEntries) {
    std::array<pollfd, kFewEntries> polls;
    return PollWith(polls, entries);
  }
  thread_local std::vector<pollfd> polls;
  if (polls.size() < entries.size()) polls.resize(entries.size());
  return PollWith(polls, entries);
}

}  // namespace weir::platform
