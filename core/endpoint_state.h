// What is known of a socket that is used through operations, and what follows
// from that alone. Endpoint has what is done with it.

#ifndef WEIR_CORE_ENDPOINT_STATE_H_
#define WEIR_CORE_ENDPOINT_STATE_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "core/endpoint_extras.h"
#include "core/handle_gate.h"
#include "core/loop_core.h"
#include "core/loop_record.h"
#include "core/readiness_state.h"
#include "core/short_transfer.h"
#include "weir/backend.h"
#include "weir/stream.h"

namespace weir::internal {

// Belongs to whoever has the endpoint (Endpoint::Guard), but for what is said to
// be any thread's, or the loop's.
class EndpointState : public LoopRecord {
 public:
  // --- any thread

  bool is_open() const { return !closed_.load(std::memory_order_relaxed); }
  SocketRole role() const { return role_.load(std::memory_order_relaxed); }
  AddressFamily family() const { return family_; }
  SocketType type() const { return type_; }
  LoopCore& loop() const { return *loop_; }

  // A stream connects once: true for the first who asks.
  bool BeginConnecting() {
    SocketRole expected = SocketRole::kUnconnected;
    return !broken_.load(std::memory_order_acquire) &&
           role_.compare_exchange_strong(expected, SocketRole::kConnecting);
  }
  void GiveUpConnecting() { role_.store(SocketRole::kUnconnected); }

  // --- a thread that runs the loop, with nothing locked

  // Whether all there is to do, when data is reported, is to receive it for the
  // receiver of a stream; with one thread, on the persistent model
  // (Endpoint::RunCalm).
  bool calm() const { return calm_; }
  // Whether all there is to do, when data is reported, is to end the one
  // receive that waits, which is plain; likewise (Endpoint::RunExpected).
  bool expects() const { return expects_; }
  // The same with a proactor: all there is to do, when nothing is reported, is
  // to give the receiver what the mechanism has received, and to note that the
  // copy which it was sending is sent (Endpoint::RunLent).
  bool lends() const { return lends_; }
  bool finished() const { return finished_; }

  // --- with access to the loop

  // What is to be watched.
  Watch wanted;
  // The mechanism was told to forget it, and has requests of it to hand over
  // before the handle is closed.
  bool unwatched : 1 = false;
  bool submits_first : 1 = false;
  // What receives by itself has no submission yet (Backend::StartReceiveMany).
  bool receives_bare : 1 = false;
  // How often it was to run once more in which turn, so that a chain of
  // operations that always succeed does not keep the turn from ending.
  std::uint8_t runs = 0;
  std::uint16_t last_turn = 0;
  // Made by the thread that runs the endpoint, or, with one thread, by the loop
  // for a receive that has none yet.
  std::unique_ptr<EndpointSubmissions> submissions;
  EndpointSubmissions& MakeSubmissions();
  // In the loop's list of its endpoints, which has a reference of each.
  Endpoint* previous = nullptr;
  Endpoint* next = nullptr;

 protected:
  // The handle belongs to the endpoint from now on.
  EndpointState(LoopCore& loop, NativeSocket native, AddressFamily family,
                SocketType type, SocketRole role);
  ~EndpointState();

  void Lock() {
    if (several_threads_) own().mu->Lock();
  }
  void Unlock() {
    if (several_threads_) own().mu->Unlock();
  }
  bool handle_is_closed() const {
    return handle_closed_.load(std::memory_order_relaxed);
  }
  HandleGate& handle_gate() const { return loop_->HandleGateOf(this); }

  // What there is of extras, to be looked at.
  const EndpointExtras& extras() const {
    const EndpointExtras* own = extras_.load(std::memory_order_acquire);
    return own != nullptr ? *own : NoExtras();
  }
  static const EndpointExtras& NoExtras() {
    static const EndpointExtras& none = *new EndpointExtras;
    return none;
  }
  // With the endpoint: them, to be changed.
  EndpointExtras& own() {
    EndpointExtras* own = extras_.load(std::memory_order_relaxed);
    return own != nullptr ? *own : MakeExtras();
  }
  EndpointExtras& MakeExtras();
  bool has_extras() const {
    return extras_.load(std::memory_order_relaxed) != nullptr;
  }
  // Where there is one.
  ShortWay& short_way() {
    return extras_.load(std::memory_order_relaxed)->short_way;
  }
  bool HasFailed() const { return has_extras() && !extras().failure.ok(); }
  std::uint64_t unsent() const {
    const EndpointExtras* own = extras_.load(std::memory_order_acquire);
    return own == nullptr ? 0 : own->unsent.load(std::memory_order_relaxed);
  }
  void CountUnsent(std::uint64_t bytes) {
    std::atomic<std::uint64_t>& unsent = own().unsent;
    unsent.store(unsent.load(std::memory_order_relaxed) + bytes,
                 std::memory_order_relaxed);
  }

  EndpointSubmissions& OwnSubmissions();
  EndpointSubmissions::Sending& OwnSending();
  bool Submits() const { return submits_; }
  bool SendsUnrecorded() const {
    return submissions != nullptr && submissions->sending != nullptr &&
           submissions->sending->unrecorded > 0;
  }
  // What it receives goes on by itself, and may miss how it ends.
  bool ReceivesWithoutEnd() const {
    return receive_submitted_ && loop_->capabilities().receives_miss_ends &&
           (submissions == nullptr ||
            submissions->receive.kind == Submission::Kind::kReceiveMany);
  }
  bool HasReceiver() const {
    return receive_handler_ || (has_extras() && (extras().accept_handler ||
                                                 extras().datagrams_handler));
  }
  bool ReceiverWaits() const { return HasReceiver() && !paused_ && !resting_; }
  // Persistent model: what is watched stays the same until the end.
  bool IsSettled() const {
    return watched_ && !again_ && !handle_is_closed() &&
           role() != SocketRole::kUnconnected &&
           (type_ == SocketType::kStream ||
            WaitsToSend() == Has(settled_.conditions, Condition::kWritable));
  }
  bool WaitsToSend() const {
    return !extras().sends.empty() && !writable_ && !send_submitted_;
  }

  std::atomic<std::uint32_t> references_{0};
  // Threads between their look at `closed_` and the end of their command.
  std::atomic<std::uint16_t> entering_{0};
  // What the loop was asked to watch.
  Watch settled_;

  const AddressFamily family_;
  const SocketType type_;
  std::atomic<SocketRole> role_;
  // A close was asked for, by whatever thread.
  std::atomic<bool> closed_{false};
  // A send or connect was cancelled: only closing is left (O10).
  std::atomic<bool> broken_{false};
  std::atomic<bool> receives_by_itself_{false};
  // The loop's.
  const bool several_threads_;
  std::atomic<bool> handle_closed_{false};
  Condition reports_ = Condition::kNone;

  // With the endpoint.

  // What it can hand over to a proactor, it does, unless that refused the
  // socket.
  bool submits_ : 1;
  // The same of what waits for datagrams, or for room for one.
  bool submits_datagrams_ : 1;
  bool running_ : 1 = false;
  bool again_ : 1 = false;
  // The receiver of a stream, if that is all. Found at the end of a run:
  // whatever changes asks for another one.
  bool calm_ : 1 = false;
  // The same where a proactor receives for it. At most one copy is being sent.
  bool lends_ : 1 = false;
  // The same of a receive, in the short way or in the queue: what may be is
  // found when a run ends.
  bool expects_ : 1 = false;
  bool readable_ : 1 = false;
  bool writable_ : 1 = true;
  // The peer's close, or an error, was reported: an end that may never be
  // reported again.
  bool hangup_reported_ : 1 = false;
  // Both directions have ended, in whatever way.
  bool over_reported_ : 1 = false;
  // Nothing more can be received.
  bool end_seen_ : 1 = false;
  bool connecting_ : 1 = false;
  bool closing_ : 1 = false;
  CloseMode close_mode_ : 1 = CloseMode::kGraceful;
  // The mechanism has reported an error of a datagram socket, whose cause the
  // receive may not be told (Capabilities::errors_without_cause).
  bool unreachable_ : 1 = false;
  bool finished_ : 1 = false;
  bool refused_ : 1 = false;
  // Persistent model: the mechanism has been asked to watch.
  bool watched_ : 1 = false;
  bool paused_ : 1 = false;
  // The receiver waits for something to mend, as for descriptors to come back.
  bool resting_ : 1 = false;
  // The receive that goes on by itself has brought something.
  bool has_lent_ : 1 = false;
  // The mechanism has the first of the queue; of sends, several buffers.
  bool receive_submitted_ : 1 = false;
  bool send_submitted_ : 1 = false;
  // It had no room; it is asked again in the next turn.
  bool no_room_ : 1 = false;
  // The last submission ended with "would block".
  bool receive_would_block_ : 1 = false;
  // The mechanism is out of buffers or of descriptors: a call is made when
  // there is something, and then it is asked again.
  bool receive_by_call_ : 1 = false;
  // The system does not send from the buffers here.
  bool copies_sends_ : 1 = false;
  // See JoinsDatagrams.
  bool joins_known_ : 1 = false;
  bool joins_datagrams_ : 1 = false;
  // Those that were together were refused; how one alone fares, tells why.
  bool joins_in_doubt_ : 1 = false;
  bool cancel_receive_ : 1 = false;
  bool cancel_send_ : 1 = false;

  LoopCore* const loop_;
  // The endpoint's own. Once made, it stays.
  std::atomic<EndpointExtras*> extras_{nullptr};
  // What receives from a stream by itself.
  ReceiveHandler receive_handler_;
};

}  // namespace weir::internal

#endif  // WEIR_CORE_ENDPOINT_STATE_H_
