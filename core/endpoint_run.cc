// The rounds of an endpoint: moving data, indicating what has ended, and saying
// what to wait for.

#include <utility>
#include <variant>

#include "core/endpoint.h"
#include "platform/socket_io.h"

namespace weir::internal {

// Calls the handlers of what has ended; what ends meanwhile comes in the next
// round.
int Endpoint::Indicate() {
  int told = 0;
  OperationQueue& ended = own().ended;
  const OperationRecord* const last = ended.back();
  for (bool more = true; more; ++told) {
    OperationRecord* const record = ended.front();
    if (record->thread != 0 && !MayIndicateHere(*record)) break;
    ended.Pop();
    more = record != last;
    record->phase = OperationRecord::Phase::kDone;
    // Whoever finds nothing pending from here on (Detach), finds it done.
    if (!record->accept_handler) record->MarkDone();
    Unlock();
    record->Indicate();
    Lock();
    Release(record);
  }
  return told;
}

// If its own thread has left the loop, any will do.
bool Endpoint::MayIndicateHere(OperationRecord& record) {
  bool& handed_over = own().handed_over;
  if (LoopCore::CurrentFrame()->id == record.thread) {
    handed_over = false;
    return true;
  }
  if (handed_over) return false;
  LoopCore::Scope scope(*loop_);
  handed_over = loop_->PostToFrame(record.thread, [keep = CountedRef(*this)] {
    keep->Lock();
    keep->own().handed_over = false;
    keep->Unlock();
    const int told = keep->Run(Condition::kNone, SubmissionResults());
    LoopCore::Scope counting(*keep->loop_);
    keep->loop_->CountCompletions(told);
  });
  return !handed_over;
}

// Whether another round would find nothing to do, this one having called `told`
// handlers.
inline bool Endpoint::IsIdle(int told) const {
  if (again_) return false;
  if (told == 0) return true;
  // A proactor's receiver may have to be started anew.
  return extras().sends.empty() && extras().receives.empty() &&
         extras().ended.empty() && !closing_ && !refused_ && !readable_ &&
         !Submits() && !submits_datagrams_;
}

inline bool Endpoint::IsCalm() const {
  return IsSettled() && !several_threads_ && !Submits() && !paused_ &&
         !readable_ && writable_ && extras().sends.empty() &&
         extras().ended.empty() && !refused_ && !hangup_reported_ &&
         !HasFailed() && !broken_.load(std::memory_order_relaxed);
}

inline bool Endpoint::LendsCalmly() const {
  return receive_submitted_ && has_lent_ && !several_threads_ && !paused_ &&
         !again_ && !cancel_receive_ && !cancel_send_ && !refused_ &&
         extras().receives.empty() && extras().ended.empty() &&
         extras().resets.empty() && extras().failure.ok() &&
         !broken_.load(std::memory_order_relaxed) &&
         (extras().sends.empty() ||
          (extras().sends.HasOne() &&
           extras().sends.front()->IsSubmittedCopy()));
}

void Endpoint::FindShortWay() {
  calm_ = expects_ = lends_ = false;
  if (closing_) return;
  const bool calm = IsCalm();
  calm_ = calm && receive_handler_ && extras().receives.empty();
  expects_ = calm && !HasReceiver() && extras().receives.HasOne() &&
             extras().receives.front()->IsPlainReceive() && !end_seen_;
  lends_ = LendsCalmly() && receive_handler_;
  if (lends_ && !extras().sends.empty()) TakeShortCopy();
}

// Of a stream that nothing was asked of before, a run would find nothing to
// move and nobody to be told: all that is left of it is to say what to wait
// for.
void Endpoint::BeginReceiving() {
  // Whatever else it receives for, or was asked, is in its extras.
  if (!MayStartHere() || Submits() || has_extras() || readable_ || running_) {
    return Schedule();
  }
  Settle(/*again=*/false);
  FindShortWay();
}

int Endpoint::Run(Condition conditions, const SubmissionResults& results) {
  Lock();
  TakeLongWay();
  lends_ = false;
  reports_ |= conditions;
  if (results.has_received) {
    OwnSubmissions().results.has_received = true;
    submissions->results.received = results.received;
  }
  if (results.has_sent) {
    submissions->results.has_sent = true;
    submissions->results.sent = results.sent;
  }
  if (running_ || finished_) {
    again_ = true;
    Unlock();
    return 0;
  }
  running_ = true;
  LoopCore::Frame* const frame = LoopCore::CurrentFrame();
  if (!several_threads_) frame->running = this;
  int told = 0;
  for (int round = 0;; ++round) {
    again_ = false;
    Progress();
    int now = 0;
    if (!extras().ended.empty()) now = Indicate();
    if (HasReceiver()) now += Lend();
    if (!frame->corked.empty()) Uncork(*frame);
    told += now;
    if (IsIdle(now)) break;
    if (round == kMostRounds) {
      again_ = true;
      break;
    }
  }
  frame->running = nullptr;
  running_ = false;
  if (closing_ && Finished()) {
    told += Finish();
  } else if (!IsSettled()) {
    Settle(again_);
  }
  FindShortWay();
  Unlock();
  return told;
}

// What is to be watched from here on; or another run, in the next turn.
void Endpoint::Settle(bool again) {
  const bool receives = ReceiverWaits() || !extras().receives.empty();
  const bool waits_for_reset = !extras().resets.empty() && !over_reported_;
  Watch watch;
  if (!handle_is_closed() && role() != SocketRole::kUnconnected) {
    Condition conditions = Condition::kNone;
    const bool by_mechanism =
        receive_submitted_ ||
        (Submits() && !receive_by_call_ && !receive_would_block_);
    if (receives && !readable_ && !by_mechanism) {
      conditions |= Condition::kReadable | Condition::kPeerClosed;
    }
    if (WaitsToSend()) conditions |= Condition::kWritable;
    if (loop_->readiness_model() == ReadinessModel::kSingleShot) {
      // Of a receive that goes on by itself the kernel can forget to tell how
      // it ends, once it has received something (see TakeTurningPoints): a
      // watch for nothing but that costs nothing until then.
      if (conditions != Condition::kNone ||
          (ReceivesWithoutEnd() && has_lent_ && !hangup_reported_) ||
          waits_for_reset) {
        watch = {.present = true,
                 .conditions = conditions,
                 .trigger = Trigger::kLevel,
                 .persistence = Persistence::kOneShot};
      }
    } else if (conditions != Condition::kNone || watched_ || waits_for_reset) {
      // Once, for both directions: edges cost nothing until they come. Those of
      // room to send come with every datagram that has left (sock_wfree() in
      // Linux): they are watched for when they are waited for.
      watched_ = true;
      Condition all = Condition::kReadable | Condition::kPeerClosed;
      if (role() == SocketRole::kListening) {
        all = Condition::kReadable;
      } else if (type_ == SocketType::kStream || WaitsToSend()) {
        all |= Condition::kWritable;
      }
      watch = {.present = true,
               .conditions = all,
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
