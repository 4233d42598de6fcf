#include "platform/termination.h"

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "platform/error.h"
#include "platform/windows/winsock.h"

namespace weir::platform {

// A handler routine runs on a thread of its own, which the system makes for it:
// it may take a lock. But while it runs, the list of handlers is locked: nobody
// who holds this lock may change that. So ours is put into it once and stays,
// and without a watch leaves the event to the next.
//
// The lock is the system's: one that keeps something for each thread would have
// the compiler's own library take over, and at its end free, a thread that it has
// not made (winpthreads of MinGW-w64).
struct TerminationWatch::Registry {
  class Lock {
   public:
    Lock() { ::AcquireSRWLockExclusive(&lock); }
    ~Lock() { ::ReleaseSRWLockExclusive(&lock); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
  };

  static absl::Status Add(TerminationWatch& watch);
  static void Remove(TerminationWatch& watch);
  // Whether there was a watch to tell.
  static bool Notify();
  static BOOL WINAPI Handle(DWORD event);
  // With the lock.
  static std::vector<TerminationWatch*>& Watches();

  static SRWLOCK lock;
  static bool installed;
};

// There are no signal handlers to find watches without a lock for.
struct TerminationWatch::Slot {};

constinit SRWLOCK TerminationWatch::Registry::lock = SRWLOCK_INIT;
bool TerminationWatch::Registry::installed = false;

// Never destroyed: a handler may run while the process ends.
std::vector<TerminationWatch*>& TerminationWatch::Registry::Watches() {
  static auto* const watches = new std::vector<TerminationWatch*>;
  return *watches;
}

bool TerminationWatch::Registry::Notify() {
  const Lock held;
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
  const Lock held;
  if (!installed && ::SetConsoleCtrlHandler(&Handle, TRUE) == FALSE) {
    return SystemError(static_cast<int>(::GetLastError()),
                       "SetConsoleCtrlHandler");
  }
  installed = true;
  Watches().push_back(&watch);
  return absl::OkStatus();
}

void TerminationWatch::Registry::Remove(TerminationWatch& watch) {
  const Lock held;
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
