#include "platform/termination.h"

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/const_init.h"
#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "platform/error.h"
#include "platform/windows/winsock.h"

namespace weir::platform {

// A handler routine runs on a thread of its own, which the system makes for it:
// it may take a lock. But while it runs, the list of handlers is locked: nobody
// who holds this lock may change that. So ours is put into it once and stays,
// and without a watch leaves the event to the next.
struct TerminationWatch::Registry {
  static absl::Status Add(TerminationWatch& watch) ABSL_LOCKS_EXCLUDED(mutex);
  static void Remove(TerminationWatch& watch) ABSL_LOCKS_EXCLUDED(mutex);
  // Whether there was a watch to tell.
  static bool Notify() ABSL_LOCKS_EXCLUDED(mutex);
  static BOOL WINAPI Handle(DWORD event);
  static std::vector<TerminationWatch*>& Watches()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  static absl::Mutex mutex;
  static bool installed ABSL_GUARDED_BY(mutex);
};

// There are no signal handlers to find watches without a lock for.
struct TerminationWatch::Slot {};

ABSL_CONST_INIT absl::Mutex TerminationWatch::Registry::mutex(absl::kConstInit);
bool TerminationWatch::Registry::installed = false;

// Never destroyed: a handler may run while the process ends.
std::vector<TerminationWatch*>& TerminationWatch::Registry::Watches() {
  static auto* const watches = new std::vector<TerminationWatch*>;
  return *watches;
}

bool TerminationWatch::Registry::Notify() {
  absl::MutexLock lock(&mutex);
  for (TerminationWatch* watch : Watches()) watch->Notify();
  return !Watches().empty();
}

BOOL WINAPI TerminationWatch::Registry::Handle(DWORD event) {
  switch (event) {
    case CTRL_C_EVENT:
    case CTRL_BREAK_EVENT:
      return Notify() ? TRUE : FALSE;
    case CTRL_CLOSE_EVENT:
    case CTRL_LOGOFF_EVENT:
    case CTRL_SHUTDOWN_EVENT:
      if (!Notify()) return FALSE;
      // The process ends when this returns, and after some seconds in any case
      // (HandlerRoutine, Microsoft Learn): until then main() has time to return.
      ::Sleep(INFINITE);
      return TRUE;
    default:
      return FALSE;
  }
}

absl::Status TerminationWatch::Registry::Add(TerminationWatch& watch) {
  absl::MutexLock lock(&mutex);
  if (!installed && ::SetConsoleCtrlHandler(&Handle, TRUE) == FALSE) {
    return SystemError(static_cast<int>(::GetLastError()),
                       "SetConsoleCtrlHandler");
  }
  installed = true;
  Watches().push_back(&watch);
  return absl::OkStatus();
}

void TerminationWatch::Registry::Remove(TerminationWatch& watch) {
  absl::MutexLock lock(&mutex);
  std::erase(Watches(), &watch);
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

TerminationWatch::~TerminationWatch() { Registry::Remove(*this); }

void TerminationWatch::Notify() {
  requested_.store(true, std::memory_order_release);
  wake_();
}

}  // namespace weir::platform
