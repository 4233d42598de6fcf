#include "backends/epoll/epoll_backend.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <utility>
#include <vector>

#include "backends/epoll/epoll_change.h"
#include "platform/error.h"
#include "platform/posix/wake_up.h"

namespace weir::internal {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::int64_t kNsPerMillisecond = 1'000'000;

class EpollBackend final : public Backend {
 public:
  EpollBackend(int descriptor, platform::WakeUp wake_up, int max_events)
      : epoll_(descriptor),
        wake_up_(std::move(wake_up)),
        events_(static_cast<std::size_t>(max_events)) {
    linked_already_.Push(wake_up_socket_);
  }
  ~EpollBackend() override { close(epoll_); }

  // The wake-up is edge-triggered: each signal is one event and none has to be
  // read back.
  absl::Status WatchWakeUp() {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.ptr = static_cast<WatchedSocket*>(&wake_up_socket_);
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_up_.descriptor(), &event) != 0) {
      return platform::SystemError(errno, "epoll_ctl ADD");
    }
    return absl::OkStatus();
  }

  std::string_view name() const override { return "epoll"; }

  Capabilities capabilities() const override {
    return {.readiness_model = ReadinessModel::kPersistent};
  }

  absl::Status Arm(WatchedSocket& socket, const Watch& from,
                   const Watch& to) override {
    const EpollChange change = EpollChangeFor(from, to);
    if (change.operation == 0) return absl::OkStatus();
    epoll_event event{};
    event.events = change.events;
    event.data.ptr = &socket;
    CountSystemCall();
    if (epoll_ctl(epoll_, change.operation, static_cast<int>(socket.socket()),
                  &event) != 0) {
      return platform::SystemError(errno, Describe(change.operation));
    }
    return absl::OkStatus();
  }

  // Every change reached the kernel when it was made.
  absl::Status Submit() override { return absl::OkStatus(); }

  absl::Status Wait(std::int64_t timeout_ns) override {
    CountSystemCall();
    ready_ = WaitForEvents(timeout_ns);
    if (ready_ >= 0) return absl::OkStatus();
    ready_ = 0;
    // A signal: the core knows how much of the time is left.
    if (errno == EINTR) return absl::OkStatus();
    return platform::SystemError(errno, "epoll_wait");
  }

  void Collect(ReadyList& ready) override {
    ReadyList::Batch batch(ready);
    for (int i = 0; i < ready_; ++i) {
      const epoll_event& event = events_[static_cast<std::size_t>(i)];
      batch.Report(*static_cast<WatchedSocket*>(event.data.ptr),
                   ConditionsFromPollMask(event.events));
    }
    ready_ = 0;
  }

  void Wake() override { wake_up_.Signal(); }

  NativeSocket native_handle() const override {
    return static_cast<NativeSocket>(epoll_);
  }

  std::uint64_t system_calls() const override {
    return system_calls_.load(std::memory_order_relaxed);
  }

 private:
  // What the wake-up is reported of, like any other. It is on a list for ever,
  // and so no other list takes it.
  struct WakeUpSocket final : WatchedSocket {
    WakeUpSocket() : WatchedSocket(kInvalidSocket) {}
  };

  static const char* Describe(int operation) {
    switch (operation) {
      case EPOLL_CTL_ADD:
        return "epoll_ctl ADD";
      case EPOLL_CTL_MOD:
        return "epoll_ctl MOD";
      default:
        return "epoll_ctl DEL";
    }
  }

  // epoll_pwait2 (Linux 5.11) has nanoseconds. Where it is missing,
  // milliseconds are rounded up: never early (survey trap 62).
  int WaitForEvents(std::int64_t timeout_ns) {
    const int capacity = static_cast<int>(events_.size());
    if (timeout_ns > 0 && timeout_ns != kForever && has_pwait2_) {
      timespec timeout;
      timeout.tv_sec = timeout_ns / kNsPerSecond;
      timeout.tv_nsec = timeout_ns % kNsPerSecond;
      const int ready =
          epoll_pwait2(epoll_, events_.data(), capacity, &timeout, nullptr);
      if (ready >= 0 || errno != ENOSYS) return ready;
      has_pwait2_ = false;
    }
    int milliseconds = -1;
    if (timeout_ns != kForever) {
      constexpr std::int64_t kLongest = 1'000'000'000;
      const std::int64_t rounded =
          timeout_ns / kNsPerMillisecond +
          (timeout_ns % kNsPerMillisecond != 0 ? 1 : 0);
      milliseconds = static_cast<int>(std::min(rounded, kLongest));
    }
    return epoll_wait(epoll_, events_.data(), capacity, milliseconds);
  }

  void CountSystemCall() {
    system_calls_.fetch_add(1, std::memory_order_relaxed);
  }

  const int epoll_;
  platform::WakeUp wake_up_;
  WakeUpSocket wake_up_socket_;
  ReadyList linked_already_;
  std::vector<epoll_event> events_;
  int ready_ = 0;
  bool has_pwait2_ = true;
  std::atomic<std::uint64_t> system_calls_{0};
};

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> CreateEpollBackend(
    const BackendOptions& options) {
  const int descriptor = epoll_create1(EPOLL_CLOEXEC);
  if (descriptor < 0) return platform::SystemError(errno, "epoll_create1");
  auto wake_up = platform::WakeUp::Create();
  if (!wake_up.ok()) {
    close(descriptor);
    return wake_up.status();
  }
  auto backend = std::make_unique<EpollBackend>(
      descriptor, *std::move(wake_up), options.max_events);
  if (absl::Status status = backend->WatchWakeUp(); !status.ok()) {
    return status;
  }
  return backend;
}

}  // namespace weir::internal
