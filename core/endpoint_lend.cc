// Receiving and accepting without being asked each time: the receiver of an
// endpoint is called with what there is (O12, R21).

#include <array>
#include <cstdint>
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

void Endpoint::TakeReceiver(Receiver receiver) {
  if (auto* stream = std::get_if<ReceiveHandler>(&receiver)) {
    receive_handler_ = std::move(*stream);
  } else if (auto* accepting = std::get_if<Accepting>(&receiver)) {
    own().accept_handler = std::move(accepting->handler);
    own().accepting = accepting->options;
  } else {
    own().datagrams_handler = std::move(std::get<DatagramsHandler>(receiver));
  }
}

int Endpoint::Lend() {
  // Those that were started before come first, and what another thread is to
  // tell of them.
  if (!extras().receives.empty() || !extras().ended.empty()) return 0;
  if (closing_ || refused_) {
    if (receive_submitted_) return 0;
    return closing_ ? EndReceiver(ClosedStatus()) : LendRefusal();
  }
  if (!ReceiverWaits()) return 0;
  if (receive_handler_) {
    if (Submits()) return LendChunks();
    return readable_ ? LendReceived(*LoopCore::CurrentFrame()) : 0;
  }
  if (extras().accept_handler) {
    if (Submits()) return LendSubmittedAccepts();
    return readable_ ? LendAccepted() : 0;
  }
  const int told = readable_ ? LendDatagrams() : 0;
  if (!readable_ && submits_datagrams_ && !receive_submitted_ &&
      told == 0) {
    SubmitDatagramWait(nullptr);
  }
  return told;
}

// Told once. The last indication of those that go on is that of the close.
int Endpoint::LendRefusal() {
  if (receive_handler_) return EndReceiver(extras().failure);
  EndpointExtras& mine = own();
  if (std::exchange(mine.refusal_told, true)) return 0;
  absl::Status status = mine.failure;
  Unlock();
  if (mine.accept_handler) {
    mine.accept_handler(std::move(status));
  } else {
    mine.datagrams_handler(
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

inline int Endpoint::LendData(std::span<std::byte> buffer, std::size_t bytes) {
  NoteReceived(bytes, buffer.size());
  loop_->CountLentBuffer();
  Unlock();
  receive_handler_(Received{.data = buffer.first(bytes), .status = {}});
  Lock();
  return 1;
}

int Endpoint::LendReceived(LoopCore::Frame& frame) {
  if (end_seen_) return EndReceiver(EndOfStream());
  const std::span<std::byte> buffer = loop_->memory().LentBuffer(frame);
  const platform::IoOutcome outcome = platform::Receive(socket(), buffer);
  return outcome.bytes > 0 ? LendData(buffer, outcome.bytes)
                           : LendNothing(outcome);
}

int Endpoint::RunUncalm(LoopCore::Frame& frame, std::span<std::byte> buffer,
                        std::int64_t tried) {
  const platform::IoOutcome outcome =
      platform::AfterTry(socket(), buffer, tried);
  readable_ = true;
  const int told = outcome.bytes > 0 ? LendData(buffer, outcome.bytes)
                                     : LendNothing(outcome);
  if (!frame.corked.empty()) Uncork(frame);
  frame.running = nullptr;
  running_ = false;
  return told + Run(Condition::kNone, SubmissionResults());
}

// Connections that come when the loop is stopped go on waiting.
bool Endpoint::MayAccept() const {
  return !paused_ && !closing_ && !loop_->stopped();
}

void Endpoint::TellAccepted(absl::StatusOr<AcceptedStream> accepted) {
  AcceptHandler& handler = own().accept_handler;
  Unlock();
  handler(std::move(accepted));
  Lock();
}

int Endpoint::LendAccepted() {
  int told = 0;
  while (told < kMostAccepts && MayAccept()) {
    SocketAddress peer;
    const platform::AcceptOutcome outcome = platform::Accept(
        socket(), extras().accepting.peer_address ? &peer : nullptr);
    if (outcome.would_block) {
      NotReadable();
      return told;
    }
    absl::StatusOr<AcceptedStream> accepted;
    if (outcome.ok()) {
      accepted = MakeAccepted(outcome.socket, family_, peer, *loop_);
      if (!accepted.ok() && loop_->stopped()) return told;
    } else {
      accepted = platform::SystemError(outcome.error, "accept");
      Rest();
    }
    TellAccepted(std::move(accepted));
    ++told;
    if (resting_) break;
  }
  return told;
}

// What waits in the system goes on waiting, for a while.
void Endpoint::Rest() {
  resting_ = true;
  OperationRecord* pause = NewOperation(OperationRecord::Kind::kPause);
  pause->keep = CountedRef(*this);
  pause->phase = OperationRecord::Phase::kQueued;
  LoopCore::Scope scope(*loop_);
  loop_->InsertOperation(*pause, kRest);
}

// Several batches, if there are so many, before what the handler has sent goes
// out: together, where that is possible.
int Endpoint::LendDatagrams() {
  constexpr int kMostBatches = 4;
  int told = 0;
  do {
    if (LendDatagramBatch() == 0) break;
    ++told;
  } while (told < kMostBatches && readable_ && ReceiverWaits() && !closing_ &&
           !refused_ && extras().ended.empty());
  return told;
}

int Endpoint::LendDatagramBatch() {
  std::array<platform::ReceivedDatagram, kMostDatagrams> batch;
  const std::span<std::byte> buffer =
      loop_->memory().DatagramBuffer(*LoopCore::CurrentFrame());
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
  DatagramsHandler& handler = own().datagrams_handler;
  Unlock();
  handler(
      ReceivedDatagrams{.datagrams = std::span(received).first(outcome.count),
                        .status = std::move(status)});
  Lock();
  return 1;
}

// The last indication.
int Endpoint::EndReceiver(absl::Status status) {
  receives_by_itself_.store(false);
  // Called, and destroyed, outside the lock: what it holds is the
  // application's.
  const auto tell = [this](auto& handler, auto&& news) {
    auto last = std::exchange(handler, nullptr);
    Unlock();
    last(std::forward<decltype(news)>(news));
    last = nullptr;
    Lock();
  };
  if (receive_handler_) {
    tell(receive_handler_, Received{.data = {}, .status = std::move(status)});
  } else if (own().accept_handler) {
    tell(own().accept_handler,
         absl::StatusOr<AcceptedStream>(std::move(status)));
  } else {
    tell(own().datagrams_handler,
         ReceivedDatagrams{.datagrams = {}, .status = std::move(status)});
  }
  return 1;
}

}  // namespace weir::internal
