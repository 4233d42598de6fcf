#include "weir/connector.h"

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/attach_socket.h"
#include "core/loop_core.h"
#include "core/mutex.h"
#include "weir/address_order.h"
#include "weir/timer.h"

namespace weir {
namespace internal {

// Everything happens on threads that run the loop, of which there may be
// several: streams and timers do not wait for each other. The race is owned by
// what will go on with it: first a message or a lookup, then the attempts. The
// EventLoop itself may be gone once its core was stopped.
class ConnectRace final : public std::enable_shared_from_this<ConnectRace> {
 public:
  ConnectRace(EventLoop& loop, ConnectHandler handler,
              const ConnectOptions& options)
      : loop_(loop),
        core_(SocketAttacher::CoreOf(loop)),
        attempt_delay_(options.attempt_delay),
        timeout_(options.timeout),
        handler_(std::move(handler)) {}

  // First of all.
  absl::Status Prepare() {
    auto delay = loop_.CreateTimer(
        [weak = weak_from_this()] {
          if (const auto race = weak.lock(); race != nullptr) race->TryNext();
        });
    if (!delay.ok()) return delay.status();
    auto limit = loop_.CreateTimer(
        [weak = weak_from_this()] {
          if (const auto race = weak.lock(); race != nullptr) {
            race->Finish(absl::DeadlineExceededError(
                "connect: no address answered in time"));
          }
        });
    if (!limit.ok()) return limit.status();
    absl::MutexLock lock(&mu_);
    delay_ = *std::move(delay);
    limit_ = *std::move(limit);
    return absl::OkStatus();
  }

  // It goes on by itself; the handler will be called. It may have been already.
  void Started(Lookup lookup) {
    Timer limit;
    {
      absl::MutexLock lock(&mu_);
      started_ = true;
      limit = std::move(limit_);
    }
    // Not with the lock: this thread may have to wait for the loop, in which
    // that is taken. Refused only if it is over, or the loop is stopped.
    if (timeout_ != absl::InfiniteDuration()) (void)limit.Set(timeout_);
    {
      absl::MutexLock lock(&mu_);
      if (handler_) {
        limit_ = std::move(limit);
        lookup_ = std::move(lookup);
        return;
      }
    }
    (void)lookup.Cancel();
  }

  void OnAddresses(absl::StatusOr<std::vector<SocketAddress>> addresses) {
    if (!addresses.ok()) return Finish(addresses.status());
    {
      absl::MutexLock lock(&mu_);
      addresses_ = InterleaveFamilies(*std::move(addresses));
    }
    TryNext();
  }

  absl::Status Cancel() {
    {
      absl::MutexLock lock(&mu_);
      if (!handler_) {
        return absl::FailedPreconditionError("connect: it has ended already");
      }
    }
    // Refused by a loop that is stopped: its end is the end of this.
    (void)core_->Post([race = shared_from_this()] {
      race->Finish(absl::CancelledError("connect: cancelled"));
    });
    return absl::OkStatus();
  }

  // What was to go on with it was destroyed instead: by the loop, or because it
  // could not be started, which nobody is told.
  void Dropped() {
    {
      absl::MutexLock lock(&mu_);
      if (!started_) return;
    }
    Finish(LoopEnded());
  }

  Connecting MakeHandle() { return Connecting(shared_from_this()); }

 private:
  using Attempts = std::list<Stream>;

  static absl::Status LoopEnded() {
    return absl::CancelledError("connect: the event loop has ended");
  }

  // Begins with the next address that can be tried at all.
  void TryNext() {
    std::optional<absl::Status> end;
    {
      absl::MutexLock lock(&mu_);
      if (!handler_) return;
      if (core_->stopped()) end = LoopEnded();
      while (!end.has_value() && next_ < addresses_.size()) {
        if (absl::Status status = Try(addresses_[next_++]); status.ok()) {
          if (next_ < addresses_.size()) (void)delay_.Set(attempt_delay_);
          return;
        } else {
          failure_ = std::move(status);
        }
      }
      if (!end.has_value() && attempts_.empty()) end = failure_;
    }
    if (end.has_value()) Finish(*std::move(end));
  }

  absl::Status Try(const SocketAddress& address)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    auto stream = Stream::Open(loop_, address.family());
    if (!stream.ok()) return stream.status();
    const auto attempt =
        attempts_.insert(attempts_.end(), *std::move(stream));
    absl::Status status = attempt->Connect(
        address, [race = shared_from_this(), attempt](const Completion& done) {
          race->OnAttempt(attempt, done.status);
        });
    if (!status.ok()) attempts_.erase(attempt);
    return status;
  }

  void OnAttempt(Attempts::iterator attempt, const absl::Status& status) {
    Stream stream;
    {
      absl::MutexLock lock(&mu_);
      // Ended: `attempt` is among those that are being closed.
      if (!handler_) return;
      stream = std::move(*attempt);
      attempts_.erase(attempt);
      if (!status.ok()) failure_ = status;
    }
    if (status.ok()) {
      Finish(std::move(stream));
    } else {
      TryNext();
    }
  }

  // What is left is closed and destroyed outside the lock: that may call back.
  void Finish(absl::StatusOr<Stream> result) {
    ConnectHandler handler;
    Attempts losers;
    Timer delay;
    Timer limit;
    Lookup lookup;
    {
      absl::MutexLock lock(&mu_);
      if (!handler_) return;
      handler = std::move(handler_);
      handler_ = nullptr;
      losers = std::move(attempts_);
      delay = std::move(delay_);
      limit = std::move(limit_);
      lookup = std::exchange(lookup_, Lookup());
    }
    (void)lookup.Cancel();
    handler(std::move(result));
  }

  // Only while the core is not stopped.
  EventLoop& loop_;
  const std::shared_ptr<LoopCore> core_;
  const absl::Duration attempt_delay_;
  const absl::Duration timeout_;

  Mutex mu_;
  bool started_ ABSL_GUARDED_BY(mu_) = false;
  // Empty: it has ended.
  ConnectHandler handler_ ABSL_GUARDED_BY(mu_);
  std::vector<SocketAddress> addresses_ ABSL_GUARDED_BY(mu_);
  std::size_t next_ ABSL_GUARDED_BY(mu_) = 0;
  Attempts attempts_ ABSL_GUARDED_BY(mu_);
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
  Timer delay_ ABSL_GUARDED_BY(mu_);
  Timer limit_ ABSL_GUARDED_BY(mu_);
  Lookup lookup_ ABSL_GUARDED_BY(mu_);
};

namespace {

// The addresses' way to the race.
class FirstStep {
 public:
  explicit FirstStep(std::shared_ptr<ConnectRace> race)
      : race_(std::move(race)) {}
  FirstStep(FirstStep&&) noexcept = default;
  ~FirstStep() {
    if (race_ != nullptr) race_->Dropped();
  }

  void Go(absl::StatusOr<std::vector<SocketAddress>> addresses) {
    std::exchange(race_, nullptr)->OnAddresses(std::move(addresses));
  }

 private:
  std::shared_ptr<ConnectRace> race_;
};

absl::Status Check(const ConnectHandler& handler,
                   const ConnectOptions& options) {
  if (!handler) {
    return absl::InvalidArgumentError("connect: the handler is empty");
  }
  if (options.timeout <= absl::ZeroDuration() ||
      options.attempt_delay <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("connect: a time is not positive");
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace internal

absl::Status Connecting::Cancel() const {
  if (race_ == nullptr) {
    return absl::FailedPreconditionError("connect: the handle is empty");
  }
  return race_->Cancel();
}

absl::Status ConnectStream(EventLoop& loop,
                           std::vector<SocketAddress> addresses,
                           ConnectHandler handler,
                           const ConnectOptions& options) {
  if (absl::Status status = internal::Check(handler, options); !status.ok()) {
    return status;
  }
  if (addresses.empty()) {
    return absl::InvalidArgumentError("connect: there is no address");
  }
  auto race = std::make_shared<internal::ConnectRace>(
      loop, std::move(handler), options);
  absl::Status status = race->Prepare();
  if (!status.ok()) return status;
  status = loop.Post([first = internal::FirstStep(race),
                      list = std::move(addresses)]() mutable {
    first.Go(std::move(list));
  });
  if (!status.ok()) return status;
  if (options.handle != nullptr) *options.handle = race->MakeHandle();
  race->Started(Lookup());
  return absl::OkStatus();
}

absl::Status ConnectStream(EventLoop& loop, Resolver& resolver,
                           std::string_view host, std::uint16_t port,
                           ConnectHandler handler,
                           const ConnectOptions& options) {
  if (absl::Status status = internal::Check(handler, options); !status.ok()) {
    return status;
  }
  auto race = std::make_shared<internal::ConnectRace>(
      loop, std::move(handler), options);
  if (absl::Status status = race->Prepare(); !status.ok()) return status;
  auto lookup = resolver.Resolve(
      host, port,
      [first = internal::FirstStep(race)](
          absl::StatusOr<std::vector<SocketAddress>> addresses) mutable {
        first.Go(std::move(addresses));
      });
  if (!lookup.ok()) return lookup.status();
  if (options.handle != nullptr) *options.handle = race->MakeHandle();
  race->Started(*std::move(lookup));
  return absl::OkStatus();
}

}  // namespace weir
