// A loop's registrations: their beginning, their settings and their end.

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/loop_core.h"
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

// A bit that is none of Interest's would never be told.
absl::Status CheckInterest(Interest interest, const char* operation) {
  constexpr Interest kAll =
      Interest::kReadable | Interest::kWritable | Interest::kHangup;
  if ((interest & kAll) == interest) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(operation, ": the interest has unknown bits"));
}

// Which directions' draining `record` wants to hear of.
std::uint8_t DrainWatch(const ReadinessState& state) {
  return state.trigger == Trigger::kEdge
             ? static_cast<std::uint8_t>(DirectionsOf(state.interest))
             : std::uint8_t{0};
}

}  // namespace

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
        access,
        request.socket == nullptr ? nullptr : request.socket->shared_state(),
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
  if (absl::Status status = CheckInterest(options.interest, "register");
      !status.ok()) {
    return status;
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
    absl::MutexLock lock(&socket->mutex());
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
    socket->WatchDrains(DrainWatch(record->state));
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
    socket->WatchDrains(0);
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
  const char* const operation = enable ? "re-arm" : "modify";
  if (!record->live.load(std::memory_order_acquire)) return Stale(operation);
  if (change.interest.has_value()) {
    if (absl::Status status = CheckInterest(*change.interest, operation);
        !status.ok()) {
      return status;
    }
  }
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
  record.MakeSpecial();
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
  record.socket->WatchDrains(DrainWatch(state));
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
  record.MakeSpecial();
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
void LoopCore::BeginRemoval(RegistrationRecord& record, HandleFate fate) {
  if (record.phase != RegistrationRecord::Phase::kLive || ended_) return;
  record.live.store(false, std::memory_order_release);
  record.phase = RegistrationRecord::Phase::kRemoving;
  record.MakeSpecial();
  Disarm(record);
  if (backend_->Forget(record, fate)) unsubmitted_ = true;
  if (record.socket->record.load(std::memory_order_relaxed) == &record) {
    record.socket->WatchDrains(0);
  }
  ReadyList::TakeConditions(record);
  ready_.Push(record);
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
    socket->CloseWhenForgotten();
  }
}

void LoopCore::LetGo(const std::shared_ptr<RegistrationRecord>& record) {
  Access access(*this);
  if (access && !ended_ && !record->unpinned()) (void)backend_->Submit();
}

void LoopCore::ApplyClose(SocketState& socket, RegistrationRecord* record) {
  if (!ended_) {
    if (record->phase == RegistrationRecord::Phase::kLive) {
      BeginRemoval(*record, HandleFate::kCloses);
    } else {
      backend_->Forget(*record, HandleFate::kCloses);
    }
    // A request in the kernel keeps the file open, and with it a listener
    // listening and a connection unfinished (survey 2.2): those of this and of
    // earlier registrations go first.
    (void)backend_->Submit();
  }
  ForgetClosed(*record);
  socket.CloseHandle();
}

void LoopCore::RoleChanged(const std::shared_ptr<RegistrationRecord>& record) {
  const auto apply = [this, record] {
    if (record->phase != RegistrationRecord::Phase::kLive) return;
    // What was reported before tells of another life: an unconnected socket is
    // "closed".
    ReadyList::TakeConditions(*record);
    record->MakeSpecial();
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

void LoopCore::EndRead(const std::shared_ptr<RegistrationRecord>& record) {
  Access access(*this);
  if (access) {
    ApplyEndRead(*record);
  } else {
    Enqueue([this, record] { ApplyEndRead(*record); });
  }
}

}  // namespace weir::internal
