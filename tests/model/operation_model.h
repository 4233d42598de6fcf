// The contract of operations (weir/operation.h, stream.h, listener.h,
// datagram_socket.h) as a small machine: what each call may answer, what each
// operation may be indicated with, and when. It knows no kernel and no backend;
// where a result is the kernel's choice, or that of two threads, it allows a
// set.
//
// It is told of every call before it is made and after it has returned, of every
// indication and of every byte that moves; it answers with what is wrong, "" if
// nothing. Whoever tells it sees to it that it is told one thing at a time.

#ifndef WEIR_TESTS_MODEL_OPERATION_MODEL_H_
#define WEIR_TESTS_MODEL_OPERATION_MODEL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "weir/stream.h"

namespace weir::operation_model {

enum class Verb {
  kReceive,
  kReceiveFrom,
  kAccept,
  kConnect,
  kSend,
  kSendTo,
  kSendFile,
  kFlush,
  kDisconnect,
};

constexpr bool Receives(Verb verb) { return verb <= Verb::kAccept; }

// What one side of a connection sends: bytes with places.
class ByteStream {
 public:
  explicit ByteStream(std::uint64_t from)
      : given_(from), taken_(from), read_(from) {}

  std::uint64_t given() const { return given_; }
  std::uint64_t read() const { return read_; }
  // As much as can have gone out.
  std::uint64_t most() const { return given_ < limit_ ? given_ : limit_; }
  // As much as is not known to have gone out.
  std::uint64_t unsure() const { return given_ - taken_; }
  bool ended() const { return ended_; }
  bool end_read() const { return end_read_; }

  // The writer gives `size` more; the place of the first. Taken back if the call
  // was refused.
  std::uint64_t Give(std::uint64_t size);
  void TakeBack(std::uint64_t size) { given_ -= size; }
  // The system has had everything before `place`; nothing behind it.
  std::string HadUpTo(std::uint64_t place);
  std::string HadNothingFrom(std::uint64_t place);
  // The writer has ended it in an orderly way, or is about to.
  void End() { ended_ = true; }
  // It tries to; or did not.
  void BeginEnd() { ++ending_; }
  void NotEnded() { --ending_; }
  // It may be ended so by the system.
  void MayEnd(bool may) { may_end_ = may; }

  std::string Read(std::span<const std::byte> data);
  // `by_reader`: it has shut its own direction.
  std::string ReadEnd(bool by_reader);
  // After an end was read, and everything was indicated.
  std::string CheckAtTheEnd() const;

 private:
  std::uint64_t given_;
  std::uint64_t taken_;
  std::uint64_t read_;
  std::uint64_t limit_ = std::numeric_limits<std::uint64_t>::max();
  bool ended_ = false;
  bool may_end_ = false;
  int ending_ = 0;
  bool end_read_ = false;
  bool end_by_reader_ = false;
};

// Side s sends sent[s] and is sent sent[1 - s].
struct ConnectionModel {
  struct Side {
    bool closed = false;
    bool aborted = false;
    bool receive_shut = false;
    bool send_shut = false;
    bool sends_file = false;
    // It was told an error.
    bool receive_failed = false;
    bool send_failed = false;
  };

  ConnectionModel(bool is_tcp, std::uint64_t from)
      : tcp(is_tcp), sent{ByteStream(from), ByteStream(from + 30011)} {}

  // Whether side `s` may find that it was reset. A close with data unread is a
  // reset (RFC 1122, 4.2.2.13), and so are data that come after it, or to an end
  // that has shut both directions.
  bool MayBeReset(int s) const {
    const Side& other = sides[1 - s];
    return (other.closed &&
            (other.aborted || sent[s].most() > sent[s].read())) ||
           (tcp && (other.receive_shut || sides[s].receive_shut));
  }
  // Whether it may be no connection any more for side `s`.
  bool MayBeOver(int s) const {
    return sides[1 - s].closed || MayBeReset(s) ||
           (sent[0].ended() && sent[1].ended());
  }
  // What side `s` has received: `data`, or, where there are none, its end or an
  // error.
  std::string Received(int s, const absl::Status& status,
                       std::span<const std::byte> data);
  // What side `s` sends was refused.
  std::string SendFailed(int s, const absl::Status& status);

  const bool tcp;
  ByteStream sent[2];
  Side sides[2];
};

struct LoopModel {
  // A stop, or the destruction, is about to begin; has been asked for.
  std::atomic<bool> stopping{false};
  std::atomic<bool> stopped{false};
  // One thread does everything: nothing happens between a call and what it
  // answers.
  bool exact = true;
};

inline constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

// What a call may answer.
struct Answer {
  bool refuses = false;
  // Because there is a receiver, the so-and-so-many-th.
  bool busy = false;
  int receivers = 0;
  bool may_refuse = false;
};

// One operation.
struct Entry {
  Verb verb = Verb::kReceive;
  // What is to be sent, or the room there is; with a place if a stream sends it.
  std::uint64_t size = 0;
  std::uint64_t place = 0;
  // Its time is not over before.
  std::int64_t deadline = kNever;
  // Of a connect.
  bool may_fail = false;
  bool must_fail = false;
  // Told by its handle alone.
  bool silent = false;

  // The contract's own.
  Answer before = {};
  bool began = false;
  bool refused = false;
  // It may be cut; it has to end.
  bool cut_asked = false;
  bool must_end = false;
  bool indicated = false;
};

// One StartReceive or StartAccepting.
struct ReceiverEntry {
  Answer before = {};
  bool began = false;
  bool refused = false;
  bool called = false;
  bool ended = false;
};

// Of one socket that is used through operations.
class Contract {
 public:
  enum class Kind { kStream, kListener, kDatagram };
  enum class Link { kUnconnected, kConnecting, kConnected, kFailed };

  // `connection` is null but for a stream, of which this is `side`.
  Contract(Kind kind, const LoopModel& loop, ConnectionModel* connection,
           int side, Link link)
      : kind_(kind),
        loop_(loop),
        connection_(connection),
        side_(side),
        link_(link) {}

  Link link() const { return link_; }
  bool closing() const { return closing_; }
  bool closed() const { return closed_; }
  bool broken() const { return broken_; }
  bool receiving() const { return receiver_ != nullptr; }
  // Detached while another thread was about to call a handler, which it may do
  // still.
  bool one_more() const { return one_more_; }
  const std::deque<Entry*>& pending(bool in) const { return in ? in_ : out_; }
  // Everything that was started has had its end, and so has a close that was
  // to be told.
  bool quiet() const {
    return in_.empty() && out_.empty() && receiver_ == nullptr &&
           (!close_to_be_told_ || close_told_);
  }

  // --- starting; one at a time in each direction
  void Begin(Entry& entry, std::int64_t now);
  std::string Began(Entry& entry, const absl::Status& status,
                    std::int64_t now);
  // Of SendCopy, which is not indicated.
  Answer AnswerTo(Verb verb, std::int64_t now) const;
  std::string Answered(const Answer& before, Verb verb,
                       const absl::Status& status, std::int64_t now) const;

  // A copy of no bytes waits like others, but no place tells for how long.
  void NoteEmptyCopy() { empty_copy_ = true; }

  // --- indications
  // `received` is where the bytes of a receive from a stream are.
  std::string Indicated(Entry& entry, const absl::Status& status,
                        std::size_t bytes, std::int64_t now,
                        std::span<const MutableBuffer> received);

  // --- the receiver; beginning, pausing and resuming one at a time
  void BeginReceiving(ReceiverEntry& entry, std::int64_t now);
  std::string BeganReceiving(ReceiverEntry& entry, const absl::Status& status,
                             std::int64_t now);
  // `certain`: nothing was on its way when it paused.
  void BeginPausing(bool pause);
  std::string Paused(bool pause, bool certain, bool was_receiving,
                     const absl::Status& status);
  // A call; of a stream's with `data`, empty if it is the last.
  std::string Received(ReceiverEntry& entry, const absl::Status& status,
                       bool last, std::span<const std::byte> data);

  // --- cutting
  void BeginCancel(Entry& entry) { entry.cut_asked = true; }
  // `was_asked`, `was_told`: so before the call.
  std::string Cancelled(Entry& entry, bool was_asked, bool was_told,
                        const absl::Status& status);
  void BeginCancelAll();
  std::string CancelledAll(const absl::Status& status, bool was_closed);

  // --- ending
  // Of a connected stream; nobody begins to send meanwhile.
  void BeginShutdown(ShutdownDirection direction);
  std::string Shut(ShutdownDirection direction, const absl::Status& status,
                   std::int64_t now);
  void BeginClose(bool abortive);
  // `told`: it has a handler.
  std::string Closed(const absl::Status& status, bool was_closed, bool told);
  void Destroyed() { closed_ = true; }
  std::string CloseTold();
  // `there`: on a thread that the loop belongs to.
  std::string Detached(const absl::Status& status, bool there,
                       std::int64_t now);

 private:
  enum class Pause { kNo, kMaybe, kYes };

  std::deque<Entry*>& QueueOf(bool in) { return in ? in_ : out_; }
  ByteStream& in_bytes() const { return connection_->sent[1 - side_]; }
  ByteStream& out_bytes() const { return connection_->sent[side_]; }
  // Of a send or a connect that ends before its time.
  bool Breaks(Verb verb) const;
  bool MayBeBroken(std::int64_t now) const;
  std::string Install(ReceiverEntry& entry);
  std::string CheckCut(const Entry& entry, const absl::Status& status,
                       std::size_t bytes, std::int64_t now);
  std::string CheckResult(const Entry& entry, const absl::Status& status,
                          std::size_t bytes,
                          std::span<const MutableBuffer> received);
  std::string CheckSent(const Entry& entry, const absl::Status& status,
                        std::size_t bytes);

  const Kind kind_;
  const LoopModel& loop_;
  ConnectionModel* const connection_;
  const int side_;
  Link link_;

  // In the order of starting.
  std::deque<Entry*> in_;
  std::deque<Entry*> out_;
  ReceiverEntry* receiver_ = nullptr;
  int receivers_ = 0;
  Pause paused_ = Pause::kNo;
  // CancelAll calls that have not returned.
  int cancelling_ = 0;
  // A send or a connect was cut; may have been.
  bool broken_ = false;
  bool may_be_broken_ = false;
  bool empty_copy_ = false;
  // A close has begun; has succeeded, or the socket was given back.
  bool closing_ = false;
  int closes_ = 0;
  bool closed_ = false;
  bool close_to_be_told_ = false;
  bool close_told_ = false;
  bool one_more_ = false;
};

}  // namespace weir::operation_model

#endif  // WEIR_TESTS_MODEL_OPERATION_MODEL_H_
