#include "tests/backends/poll_backend.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>

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

PollBackend::PollBackend(int max_events)
    : max_events_(static_cast<std::size_t>(max_events)) {
  if (pipe2(pipe_, O_CLOEXEC | O_NONBLOCK) != 0) std::abort();
}

PollBackend::~PollBackend() {
  close(pipe_[0]);
  close(pipe_[1]);
}

absl::Status PollBackend::Arm(WatchedSocket& socket, const Watch& from,
                              const Watch& to) {
  const std::lock_guard lock(mu_);
  // poll(2) cannot be kept from telling, again and again, that both sides are
  // closed: an error that comes after that is not told.
  if (to.present && to != kQuietWatch) {
    Armed& armed = armed_[&socket];
    armed.conditions = to.conditions;
    armed.serial = ++last_serial_;
    if (!from.present) armed.since = armed.serial;
  } else {
    armed_.erase(&socket);
  }
  changed_ = true;
  return absl::OkStatus();
}

// A poll(2) that is under way does not see changes: it is begun anew.
absl::Status PollBackend::Submit() {
  bool again = false;
  {
    const std::lock_guard lock(mu_);
    again = waiting_ && changed_;
  }
  if (again) Wake();
  return absl::OkStatus();
}

absl::Status PollBackend::Wait(std::int64_t timeout_ns) {
  polls_.assign(1, {.fd = pipe_[0], .events = POLLIN, .revents = 0});
  waited_.clear();
  {
    const std::lock_guard lock(mu_);
    waiting_ = true;
    changed_ = false;
    for (const auto& [socket, armed] : armed_) {
      waited_.push_back({.socket = socket,
                         .serial = armed.serial,
                         .since = armed.since,
                         .events = BitsOf(armed.conditions)});
    }
  }
  // Whoever has waited longest is reported first, so that none is starved.
  std::sort(waited_.begin(), waited_.end(),
            [](const Waited& a, const Waited& b) {
              return a.since < b.since;
            });
  for (const Waited& waited : waited_) {
    polls_.push_back({.fd = static_cast<int>(waited.socket->socket()),
                      .events = waited.events,
                      .revents = 0});
  }
  timespec timeout{};
  timeout.tv_sec = timeout_ns / 1'000'000'000;
  timeout.tv_nsec = timeout_ns % 1'000'000'000;
  ++system_calls_;
  const int ready = ppoll(polls_.data(), polls_.size(),
                          timeout_ns == kForever ? nullptr : &timeout, nullptr);
  const int error = errno;
  {
    const std::lock_guard lock(mu_);
    waiting_ = false;
  }
  if (ready >= 0) return absl::OkStatus();
  for (pollfd& poll : polls_) poll.revents = 0;
  if (error == EINTR) return absl::OkStatus();
  return absl::InternalError("ppoll failed");
}

void PollBackend::Collect(ReadyList& ready) {
  if (polls_.empty()) return;
  if (polls_[0].revents != 0) {
    char buffer[64];
    ++system_calls_;
    while (read(pipe_[0], buffer, sizeof(buffer)) > 0) {
    }
  }
  const std::lock_guard lock(mu_);
  std::size_t reported = 0;
  for (std::size_t i = 0; i < waited_.size() && reported < max_events_; ++i) {
    const short bits = polls_[i + 1].revents;
    if (bits == 0) continue;
    // Forgotten, or armed anew, while the wait was under way?
    const auto armed = armed_.find(waited_[i].socket);
    if (armed == armed_.end() || armed->second.serial != waited_[i].serial) {
      continue;
    }
    ready.Report(*waited_[i].socket, ConditionsOf(bits));
    armed_.erase(armed);
    ++reported;
  }
  polls_.clear();
  waited_.clear();
}

void PollBackend::Wake() {
  const int saved = errno;
  ++system_calls_;
  // A full pipe wakes as well.
  (void)!write(pipe_[1], "", 1);
  errno = saved;
}

}  // namespace weir::test
