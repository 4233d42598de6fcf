// Moving data: the calls that a connection makes all the time. They never
// block, whatever the descriptor's mode (on Windows this takes a non-blocking
// socket, as all are that are made here), never raise SIGPIPE, allocate nothing,
// and return the system's number instead of a status; platform::SystemError()
// (error.h) makes a status of it. A call that a signal interrupts is made
// again. Any thread.

#ifndef WEIR_PLATFORM_SOCKET_IO_H_
#define WEIR_PLATFORM_SOCKET_IO_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "weir/native_file.h"
#include "weir/native_socket.h"
#include "weir/native_transfer.h"
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

// What Receive() or Send() returns whose first try has failed just now: made
// again if it was interrupted.
IoOutcome AfterFailedTry(NativeSocket socket, std::span<std::byte> buffer);
IoOutcome AfterFailedTry(NativeSocket socket, std::span<const std::byte> data);

// What Receive() or Send() returns whose first try has returned `tried` just now.
template <typename Byte>
IoOutcome AfterTry(NativeSocket socket, std::span<Byte> buffer,
                   std::int64_t tried) {
  if (tried < 0) [[unlikely]] {
    return AfterFailedTry(socket, buffer);
  }
  return {.bytes = static_cast<std::size_t>(tried)};
}

// Up to buffer.size() bytes of a stream, or one datagram (its rest is lost).
// 0 bytes into a buffer that is not empty: the stream's end, or an empty
// datagram.
inline IoOutcome Receive(NativeSocket socket, std::span<std::byte> buffer) {
  return AfterTry(socket, buffer, TryReceive(socket, buffer));
}

// As much of `data` as the socket takes at once, or one datagram.
inline IoOutcome Send(NativeSocket socket, std::span<const std::byte> data) {
  return AfterTry(socket, data, TrySend(socket, data));
}

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

// Up to `length` bytes of `file` from `offset` on, to a stream: one
// sendfile(2) (on Windows one ReadFile and one send), as much as the socket
// takes at once and at most kMaxSendFileBytes. 0 bytes of a length that is not
// 0: the file ends at `offset` or before. Moves no file position.
// Unlike the other calls here, this one obeys the socket's mode, which must be
// non-blocking, and waits for the disk where the file is not in memory.
IoOutcome SendFile(NativeSocket socket, NativeFile file, std::uint64_t offset,
                   std::uint64_t length);

// What one read(2) or sendfile(2) moves at most on Linux.
inline constexpr std::uint64_t kMaxSendFileBytes = 0x7ffff000;

// Reads what a stream has received, and throws it away, so that closing it does
// not reset the connection and take what was sent along. Stops at
// kMaxDiscardBytes, so that a fast sender cannot keep the caller; a
// pending error of the socket may be taken with it.
void DiscardArrived(NativeSocket socket);

inline constexpr std::size_t kMaxDiscardBytes = std::size_t{1} << 20;

struct AcceptOutcome {
  // The caller's to close; kInvalidSocket unless one was accepted.
  NativeSocket socket = kInvalidSocket;
  int error = 0;
  bool would_block = false;

  bool ok() const { return error == 0 && !would_block; }
};

// The next waiting connection, non-blocking and close-on-exec. Connections that
// died while they waited are passed over (accept(2)). With no descriptor left
// (CauseOfSystemCode(error) is kTooManyDescriptors) the connection stays in the
// queue. `*peer` is set if one was accepted; null: nobody asks.
AcceptOutcome Accept(NativeSocket listener, SocketAddress* peer);

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_SOCKET_IO_H_
