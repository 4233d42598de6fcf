#include "weir/event_loop.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/loop_core.h"
#include "platform/clock.h"
#include "core/socket_state.h"
#include "weir/backends.h"

namespace weir {
namespace {

absl::Status CheckOptions(const EventLoopOptions& options) {
  constexpr int kMostThreads = 1024;
  constexpr int kMostEvents = 65536;
  if (options.threads < 1 || options.threads > kMostThreads) {
    return absl::InvalidArgumentError(
        absl::StrCat("create event loop: threads must be 1 to ", kMostThreads,
                     ", not ", options.threads));
  }
  if (options.max_events < 1 || options.max_events > kMostEvents) {
    return absl::InvalidArgumentError(
        absl::StrCat("create event loop: max_events must be 1 to ",
                     kMostEvents, ", not ", options.max_events));
  }
  return absl::OkStatus();
}

}  // namespace

EventLoop::EventLoop(std::shared_ptr<internal::LoopCore> core)
    : core_(std::move(core)) {}

EventLoop::~EventLoop() { core_->Shutdown(); }

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create(
    const EventLoopOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  std::string reason;
  auto backend = CreateBackend(options.backend,
                               {.threads = options.threads,
                                .max_events = options.max_events,
                                .embedded = options.embedded},
                               &reason);
  if (!backend.ok()) return backend.status();
  return std::unique_ptr<EventLoop>(new EventLoop(
      internal::LoopCore::Create(*std::move(backend), std::move(reason),
                                 options.threads, options.embedded)));
}

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create(
    std::unique_ptr<Backend> backend, const EventLoopOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  if (backend == nullptr) {
    return absl::InvalidArgumentError("create event loop: no backend given");
  }
  return std::unique_ptr<EventLoop>(new EventLoop(
      internal::LoopCore::Create(std::move(backend), "given by the application",
                                 options.threads, options.embedded)));
}

absl::Status EventLoop::Run() {
  return core_->Run(absl::InfiniteDuration(), /*once=*/false).status();
}

absl::StatusOr<int> EventLoop::RunOnce(absl::Duration timeout) {
  return core_->Run(timeout, /*once=*/true);
}

void EventLoop::Stop() { core_->Stop(); }

absl::Status EventLoop::Post(absl::AnyInvocable<void() &&> message) {
  return core_->Post(std::move(message));
}

absl::StatusOr<Registration> EventLoop::Register(
    Socket& socket, const RegistrationOptions& options,
    ReadinessHandler handler) {
  return core_->Register(socket.shared_state(), options, std::move(handler));
}

std::vector<absl::StatusOr<Registration>> EventLoop::RegisterBatch(
    std::span<RegistrationRequest> requests) {
  return core_->RegisterBatch(requests);
}

std::vector<absl::Status> EventLoop::ModifyBatch(
    std::span<ModificationRequest> requests) {
  return core_->ModifyBatch(requests);
}

absl::StatusOr<Timer> EventLoop::CreateTimer(TimerHandler handler) {
  if (!handler) {
    return absl::InvalidArgumentError("create timer: the handler is empty");
  }
  if (absl::Status status = core_->CheckNotStopped("create timer");
      !status.ok()) {
    return status;
  }
  return Timer(
      std::make_shared<internal::TimerRecord>(core_, std::move(handler)));
}

absl::Status EventLoop::PostAfter(absl::Duration delay,
                                  absl::AnyInvocable<void() &&> message) {
  if (!message) {
    return absl::InvalidArgumentError("post after: the message is empty");
  }
  if (absl::Status status = core_->CheckNotStopped("post after");
      !status.ok()) {
    return status;
  }
  core_->SetTimer(std::make_shared<internal::TimerRecord>(
                      core_,
                      [message = std::move(message)]() mutable {
                        std::move(message)();
                      }),
                  delay <= absl::ZeroDuration()
                      ? 0
                      : absl::ToInt64Nanoseconds(delay),
                  /*period_ns=*/0);
  return absl::OkStatus();
}

absl::Status EventLoop::OnTermination(absl::AnyInvocable<void()> handler) {
  return core_->OnTermination(std::move(handler));
}

absl::StatusOr<LoopThread> EventLoop::ThisThread() const {
  const internal::LoopCore::Frame* frame = core_->FrameOfThisThread();
  if (frame == nullptr) {
    return absl::FailedPreconditionError(
        "this thread: it does not run the event loop");
  }
  return LoopThread(frame->id);
}

absl::Status EventLoop::PostTo(LoopThread thread,
                               absl::AnyInvocable<void() &&> message) {
  return core_->PostTo(thread.id_, std::move(message));
}

NativeSocket EventLoop::native_handle() const {
  return core_->backend().native_handle();
}

absl::Duration EventLoop::TimeToNextTimer() const {
  const std::int64_t next = core_->NextTimer();
  if (next == Backend::kForever) return absl::InfiniteDuration();
  return std::max(absl::ZeroDuration(),
                  absl::Nanoseconds(next - platform::MonotonicNanoseconds()));
}

std::string_view EventLoop::backend_name() const {
  return core_->backend_name();
}

std::string_view EventLoop::backend_reason() const {
  return core_->backend_reason();
}

Capabilities EventLoop::capabilities() const { return core_->capabilities(); }

LoopCounters EventLoop::counters() const { return core_->counters(); }

}  // namespace weir
