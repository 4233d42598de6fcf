// The event loop: what portable application code drives.

#ifndef WEIR_EVENT_LOOP_H_
#define WEIR_EVENT_LOOP_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weir/backend.h"
#include "weir/native_socket.h"
#include "weir/registration.h"
#include "weir/socket.h"
#include "weir/timer.h"

namespace weir {

namespace internal {
class SocketAttacher;
}  // namespace internal

struct EventLoopOptions {
  // One of CompiledBackends(), "auto", or empty for the build's default.
  std::string backend;
  // How many threads may be inside Run or RunOnce at a time, at least 1. With
  // one, the loop takes no lock per event and belongs to the first thread that
  // runs it.
  int threads = 1;
  // Most events taken from the kernel in one turn, 1 to 65536; the others come
  // in the next turns (none is starved).
  int max_events = 256;
  // Another loop polls this one's native_handle() and calls RunOnce (P07): a
  // wake-up makes that handle readable also while nobody is in RunOnce.
  bool embedded = false;
};

// What a loop has done since it was created (P06).
struct LoopCounters {
  std::uint64_t turns = 0;           // waits for the kernel
  std::uint64_t system_calls = 0;    // by the backend and for checks of reports
  std::uint64_t events = 0;          // handler calls for sockets, `removed` included
  std::uint64_t completions = 0;     // indications of operations and receivers
  std::uint64_t stale_reports = 0;   // kernel reports found out of date, dropped
  std::uint64_t messages = 0;        // posted functions run
  std::uint64_t timers = 0;          // timer handler calls
  std::uint64_t wake_ups = 0;        // waits cut short from another thread
  std::uint64_t buffers_lent = 0;    // to the handlers of StartReceive (O12)
  std::uint64_t registrations = 0;   // live at the moment
};

// One thread's stay in a loop: EventLoop::ThisThread. Default-constructed: none.
class LoopThread {
 public:
  LoopThread() = default;
  friend bool operator==(const LoopThread&, const LoopThread&) = default;

 private:
  friend class EventLoop;
  explicit LoopThread(std::uint64_t id) : id_(id) {}
  std::uint64_t id_ = 0;
};

// One request of RegisterBatch.
struct RegistrationRequest {
  Socket* socket = nullptr;
  RegistrationOptions options = {};
  ReadinessHandler handler = nullptr;
};

// One request of ModifyBatch.
struct ModificationRequest {
  Registration registration = {};
  RegistrationChange change = {};
};

// Threads: every function may be called from any thread, and from handlers,
// unless it says otherwise.
//
// Once the loop was stopped, everything new fails with FailedPrecondition:
// registering, posting, timers, operations. Removing, closing and cancelling
// still work; a change to a registration is taken, and nothing comes of it, so
// that a handler need not ask whether another thread has just stopped the loop.
class EventLoop {
 public:
  // Errors: as CreateBackend; InvalidArgument for options out of range.
  static absl::StatusOr<std::unique_ptr<EventLoop>> Create(
      const EventLoopOptions& options = {});

  // A loop over a mechanism of the caller's own; `options.backend` is not
  // used. InvalidArgument if `backend` is null.
  static absl::StatusOr<std::unique_ptr<EventLoop>> Create(
      std::unique_ptr<Backend> backend, const EventLoopOptions& options = {});

  // Stops the loop, waits until no other thread is inside Run, and gives every
  // live registration its `removed` and destroys its handler, on this thread;
  // messages that were not run, and the handlers of timers that are set, are
  // destroyed (C04). Sockets stay with their owners. In one of the loop's own handlers, this happens when
  // Run is about to return.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs turns until Stop; then returns OK. With `options.threads` > 1 that
  // many threads may be inside at a time (R17).
  //
  // Errors: FailedPrecondition, the loop is stopped, is already run by as many
  // threads as it was created for, is being run by this thread (a handler
  // called it), or belongs to another thread; or what the backend's wait says
  // if retrying does not mend it.
  absl::Status Run();

  // Runs one turn: waits until there is something to deliver, at most
  // `timeout` (zero: only looks, InfiniteDuration: forever), delivers, and
  // returns how many handlers and messages were called; 0 if the time was over
  // or the loop was stopped meanwhile. A signal neither shortens nor lengthens
  // the wait. Errors as Run.
  absl::StatusOr<int> RunOnce(absl::Duration timeout);

  // Wakes every thread that runs the loop and makes it return once the handler
  // it is in has returned (R19). Final: a stopped loop does not run again.
  void Stop();

  // Runs `message` on a thread that runs the loop, in the order posted, in the
  // turn after the present one, waking it at once (R18). This is also how the
  // completion of something foreign (a file read on another thread, a device)
  // joins the loop. FailedPrecondition once the loop is stopped; `message` is
  // then destroyed without having been run.
  absl::Status Post(absl::AnyInvocable<void() &&> message);

  // The calling thread's stay in Run or RunOnce. FailedPrecondition: it is in
  // none, that is, not inside a handler of this loop.
  absl::StatusOr<LoopThread> ThisThread() const;

  // Like Post, on that very thread, the next time it looks for work (O14).
  // FailedPrecondition: it does not run the loop any more. If it leaves the loop
  // before it has run the message, another thread that runs the loop does.
  absl::Status PostTo(LoopThread thread,
                      absl::AnyInvocable<void() &&> message);

  // Registers `socket` (R01). If an interesting condition holds already it is
  // notified in the next turn (R03). The socket may be moved afterwards;
  // closing it removes the registration (R10).
  //
  // Errors, each leaving everything as it was (R13): InvalidArgument, the
  // interest is empty or has bits that mean nothing, the handler is empty, or the handle turns out not to be
  // an open socket; FailedPrecondition, the socket is closed or empty, is
  // registered with another loop (R11), or the loop is stopped; AlreadyExists,
  // it is registered with this loop (R11); ResourceExhausted, the kernel has
  // no room for one more.
  // Called from a thread that does not run the loop while one thread does, or
  // where the mechanism tells later, a refusal by the kernel comes as one event
  // of `error` and `removed`.
  absl::StatusOr<Registration> Register(Socket& socket,
                                        const RegistrationOptions& options,
                                        ReadinessHandler handler);

  // The same for many, with a result for each; one that fails does not
  // disturb the others (R12, R13). The handlers of those that succeed are moved
  // from.
  std::vector<absl::StatusOr<Registration>> RegisterBatch(
      std::span<RegistrationRequest> requests);

  // Registration::Modify for many, with a result for each (R12);
  // FailedPrecondition for those that are not this loop's. A replaced handler
  // may be left in its request.
  std::vector<absl::Status> ModifyBatch(
      std::span<ModificationRequest> requests);

  // Makes a timer, not yet set. FailedPrecondition if the loop is stopped,
  // InvalidArgument if the handler is empty.
  absl::StatusOr<Timer> CreateTimer(TimerHandler handler);

  // Runs `message` once, after `delay`. Errors as Post.
  absl::Status PostAfter(absl::Duration delay,
                         absl::AnyInvocable<void() &&> message);

  // Calls `handler` through the loop at each SIGINT and SIGTERM, or Ctrl-C on
  // Windows (P04), from now until the loop is destroyed; while any loop does
  // so, these signals do not end the process. Several signals before the
  // handler runs may be one call. An empty handler means Stop(). AlreadyExists
  // if this loop has one; FailedPrecondition if it is stopped.
  absl::Status OnTermination(absl::AnyInvocable<void()> handler = nullptr);

  // To embed the loop in another one (P07): call RunOnce(ZeroDuration()) until
  // it returns 0, then wait, in the outer loop, until this handle is readable or
  // TimeToNextTimer() is over, and so on. Only with EventLoopOptions::embedded.
  // kInvalidSocket: the mechanism has no such handle. Both on the loop's thread.
  NativeSocket native_handle() const;
  // InfiniteDuration if no timer is set and no deadline is pending.
  absl::Duration TimeToNextTimer() const;

  // The backend in use ("epoll", "io_uring", or a plugged-in one's name), and
  // why, as one sentence.
  std::string_view backend_name() const;
  std::string_view backend_reason() const;
  Capabilities capabilities() const;

  LoopCounters counters() const;

 private:
  friend class internal::SocketAttacher;
  explicit EventLoop(std::shared_ptr<internal::LoopCore> core);

  std::shared_ptr<internal::LoopCore> core_;
};

}  // namespace weir

#endif  // WEIR_EVENT_LOOP_H_
