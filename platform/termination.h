// The user's or the system's request to end the process: SIGINT and SIGTERM,
// or Ctrl-C on Windows (P04).

#ifndef WEIR_PLATFORM_TERMINATION_H_
#define WEIR_PLATFORM_TERMINATION_H_

#include <atomic>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"

namespace weir::platform {

// While at least one watch exists, a request does not end the process but
// reaches every watch. When the last one goes, the process reacts as it did
// before the first (unless somebody else has set a handler meanwhile, which
// then stays).
class TerminationWatch {
 public:
  // `wake` is called after each request was noted. It runs inside a signal
  // handler, on any thread and possibly on several at once, or, on Windows, on a
  // thread of the system's: it must be async-signal-safe, and do no more than
  // wake. It is not called
  // any more once the destructor has returned.
  // An error: the system did not let a handler be set. Any thread.
  static absl::StatusOr<std::unique_ptr<TerminationWatch>> Create(
      absl::AnyInvocable<void() const> wake);

  // Any thread, but not from within `wake`.
  ~TerminationWatch();

  TerminationWatch(const TerminationWatch&) = delete;
  TerminationWatch& operator=(const TerminationWatch&) = delete;

  // Whether there was a request since the last call: true once for each
  // request or for several in a row. Any thread.
  bool TakeRequested() {
    // The load keeps the usual case free of a locked instruction.
    return requested_.load(std::memory_order_relaxed) &&
           requested_.exchange(false, std::memory_order_acquire);
  }

 private:
  struct Slot;
  struct Registry;

  explicit TerminationWatch(absl::AnyInvocable<void() const> wake);
  void Notify();

  const absl::AnyInvocable<void() const> wake_;
  std::atomic<bool> requested_{false};
  [[maybe_unused]] Slot* slot_ = nullptr;
};

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_TERMINATION_H_
