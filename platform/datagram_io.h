// Datagrams by the batch, with what the system tells of each: several for one
// system call, and several for one walk through the network stack. The calls
// never block, whatever the descriptor's mode (on Windows as socket_io.h says),
// never raise SIGPIPE, allocate nothing, and return the system's number instead
// of a status (platform::SystemError() in error.h). Any thread. They use about
// 30 KiB of stack.
//
// Windows has no call for several: there, one after the other.

#ifndef WEIR_PLATFORM_DATAGRAM_IO_H_
#define WEIR_PLATFORM_DATAGRAM_IO_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "absl/status/status.h"
#include "weir/native_socket.h"
#include "weir/socket_address.h"

namespace weir::platform {

// How many datagrams one call moves, and of how many buffers it sends them;
// what does not fit is left for the next call.
inline constexpr std::size_t kMaxDatagramBatch = 64;
inline constexpr std::size_t kMaxBatchBuffers = 256;
// How many datagrams `data` of one with a segment size may be: UDP_MAX_SEGMENTS
// of the first Linux that has it; later ones take more.
inline constexpr std::size_t kMaxSegments = 64;

// How a batch went: done (`count`), would have to wait (`would_block`), or
// failed (`error`). Exactly one: with either of the others, `count` is 0.
struct BatchOutcome {
  // The first `count` were moved.
  std::size_t count = 0;
  // The system's number; 0 if it did not fail.
  int error = 0;
  bool would_block = false;

  bool ok() const { return error == 0 && !would_block; }
};

// Which address of this machine a datagram was sent to, and where it came in.
struct DatagramDestination {
  // Without a port. In the form that the source has: on an IPv6 socket that of
  // an IPv4 datagram is mapped. May be a multicast or broadcast address.
  SocketAddress address;
  std::uint32_t interface_index = 0;

  friend bool operator==(const DatagramDestination&,
                         const DatagramDestination&) = default;
};

struct ReceivedDatagram {
  // Where it goes, given by the caller. All else is written, and only of those
  // that were received.
  std::span<std::byte> buffer;

  // Its length, cut to the buffer.
  std::size_t bytes = 0;
  // It was longer than the buffer; its rest is lost.
  bool truncated = false;
  SocketAddress source;
  // Empty without EnableDatagramInfo().
  std::optional<DatagramDestination> destination;
  // The two ECN bits of RFC 3168; 0 without EnableDatagramInfo(), and on a
  // Windows that does not tell them.
  std::uint8_t ecn = 0;
  // 0: `bytes` are one datagram. Else, after EnableReceiveOffload(), they are
  // several of one source one after the other, each this long but for the last,
  // which may be shorter.
  std::size_t segment_size = 0;
};

// One recvmmsg(2). An error that is met after the first datagram is told by the
// next call. (On Windows, if it is still there.)
BatchOutcome ReceiveDatagrams(NativeSocket socket,
                              std::span<ReceivedDatagram> datagrams);

struct OutgoingDatagram {
  // Its parts in order, at most kMaxVectorBuffers (socket_io.h).
  std::span<const std::span<const std::byte>> data;
  // Null: to the connected peer.
  const SocketAddress* destination = nullptr;
  // 0: one datagram. Else, where SendOffloadSupported(), `data` are several to
  // one destination one after the other, each this long but for the last, which
  // may be shorter: at most kMaxSegments, and no more bytes than one
  // datagram could have.
  std::size_t segment_size = 0;
  // The two ECN bits, 0 to 3, and the rest of the traffic class 0. Absent: what
  // the socket is set to. Windows before 11 and Server 2022 cannot; but for 0,
  // that is an error, of cause kNotSupported.
  std::optional<std::uint8_t> ecn = std::nullopt;
};

// One sendmmsg(2). The outcome's error is that of the first datagram, of which
// nothing was sent; those after a datagram that cannot be sent are not tried,
// so that an error further on is met by beginning the next call there. (An
// error that only waited on the socket to be told, such as an unreachable port,
// is then gone.) Errors beside the system's: EDESTADDRREQ for an unspecified
// destination, EMSGSIZE for too many parts, EINVAL for a segment size or ECN
// bits out of range. EIO of one with a segment size: the way it would take
// cannot, send one by one.
BatchOutcome SendDatagrams(NativeSocket socket,
                           std::span<const OutgoingDatagram> datagrams);

// Has the system tell ReceivedDatagram::destination and ecn, of either family
// on an IPv6 socket. Of datagrams that arrive from here on.
// Unimplemented, kNotSupported: not an IP socket. InvalidArgument: not a
// socket.
absl::Status EnableDatagramInfo(NativeSocket socket);

// Lets the system hand over several datagrams at once (UDP_GRO). Buffers should
// then have 64 KiB: what does not fit is lost.
// Unimplemented, kNotSupported: the system cannot (Linux before 5.0), or this
// is not a UDP socket. InvalidArgument: not a socket.
absl::Status EnableReceiveOffload(NativeSocket socket);

// Whether the system takes OutgoingDatagram::segment_size (UDP_SEGMENT, Linux
// since 4.18). Asks it until it has answered.
bool SendOffloadSupported();

// Whether this socket does: one of another protocol than UDP would take several
// datagrams for one.
bool TakesSegments(NativeSocket socket);

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_DATAGRAM_IO_H_
