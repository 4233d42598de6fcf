// Moving data: the calls that a connection makes all the time. They never
// block, whatever the descriptor's mode, never raise SIGPIPE, allocate nothing,
// and return the system's number instead of a status; platform::SystemError()
// (error.h) makes a status of it. A call that a signal interrupts is made
// again. Any thread.

#ifndef WEIR_PLATFORM_SOCKET_IO_H_
#define WEIR_PLATFORM_SOCKET_IO_H_

#include <cstddef>
#include <span>

#include "weir/native_socket.h"
#include "weir/socket_address.h"

namespace weir::platform {

// How a transfer went: done (`bytes`), would have to wait (`would_block`), or
// failed (`error`). Exactly one: with either of the others, `bytes` is 0.
struct IoOutcome {
  std::size_t bytes = 0;
  // The system's number; 0 if it did not fail.
  int error = 0;
  bool would_block = false;

  bool ok() const { return error == 0 && !would_block; }
};

// Up to buffer.size() bytes of a stream, or one datagram (its rest is lost).
// 0 bytes into a buffer that is not empty: the stream's end, or an empty
// datagram.
IoOutcome Receive(NativeSocket socket, std::span<std::byte> buffer);

// As much of `data` as the socket takes at once, or one datagram.
IoOutcome Send(NativeSocket socket, std::span<const std::byte> data);

// How many buffers one call fills or empties.
inline constexpr std::size_t kMaxVectorBuffers = 64;

// The same over several buffers in order. Of more than kMaxVectorBuffers only
// the first take part, which on a stream is a short transfer like any other;
// for a datagram, which cannot be continued, do not pass more.
IoOutcome ReceiveVector(NativeSocket socket,
                        std::span<const std::span<std::byte>> buffers);
IoOutcome SendVector(NativeSocket socket,
                     std::span<const std::span<const std::byte>> buffers);

struct ReceiveFromOutcome : IoOutcome {
  // The datagram was longer than the buffer; its rest is lost.
  bool truncated = false;
};

// One datagram, and in `*peer`, unless that is null, who sent it. `*peer` is
// written only if a datagram was received. On a connected stream: as Receive(),
// with `*peer` unspecified.
ReceiveFromOutcome ReceiveFrom(NativeSocket socket, std::span<std::byte> buffer,
                               SocketAddress* peer);

// One datagram to `peer`.
IoOutcome SendTo(NativeSocket socket, std::span<const std::byte> data,
                 const SocketAddress& peer);

struct AcceptOutcome {
  // The caller's to close; kInvalidSocket unless one was accepted.
  NativeSocket socket = kInvalidSocket;
  SocketAddress peer;
  int error = 0;
  bool would_block = false;

  bool ok() const { return error == 0 && !would_block; }
};

// The next waiting connection, non-blocking and close-on-exec. Connections that
// died while they waited are passed over (accept(2)). With no descriptor left
// (CauseOfSystemCode(error) is kTooManyDescriptors) the connection stays in the
// queue.
AcceptOutcome Accept(NativeSocket listener);

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_SOCKET_IO_H_
