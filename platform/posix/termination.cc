#include "platform/termination.h"

#include <sched.h>
#include <signal.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <utility>

#include "absl/base/attributes.h"
#include "absl/base/const_init.h"
#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "platform/error.h"

namespace weir::platform {

// Where the signal handler finds a watch. Slots are linked into a list that
// only grows and are never freed, so that the handler can walk it at any
// moment without a lock; a slot whose watch is gone is used again.
struct TerminationWatch::Slot {
  std::atomic<TerminationWatch*> watch{nullptr};
  // Handlers that may be holding `watch`.
  std::atomic<int> users{0};
  Slot* next = nullptr;
};

struct TerminationWatch::Registry {
  static constexpr std::array<int, 2> kSignals = {SIGINT, SIGTERM};

  static absl::Status Add(TerminationWatch& watch) ABSL_LOCKS_EXCLUDED(mutex);
  static void Remove(TerminationWatch& watch) ABSL_LOCKS_EXCLUDED(mutex);
  static absl::Status Install() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  static void Restore(std::size_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  static Slot& TakeSlot() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  static void Clear(Slot& slot);
  static void Handle(int signal_number);

  static absl::Mutex mutex;
  static std::size_t watches ABSL_GUARDED_BY(mutex);
  static std::array<struct sigaction, kSignals.size()> previous
      ABSL_GUARDED_BY(mutex);
  static std::atomic<Slot*> slots;
};

// The handler uses nothing but these.
static_assert(std::atomic<TerminationWatch*>::is_always_lock_free);
static_assert(std::atomic<int>::is_always_lock_free);
static_assert(std::atomic<bool>::is_always_lock_free);

ABSL_CONST_INIT absl::Mutex TerminationWatch::Registry::mutex(absl::kConstInit);
std::size_t TerminationWatch::Registry::watches = 0;
std::array<struct sigaction, TerminationWatch::Registry::kSignals.size()>
    TerminationWatch::Registry::previous;
std::atomic<TerminationWatch::Slot*> TerminationWatch::Registry::slots{nullptr};

// `users` and `watch` are a pair of flags: the handler raises the one before
// it looks at the other, Clear() clears the other before it looks at the one.
// Both sides are sequentially consistent, so at least one sees the other.
void TerminationWatch::Registry::Handle(int) {
  const int kept_errno = errno;
  for (Slot* slot = slots.load(); slot != nullptr; slot = slot->next) {
    slot->users.fetch_add(1);
    if (TerminationWatch* watch = slot->watch.load()) watch->Notify();
    slot->users.fetch_sub(1);
  }
  errno = kept_errno;
}

// Takes the watch out of its slot; afterwards no handler holds it.
void TerminationWatch::Registry::Clear(Slot& slot) {
  slot.watch.store(nullptr);
  // Handlers are short and wait for nothing, and this thread is in none: it
  // would have to have interrupted itself.
  while (slot.users.load() != 0) ::sched_yield();
}

TerminationWatch::Slot& TerminationWatch::Registry::TakeSlot() {
  Slot* first = slots.load();
  for (Slot* slot = first; slot != nullptr; slot = slot->next) {
    if (slot->watch.load() == nullptr) return *slot;
  }
  Slot* slot = new Slot;
  slot->next = first;
  slots.store(slot);
  return *slot;
}

absl::Status TerminationWatch::Registry::Install() {
  struct sigaction action = {};
  action.sa_handler = &Handle;
  // Calls that the application blocks in go on.
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    if (::sigaction(kSignals[i], &action, &previous[i]) != 0) {
      const int error = errno;
      Restore(i);
      return SystemError(error, "sigaction");
    }
  }
  return absl::OkStatus();
}

// Puts back the dispositions of the first `count` signals.
void TerminationWatch::Registry::Restore(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    struct sigaction current;
    if (::sigaction(kSignals[i], nullptr, &current) == 0 &&
        (current.sa_flags & SA_SIGINFO) == 0 && current.sa_handler == &Handle) {
      ::sigaction(kSignals[i], &previous[i], nullptr);
    }
  }
}

absl::Status TerminationWatch::Registry::Add(TerminationWatch& watch) {
  absl::MutexLock lock(&mutex);
  // The slot is filled first: a signal that comes as soon as the handler is
  // set finds the watch.
  Slot& slot = TakeSlot();
  slot.watch.store(&watch);
  if (watches == 0) {
    if (absl::Status status = Install(); !status.ok()) {
      Clear(slot);
      return status;
    }
  }
  ++watches;
  watch.slot_ = &slot;
  return absl::OkStatus();
}

void TerminationWatch::Registry::Remove(TerminationWatch& watch) {
  absl::MutexLock lock(&mutex);
  if (--watches == 0) Restore(kSignals.size());
  Clear(*watch.slot_);
}

TerminationWatch::TerminationWatch(absl::AnyInvocable<void() const> wake)
    : wake_(std::move(wake)) {}

absl::StatusOr<std::unique_ptr<TerminationWatch>> TerminationWatch::Create(
    absl::AnyInvocable<void() const> wake) {
  std::unique_ptr<TerminationWatch> watch(
      new TerminationWatch(std::move(wake)));
  if (absl::Status status = Registry::Add(*watch); !status.ok()) return status;
  return watch;
}

TerminationWatch::~TerminationWatch() {
  if (slot_ != nullptr) Registry::Remove(*this);
}

void TerminationWatch::Notify() {
  requested_.store(true, std::memory_order_release);
  wake_();
}

}  // namespace weir::platform
