// The one interface between the portable core and a kernel's mechanism. It is
// public so that a mechanism of the user's own can be plugged in:
//
//   auto loop = weir::EventLoop::Create(std::make_unique<MyBackend>());
//
// A backend arms, waits and translates. It has no policy: one-shot
// bookkeeping, the meaning of edge and level, staleness, `removed`, handler
// serialisation and deadlines are the core's, once for all backends.

#ifndef WEIR_BACKEND_H_
#define WEIR_BACKEND_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "weir/events.h"
#include "weir/native_file.h"
#include "weir/native_socket.h"
#include "weir/socket_address.h"

namespace weir {

// What a kernel says about a socket. Wider than Events, because the core must
// tell "the peer closed its side" from "both sides are done".
enum class Condition : std::uint8_t {
  kNone = 0,
  kReadable = 1,
  kWritable = 2,
  // The peer will send no more (POLLRDHUP).
  kPeerClosed = 4,
  // Neither side will send any more, or a stream was never connected (POLLHUP).
  kClosed = 8,
  // An error is pending on the socket (POLLERR).
  kError = 0x40,
  kAll = 0x4f,
};

constexpr Condition operator|(Condition a, Condition b) {
  return static_cast<Condition>(static_cast<std::uint8_t>(a) |
                                static_cast<std::uint8_t>(b));
}
constexpr Condition operator&(Condition a, Condition b) {
  return static_cast<Condition>(static_cast<std::uint8_t>(a) &
                                static_cast<std::uint8_t>(b));
}
constexpr Condition operator~(Condition a) {
  return static_cast<Condition>(~static_cast<std::uint8_t>(a)) &
         Condition::kAll;
}
constexpr Condition& operator|=(Condition& a, Condition b) { return a = a | b; }
constexpr Condition& operator&=(Condition& a, Condition b) { return a = a & b; }
constexpr bool Has(Condition set, Condition bits) {
  return (set & bits) != Condition::kNone;
}

// How a mechanism tells readiness. The core asks each for what it can do.
enum class ReadinessModel : std::uint8_t {
  // A watch stays until it is changed; trigger and persistence are the
  // kernel's; reports describe the moment of the wait (epoll).
  kPersistent,
  // A watch ends with its first report; it is checked as level when armed and
  // the report is a snapshot that can be out of date when it is collected
  // (io_uring poll, socket notifications). Every watch but the quiet one is
  // level and one-shot.
  kSingleShot,
};

struct Capabilities {
  ReadinessModel readiness_model = ReadinessModel::kPersistent;
  // It carries out transfers by itself (a proactor): Backend::Start. On the
  // others (reactors) the core does, on top of readiness.
  bool submissions = false;
  // Of datagram sockets, the waits as well, and what they end with.
  bool datagram_submissions = false;
  // Of streams, what is sent from files as well.
  bool file_submissions = false;
  // Sends need not be copied: OperationOptions::zero_copy means something.
  bool zero_copy_sends = false;
  // Backend::StartReceiveMany.
  bool receives_by_socket = false;
  // A kReceiveMany can miss that its stream has ended or failed: the core watches
  // for that besides.
  bool receives_miss_ends = false;
  // Any thread may wait when no other does, also for a loop for one thread.
  bool usable_by_any_thread = false;
  // kError says that a socket has failed, not that it has an error pending: the
  // cause may be gone, or was never kept (Windows). The core then tells of a
  // connected stream, once, that it was reset, and of a datagram socket that the
  // port it sent to is unreachable (R15).
  bool errors_without_cause = false;
  // What tells readiness, where one mechanism has more than one such source:
  // "ProcessSocketNotifications" or "AFD poll" (R23). Static.
  std::string_view readiness_source = {};
};

// What the core wants a mechanism to watch on one socket.
struct Watch {
  // False: nothing at all, the mechanism forgets the socket.
  bool present = false;
  // kReadable, kWritable, kPeerClosed. Errors and kClosed are reported in any
  // case, but for a quiet watch.
  Condition conditions = Condition::kNone;
  Trigger trigger = Trigger::kLevel;
  Persistence persistence = Persistence::kPersistent;

  friend constexpr bool operator==(const Watch&, const Watch&) = default;
};

// A watch that waits for an error and nothing else, on a socket whose close is
// known. A mechanism that cannot help it may report kClosed besides, once.
inline constexpr Watch kQuietWatch{.present = true,
                                   .conditions = Condition::kNone,
                                   .trigger = Trigger::kEdge,
                                   .persistence = Persistence::kPersistent};

// What becomes of a socket's handle once the mechanism has forgotten it.
enum class HandleFate : std::uint8_t {
  // It may come back, on another record.
  kStaysOpen,
  // Its number may be another socket's after the next Submit.
  kCloses,
};

class ReadyList;
struct Submission;

// The core's record of a registered socket, as a backend sees it. The address
// stays valid from the first Arm() until Forget(), the batch that was then
// being collected has been collected, and every Pin() has been undone.
class WatchedSocket {
 public:
  explicit WatchedSocket(NativeSocket socket) : socket_(socket) {}
  WatchedSocket(const WatchedSocket&) = delete;
  WatchedSocket& operator=(const WatchedSocket&) = delete;

  NativeSocket socket() const { return socket_; }

  // Keeps the record alive while a kernel packet that names it is to come.
  void Pin() { ++pins_; }
  void Unpin() { --pins_; }

  // For the backend's own use; zero before the first Arm().
  std::uint32_t backend_data = 0;

 protected:
  ~WatchedSocket() = default;
  std::uint32_t pins() const { return pins_; }

 private:
  friend class ReadyList;

  std::uint32_t pins_ = 0;
  const NativeSocket socket_;
  WatchedSocket* next_ready_ = nullptr;
  bool linked_ = false;
  bool ended_ = false;
  Condition reported_ = Condition::kNone;
  Condition doubtful_ = Condition::kNone;
  int refusal_ = 0;
};

// What a kSendFile sends: at most `length` bytes, at least one.
struct FilePart {
  NativeFile file = kInvalidFile;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// A transfer that a proactor carries out by itself: on a stream, of one
// datagram, or an accept. Two go on until they are cancelled: kReceiveMany,
// into buffers of the mechanism (Backend::NextChunk), and kAcceptMany
// (Backend::NextAccepted). The core owns it, and what it points to, and touches
// none of it between Start and the report, but for making it late
// (Backend::StartReceiveMany).
struct Submission {
  enum class Kind : std::uint8_t {
    kReceive,
    kReceiveMany,
    kSend,
    kAccept,
    kAcceptMany,
    kConnect,
    // With Capabilities::datagram_submissions.
    kReceiveFrom,
    // Ends when there is a datagram, which stays, or an error.
    kAwaitDatagram,
    kSendTo,
    // With Capabilities::file_submissions.
    kSendFile,
  };

  Kind kind = Kind::kReceive;
  // From Start to the report, which the core takes and then clears.
  bool in_flight = false;
  bool reported = false;
  // Of kSend: the kernel takes the bytes out of the buffers without a copy, and
  // the report waits until it needs them no more.
  bool zero_copy = false;
  // Of kReceiveFrom: the datagram was longer than the buffer. Set with the result.
  bool truncated = false;
  WatchedSocket* socket = nullptr;
  // Where to connect to, or to send to, null being the peer; where to write who
  // was accepted, or has sent.
  SocketAddress* address = nullptr;
  const FilePart* part = nullptr;
  // Bytes moved, or the accepted handle; or the system's number, negative.
  // A receive moves what is there, a send as much as goes at once; 0 of a
  // kSendFile says that the file has ended. Of
  // kReceiveMany: 0 at the end of the stream; more if it has ended for no reason
  // and may be started anew. Of kAcceptMany: 0 if it has ended for no reason.
  // The mechanism's own until the report.
  std::int64_t result = 0;
  // Of a kSend that has failed: what was sent before that, where the mechanism is
  // told so. Set with the result.
  std::int64_t sent_before = 0;
  // The mechanism's own.
  void* backend_data = nullptr;
  bool cancelled = false;
  std::uint32_t burst = 0;
  std::uint32_t burst_chunks = 0;
  std::int32_t first_chunk = -1;
  std::int32_t last_chunk = -1;
};

// What a kReceiveMany has received, in a buffer of the mechanism.
struct ReceivedChunk {
  std::span<const std::byte> data;
  std::int32_t id = -1;
};

// The sockets a wait found ready, each once: several reports of one socket
// become one (R02). An intrusive list in order of arrival; allocates nothing.
class ReadyList {
 public:
  ReadyList() = default;
  // `receive_of` finds or makes what ReceiveOf() returns.
  explicit ReadyList(Submission& (*receive_of)(WatchedSocket& socket))
      : receive_of_(receive_of) {}
  ReadyList(const ReadyList&) = delete;
  ReadyList& operator=(const ReadyList&) = delete;

  // Several reports in a row. While there is one, nothing else touches the
  // list.
  class Batch {
   public:
    explicit Batch(ReadyList& list) : list_(list), end_(list.end_) {}
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;
    ~Batch() { list_.end_ = end_; }

    // As those of the list.
    void Report(WatchedSocket& socket, Condition conditions) {
      socket.reported_ |= conditions;
      socket.ended_ = true;
      Push(socket);
    }
    void Push(WatchedSocket& socket) {
      if (socket.linked_) return;
      socket.linked_ = true;
      *end_ = &socket;
      end_ = &socket.next_ready_;
    }

   private:
    ReadyList& list_;
    WatchedSocket** end_;  // in a register, which list_.end_ cannot be
  };

  // `socket` has these conditions. In the single-shot model this also says
  // that its watch has ended; with kNone it says only that (the kernel gave
  // the watch up by itself, and the core will arm anew).
  void Report(WatchedSocket& socket, Condition conditions) {
    Batch(*this).Report(socket, conditions);
  }

  // The same, if it cannot be told whether the report is of the present watch or
  // of an earlier one: the core looks before it tells.
  void ReportDoubtful(WatchedSocket& socket, Condition conditions) {
    socket.doubtful_ |= conditions;
    Report(socket, conditions);
  }

  // The mechanism does not take the socket, for which the system gave this
  // number: the core tells, and forgets it.
  void ReportRefusal(WatchedSocket& socket, int system_code) {
    socket.refusal_ = system_code;
    Report(socket, Condition::kNone);
  }

  // `submission` has ended with `result`.
  void Report(Submission& submission, std::int64_t result) {
    submission.in_flight = false;
    submission.reported = true;
    submission.result = result;
    Push(*submission.socket);
  }

  // The Submission of the receive that was started on `socket`, by whichever of
  // Start and StartReceiveMany. On a list of the core's.
  Submission& ReceiveOf(WatchedSocket& socket) { return receive_of_(socket); }

  // The mechanism has lost reports and does not know whose: the core arms
  // everything anew. With an `error`, the system's number: it carries out nothing
  // any more either, and submissions that it has not reported end with that.
  void ReportLoss(int error = 0) {
    loss_ = true;
    loss_error_ = error;
  }
  bool TakeLoss() {
    const bool loss = loss_;
    loss_ = false;
    return loss;
  }
  // After TakeLoss().
  int loss_error() const { return loss_error_; }

  bool empty() const { return head_ == nullptr; }

  // Takes the first socket off the list, null if it is empty. Its conditions
  // stay with it until TakeConditions().
  WatchedSocket* Pop() {
    WatchedSocket* socket = head_;
    if (socket != nullptr) {
      head_ = socket->next_ready_;
      if (head_ == nullptr) end_ = &head_;
      socket->next_ready_ = nullptr;
      socket->linked_ = false;
    }
    return socket;
  }

  // Takes all of them off the list, and returns the first. They are linked
  // until they are unlinked one by one, and meanwhile are not put on it again.
  WatchedSocket* TakeAll() {
    end_ = &head_;
    return std::exchange(head_, nullptr);
  }
  // Of those that were taken: returns the one after `first`, null after the
  // last.
  static WatchedSocket* Unlink(WatchedSocket& first) {
    first.linked_ = false;
    return std::exchange(first.next_ready_, nullptr);
  }
  // Those that were taken from `first` on are the first of the list again.
  void PutBack(WatchedSocket& first) {
    WatchedSocket** end = &first.next_ready_;
    while (*end != nullptr) end = &(*end)->next_ready_;
    *end = head_;
    if (head_ == nullptr) end_ = end;
    head_ = &first;
  }

  // Puts a socket on the list without a report, unless it is there already: its
  // watch goes on, and the core looks at the socket's present state.
  void Push(WatchedSocket& socket) { Batch(*this).Push(socket); }

  static WatchedSocket* Next(const WatchedSocket& socket) {
    return socket.next_ready_;
  }
  WatchedSocket* head() const { return head_; }

  static Condition Conditions(const WatchedSocket& socket) {
    return socket.reported_;
  }
  static Condition TakeConditions(WatchedSocket& socket) {
    const Condition conditions = socket.reported_;
    socket.reported_ = Condition::kNone;
    return conditions;
  }
  static void DropConditions(WatchedSocket& socket, Condition conditions) {
    socket.reported_ &= ~conditions;
  }
  static void AddConditions(WatchedSocket& socket, Condition conditions) {
    socket.reported_ |= conditions;
  }
  static Condition TakeDoubtful(WatchedSocket& socket) {
    const Condition doubtful = socket.doubtful_;
    socket.doubtful_ = Condition::kNone;
    return doubtful;
  }
  // The system's number, 0 without a refusal.
  static int TakeRefusal(WatchedSocket& socket) {
    const int refusal = socket.refusal_;
    socket.refusal_ = 0;
    return refusal;
  }
  // Whether a report has come since the last call.
  static bool TakeEnded(WatchedSocket& socket) {
    const bool ended = socket.ended_;
    socket.ended_ = false;
    return ended;
  }
  static bool linked(const WatchedSocket& socket) { return socket.linked_; }

 private:
  Submission& (*const receive_of_)(WatchedSocket& socket) = nullptr;
  WatchedSocket* head_ = nullptr;
  WatchedSocket** end_ = &head_;  // where the next one goes
  bool loss_ = false;
  int loss_error_ = 0;
};

// A mechanism. The core calls everything but Wait and Wake one at a time; Wait by
// one thread at a time, but possibly while another thread is in one of the
// others; Wake from any thread at any time.
class Backend {
 public:
  static constexpr std::int64_t kForever =
      std::numeric_limits<std::int64_t>::max();

  virtual ~Backend() = default;

  // The name by which it is chosen: "epoll", "io_uring", ...
  virtual std::string_view name() const = 0;
  virtual Capabilities capabilities() const = 0;

  // Changes what is watched on `socket` from `from` to `to`. Equal values mean
  // "look at the present state again". In the single-shot model nothing that the
  // earlier watch found is reported afterwards. May only note the change, to be handed
  // to the kernel by the next Submit or Wait, so that many changes cost one
  // system call (R12). A refusal leaves `from` in force and is told here if
  // the mechanism tells at once, otherwise by ReportRefusal or by reporting
  // kError: the core then asks the socket for the cause.
  virtual absl::Status Arm(WatchedSocket& socket, const Watch& from,
                           const Watch& to) = 0;

  // `socket` will not be armed again: nothing of it is watched any more, and
  // what the mechanism keeps about it goes. Absence by Arm may be short: this is
  // the end. Called for each record that was armed or tried to be; again, with
  // kCloses, if a handle that stayed open is closed before the record has gone.
  // Returns whether the handle must not be closed before the next Submit. If
  // that fails there is nothing more to be done.
  virtual bool Forget(WatchedSocket& socket, HandleFate) {
    static_cast<void>(socket);
    return false;
  }

  // Hands noted changes to the kernel now. Called before a socket is closed,
  // and after changes made while another thread is in Wait. ResourceExhausted
  // and Unavailable: what was noted stays noted, and is tried again by the next
  // Submit or Wait (R13).
  virtual absl::Status Submit() = 0;

  // Hands noted changes to the kernel if only one thread runs the loop (else
  // Submit was called before), then blocks until something is to be collected,
  // Wake is called or was called since the last Wait, or `timeout_ns` (0: do
  // not block; kForever) is over. Returning early, with nothing to collect, is
  // allowed (a signal). A status is for what retrying does not mend.
  virtual absl::Status Wait(std::int64_t timeout_ns) = 0;

  // Reports what Wait found.
  virtual void Collect(ReadyList& ready) = 0;

  // Ends the present or the next Wait, unless a Collect comes between: the core
  // looks at everything after Collect. Many may merge; none is lost (R18).
  // Async-signal-safe.
  virtual void Wake() = 0;

  // With Capabilities::submissions. Starts a transfer from or to `buffers`, of
  // which there are at most 64, none for an accept and a connect; the list may
  // go away at once. Like Arm it may only note it. It may have ended when this
  // returns: then Submission::reported is set, and no report follows (O02). A
  // refusal starts nothing. FailedPrecondition: the mechanism cannot drive this
  // socket, and the core does, on top of readiness. Unimplemented, of a kind
  // that goes on: it cannot do that at present, and the core makes calls when
  // there is something. Anything else: it is asked again in the next turn.
  virtual absl::Status Start(Submission&,
                             std::span<const std::span<std::byte>>) {
    return absl::UnimplementedError("start: not a proactor");
  }
  // With Capabilities::receives_by_socket: starts a kReceiveMany that has no
  // Submission yet, so that of the many sockets that wait for their peers none
  // needs one. When it brings something, or ends, ReadyList::ReceiveOf() has
  // it; and the core may make it before, to cancel it. It is then in flight, as
  // if Start had been given it. Errors as Start; it has not ended when this
  // returns. Called with one thread only.
  virtual absl::Status StartReceiveMany(WatchedSocket&) {
    return absl::UnimplementedError("start receiving: not by socket");
  }
  // Asks for the end of one that is in flight; it is reported in any case, with
  // what it has done or as cancelled. May only note it.
  virtual void Cancel(Submission&) {}

  // Takes the next chunk that a kReceiveMany has received, if there is one; it
  // goes back with ReturnChunk. The socket was pushed onto the ready list when
  // it came. With all buffers out, such submissions end with kNoBuffers. If there
  // is none, the submission may have ended with that, as in Start.
  virtual std::optional<ReceivedChunk> NextChunk(Submission&) {
    return std::nullopt;
  }
  virtual void ReturnChunk(std::int32_t) {}
  // Whether the core may keep the chunk while a send of what is in it is in
  // flight, for however long the peer makes that. False: too few are left.
  virtual bool KeepChunk(std::int32_t) { return false; }

  // Takes the next connection that a kAcceptMany has accepted, if there is one:
  // the caller's to close. The socket was pushed onto the ready list when it came.
  virtual std::optional<NativeSocket> NextAccepted(Submission&) {
    return std::nullopt;
  }

  // A descriptor that poll(2) finds readable when a Wait would return at once
  // (P07), or kInvalidSocket.
  virtual NativeSocket native_handle() const { return kInvalidSocket; }

  // System calls made so far; for counters and tests.
  virtual std::uint64_t system_calls() const = 0;
};

}  // namespace weir

#endif  // WEIR_BACKEND_H_
