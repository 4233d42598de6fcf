// An endpoint's operations: started and cancelled by any thread, put in their
// queues, and ended.

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/endpoint.h"

namespace weir::internal {
namespace {

using Kind = OperationRecord::Kind;
using Phase = OperationRecord::Phase;

bool IsReceive(Kind kind) {
  return kind == Kind::kReceive || kind == Kind::kReceiveFrom ||
         kind == Kind::kAccept || kind == Kind::kAddressChange;
}

// Kinds whose end before their time leaves a stream of which nobody knows what
// it has sent.
bool BreaksStream(Kind kind) {
  switch (kind) {
    case Kind::kConnect:
    case Kind::kSend:
    case Kind::kSendCopy:
    case Kind::kSendFile:
    case Kind::kDisconnect:
      return true;
    default:
      return false;
  }
}

absl::Status Cancelled() {
  return absl::CancelledError("the operation was cancelled");
}

}  // namespace

OperationRecord* Endpoint::NewOperation(OperationRecord::Kind kind) {
  OperationRecord* record = loop_->HasFreeAccess()
                                ? loop_->memory().TakeOperationHere()
                                : loop_->memory().TakeOperation();
  if (record == nullptr) record = new OperationRecord;
  record->kind = kind;
  record->references.store(1, std::memory_order_relaxed);
  return record;
}

void Endpoint::Release(OperationRecord* record) {
  LoopMemory& memory = loop_->memory();
  if (record->copy.size() > 0) memory.GiveBlock(std::move(record->copy));
  if (!record->Unref()) return;
  record->Clear();
  if (!memory.GiveOperation(record)) delete record;
}

absl::Status Endpoint::Start(OperationRecord* record, const char* operation,
                             const OperationOptions& options) {
  if (MayStartHere() && options.timeout == absl::InfiniteDuration() &&
      options.handle == nullptr &&
      !(IsReceive(record->kind) &&
        receives_by_itself_.load(std::memory_order_relaxed))) [[likely]] {
    record->phase = Phase::kQueued;
    Admit(record, options.timeout);
    return absl::OkStatus();
  }
  return StartWithCare(record, operation, options);
}

absl::Status Endpoint::StartWithCare(OperationRecord* record,
                                     const char* operation,
                                     const OperationOptions& options) {
  Entering entering(*this);
  absl::Status status = CheckUsable(operation);
  if (status.ok()) status = CheckUnbroken(operation);
  if (status.ok() && options.timeout <= absl::ZeroDuration()) {
    status = absl::InvalidArgumentError(
        absl::StrCat(operation, ": the timeout is not positive"));
  }
  if (status.ok() && IsReceive(record->kind) &&
      receives_by_itself_.load(std::memory_order_relaxed)) {
    status = absl::FailedPreconditionError(
        absl::StrCat(operation, ": the socket receives or accepts by itself"));
  }
  if (status.ok() && options.on_this_thread) {
    const LoopCore::Frame* frame = loop_->FrameOfThisThread();
    if (frame == nullptr) {
      status = absl::FailedPreconditionError(absl::StrCat(
          operation, ": on_this_thread, and this thread does not run the loop"));
    } else if (loop_->several_threads()) {
      record->thread = frame->id;
    }
  }
  if (!status.ok()) {
    Release(record);
    return status;
  }
  const bool has_deadline = options.timeout != absl::InfiniteDuration();
  if (options.handle != nullptr || has_deadline) {
    record->keep = CountedRef(*this);
  }
  record->phase = Phase::kQueued;
  if (options.handle != nullptr) {
    *options.handle = OperationRecord::MakeHandle(record);
  }
  const char* refused = nullptr;
  {
    Guard guard(*this);
    if (!guard) {
      if (!loop_->Enqueue([keep = CountedRef(*this), record,
                           timeout = options.timeout,
                           until = std::move(entering)]() mutable {
            until.Leave();
            keep->Admit(record, timeout);
          })) {
        refused = ": the event loop is destroyed";
      }
    } else if (closing_) {
      refused = ": the socket is closed";
    } else {
      Admit(record, options.timeout);
    }
  }
  if (refused == nullptr) return absl::OkStatus();
  // Outside the lock: what the handler holds is the application's.
  if (options.handle != nullptr) *options.handle = Operation();
  Release(record);
  return absl::FailedPreconditionError(absl::StrCat(operation, refused));
}

void Endpoint::Admit(OperationRecord* record, absl::Duration timeout) {
  TakeLongWay();
  if (!IsReceive(record->kind)) QueueCorked();
  if (record->kind != Kind::kSendFile) CountUnsent(record->size);
  if (closing_) {
    End(record, Cancelled());
  } else if (broken_.load(std::memory_order_relaxed) &&
             !IsReceive(record->kind)) {
    End(record, Cancelled());
  } else {
    QueueOf(*record).Push(record);
    if (timeout != absl::InfiniteDuration()) {
      LoopCore::Scope scope(*loop_);
      loop_->InsertOperation(*record, timeout);
    }
  }
  Schedule();
}

// Whoever runs the endpoint looks again before it leaves. One that has finished
// is not the loop's any more, and may be gone before the loop gets to it.
void Endpoint::Schedule() {
  TakeLongWay();
  LeaveShortWay();
  calm_ = lends_ = false;
  if (finished_) return;
  if (running_) {
    again_ = true;
    return;
  }
  LoopCore::Scope scope(*loop_);
  loop_->Schedule(*this, /*later=*/false);
}

OperationQueue& Endpoint::QueueOf(const OperationRecord& record) {
  if (record.kind == Kind::kReset) return own().resets;
  return IsReceive(record.kind) ? own().receives : own().sends;
}

void Endpoint::End(OperationRecord* record, absl::Status status) {
  if (record->kind != Kind::kSendFile && !IsReceive(record->kind)) {
    CountUnsent(record->result.bytes - record->size);
  }
  if (record->keep != nullptr) {
    LoopCore::Scope scope(*loop_);
    loop_->CancelOperation(*record);
  }
  if (record->kind == Kind::kSendCopy || record->kind == Kind::kPause) {
    if (!status.ok() && extras().failure.ok() && type_ == SocketType::kStream &&
        !closing_) {
      own().failure = status;
    }
    record->phase = Phase::kDone;
    Release(record);
    return;
  }
  record->result.status = std::move(status);
  record->phase = Phase::kEnded;
  own().ended.Push(record);
}

void Endpoint::EndAll(OperationQueue& queue, const absl::Status& status) {
  while (OperationRecord* record = queue.Pop()) End(record, status);
}

absl::Status Endpoint::Cancel(OperationRecord& record) {
  if (record.done.load(std::memory_order_acquire)) {
    return absl::FailedPreconditionError("cancel: the operation has ended");
  }
  Guard guard(*this);
  if (guard) return ApplyCancel(record, Cancelled());
  record.Ref();
  if (!loop_->Enqueue([keep = CountedRef(*this), &record] {
        (void)keep->ApplyCancel(record, Cancelled());
        keep->Release(&record);
      })) {
    Release(&record);
    return Gone("cancel");
  }
  return absl::OkStatus();
}

absl::Status Endpoint::ApplyCancel(OperationRecord& record, absl::Status why) {
  if (record.phase != Phase::kQueued) {
    return absl::FailedPreconditionError("cancel: the operation has ended");
  }
  OperationQueue& queue = QueueOf(record);
  OperationQueue rest;
  if (record.submitted) {
    // Whether it breaks the stream is known when its report has come.
    if (record.result.status.ok()) record.result.status = std::move(why);
    AskForEnd(queue);
    Schedule();
    return absl::OkStatus();
  }
  if (type_ == SocketType::kStream && BreaksStream(record.kind)) {
    // What was to follow it cannot: the stream has a hole.
    broken_.store(true, std::memory_order_release);
    OperationQueue before;
    bool after = false;
    while (OperationRecord* at = queue.Pop()) {
      (after ? rest : before).Push(at);
      if (at == &record) after = true;
    }
    queue = before;
  }
  queue.Remove(&record);
  End(&record, std::move(why));
  EndAll(rest, Cancelled());
  Schedule();
  return absl::OkStatus();
}

void Endpoint::Expire(OperationRecord& record) {
  Lock();
  if (record.kind == Kind::kPause) {
    record.phase = Phase::kDone;
    resting_ = false;
    readable_ = true;
    Schedule();
    Release(&record);
  } else {
    (void)ApplyCancel(record, absl::DeadlineExceededError(
                                  "the operation did not complete in time"));
  }
  Unlock();
}

absl::Status Endpoint::CancelAll() {
  if (!is_open()) {
    return absl::FailedPreconditionError("cancel: the socket is closed");
  }
  Guard guard(*this);
  if (guard) {
    ApplyCancelAll();
  } else if (!loop_->Enqueue(
                 [keep = CountedRef(*this)] { keep->ApplyCancelAll(); })) {
    return Gone("cancel");
  }
  return absl::OkStatus();
}

void Endpoint::ApplyCancelAll() {
  TakeLongWay();
  // What is corked waits to be sent, as what is queued does.
  QueueCorked();
  if (type_ == SocketType::kStream && !send_submitted_) {
    for (OperationRecord* at = extras().sends.front(); at != nullptr;
         at = at->next) {
      if (BreaksStream(at->kind)) broken_.store(true);
    }
  }
  AbortAll(Cancelled());
  Schedule();
}

absl::StatusOr<std::size_t> Endpoint::SendCopyTo(
    ConstBuffer data, const SocketAddress& destination,
    std::size_t segment_bytes) {
  Entering entering(*this);
  if (absl::Status status = CheckUsable("send"); !status.ok()) return status;
  if (absl::Status status = CheckUnbroken("send"); !status.ok()) return status;
  Guard guard(*this);
  if (guard) {
    if (closing_) return absl::FailedPreconditionError("send: the socket is closed");
    if (type_ == SocketType::kStream) {
      AppendCopy(data);
    } else if (!JoinLast(data, destination, segment_bytes)) {
      AdmitAll(MakeCopies(data, destination, segment_bytes));
    }
    return UnsentHere();
  }
  OperationQueue copies = MakeCopies(data, destination, segment_bytes);
  // Asked before: they may be admitted, and counted, at once.
  const std::size_t before = unsent();
  if (!loop_->Enqueue([keep = CountedRef(*this), copies,
                       until = std::move(entering)]() mutable {
        until.Leave();
        keep->AdmitAll(copies);
      })) {
    while (OperationRecord* copy = copies.Pop()) Release(copy);
    return Gone("send");
  }
  return before + data.size();
}

std::size_t Endpoint::UnsentBytes() {
  if (loop_->HasFreeAccess()) return UnsentHere();
  const Guard guard(*this);
  return guard ? UnsentHere() : unsent();
}

std::size_t Endpoint::UnsentHere() const {
  std::size_t bytes = unsent();
  if (const CorkedData* const corked = Corked()) bytes += corked->size();
  if (SendsUnrecorded()) bytes += submissions->sending->unrecorded;
  const ShortTransfer& send = extras().short_way.send;
  if (send.state == ShortTransfer::State::kWaits) bytes += send.buffer.size();
  return bytes;
}

void Endpoint::AdmitAll(OperationQueue copies) {
  while (OperationRecord* copy = copies.Pop()) {
    if (type_ == SocketType::kDatagram &&
        JoinLast(copy->buffers.front(), copy->address, copy->segment_bytes)) {
      Release(copy);
    } else {
      Admit(copy, absl::InfiniteDuration());
    }
  }
}

}  // namespace weir::internal
