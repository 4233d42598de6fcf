#include "tests/backends/poll_backend.h"

#include <algorithm>

namespace weir::test {

PollBackend::PollBackend(int max_events)
    : max_events_(static_cast<std::size_t>(max_events)) {}

PollBackend::~PollBackend() = default;

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
  polls_.assign(1, {.socket = wake_up_.handle(),
                    .conditions = Condition::kReadable});
  waited_.clear();
  {
    const std::lock_guard lock(mu_);
    waiting_ = true;
    changed_ = false;
    for (const auto& [socket, armed] : armed_) {
      waited_.push_back({.socket = socket,
                         .serial = armed.serial,
                         .since = armed.since,
                         .conditions = armed.conditions});
    }
  }
  // Whoever has waited longest is reported first, so that none is starved.
  std::sort(waited_.begin(), waited_.end(),
            [](const Waited& a, const Waited& b) {
              return a.since < b.since;
            });
  for (const Waited& waited : waited_) {
    polls_.push_back({.socket = waited.socket->socket(),
                      .conditions = waited.conditions});
  }
  ++system_calls_;
  const bool polled = PollFor(polls_, timeout_ns);
  {
    const std::lock_guard lock(mu_);
    waiting_ = false;
  }
  return polled ? absl::OkStatus() : absl::InternalError("poll failed");
}

void PollBackend::Collect(ReadyList& ready) {
  if (polls_.empty()) return;
  if (polls_[0].found != Condition::kNone) {
    ++system_calls_;
    wake_up_.Drain();
  }
  const std::lock_guard lock(mu_);
  std::size_t reported = 0;
  for (std::size_t i = 0; i < waited_.size() && reported < max_events_; ++i) {
    const Condition found = polls_[i + 1].found;
    if (found == Condition::kNone) continue;
    // Forgotten, or armed anew, while the wait was under way?
    const auto armed = armed_.find(waited_[i].socket);
    if (armed == armed_.end() || armed->second.serial != waited_[i].serial) {
      continue;
    }
    ready.Report(*waited_[i].socket, found);
    armed_.erase(armed);
    ++reported;
  }
  polls_.clear();
  waited_.clear();
}

void PollBackend::Wake() {
  ++system_calls_;
  wake_up_.Signal();
}

}  // namespace weir::test
