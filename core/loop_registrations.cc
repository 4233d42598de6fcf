// Registrations of a loop: their changes on the way down to the mechanism,
// their reports on the way up to the handler, and their end.

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/loop_core.h"
#include "platform/error.h"
#include "platform/poll.h"
#include "platform/sockets.h"
#include "weir/status.h"

namespace weir::internal {
namespace {

constexpr Condition kDirections = Condition::kReadable | Condition::kWritable;

absl::Status NotOpen() {
  return absl::FailedPreconditionError("register: the socket is not open");
}

absl::Status Stale(const char* operation) {
  return absl::FailedPreconditionError(
      absl::StrCat(operation, ": the registration has been removed"));
}

// Which directions' draining `record` wants to hear of.
std::uint8_t DrainWatch(const ReadinessState& state) {
  return state.trigger == Trigger::kEdge
             ? static_cast<std::uint8_t>(DirectionsOf(state.interest))
             : std::uint8_t{0};
}

// What a handler that is interested in `interest` can be told, besides errors.
Condition VisibleConditions(Interest interest) {
  return Has(interest, Interest::kHangup)
             ? DirectionsOf(interest) | Condition::kPeerClosed
             : DirectionsOf(interest);
}

bool MayHaveBeenDrained(const SocketState& socket) {
  return socket.touched.load(std::memory_order_relaxed) ||
         socket.reachable_otherwise.load(std::memory_order_relaxed);
}

bool IsTransient(const absl::Status& status) {
  return absl::IsResourceExhausted(status) || absl::IsUnavailable(status);
}

}  // namespace

// --- down: changes

absl::StatusOr<Registration> LoopCore::Register(
    const std::shared_ptr<SocketState>& socket,
    const RegistrationOptions& options, ReadinessHandler handler) {
  Access access(*this);
  return RegisterWithAccess(access, socket, options, handler);
}

// All elements reach the kernel together: they are noted here and handed over
// at the next wait, or, if another thread waits already, when Access ends.
std::vector<absl::StatusOr<Registration>> LoopCore::RegisterBatch(
    std::span<RegistrationRequest> requests) {
  std::vector<absl::StatusOr<Registration>> results;
  results.reserve(requests.size());
  Access access(*this);
  for (RegistrationRequest& request : requests) {
    results.push_back(RegisterWithAccess(
        access, request.socket == nullptr ? nullptr : request.socket->state_,
        request.options, request.handler));
  }
  return results;
}

absl::StatusOr<Registration> LoopCore::RegisterWithAccess(
    const Access& access, const std::shared_ptr<SocketState>& socket,
    const RegistrationOptions& options, ReadinessHandler& handler) {
  if (socket == nullptr) return NotOpen();
  if (absl::Status status = CheckNotStopped("register"); !status.ok()) {
    return status;
  }
  if (options.interest == Interest::kNone) {
    return absl::InvalidArgumentError(
        "register: the interest is empty; ask for readable, writable or "
        "hang-up");
  }
  if (!handler) {
    return absl::InvalidArgumentError("register: the handler is empty");
  }
  if (socket->foreign) {
    // It may have been closed behind our back, which a mechanism that takes
    // changes later could not tell at once.
    if (absl::Status status = platform::CheckSocket(socket->native);
        !status.ok()) {
      return status;
    }
  }
  std::shared_ptr<RegistrationRecord> record;
  {
    absl::MutexLock lock(&socket->mu);
    if (socket->closed.load(std::memory_order_relaxed)) return NotOpen();
    const std::shared_ptr<RegistrationRecord>& old = socket->registration;
    if (old != nullptr && old->live.load(std::memory_order_acquire)) {
      if (old->loop.get() == this) {
        return absl::AlreadyExistsError(
            "register: the socket is registered with this event loop");
      }
      return absl::FailedPreconditionError(
          "register: the socket is registered with another event loop");
    }
    // Another thread has asked for the removal of the old one but has not yet
    // got to it; the mechanism knows one registration of a socket at a time.
    if (access && old != nullptr && old->loop.get() == this) {
      BeginRemoval(*old);
    }
    record = std::make_shared<RegistrationRecord>(
        socket, shared_from_this(), options, std::move(handler));
    socket->registration = record;
    socket->record.store(record.get(), std::memory_order_relaxed);
    socket->loop.store(this, std::memory_order_relaxed);
    socket->drain_watch.store(DrainWatch(record->state),
                              std::memory_order_relaxed);
  }
  absl::Status status;
  if (access) {
    status = AdmitNow(record);
  } else if (!Enqueue([this, record] { Admit(record); })) {
    status = absl::FailedPreconditionError(
        "register: the event loop is destroyed");
  }
  if (!status.ok()) {
    record->live.store(false, std::memory_order_release);
    record->phase = RegistrationRecord::Phase::kEnded;
    socket->drain_watch.store(0, std::memory_order_relaxed);
    handler = std::move(record->handler);
    socket->Forget(*record);
    return status;
  }
  return Registration(std::move(record));
}

// From a command: there is nobody left to return a refusal to.
void LoopCore::Admit(const std::shared_ptr<RegistrationRecord>& record) {
  if (record->phase != RegistrationRecord::Phase::kLive) return;
  if (absl::Status status = AdmitNow(record); !status.ok()) {
    Fail(*record, std::move(status));
  }
}

// Makes it one of the loop's. A mechanism that tells refusals at once is asked
// at once; on the others the watch goes with the next changes.
absl::Status LoopCore::AdmitNow(
    const std::shared_ptr<RegistrationRecord>& record) {
  absl::Status status;
  if (rules_.model == ReadinessModel::kPersistent) {
    const weir::Watch wanted =
        WantedWatch(record->state, record->socket->role.load(), rules_);
    status = backend_->Arm(*record, weir::Watch{}, wanted);
    if (status.ok()) record->armed = wanted;
    unsubmitted_ = true;
  } else {
    MarkDirty(*record);
  }
  if (status.ok()) {
    records_.insert(record);
    counters_.registrations.store(records_.size(), std::memory_order_relaxed);
  }
  return status;
}

absl::Status LoopCore::Modify(const std::shared_ptr<RegistrationRecord>& record,
                              RegistrationChange change, bool enable) {
  Access access(*this);
  return ModifyWithAccess(access, record, change, enable);
}

std::vector<absl::Status> LoopCore::ModifyBatch(
    std::span<ModificationRequest> requests) {
  std::vector<absl::Status> results;
  results.reserve(requests.size());
  Access access(*this);
  for (ModificationRequest& request : requests) {
    const auto& record = request.registration.record_;
    if (record == nullptr || record->loop.get() != this) {
      results.push_back(absl::FailedPreconditionError(
          "modify: not a registration with this event loop"));
    } else {
      results.push_back(ModifyWithAccess(access, record, request.change,
                                         /*enable=*/false));
    }
  }
  return results;
}

absl::Status LoopCore::ModifyWithAccess(
    const Access& access, const std::shared_ptr<RegistrationRecord>& record,
    RegistrationChange& change, bool enable) {
  if (!record->live.load(std::memory_order_acquire)) return Stale(enable ? "re-arm" : "modify");
  if (access) {
    ApplyChange(*record, change, enable);
  } else {
    Enqueue([this, record, change = std::move(change), enable]() mutable {
      ApplyChange(*record, change, enable);
    });
  }
  return absl::OkStatus();
}

// A replaced handler goes back into `change`, to be destroyed outside the lock.
void LoopCore::ApplyChange(RegistrationRecord& record,
                           RegistrationChange& change, bool enable) {
  if (record.phase != RegistrationRecord::Phase::kLive) return;
  ReadinessState& state = record.state;
  SuspectReportOnItsWay(record, kDirections);
  if (change.interest.has_value()) state.interest = *change.interest;
  if (change.trigger.has_value()) state.trigger = *change.trigger;
  if (change.persistence.has_value()) state.persistence = *change.persistence;
  if (change.handler) {
    // R08: what was raised for the old handler is not told to the new one.
    ReadyList::TakeConditions(record);
    if (record.running) {
      std::swap(record.next_handler, change.handler);
    } else {
      std::swap(record.handler, change.handler);
    }
  }
  state.fired = false;
  if (enable) state.enabled = true;
  record.socket->drain_watch.store(DrainWatch(state),
                                   std::memory_order_relaxed);
  LookAgain(record);
}

absl::Status LoopCore::SetEnabled(
    const std::shared_ptr<RegistrationRecord>& record, bool enabled) {
  if (!record->live.load(std::memory_order_acquire)) {
    return Stale(enabled ? "enable" : "disable");
  }
  Access access(*this);
  if (access) {
    ApplyEnabled(*record, enabled);
  } else {
    Enqueue([this, record, enabled] { ApplyEnabled(*record, enabled); });
  }
  return absl::OkStatus();
}

void LoopCore::ApplyEnabled(RegistrationRecord& record, bool enabled) {
  if (record.phase != RegistrationRecord::Phase::kLive) return;
  record.state.enabled = enabled;
  if (enabled) {
    SuspectReportOnItsWay(record, kDirections);
    LookAgain(record);
  } else {
    // R07: also what has been fetched already.
    ReadyList::TakeConditions(record);
    MarkDirty(record);
  }
}

absl::Status LoopCore::Remove(
    const std::shared_ptr<RegistrationRecord>& record) {
  if (!record->live.exchange(false, std::memory_order_acq_rel)) {
    return Stale("remove");
  }
  Access access(*this);
  if (access) {
    BeginRemoval(*record);
  } else {
    Enqueue([this, record] { BeginRemoval(*record); });
  }
  return absl::OkStatus();
}

// The mechanism forgets the socket at once; `removed` is delivered as work,
// never from inside the call (R09).
void LoopCore::BeginRemoval(RegistrationRecord& record) {
  if (record.phase != RegistrationRecord::Phase::kLive || ended_) return;
  record.live.store(false, std::memory_order_release);
  record.phase = RegistrationRecord::Phase::kRemoving;
  Disarm(record);
  if (record.socket->record.load(std::memory_order_relaxed) == &record) {
    record.socket->drain_watch.store(0, std::memory_order_relaxed);
  }
  ReadyList::TakeConditions(record);
  ready_.Push(record);
}

// The mechanism is to forget the socket. Want of room is not mistaken for
// having forgotten it already, which is what another refusal means (R13).
void LoopCore::Disarm(RegistrationRecord& record) {
  if (!record.armed.present) return;
  unsubmitted_ = true;
  if (IsTransient(backend_->Arm(record, record.armed, weir::Watch{}))) {
    MarkDirty(record);
    retry_soon_ = true;
    return;
  }
  record.armed = weir::Watch{};
}

// The kernel refused the socket after Register had returned.
void LoopCore::Fail(RegistrationRecord& record, absl::Status status) {
  if (record.phase != RegistrationRecord::Phase::kLive) return;
  record.failure = std::move(status);
  BeginRemoval(record);
}

void LoopCore::Close(const std::shared_ptr<SocketState>& socket,
                     const std::shared_ptr<RegistrationRecord>& record) {
  record->live.store(false, std::memory_order_release);
  Access access(*this);
  if (access) {
    ApplyClose(*socket, record.get());
  } else if (!Enqueue([this, socket, record] {
               ApplyClose(*socket, record.get());
             })) {
    socket->CloseHandle();
  }
}

void LoopCore::LetGo(const std::shared_ptr<RegistrationRecord>& record) {
  Access access(*this);
  if (access && !ended_ && !record->unpinned()) (void)backend_->Submit();
}

void LoopCore::ApplyClose(SocketState& socket, RegistrationRecord* record) {
  if (!ended_) {
    BeginRemoval(*record);
    // A request in the kernel keeps the file open, and with it a listener
    // listening and a connection unfinished (survey 2.2): those of this and of
    // earlier registrations go first.
    (void)backend_->Submit();
  }
  socket.CloseHandle();
}

void LoopCore::RoleChanged(const std::shared_ptr<RegistrationRecord>& record) {
  const auto apply = [this, record] {
    if (record->phase != RegistrationRecord::Phase::kLive) return;
    // What was reported before tells of another life: an unconnected socket is
    // "closed".
    ReadyList::TakeConditions(*record);
    SuspectReportOnItsWay(
        *record, kDirections | Condition::kPeerClosed | Condition::kClosed);
    LookAgain(*record);
  };
  Access access(*this);
  if (access) {
    apply();
  } else {
    Enqueue(apply);
  }
}

void LoopCore::EndRead(const std::shared_ptr<RegistrationRecord>& record) {
  Access access(*this);
  if (access) {
    ApplyEndRead(*record);
  } else {
    Enqueue([this, record] { ApplyEndRead(*record); });
  }
}

void LoopCore::ApplyEndRead(RegistrationRecord& record) {
  if (record.state.trigger != Trigger::kEdge) return;
  ReadEnd(record.state);
  record.end_is_readable = false;
}

absl::Status LoopCore::Drained(
    const std::shared_ptr<RegistrationRecord>& record, Condition directions,
    bool short_transfer) {
  if (!record->live.load(std::memory_order_acquire)) return Stale("drained");
  Access access(*this);
  if (access) {
    ApplyDrained(*record, directions, short_transfer, /*at_once=*/false);
  } else {
    Enqueue([this, record, directions, short_transfer] {
      ApplyDrained(*record, directions, short_transfer, /*at_once=*/false);
    });
  }
  return absl::OkStatus();
}

void LoopCore::DrainedHere(RegistrationRecord& record, Condition directions,
                           bool short_transfer) {
  ApplyDrained(record, directions, short_transfer, /*at_once=*/true);
}

// `at_once`: nothing has been collected since the drain.
void LoopCore::ApplyDrained(RegistrationRecord& record, Condition directions,
                            bool short_transfer, bool at_once) {
  if (record.phase != RegistrationRecord::Phase::kLive ||
      record.state.trigger != Trigger::kEdge) {
    return;
  }
  const DrainResult result = Drain(record.state, directions, short_transfer);
  if (at_once) {
    // What was reported before is over; what comes later is reported later.
    ReadyList::DropConditions(record, directions);
  } else if (Has(ReadyList::Conditions(record), directions)) {
    record.suspect |= directions;
  }
  SuspectReportOnItsWay(record, directions);
  if (rules_.model == ReadinessModel::kSingleShot) {
    // Arming checks the present state, so nothing can be lost.
    MarkDirty(record);
    return;
  }
  if (result.withheld && !at_once) {
    record.look_again = true;
    MarkDirty(record);
  }
  if (result.end_is_readable && !record.end_is_readable) {
    record.end_is_readable = true;
    carried_over_.push_back(&record);
  }
}

// The kernel may have decided on a report that Collect has not brought yet.
void LoopCore::SuspectReportOnItsWay(RegistrationRecord& record,
                                     Condition conditions) {
  if (rules_.model == ReadinessModel::kSingleShot) {
    record.suspect |= conditions & record.armed.conditions;
  } else if (has_leader_) {
    record.suspect |= conditions;
    record.suspect_turn = turn_;
  }
}

void LoopCore::LookAgain(RegistrationRecord& record) {
  if (record.phase != RegistrationRecord::Phase::kLive) return;
  ForgetDelivered(record.state);
  record.look_again = true;
  MarkDirty(record);
}

void LoopCore::MarkDirty(RegistrationRecord& record) {
  if (record.dirty) return;
  record.dirty = true;
  dirty_.push_back(&record);
}

// Tells the mechanism what has changed since the last time, each registration
// once, however often it changed.
void LoopCore::FlushChanges() {
  retry_soon_ = false;
  if (dirty_.empty()) return;
  flushing_.swap(dirty_);
  for (RegistrationRecord* record : flushing_) {
    record->dirty = false;
    const bool look_again = std::exchange(record->look_again, false);
    if (record->phase != RegistrationRecord::Phase::kLive) {
      Disarm(*record);
      continue;
    }
    const weir::Watch wanted = WantedWatch(
        record->state, record->socket->role.load(std::memory_order_relaxed),
        rules_);
    // Level watches look at the present state in any case, and a single-shot
    // that is still armed has found nothing yet.
    const bool same_again = look_again &&
                            rules_.model == ReadinessModel::kPersistent &&
                            wanted.trigger == Trigger::kEdge;
    if (wanted == record->armed && !same_again) continue;
    absl::Status status = backend_->Arm(*record, record->armed, wanted);
    if (status.ok()) {
      record->armed = wanted;
      if (rules_.model == ReadinessModel::kSingleShot) {
        // The new watch looks at the present state.
        record->suspect = Condition::kNone;
      }
      record->socket->touched.store(false, std::memory_order_relaxed);
      // Armed while a leader waits, it can fire before this turn's reports
      // are complete; 0 is no turn.
      record->armed_turn = has_leader_ ? 0 : turn_ + 1;
    } else if (IsTransient(status)) {
      record->look_again = look_again;
      MarkDirty(*record);
      retry_soon_ = true;
    } else {
      Fail(*record, std::move(status));
    }
  }
  flushing_.clear();
}

// --- up: reports

// What Collect brought: single shots are over, and what may be out of date is
// checked, all with one system call.
void LoopCore::DigestReports() {
  if (ready_.TakeLoss()) ArmAllAnew();
  if (rules_.several_threads) {
    for (WatchedSocket* socket = ready_.head(); socket != nullptr;
         socket = ReadyList::Next(*socket)) {
      auto& record = static_cast<RegistrationRecord&>(*socket);
      record.state.busy = true;
      // A wait that began after the drain describes what is there after it.
      if (rules_.model == ReadinessModel::kPersistent && !record.running &&
          record.suspect_turn != turn_) {
        record.suspect = Condition::kNone;
      }
    }
  }
  if (rules_.model != ReadinessModel::kSingleShot) return;
  poll_entries_.clear();
  poll_records_.clear();
  for (WatchedSocket* socket = ready_.head(); socket != nullptr;
       socket = ReadyList::Next(*socket)) {
    auto& record = static_cast<RegistrationRecord&>(*socket);
    if (!ReadyList::TakeEnded(record) ||
        record.phase != RegistrationRecord::Phase::kLive) {
      continue;
    }
    const Condition asked = record.armed.conditions;
    const Condition reported = ReadyList::Conditions(record);
    record.armed = weir::Watch{};
    MarkDirty(record);
    Condition doubtful = std::exchange(record.suspect, Condition::kNone);
    Condition missing = Condition::kNone;
    // A watch armed for this very wait is fresh. One of an earlier turn can
    // have fired before the wait. What it tells of may be gone since, through
    // the native handle even: a level one is doubtful if that is possible (R04),
    // an edge one if a drain was seen (R05). And it tells only what woke it; the
    // rest of what was asked for may hold by now and is told with it (R02).
    if (record.armed_turn != turn_) {
      if (record.state.trigger == Trigger::kLevel &&
          MayHaveBeenDrained(*record.socket)) {
        doubtful |= kDirections;
      }
      missing = asked & VisibleConditions(record.state.interest) & ~reported;
    }
    doubtful &= reported;
    if ((doubtful | missing) == Condition::kNone) continue;
    poll_entries_.push_back(platform::PollEntry{
        .socket = record.socket->native,
        .requested = static_cast<platform::PollBits>(
            doubtful | missing | (asked & Condition::kPeerClosed))});
    poll_records_.push_back(&record);
  }
  if (poll_entries_.empty()) return;
  Count(counters_.checks);
  if (!platform::PollNow(std::span(poll_entries_)).ok()) return;
  for (std::size_t i = 0; i < poll_entries_.size(); ++i) {
    const auto requested = static_cast<Condition>(poll_entries_[i].requested);
    const auto holds = static_cast<Condition>(poll_entries_[i].returned);
    RegistrationRecord& record = *poll_records_[i];
    if (Has(ReadyList::Conditions(record), requested & ~holds)) {
      Count(counters_.stale);
    }
    ReadyList::DropConditions(record, requested & ~holds);
    ReadyList::AddConditions(record, holds);
  }
}

// So that any thread may close sockets, and the peer sees it, when nobody will
// wait on this mechanism any more.
void LoopCore::DisarmAll() {
  if (rules_.model != ReadinessModel::kSingleShot) return;
  for (const auto& record : records_) Disarm(*record);
  (void)backend_->Submit();
}

void LoopCore::ArmAllAnew() {
  for (const auto& record : records_) {
    if (record->phase != RegistrationRecord::Phase::kLive) continue;
    Disarm(*record);
    MarkDirty(*record);
  }
}

// The doubtful conditions of one registration that do hold.
Condition LoopCore::Confirm(RegistrationRecord& record, Condition conditions) {
  const Condition doubtful = conditions & record.suspect;
  record.suspect = Condition::kNone;
  if (doubtful == Condition::kNone) return conditions;
  platform::PollEntry entry{
      .socket = record.socket->native,
      .requested = static_cast<platform::PollBits>(doubtful)};
  Count(counters_.checks);
  if (!platform::PollNow(std::span(&entry, 1)).ok()) return conditions;
  const Condition gone = doubtful & ~static_cast<Condition>(entry.returned);
  if (gone != Condition::kNone) Count(counters_.stale);
  return conditions & ~gone;
}

// The socket's pending error. A connection that was made and reset before its
// first event is not taken for a failed connect: the causes differ (tcp(7)).
absl::Status LoopCore::TakeFailure(SocketState& socket, SocketRole& role) {
  Count(counters_.checks);
  if (role != SocketRole::kConnecting) {
    return platform::TakeError(socket.native, "socket");
  }
  absl::Status failure = platform::TakeError(socket.native, "connect",
                                             socket.ConnectTarget());
  const ErrorCause cause = CauseOf(failure);
  if (cause == ErrorCause::kConnectionReset ||
      cause == ErrorCause::kBrokenPipe) {
    role = SocketRole::kConnected;
    failure = platform::SystemError(SystemCodeOf(failure).value_or(0),
                                    "socket");
  }
  return failure;
}

// Tells the handler, if there is anything to tell. True if it was called.
bool LoopCore::Dispatch(RegistrationRecord& record) {
  // It will be looked at again when its handler has returned (R17).
  if (record.running) return false;
  if (record.phase != RegistrationRecord::Phase::kLive) {
    if (record.phase == RegistrationRecord::Phase::kEnded) return false;
    DeliverRemoved(record);
    return true;
  }
  if (rules_.model == ReadinessModel::kPersistent &&
      record.armed.persistence == Persistence::kOneShot &&
      ReadyList::TakeEnded(record)) {
    // The kernel's one-shot is used up, whatever comes of the report.
    record.armed = kQuietWatch;
    MarkDirty(record);
  }
  record.state.busy = false;
  const Condition conditions =
      Confirm(record, ReadyList::TakeConditions(record));
  absl::Status failure;
  SocketRole role = record.socket->role.load(std::memory_order_relaxed);
  const SocketRole old_role = role;
  if (Has(conditions, Condition::kError) && record.state.enabled &&
      !record.state.fired) [[unlikely]] {
    failure = TakeFailure(*record.socket, role);
    if (CauseOf(failure) == ErrorCause::kBadDescriptor) {
      Fail(record, std::move(failure));
      return false;
    }
  }
  const Events events = Digest(record.state, role, conditions, !failure.ok());
  if (role != old_role) {
    record.socket->role.store(role, std::memory_order_relaxed);
    MarkDirty(record);
  }
  if (events == Events::kNone) {
    // The watch may have been used up, or be of no use any more; and with
    // several threads it was quiet while the record waited here.
    if (rules_.several_threads || conditions != Condition::kNone) {
      MarkDirty(record);
    }
    return false;
  }
  if (record.state.fired) MarkDirty(record);
  CallHandler(record, events, failure);
  return true;
}

void LoopCore::CallHandler(RegistrationRecord& record, Events events,
                           const absl::Status& status) {
  Count(counters_.events);
  record.running = true;
  record.state.busy = true;
  if (rules_.several_threads) {
    mu_.Unlock();
    record.handler(Event(record, events, status));
    mu_.Lock();
  } else {
    record.handler(Event(record, events, status));
  }
  // Still running: while the old one is destroyed, without the lock, nobody may
  // begin with the new one.
  while (record.next_handler) [[unlikely]] {
    ReadinessHandler old = std::exchange(
        record.handler, std::exchange(record.next_handler, nullptr));
    Release();
    old = nullptr;
    Acquire();
  }
  record.running = false;
  // What came while it ran, on another thread.
  if (rules_.several_threads &&
      (ReadyList::Conditions(record) != Condition::kNone ||
       record.phase == RegistrationRecord::Phase::kRemoving)) {
    ready_.Push(record);
  }
  record.state.busy = ReadyList::linked(record);
  // Last: a flush by another thread that still saw it busy was to no avail.
  if (rules_.several_threads) MarkDirty(record);
}

void LoopCore::DeliverRemoved(RegistrationRecord& record) {
  Events events = Events::kRemoved;
  if (!record.failure.ok()) events |= Events::kError;
  CallHandler(record, events, record.failure);
  record.phase = RegistrationRecord::Phase::kEnded;
  // Destroyed outside the lock: the captures are the application's (R09).
  ReadinessHandler last = std::move(record.handler);
  record.handler = nullptr;
  const auto node = records_.find(record.shared_from_this());
  if (node != records_.end()) {
    graveyard_.push_back(*node);
    records_.erase(node);
    counters_.registrations.store(records_.size(), std::memory_order_relaxed);
  }
  Release();
  last = nullptr;
  Acquire();
}

// Frees the records that nothing names any more: no batch is being delivered
// or fetched, no change is noted, and no packet is to come.
void LoopCore::Reap() {
  if (graveyard_.empty()) return;
  std::erase_if(graveyard_, [](const auto& record) {
    if (!record->unpinned() || record->dirty || ReadyList::linked(*record)) {
      return false;
    }
    record->socket->Forget(*record);
    return true;
  });
}

}  // namespace weir::internal
