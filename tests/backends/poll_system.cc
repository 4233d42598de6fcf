#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "tests/backends/poll_system.h"

namespace weir::test {
namespace {

constexpr struct {
  short bits;
  Condition condition;
} kBits[] = {
    {POLLIN, Condition::kReadable},
    {POLLOUT, Condition::kWritable},
    {POLLRDHUP, Condition::kPeerClosed},
    {POLLHUP, Condition::kClosed},
    {POLLERR | POLLNVAL, Condition::kError},
};

short BitsOf(Condition conditions) {
  int bits = 0;
  for (const auto& row : kBits) {
    if (Has(conditions, row.condition)) bits |= row.bits;
  }
  return static_cast<short>(bits & (POLLIN | POLLOUT | POLLRDHUP));
}

Condition ConditionsOf(short bits) {
  Condition conditions = Condition::kNone;
  for (const auto& row : kBits) {
    if ((bits & row.bits) != 0) conditions |= row.condition;
  }
  return conditions;
}

}  // namespace

bool PollFor(std::span<PollRequest> requests, std::int64_t timeout_ns) {
  thread_local std::vector<pollfd> polls;
  polls.clear();
  for (PollRequest& request : requests) {
    polls.push_back({.fd = static_cast<int>(request.socket),
                     .events = BitsOf(request.conditions),
                     .revents = 0});
    request.found = Condition::kNone;
  }
  timespec timeout{};
  timeout.tv_sec = timeout_ns / 1'000'000'000;
  timeout.tv_nsec = timeout_ns % 1'000'000'000;
  if (ppoll(polls.data(), polls.size(),
            timeout_ns == Backend::kForever ? nullptr : &timeout,
            nullptr) < 0) {
    return errno == EINTR;
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].found = ConditionsOf(polls[i].revents);
  }
  return true;
}

struct PollWakeUp::Ends {
  int read = -1;
  int write = -1;
};

PollWakeUp::PollWakeUp() : ends_(std::make_unique<Ends>()) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) std::abort();
  *ends_ = {.read = ends[0], .write = ends[1]};
}

PollWakeUp::~PollWakeUp() {
  close(ends_->read);
  close(ends_->write);
}

void PollWakeUp::Signal() {
  const int saved = errno;
  // A full pipe wakes as well.
  (void)!write(ends_->write, "", 1);
  errno = saved;
}

void PollWakeUp::Drain() {
  char buffer[64];
  while (read(ends_->read, buffer, sizeof(buffer)) > 0) {
  }
}

NativeSocket PollWakeUp::handle() const {
  return static_cast<NativeSocket>(ends_->read);
}

}  // namespace weir::test
