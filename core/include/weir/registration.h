// A socket's registration with an event loop: the readiness face of Weir.

#ifndef WEIR_REGISTRATION_H_
#define WEIR_REGISTRATION_H_

#include <memory>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "weir/events.h"

namespace weir {

class Registration;

namespace internal {
class RegistrationRecord;
class LoopCore;
}  // namespace internal

// One notification, valid during the handler's call.
class Event {
 public:
  Events events() const { return events_; }
  bool readable() const { return Has(events_, Events::kReadable); }
  bool writable() const { return Has(events_, Events::kWritable); }
  bool hangup() const { return Has(events_, Events::kHangup); }
  bool error() const { return Has(events_, Events::kError); }
  bool removed() const { return Has(events_, Events::kRemoved); }

  // With error(): why, e.g. Unavailable with ErrorCause::kConnectionRefused.
  // The pending error has been taken off the socket. Otherwise OK.
  const absl::Status& status() const { return *status_; }

  // The registration that delivers this.
  Registration registration() const;

 private:
  friend class internal::LoopCore;
  explicit Event(const absl::Status& status) : status_(&status) {}
  Event(internal::RegistrationRecord& record, Events events,
        const absl::Status& status)
      : record_(&record), status_(&status), events_(events) {}

  internal::RegistrationRecord* record_ = nullptr;
  const absl::Status* status_;
  Events events_ = Events::kNone;
};

// Runs on a thread that runs the loop, never inside a call that caused it,
// never concurrently with itself (R17). It may register, change, remove and
// close anything, itself included (R16). It is destroyed on such a thread (or
// by the loop's destruction) after the event `removed` (R09).
using ReadinessHandler = absl::AnyInvocable<void(const Event&)>;

struct RegistrationOptions {
  Interest interest = Interest::kNone;
  Trigger trigger = Trigger::kLevel;
  Persistence persistence = Persistence::kPersistent;
};

// A change to a live registration; what is not set stays as it is.
struct RegistrationChange {
  std::optional<Interest> interest = std::nullopt;
  std::optional<Trigger> trigger = std::nullopt;
  std::optional<Persistence> persistence = std::nullopt;
  // Empty: the handler stays.
  ReadinessHandler handler = nullptr;
};

// A handle on a registration; copies name the same one, destroying a handle
// does nothing. Stale once the registration was removed: every call then
// fails with FailedPrecondition and changes nothing.
//
// Thread: any. A change is in force when the call returns, with one exception:
// a loop for one thread belongs to the first thread that runs it, until it is
// stopped; from another thread a change is checked at once, handed to that
// thread, and wakes it.
//
// Errors of every call: FailedPrecondition, the handle is empty or stale, or
// the loop is destroyed; InvalidArgument, an interest with bits that mean
// nothing; and those named.
class Registration {
 public:
  Registration() = default;

  // Whether the registration has not been removed.
  bool is_live() const;

  // Changes interest, trigger, persistence or handler in place (R08). A fired
  // one-shot is armed again; a disabled registration stays disabled. What
  // holds is notified in the next turn, for level and edge alike (R03). Events
  // not yet delivered never reach a new handler. An empty interest is allowed
  // here: only errors are then delivered, once each.
  absl::Status Modify(RegistrationChange change) const;

  // Arms a fired one-shot again, with the same or another interest, which
  // must not be empty (InvalidArgument); also enables. What holds is notified
  // in the next turn (R06, R03). On a registration that is armed: as Modify.
  absl::Status Rearm() const;
  absl::Status Rearm(Interest interest) const;

  // Nothing is delivered until Enable or Rearm: no event, no error. Events
  // already fetched do not reach the handler once this returned on a thread
  // that runs the loop, except in a handler that is running (R07).
  absl::Status Disable() const;
  // What holds is notified in the next turn (R03). A fired one-shot stays
  // fired.
  absl::Status Enable() const;

  // Ends the registration: nothing but one event `removed` follows, also
  // from a batch already fetched (R09, R16). The socket may be closed,
  // or registered again, at once. Never waits for the kernel.
  absl::Status Remove() const;

  // For edge registrations, by whoever does I/O on the native handle: these
  // directions were drained until would-block (R05). Calls on weir::Socket do
  // this by themselves. Costs nothing where it is not needed.
  absl::Status Drained(Interest directions) const;

  friend bool operator==(const Registration&, const Registration&) = default;

 private:
  friend class Event;
  friend class internal::LoopCore;
  friend class EventLoop;
  explicit Registration(std::shared_ptr<internal::RegistrationRecord> record)
      : record_(std::move(record)) {}

  std::shared_ptr<internal::RegistrationRecord> record_;
};

}  // namespace weir

#endif  // WEIR_REGISTRATION_H_
