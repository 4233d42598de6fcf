// A backend as a user of Weir would write one: poll(2), from the public
// header weir/backend.h alone. Nothing of Weir's own backends or platform is used.

#ifndef WEIR_TESTS_BACKENDS_POLL_BACKEND_H_
#define WEIR_TESTS_BACKENDS_POLL_BACKEND_H_

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tests/backends/poll_system.h"
#include "weir/backend.h"

namespace weir::test {

// Single-shot: a watch ends with its first report. Any number of threads may
// run the loop.
class PollBackend final : public Backend {
 public:
  // Reports at most `max_events` sockets a turn.
  explicit PollBackend(int max_events);
  ~PollBackend() override;

  std::string_view name() const override { return "poll"; }
  Capabilities capabilities() const override {
    return {.readiness_model = ReadinessModel::kSingleShot};
  }

  absl::Status Arm(WatchedSocket& socket, const Watch& from,
                   const Watch& to) override;
  absl::Status Submit() override;
  absl::Status Wait(std::int64_t timeout_ns) override;
  void Collect(ReadyList& ready) override;
  void Wake() override;
  std::uint64_t system_calls() const override { return system_calls_.load(); }

 private:
  struct Armed {
    Condition conditions = Condition::kNone;
    // Tells a watch from an earlier one of the same socket.
    std::uint64_t serial = 0;
    // The serial number of the first one after the last report.
    std::uint64_t since = 0;
  };
  struct Waited {
    WatchedSocket* socket = nullptr;
    std::uint64_t serial = 0;
    std::uint64_t since = 0;
    Condition conditions = Condition::kNone;
  };

  const std::size_t max_events_;
  PollWakeUp wake_up_;
  std::atomic<std::uint64_t> system_calls_{0};

  // Arm and Submit may run while another thread is in Wait.
  std::mutex mu_;
  std::unordered_map<WatchedSocket*, Armed> armed_;
  std::uint64_t last_serial_ = 0;
  bool waiting_ = false;
  bool changed_ = false;

  // Of the present wait; polls_[0] is the wake-up, waited_ starts after it.
  std::vector<PollRequest> polls_;
  std::vector<Waited> waited_;
};

}  // namespace weir::test

#endif  // WEIR_TESTS_BACKENDS_POLL_BACKEND_H_
