// What is true of a few sockets, as far as readiness depends on it: bytes on
// their way, half-closes, resets. No kernel; every rule is a sentence of the
// manual pages tcp(7), udp(7), unix(7), shutdown(2).

#ifndef WEIR_TESTS_MODEL_SOCKET_MODEL_H_
#define WEIR_TESTS_MODEL_SOCKET_MODEL_H_

#include <vector>

#include "weir/status.h"

namespace weir::model {

enum class Kind { kTcp, kUnix, kUdp, kListener };

// Every send is of this size, and every datagram.
inline constexpr int kChunk = 10;

enum class Truth {
  kNo,
  kYes,
  // The kernel's choice, the same whenever the same was done.
  kEither,
  // The kernel's choice, and a matter of timing.
  kRacy,
};

// What the systems do each in its own way (tests/support/system.h).
struct SystemWays {
  bool hangup_overtakes_data = true;
  ErrorCause reset_after_the_end = ErrorCause::kBrokenPipe;
  // That a stream has failed is told by poll and by each receive, before an end
  // that was announced, and does not pass.
  bool failures_last = false;
  bool unreachable_ports_are_told = true;
  bool streams_read_on_after_shutdown = true;
  bool data_outlives_a_reset = true;
  bool all_is_sent_to_who_has_ended = true;
};

// One end of a pair; end e's peer is e ^ 1. A listener has no peer.
struct End {
  Kind kind = Kind::kUnix;
  // Through its weir::Socket; through a duplicate of the handle.
  bool open = false;
  bool duplicated = false;
  // Streams.
  bool connected = false;
  // To be received: bytes, datagrams, or connections.
  int waiting = 0;
  // More bytes than fit were sent to this end: it has not received any, or it
  // has received some.
  bool flooded = false;
  bool sampled = false;
  // The peer will send no more; this side closed its own directions (or, on
  // Unix streams, the peer closed them).
  bool peer_ended = false;
  bool read_shut = false;
  bool write_shut = false;
  // Reset; could not connect.
  bool dead = false;
  bool refused = false;
  // To be fetched.
  ErrorCause error = ErrorCause::kNone;

  bool alive() const { return open || duplicated; }
  bool stream() const { return kind == Kind::kTcp || kind == Kind::kUnix; }
};

// What a transfer does.
struct Outcome {
  int bytes = 0;
  bool would_block = false;
  bool end = false;
  ErrorCause error = ErrorCause::kNone;
  // It has shown that the direction is drained (R05).
  bool drained = false;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

class SocketModel {
 public:
  SocketModel(int ends, const SystemWays& ways)
      : ways_(ways), ends_(static_cast<std::size_t>(ends)) {}

  const End& operator[](int end) const {
    return ends_[static_cast<std::size_t>(end)];
  }
  int size() const { return static_cast<int>(ends_.size()); }

  Truth Readable(int end) const;
  Truth Writable(int end) const;
  Truth HungUp(int end) const;
  // To the kernel; to Weir it is told once.
  Truth Failed(int end) const;

  // Whether the outcome can be told, and is worth trying.
  bool CanSend(int end) const;
  bool CanFill(int end) const;
  bool CanReceive(int end) const;
  bool CanShutdownWrite(int end) const;
  bool CanShutdownRead(int end) const;
  // In an orderly way; a flood under way would delay the end of the stream.
  bool CanClose(int end) const;

  void Open(int end, Kind kind, bool connected);
  Outcome Send(int end);
  // Sends until it would block.
  void Fill(int end);
  Outcome Receive(int end, int most);
  // Without Weir, which does not know then that an error has been told.
  Outcome ReceiveNatively(int end, int most);
  // Part of a flood, more than what is left of it being sure.
  void Sample(int end) { At(end).sampled = true; }
  // All of a flood.
  void Absorb(int end);
  void ShutdownWrite(int end);
  void ShutdownRead(int end);
  void Close(int end, bool keep_duplicate);
  void CloseDuplicate(int end);
  void Reset(int end);
  void Connect(int end);
  void FailToConnect(int end);
  void Arrive(int listener) { ++At(listener).waiting; }
  ErrorCause TakeError(int end);

 private:
  End& At(int end) { return ends_[static_cast<std::size_t>(end)]; }
  // The last handle is gone.
  void EndOf(int end);
  void Abort(int end);
  // Both ends of a TCP stream have said that they are done.
  bool Finished(int end) const;

  const SystemWays ways_;
  std::vector<End> ends_;
};

}  // namespace weir::model

#endif  // WEIR_TESTS_MODEL_SOCKET_MODEL_H_
