// The rounds of an endpoint: moving data, indicating what has ended, and saying
// what to wait for.

#include <utility>
#include <variant>

#include "core/endpoint.h"

namespace weir::internal {
namespace {

// After so many rounds of one run the others have their turn.
constexpr int kMostRounds = 8;

}  // namespace

// Calls the handlers of what has ended; what ends meanwhile comes in the next
// round.
int Endpoint::Indicate() {
  int told = 0;
  telling_ = std::exchange(ended_, OperationQueue());
  while (OperationRecord* record = telling_.front()) {
    if (record->thread != 0 && !MayIndicateHere(*record)) {
      while (OperationRecord* later = ended_.Pop()) telling_.Push(later);
      ended_ = std::exchange(telling_, OperationQueue());
      break;
    }
    telling_.Pop();
    record->phase = OperationRecord::Phase::kDone;
    Unlock();
    record->Indicate();
    Lock();
    Release(record);
    ++told;
  }
  return told;
}

// If its own thread has left the loop, any will do.
bool Endpoint::MayIndicateHere(OperationRecord& record) {
  if (LoopCore::CurrentFrame()->id == record.thread) {
    handed_over_ = false;
    return true;
  }
  if (handed_over_) return false;
  LoopCore::Scope scope(*loop_);
  handed_over_ = loop_->PostToFrame(record.thread, [keep = shared_from_this()] {
    keep->Lock();
    keep->handed_over_ = false;
    keep->Unlock();
    const int told = keep->Run(Reports());
    LoopCore::Scope counting(*keep->loop_);
    keep->loop_->CountCompletions(told);
  });
  return !handed_over_;
}

int Endpoint::Run(const Reports& reported) {
  Lock();
  reports_.conditions |= reported.conditions;
  if (reported.received.has_value()) reports_.received = reported.received;
  if (reported.sent.has_value()) reports_.sent = reported.sent;
  if (running_ || finished_) {
    again_ = true;
    Unlock();
    return 0;
  }
  running_ = true;
  int told = 0;
  for (int round = 0;; ++round) {
    again_ = false;
    Progress();
    const int now = Indicate() + Lend();
    told += now;
    if (now == 0 && !again_) break;
    if (round == kMostRounds) {
      again_ = true;
      break;
    }
  }
  running_ = false;
  if (Finished()) {
    told += Finish();
  } else {
    Settle(again_);
  }
  Unlock();
  return told;
}

// What is to be watched from here on; or another run, in the next turn.
void Endpoint::Settle(bool again) {
  const bool receives = ReceiverWaits() || !receives_.empty();
  const bool sends = !sends_.empty();
  const bool waits_for_reset = !resets_.empty() && !over_reported_;
  Watch watch;
  if (!handle_closed_ && role() != SocketRole::kUnconnected) {
    Condition conditions = Condition::kNone;
    const bool by_mechanism =
        Submits() && !receive_by_call_ && !receive_would_block_;
    if (receives && !readable_ && !by_mechanism) {
      conditions |= Condition::kReadable | Condition::kPeerClosed;
    }
    if (sends && !writable_ && !send_submitted_) conditions |= Condition::kWritable;
    if (loop_->readiness_model() == ReadinessModel::kSingleShot) {
      // Of a receive that goes on by itself the kernel can forget to tell how it
      // ends (see Progress): a watch for nothing but that costs nothing until
      // then.
      if (conditions != Condition::kNone ||
          (ReceivesWithoutEnd() && !hangup_reported_) || waits_for_reset) {
        watch = {.present = true,
                 .conditions = conditions,
                 .trigger = Trigger::kLevel,
                 .persistence = Persistence::kOneShot};
      }
    } else if (conditions != Condition::kNone || watched_ || waits_for_reset) {
      // Once, for both directions: edges cost nothing until they come.
      watched_ = true;
      watch = {.present = true,
               .conditions = role() == SocketRole::kListening
                                 ? Condition::kReadable
                                 : Condition::kReadable | Condition::kWritable |
                                       Condition::kPeerClosed,
               .trigger = Trigger::kEdge,
               .persistence = Persistence::kPersistent};
    }
  }
  if (watch == settled_ && !again &&
      loop_->readiness_model() == ReadinessModel::kPersistent) {
    return;
  }
  settled_ = watch;
  LoopCore::Scope scope(*loop_);
  loop_->SetWatch(*this, watch);
  if (again) loop_->Schedule(*this, /*later=*/true);
}

}  // namespace weir::internal
