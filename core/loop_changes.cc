// The way down: what a drain or a change of a registration means for its watch,
// and how the mechanism is told, each registration once a turn (R12).

#include <memory>
#include <utility>

#include "core/endpoint.h"
#include "core/loop_core.h"
#include "platform/error.h"
#include "weir/status.h"

namespace weir::internal {

bool LoopCore::IsTransient(const absl::Status& status) {
  if (status.ok()) return false;
  return absl::IsUnavailable(status) ||
         (absl::IsResourceExhausted(status) &&
          CauseOf(status) != ErrorCause::kNoSpace);
}

void LoopCore::ApplyEndRead(RegistrationRecord& record) {
  if (record.state.trigger != Trigger::kEdge) return;
  ReadEnd(record.state);
  record.end_is_readable = false;
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
    Suspect(record, directions);
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

void LoopCore::Suspect(RegistrationRecord& record, Condition conditions) {
  if (conditions == Condition::kNone) return;
  record.suspect |= conditions;
  record.MakeSpecial();
}

// The kernel may have decided on a report that Collect has not brought yet.
void LoopCore::SuspectReportOnItsWay(RegistrationRecord& record,
                                     Condition conditions) {
  if (rules_.model == ReadinessModel::kSingleShot) {
    Suspect(record, conditions & record.armed.conditions);
  } else if (has_leader_ && record.armed.conditions != Condition::kNone) {
    Suspect(record, conditions);
    record.suspect_turn = turn_;
  }
}

void LoopCore::LookAgain(RegistrationRecord& record) {
  if (record.phase != RegistrationRecord::Phase::kLive) return;
  ForgetDelivered(record.state);
  record.look_again = true;
  MarkDirty(record);
}

void LoopCore::MarkDirty(LoopRecord& record) {
  if (record.dirty) return;
  record.dirty = true;
  dirty_.push_back(&record);
}

// Tells the mechanism what has changed since the last time, each registration
// once, however often it changed.
void LoopCore::FlushDirty() {
  flushing_.swap(dirty_);
  for (LoopRecord* changed : flushing_) {
    changed->dirty = false;
    if (changed->use == LoopRecord::Use::kEndpoint) {
      FlushEndpoint(static_cast<Endpoint&>(*changed));
      continue;
    }
    auto* record = static_cast<RegistrationRecord*>(changed);
    const bool look_again = std::exchange(record->look_again, false);
    if (record->phase != RegistrationRecord::Phase::kLive) {
      Disarm(*record);
      continue;
    }
    // A single-shot that has reported is over. Armed anew before its report is
    // dispatched, which a running handler can keep from happening, it would
    // find the same again and again.
    const bool told = rules_.model == ReadinessModel::kSingleShot &&
                      ReadyList::Conditions(*record) != Condition::kNone;
    const weir::Watch wanted =
        told ? weir::Watch{}
             : WantedWatch(record->state,
                           record->socket->role.load(std::memory_order_relaxed),
                           rules_);
    // Level watches look at the present state in any case, and a single-shot
    // that is still armed has found nothing yet. One that is quiet until its
    // handler has returned looks then.
    const bool waits = rules_.several_threads && record->state.busy &&
                       record->state.trigger == Trigger::kLevel;
    const bool same_again = look_again && !waits &&
                            rules_.model == ReadinessModel::kPersistent &&
                            wanted.trigger == Trigger::kEdge;
    if (wanted == record->armed && !same_again) continue;
    absl::Status status = backend_->Arm(*record, record->armed, wanted);
    if (status.ok()) {
      record->armed = wanted;
      if (rules_.model == ReadinessModel::kSingleShot) {
        // The new watch looks at the present state.
        record->suspect = Condition::kNone;
        record->socket->ForgetTransfers();
      }
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

// Want of memory mends: what was noted is tried again.
absl::Status LoopCore::SubmitChanges() {
  unsubmitted_ = false;
  absl::Status status = backend_->Submit();
  if (!IsTransient(status)) return status;
  unsubmitted_ = true;
  retry_soon_ = true;
  return absl::OkStatus();
}

void LoopCore::FlushEndpoint(Endpoint& endpoint) {
  if (endpoint.wanted == endpoint.armed) return;
  absl::Status status =
      backend_->Arm(endpoint, endpoint.armed, endpoint.wanted);
  if (status.ok()) {
    endpoint.armed = endpoint.wanted;
  } else if (IsTransient(status)) {
    MarkDirty(endpoint);
    retry_soon_ = true;
  } else {
    refusals_[&endpoint] = std::move(status);
    ready_.Push(endpoint);
  }
}

// The mechanism is to forget the socket. Want of room is not mistaken for
// having forgotten it already, which is what another refusal means (R13).
void LoopCore::Disarm(LoopRecord& record) {
  if (!record.armed.present) return;
  unsubmitted_ = true;
  if (IsTransient(backend_->Arm(record, record.armed, weir::Watch{}))) {
    MarkDirty(record);
    retry_soon_ = true;
    return;
  }
  record.armed = weir::Watch{};
}

// Its handle is about to be closed: a mechanism that keeps watches forgets it with
// that, and the number may be another socket's then. Requests go by their records.
void LoopCore::ForgetClosed(LoopRecord& record) {
  if (rules_.model == ReadinessModel::kPersistent) record.armed = weir::Watch{};
}

// So that any thread may close sockets, and the peer sees it, when nobody will
// wait on this mechanism any more.
void LoopCore::DisarmAll() {
  if (rules_.model != ReadinessModel::kSingleShot) return;
  for (const auto& record : records_) Disarm(*record);
  for (Endpoint* at = endpoints_; at != nullptr; at = at->next) Disarm(*at);
  (void)backend_->Submit();
}

void LoopCore::TakeLoss() {
  if (!ready_.TakeLoss()) return;
  if (ready_.loss_error() != 0) EndUnreported(ready_.loss_error());
  for (const auto& record : records_) {
    if (record->phase != RegistrationRecord::Phase::kLive) continue;
    Disarm(*record);
    MarkDirty(*record);
  }
  for (Endpoint* at = endpoints_; at != nullptr; at = at->next) {
    Disarm(*at);
    MarkDirty(*at);
  }
}

}  // namespace weir::internal
