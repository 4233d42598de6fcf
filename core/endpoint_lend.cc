// Receiving and accepting without being asked each time: the receiver of an
// endpoint is called with what there is (O12, R21).

#include <array>
#include <utility>

#include "absl/time/time.h"
#include "core/endpoint.h"
#include "platform/datagram_io.h"
#include "platform/error.h"
#include "platform/socket_io.h"
#include "weir/status.h"

namespace weir::internal {
namespace {

// How long what goes on by itself rests after an error that may come again at
// once: no descriptors are left.
constexpr absl::Duration kRest = absl::Milliseconds(100);
// How many connections one round takes.
constexpr int kMostAccepts = 16;
// How many datagrams one call takes.
constexpr std::size_t kMostDatagrams = 16;

// What the network says of a datagram that was sent, which is told once
// (udp(7)).
bool IsOfNetwork(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsPermissionDenied(status) ||
         CauseOf(status) == ErrorCause::kMessageTooLong;
}

}  // namespace

int Endpoint::Lend() {
  // Those that were started before come first, and what another thread is to
  // tell of them.
  if (!receives_.empty() || !ended_.empty()) return 0;
  if (closing_ || refused_) {
    if (receive_submitted_) return 0;
    return closing_ ? EndReceiver(ClosedStatus()) : LendRefusal();
  }
  if (!ReceiverWaits()) return 0;
  if (auto* stream = std::get_if<ReceiveHandler>(&receiver_)) {
    if (Submits()) return LendChunks(*stream);
    return readable_ ? LendReceived(*LoopCore::CurrentFrame(), *stream) : 0;
  }
  if (auto* accepted = std::get_if<AcceptHandler>(&receiver_)) {
    if (Submits()) return LendSubmittedAccepts(*accepted);
    return readable_ ? LendAccepted(*accepted) : 0;
  }
  const int told =
      readable_ ? LendDatagrams(std::get<DatagramsHandler>(receiver_)) : 0;
  if (!readable_ && submits_datagrams_ && !receive_submitted_ &&
      told == 0) {
    SubmitDatagramWait(nullptr);
  }
  return told;
}

// Told once. The last indication of those that go on is that of the close.
int Endpoint::LendRefusal() {
  if (std::holds_alternative<ReceiveHandler>(receiver_)) {
    return EndReceiver(failure_);
  }
  if (std::exchange(refusal_told_, true)) return 0;
  absl::Status status = failure_;
  Unlock();
  if (auto* accepted = std::get_if<AcceptHandler>(&receiver_)) {
    (*accepted)(std::move(status));
  } else {
    std::get<DatagramsHandler>(receiver_)(
        ReceivedDatagrams{.datagrams = {}, .status = std::move(status)});
  }
  Lock();
  return 1;
}

int Endpoint::LendNothing(const platform::IoOutcome& outcome) {
  if (outcome.would_block) {
    NotReadable();
    return 0;
  }
  if (outcome.error != 0) return EndReceiver(ReceiveFailed(outcome.error));
  end_seen_ = true;
  return EndReceiver(EndOfStream());
}

inline int Endpoint::LendData(ReceiveHandler& handler,
                              std::span<std::byte> buffer, std::size_t bytes) {
  NoteReceived(bytes, buffer.size());
  loop_->CountLentBuffer();
  Unlock();
  handler(Received{.data = buffer.first(bytes), .status = {}});
  Lock();
  return 1;
}

int Endpoint::LendReceived(LoopCore::Frame& frame, ReceiveHandler& handler) {
  if (end_seen_) return EndReceiver(EndOfStream());
  const std::span<std::byte> buffer = loop_->LentBuffer(frame);
  const platform::IoOutcome outcome = platform::Receive(socket(), buffer);
  return outcome.bytes > 0 ? LendData(handler, buffer, outcome.bytes)
                           : LendNothing(outcome);
}

int Endpoint::RunUncalm(LoopCore::Frame& frame, std::span<std::byte> buffer,
                        std::int64_t tried) {
  const platform::IoOutcome outcome =
      platform::AfterTry(socket(), buffer, tried);
  readable_ = true;
  const int told = outcome.bytes > 0 ? LendData(*calm_, buffer, outcome.bytes)
                                     : LendNothing(outcome);
  if (corked_ > 0) Uncork();
  frame.running = nullptr;
  running_ = false;
  return told + Run(Condition::kNone, Results());
}

// Connections that come when the loop is stopped go on waiting.
bool Endpoint::MayAccept() const {
  return !paused_ && !closing_ && !loop_->stopped();
}

void Endpoint::TellAccepted(AcceptHandler& handler,
                            absl::StatusOr<AcceptedStream> accepted) {
  Unlock();
  handler(std::move(accepted));
  Lock();
}

int Endpoint::LendAccepted(AcceptHandler& handler) {
  int told = 0;
  while (told < kMostAccepts && MayAccept()) {
    platform::AcceptOutcome outcome = platform::Accept(socket());
    if (outcome.would_block) {
      NotReadable();
      return told;
    }
    absl::StatusOr<AcceptedStream> accepted;
    if (outcome.ok()) {
      accepted = MakeAccepted(outcome.socket, family_, outcome.peer, loop_);
      if (!accepted.ok() && loop_->stopped()) return told;
    } else {
      accepted = platform::SystemError(outcome.error, "accept");
      Rest();
    }
    TellAccepted(handler, std::move(accepted));
    ++told;
    if (resting_) break;
  }
  return told;
}

// What waits in the system goes on waiting, for a while.
void Endpoint::Rest() {
  resting_ = true;
  OperationRecord* pause = NewOperation(OperationRecord::Kind::kPause);
  pause->keep = shared_from_this();
  pause->phase = OperationRecord::Phase::kQueued;
  LoopCore::Scope scope(*loop_);
  loop_->InsertOperation(*pause, kRest);
}

// Several batches, if there are so many, before what the handler has sent goes
// out: together, where that is possible.
int Endpoint::LendDatagrams(DatagramsHandler& handler) {
  constexpr int kMostBatches = 4;
  int told = 0;
  do {
    if (LendDatagramBatch(handler) == 0) break;
    ++told;
  } while (told < kMostBatches && readable_ && ReceiverWaits() && !closing_ &&
           !refused_ && ended_.empty());
  return told;
}

int Endpoint::LendDatagramBatch(DatagramsHandler& handler) {
  std::array<platform::ReceivedDatagram, kMostDatagrams> batch;
  const std::span<std::byte> buffer = loop_->LentDatagramBuffer();
  const std::size_t room = buffer.size() / batch.size();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    batch[i].buffer = buffer.subspan(i * room, room);
  }
  platform::BatchOutcome outcome = platform::ReceiveDatagrams(socket(), batch);
  if (outcome.would_block) {
    outcome.error = TakeUnreachable();
    if (outcome.error == 0) {
      NotReadable();
      return 0;
    }
  }
  std::array<ReceivedDatagram, kMostDatagrams> received;
  for (std::size_t i = 0; i < outcome.count; ++i) {
    const platform::ReceivedDatagram& from = batch[i];
    received[i] = ReceivedDatagram{
        .data = from.buffer.first(from.bytes),
        .truncated = from.truncated,
        .source = from.source,
        .destination = from.destination.has_value()
                           ? std::optional(from.destination->address)
                           : std::nullopt,
        .interface_index = from.destination.has_value()
                               ? from.destination->interface_index
                               : 0,
        .ecn = from.ecn,
        .segment_bytes = from.segment_size};
  }
  absl::Status status;
  if (outcome.error != 0) {
    unreachable_ = false;
    status = platform::SystemError(outcome.error, "receive");
    if (!IsOfNetwork(status)) Rest();
  }
  loop_->CountLentBuffer();
  Unlock();
  handler(
      ReceivedDatagrams{.datagrams = std::span(received).first(outcome.count),
                        .status = std::move(status)});
  Lock();
  return 1;
}

// The last indication.
int Endpoint::EndReceiver(absl::Status status) {
  Receiver last = std::exchange(receiver_, std::monostate());
  receives_by_itself_.store(false);
  Unlock();
  if (auto* stream = std::get_if<ReceiveHandler>(&last)) {
    (*stream)(Received{.data = {}, .status = std::move(status)});
  } else if (auto* accepted = std::get_if<AcceptHandler>(&last)) {
    (*accepted)(std::move(status));
  } else {
    std::get<DatagramsHandler>(last)(
        ReceivedDatagrams{.datagrams = {}, .status = std::move(status)});
  }
  last = std::monostate();
  Lock();
  return 1;
}

}  // namespace weir::internal
