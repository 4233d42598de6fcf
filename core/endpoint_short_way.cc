#include "core/endpoint_short_way.h"

#include <utility>

#include "platform/socket_io.h"

namespace weir::internal {

// Lets go of the record of the receive that waits, which is plain.
void Endpoint::TakeShortWay() {
  OperationRecord* const record = own().receives.Pop();
  short_way().receive.Start(record->buffers[0], record->handler);
  Release(record);
}

// What is here was started before anything that is about to be.
void Endpoint::QueueShortTransfers() {
  QueueShortTransfer(OperationRecord::Kind::kReceive, short_way().receive);
  QueueShortTransfer(OperationRecord::Kind::kSend, short_way().send);
}

void Endpoint::QueueShortTransfer(OperationRecord::Kind kind,
                                  ShortTransfer& transfer) {
  if (transfer.state != ShortTransfer::State::kWaits) return;
  OperationRecord* const record = NewOperation(kind);
  if (kind == OperationRecord::Kind::kReceive) {
    record->buffers.push_back(transfer.buffer);
  } else {
    record->SetBuffer(transfer.buffer);
    CountUnsent(record->size);
  }
  record->handler = transfer.TakeHandler();
  record->phase = OperationRecord::Phase::kQueued;
  QueueOf(*record).Push(record);
  LeaveShortWay();
  if (running_) again_ = true;
}

// What the receive that waits has come to is not what was expected; `tried` is
// what TryReceive has returned.
int Endpoint::RunUnexpected(std::int64_t tried) {
  const std::span<std::byte> buffer = short_way().receive.buffer;
  const platform::IoOutcome outcome =
      platform::AfterTry(socket(), buffer, tried);
  TakeLongWay();
  readable_ = true;
  FinishReceiveInto(extras().receives.front(), outcome, buffer.size());
  return Run(Condition::kNone, SubmissionResults());
}

// The same of the send.
void Endpoint::LeaveShortSend(std::int64_t tried) {
  const platform::IoOutcome outcome =
      platform::AfterTry(socket(), short_way().send.buffer, tried);
  TakeLongWay();
  NoteUnsent(outcome);
  if (outcome.ok()) NoteSent(outcome.bytes, 1);
}

}  // namespace weir::internal
