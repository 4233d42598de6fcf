// A socket that is used through operations: its queues, and how they are carried
// out on top of readiness with non-blocking calls.
//
// All work on the socket is done by Run, on a thread that runs the loop, one
// thread at a time; starting an operation puts it in a queue and asks for a Run.
// A Run goes round: it moves data (what waits to be sent together leaves in one
// call), then indicates what has ended, with nothing locked, until there is
// nothing more to do or others have waited long enough.
//
// Readiness is remembered, not asked for: a direction is thought to be ready
// until a call would block or moves less than it could, and again when the
// mechanism reports it. A report that is out of date costs one call.

#ifndef WEIR_CORE_ENDPOINT_H_
#define WEIR_CORE_ENDPOINT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/endpoint_state.h"
#include "core/handle_gate.h"
#include "core/loop_core.h"
#include "core/operation_record.h"
#include "core/short_transfer.h"
#include "core/thread_local.h"
#include "platform/socket_io.h"
#include "weir/backend.h"
#include "weir/counted_ref.h"
#include "weir/datagram_socket.h"
#include "weir/listener.h"
#include "weir/stream.h"

namespace weir::internal {

// Lock order: an endpoint, then its loop.
class Endpoint final : public EndpointState {
 public:
  // --- any thread

  // One of the loop's from now on, as is the handle.
  static absl::StatusOr<CountedRef<Endpoint>> Create(LoopCore& loop,
                                                     NativeSocket native,
                                                     AddressFamily family,
                                                     SocketType type,
                                                     SocketRole role);

  // A fresh record, to be filled in and given to Start.
  OperationRecord* NewOperation(OperationRecord::Kind kind);
  // Takes the record over. `operation` is what errors are called.
  absl::Status Start(OperationRecord* record, const char* operation,
                     const OperationOptions& options);

  // What a receive and a send that are started without any wish may be: transfers
  // of the short way, if the handler that this thread is in was called by it; else
  // null.
  ShortTransfer* ShortReceive() {
    return TakesShortWay() ? short_way().receive.IfUnused() : nullptr;
  }
  ShortTransfer* ShortSend() {
    return TakesShortWay() ? short_way().send.IfUnused() : nullptr;
  }
  absl::Status Cancel(OperationRecord& record);
  absl::Status CancelAll();
  absl::Status Close(CloseHandler handler, CloseMode mode);
  // To the peer that it is connected to, or to `destination`.
  absl::StatusOr<std::size_t> SendCopy(ConstBuffer data);
  // A datagram socket's: with `segment_bytes`, several datagrams, each this
  // long but for the last.
  absl::StatusOr<std::size_t> SendCopyTo(ConstBuffer data,
                                         const SocketAddress& destination,
                                         std::size_t segment_bytes);

  // What SendCopy returns.
  std::size_t UnsentBytes();

  // What goes on until the close: one of these.
  struct Accepting {
    AcceptHandler handler;
    AcceptingOptions options;
  };
  using Receiver = std::variant<ReceiveHandler, Accepting, DatagramsHandler>;
  absl::Status StartReceiving(Receiver receiver, const char* operation);
  absl::Status PauseReceiving(bool paused, const char* operation);
  // Has what waits to receive try again: this side has ended that, which some
  // systems do not tell those who wait (shutdown() of Windows).
  void LookForEnd();

  // What the handle is of no use without; to be given before anything is
  // started. It goes when the handle is closed.
  void KeepWhileOpen(std::shared_ptr<void> source) {
    own().source = std::move(source);
  }

  // Gives the handle away. FailedPrecondition if anything is pending.
  absl::Status Detach();

  // FailedPrecondition if the socket is closed or the loop was stopped.
  absl::Status CheckUsable(const char* operation) const;
  // What to answer if it was found to be no connected stream: an error,
  // whatever it has become meanwhile.
  absl::Status NotConnected(const char* operation) const;
  // FailedPrecondition if only closing is left (O10).
  absl::Status CheckUnbroken(const char* operation) const;

  // Calls `call(NativeSocket)` while the handle is certain to be open, whatever
  // other threads do; returns its status.
  template <typename Call>
  auto WithHandle(const char* operation, Call call) -> decltype(call(socket())) {
    const HandleGate::Visit handle(handle_gate(), handle_closed_);
    if (!handle || closed_.load(std::memory_order_acquire)) {
      return absl::FailedPreconditionError(
          absl::StrCat(operation, ": the socket is closed"));
    }
    return call(socket());
  }

  // A stream of an accepted connection, which is closed if there can be none.
  static absl::StatusOr<AcceptedStream> MakeAccepted(NativeSocket native,
                                                     AddressFamily family,
                                                     const SocketAddress& peer,
                                                     LoopCore& loop);

  // --- a thread that runs the loop, with nothing locked

  // Does what there is to do, `conditions` having been reported; returns how
  // many handlers it called.
  int Run(Condition conditions, const SubmissionResults& results);
  // What is left of it where that is all there is to do (calm(), expects(),
  // lends()). RunLent says -1 if there is more to it.
  int RunCalm(LoopCore::Frame& frame);
  int RunExpected(LoopCore::Frame& frame);
  int RunLent(LoopCore::Frame& frame);
  // `record`'s time is over.
  void Expire(OperationRecord& record);
  void ReleaseRecord(OperationRecord& record) { Release(&record); }
  // The loop is shut down: everything is indicated and closed here. What the
  // mechanism has and has not reported is not coming back.
  int ShutDown(Condition conditions, SubmissionResults results);
  // Resets the connection if the mechanism still sends from the application's
  // buffers: they are free only when the peer has what is in them, or never will.
  void AbortZeroCopy();
  // The mechanism refused the socket: everything ends with `status`.
  void Refuse(absl::Status status);

 private:
  // Exclusive use of the endpoint: its lock, or, with one thread, the loop. Not
  // granted: the loop belongs to another thread; hand over a command.
  class Guard {
   public:
    explicit Guard(Endpoint& endpoint);
    ~Guard();
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    explicit operator bool() const { return !access_.has_value() || *access_; }

   private:
    Endpoint& endpoint_;
    std::optional<LoopCore::Access> access_;
  };
  // A thread that may have to hand over a command: the close waits for it, so
  // that what it starts has its end.
  class Entering {
   public:
    explicit Entering(Endpoint& endpoint);
    Entering(Entering&& other) noexcept = default;
    ~Entering() { Leave(); }
    void Leave();

   private:
    CountedRef<Endpoint> endpoint_;
  };

  Endpoint(LoopCore& loop, NativeSocket native, AddressFamily family,
           SocketType type, SocketRole role)
      : EndpointState(loop, native, family, type, role) {}
  ~Endpoint() = default;
  friend void AddReference(Endpoint& endpoint);
  friend void DropReference(Endpoint& endpoint);

  // The loop has been destroyed.
  static absl::Status Gone(const char* operation);

  // With the endpoint from here on.

  // --- starting, ending, asking for a run: endpoint_operations.cc
  absl::Status StartWithCare(OperationRecord* record, const char* operation,
                             const OperationOptions& options);
  void Admit(OperationRecord* record, absl::Duration timeout);
  void AdmitAll(OperationQueue copies);
  // That there is nothing to be asked, and nobody to be kept out, when this
  // thread starts something: it runs the loop, alone, and all is in order.
  bool MayStartHere() const {
    return loop_->HasFreeAccess() && !loop_->stopped() && !closing_ &&
           !closed_.load(std::memory_order_relaxed) &&
           !broken_.load(std::memory_order_relaxed);
  }
  // The frame of this thread, if it is in a handler of this endpoint and runs
  // the loop alone.
  LoopCore::Frame* FrameInHandler() const {
    LoopCore::Frame* const frame = LoopCore::CurrentFrame();
    return frame != nullptr && frame->running == this ? frame : nullptr;
  }
  absl::Status ApplyCancel(OperationRecord& record, absl::Status why);
  void ApplyCancelAll();
  OperationQueue& QueueOf(const OperationRecord& record);
  // To be indicated with `status`; it is in no queue.
  void End(OperationRecord* record, absl::Status status);
  void EndAll(OperationQueue& queue, const absl::Status& status);
  void Release(OperationRecord* record);
  // Asks for a Run.
  void Schedule();
  // UnsentBytes, with the endpoint: what has no record as well.
  std::size_t UnsentHere() const;

  // --- rounds: endpoint_run.cc
  // After so many rounds of one run the others have their turn.
  static constexpr int kMostRounds = 8;
  // Of connections and chunks that a mechanism has brought, how many one round
  // tells.
  static constexpr int kMostTold = 16;
  int Indicate();
  bool MayIndicateHere(OperationRecord& record);
  bool IsIdle(int told) const;
  bool IsCalm() const;
  bool LendsCalmly() const;
  void FindShortWay();
  void BeginReceiving();
  void Settle(bool again);

  // --- the short ways: endpoint_short_way.h, endpoint_short_way.cc,
  // endpoint_short_copy.cc
  bool TakesShortWay() const {
    return on_short_way_ == this && !loop_->has_commands_or_stopped();
  }
  void TakeShortWay();
  void LeaveShortWay() {
    expects_ = false;
    if (on_short_way_ == this) on_short_way_ = nullptr;
  }
  void TakeLongWay() {
    if (has_extras()) QueueShortTransfers();
    if (SendsUnrecorded()) QueueShortCopy();
  }
  void QueueShortTransfers();
  void QueueShortTransfer(OperationRecord::Kind kind, ShortTransfer& transfer);
  int RunUnexpected(std::int64_t tried);
  void LeaveShortSend(std::int64_t tried);
  void TakeShortCopy();
  void QueueShortCopy();
  void SubmitShortCopy(LoopCore::Frame& frame,
                       std::span<const std::int32_t> chunks);
  bool KeepChunks(const LoopCore::Frame& frame,
                  std::span<const std::int32_t> chunks);
  void EndShortCopy();
  void CopyOutOfChunks(OperationRecord& record);
  void ReturnKeptChunks();

  // --- the end: endpoint_close.cc
  static const absl::Status& ClosedStatus();
  void ApplyClose(CloseHandler handler, CloseMode mode);
  // Nobody uses the handle from here on.
  void BarHandle() { handle_gate().Close(handle_closed_); }
  void CloseHandle();
  bool Finished() const;
  int Finish();

  // --- copies: endpoint_send.cc
  // A copy of at least this size is avoided if the socket takes it at once.
  static constexpr std::size_t kWorthACall = 4096;
  // A stream's: `data` goes out with what else is sent at this time.
  void AppendCopy(ConstBuffer data);
  void SendOrQueue(ConstBuffer data);
  absl::StatusOr<std::size_t> SendCopyWithCare(ConstBuffer data);
  // Any thread.
  OperationRecord* NewCopy(ConstBuffer data, const SocketAddress& destination);
  // Keeps small data until the handler has returned, on the thread with `frame`;
  // what is lent to that handler stays where it is. False if there is no room.
  bool Cork(LoopCore::Frame& frame, ConstBuffer data);
  // In the handler of a calm run: the stream is open and unbroken, and nothing
  // waits to be sent.
  bool MayCork() const {
    return (calm_ || lends_) && !loop_->has_commands_or_stopped();
  }
  // What is corked goes out; what the system does not take waits in the queue.
  void Uncork(LoopCore::Frame& frame) {
    if (HasFailed()) {
      frame.corked.Clear();
    } else {
      SendCorked(frame);
    }
  }
  void SendCorked(LoopCore::Frame& frame) {
    const ConstBuffer data = frame.corked.parts()[0];
    std::int64_t tried = 0;
    if (writable_) {
      tried = platform::TrySend(socket(), data);
      if (tried == static_cast<std::int64_t>(data.size()) &&
          frame.corked.parts().size() == 1) {
        return frame.corked.Clear();
      }
    }
    SendRestOfCorked(frame, tried);
  }
  void SendRestOfCorked(LoopCore::Frame& frame, std::int64_t tried);
  // What the handlers of this endpoint have corked, if this thread is in one.
  CorkedData* Corked() const;
  void QueueCorked() {
    CorkedData* const corked = Corked();
    if (corked != nullptr && !corked->empty()) QueueAll(*corked);
  }
  void QueueAll(CorkedData& corked);

  // --- sending: endpoint_send.cc
  // What one run, or one submission, sends from a file before the others have
  // their turn.
  static constexpr std::uint64_t kMostFileBytes = 1 << 20;
  void ProgressSends();
  void ProgressConnect(OperationRecord* record);
  // `record` is the first that is to be sent.
  void FinishConnect(OperationRecord* record, absl::Status status);
  void SendGathered();
  void SendAlone(OperationRecord* record);
  void SendTogether();
  bool SendFromFile(OperationRecord* record);
  // `bytes` of the first `count` buffers have been sent.
  void NoteSent(std::size_t bytes, std::size_t count);
  void NoteUnsent(const platform::IoOutcome& outcome);

  // --- sending datagrams: endpoint_datagrams.cc
  class DatagramBatch;
  // As SendCopyTo has it.
  OperationQueue MakeCopies(ConstBuffer data, const SocketAddress& destination,
                            std::size_t segment_bytes);
  void SendDatagrams();
  void FirstDatagramRefused(int error);
  void SplitFirst();
  // Whether the system takes datagrams of one length to one destination
  // together; asked when it matters.
  bool JoinsDatagrams();
  // Adds to the last that waits, as SendCopyTo has it. False: to be sent apart.
  bool JoinLast(ConstBuffer data, const SocketAddress& destination,
                std::size_t segment_bytes);
  // As errors name it; "" for the peer that the socket is connected to.
  static std::string NameOfDestination(const OperationRecord& record);

  // --- receiving: endpoint_receive.cc
  void Progress();
  bool TakeTurningPoints(Condition reports);
  void NoteUntoldError();
  void ProgressReceives();
  void ReceiveInto(OperationRecord* record);
  void FinishReceiveInto(OperationRecord* record,
                         const platform::IoOutcome& outcome, std::size_t room);
  void AcceptInto(OperationRecord* record);
  void NoteAddressChange(OperationRecord* record);
  void ProgressResets();
  // What a receive that was not refused says of the next one.
  void NoteReceived(std::size_t bytes, std::size_t room) {
    if (bytes == 0) {
      if (room > 0) end_seen_ = true;
    } else if (bytes < room && !hangup_reported_) {
      // Drained; what comes later is reported. An end that was reported together
      // with the data is not reported again.
      readable_ = false;
    }
  }
  void NotReadable();
  // A receive of datagrams would block: the system's number of the error that it
  // is told nevertheless, or 0.
  int TakeUnreachable();
  absl::Status ReceiveFailed(int error);
  absl::Status Loss() const;
  absl::Status EndOfStream() const;

  // --- for the receiver: endpoint_lend.cc
  void TakeReceiver(Receiver receiver);
  // For the receiver: moves data and calls it; returns how often.
  int Lend();
  int LendRefusal();
  int LendReceived(LoopCore::Frame& frame);
  int LendNothing(const platform::IoOutcome& outcome);
  int LendData(std::span<std::byte> buffer, std::size_t bytes);
  // What RunCalm goes on as when it turns out that there is more to it: a receive
  // into `buffer` has returned `tried`.
  int RunUncalm(LoopCore::Frame& frame, std::span<std::byte> buffer,
                std::int64_t tried);
  int LendAccepted();
  bool MayAccept() const;
  void TellAccepted(absl::StatusOr<AcceptedStream> accepted);
  void Rest();
  int LendDatagrams();
  int LendDatagramBatch();
  int EndReceiver(absl::Status status);

  // --- handing over to a proactor: endpoint_submissions.cc
  // Less than this is read and sent for less than a mechanism takes to do it.
  static constexpr std::uint64_t kWorthSubmitting = 65536;
  bool Submit(Submission& submission,
              std::span<const std::span<std::byte>> buffers);
  void TakeAtOnce(Submission& submission);
  void TakeReports();
  void NoteRefusal(const absl::Status& why);
  void SubmitReceive(OperationRecord* record);
  void FinishReceive(std::int64_t result);
  void SubmitConnect(OperationRecord* record);
  void SubmitSends(std::span<const std::span<std::byte>> buffers);
  void FinishSend(std::int64_t result);
  void NoteSendFailure(std::int64_t result);
  bool SubmitsFile(const OperationRecord& record) const {
    return Submits() && loop_->capabilities().file_submissions &&
           !HasFailed() &&
           record.size - record.result.bytes >= kWorthSubmitting;
  }
  void SubmitFile(OperationRecord* record);
  void FinishFile(std::int64_t result);
  void CancelSubmissions();
  // The mechanism is to give back what it has of `queue`.
  void AskForEnd(const OperationQueue& queue) {
    if (&queue == &extras().receives) {
      cancel_receive_ = true;
    } else {
      cancel_send_ = true;
    }
  }
  // All of them, or of `queue`, are to end with `why`.
  void AbortAll(const absl::Status& why);
  void Abort(OperationQueue& queue, bool submitted, const absl::Status& why);
  // Ends those of `queue` that were to end and could not.
  void Sweep(OperationQueue& queue);

  // --- what goes on by itself there: endpoint_endless.cc
  void SubmitMany(Submission::Kind kind);
  void SubmitBareReceive();
  void NoteRefusalOfMany(const absl::Status& why);
  void FinishMany(std::int64_t result);
  int LendChunks();
  bool LendChunk();
  int LendSubmittedAccepts();
  bool LendSubmittedAccept();
  void DropUntold();

  // --- datagrams there: endpoint_datagram_submissions.cc
  void SubmitDatagramWait(OperationRecord* record);
  void FinishDatagramWait(std::int64_t result);
  void SubmitDatagram(OperationRecord* record);
  void FinishDatagram(std::int64_t result);

  // Whose handlers this thread is calling in RunExpected, until something comes
  // up.
  WEIR_IN_STATIC_BLOCK
  static inline constinit thread_local const Endpoint* on_short_way_ = nullptr;
};

inline absl::StatusOr<std::size_t> Endpoint::SendCopy(ConstBuffer data) {
  LoopCore::Frame* const frame = FrameInHandler();
  if (frame != nullptr && frame->corked.empty() && calm_ &&
      CorkedData::IsIn(data, frame->lent_now) && !data.empty() &&
      !loop_->has_commands_or_stopped()) [[likely]] {
    frame->corked.Add(data);
    return unsent() + data.size();
  }
  return SendCopyWithCare(data);
}

}  // namespace weir::internal

#endif  // WEIR_CORE_ENDPOINT_H_
