// A non-blocking socket that knows the registration it has: closing it removes
// the registration, and draining it is noticed (R05, R10).

#ifndef WEIR_SOCKET_H_
#define WEIR_SOCKET_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weir/native_socket.h"
#include "weir/native_transfer.h"
#include "weir/socket_address.h"
#include "weir/socket_options.h"

namespace weir {

namespace internal {
class SocketState;
class LoopCore;
class SocketAttacher;

// The part of a SocketState that a transfer that succeeds needs to see.
struct SocketFront {
  const NativeSocket native;
  // 0, or if a registration wants to know of some transfers, more than any
  // transfer moves: what has moved more has moved something, and concerns
  // nobody. To be looked at after the transfer.
  std::atomic<std::int64_t> concerns{0};
};

// What a Socket that is not open has: no transfer succeeds with it.
inline constinit SocketFront no_socket{kInvalidSocket};
}  // namespace internal

// What a non-blocking transfer did. Would-block and the end of a stream are
// states of affairs, not errors.
struct Transfer {
  // Bytes moved; for a datagram its length, cut to the buffer.
  std::size_t bytes = 0;
  // Nothing moved; wait for an event.
  bool would_block = false;
  // Receive on a stream, into a buffer that is not empty: the peer will send
  // no more.
  bool end_of_stream = false;
};

struct Datagram {
  std::size_t bytes = 0;
  bool would_block = false;
  // Longer than the buffer; the rest is lost.
  bool truncated = false;
  SocketAddress source;
};

struct Accepted;

enum class ConnectProgress {
  kConnected,
  // Writable will say that it is connected, an error that it is not (R15).
  kInProgress,
};

struct ListenOptions {
  int backlog = 4096;
  // Bind although connections of an earlier listener linger (SO_REUSEADDR with
  // its Unix meaning). An address with a live listener stays refused.
  bool reuse_address = true;
  // Several listeners share the address, the system distributes (Linux).
  bool reuse_port = false;
  // For IPv6: false takes IPv4 connections as well, where the system can.
  bool ipv6_only = true;
};

// Owns one open socket, or none (default-constructed, moved from, closed).
// Movable, not copyable; a registration follows the move. Destroying it closes
// it.
//
// Threads: one at a time, any; the thread need not run a loop. Registering and
// closing may happen while other threads run the loop.
//
// No call blocks, raises SIGPIPE, or is shortened by a signal. Every handle is
// close-on-exec.
//
// Errors of every call: FailedPrecondition if the socket is not open; else what
// the system says, as listed in weir/status.h, with the operation, the address
// and the system's words (P05).
class Socket {
 public:
  Socket() : front_(NoFront()) {}
  Socket(Socket&& other) noexcept
      : front_(std::exchange(other.front_, NoFront())) {}
  Socket& operator=(Socket&& other) noexcept;
  ~Socket();

  // An unbound socket. Unix-domain datagram sockets are not offered.
  static absl::StatusOr<Socket> Open(AddressFamily family, SocketType type);

  // A stream socket that listens on `address` (port 0 picks one); see
  // LocalAddress().
  static absl::StatusOr<Socket> Listen(const SocketAddress& address,
                                       const ListenOptions& options = {});

  // A stream socket whose connecting to `address` has begun; register it for
  // writable to learn the outcome. A refusal that is known at once is
  // returned.
  static absl::StatusOr<Socket> Connect(const SocketAddress& address);

  // A datagram socket bound to `address`.
  static absl::StatusOr<Socket> BindDatagram(const SocketAddress& address);

  // Two connected Unix stream sockets. Unimplemented where the system has none.
  static absl::StatusOr<std::pair<Socket, Socket>> Pair();

  // Takes over a foreign socket and makes it non-blocking (P07); on success
  // the handle belongs to the result, on failure to the caller still.
  // InvalidArgument: not an open handle, or not a socket. Unimplemented: a
  // family or type that Weir does not drive.
  static absl::StatusOr<Socket> Adopt(NativeSocket native);

  // Gives the handle back to the caller, open. FailedPrecondition while it is
  // registered. After a removal from a thread that the loop does not belong to
  // (see Registration), wait for `removed` before closing it.
  absl::StatusOr<NativeSocket> Release();

  // Closes at once; sent data still goes out. A registration is removed first
  // and delivers `removed` (R10). The handle itself is closed before this
  // returns, or, if it is registered with a loop that belongs to another thread
  // (see Registration), by that thread, which is woken. Closing a socket that is
  // not open does nothing.
  void Close();

  bool is_open() const { return front_->native != kInvalidSocket; }
  explicit operator bool() const { return is_open(); }
  // For the system's own calls; kInvalidSocket if not open. Whoever drains an
  // edge registration through it calls Registration::Drained; connecting and
  // listening go through this class.
  NativeSocket native() const;
  AddressFamily family() const;
  SocketType type() const;

  absl::Status Bind(const SocketAddress& address);
  absl::Status StartListening(int backlog = 4096);
  // Begins to connect (a datagram socket: sets the peer, at once). A stream
  // socket whose connect failed may try again on Linux; portable programs open
  // a new one.
  absl::StatusOr<ConnectProgress> StartConnecting(const SocketAddress& address);

  // Takes a waiting connection; nullopt if there is none. Connections that
  // died while they waited are skipped. ResourceExhausted: no descriptors or
  // memory; the connection goes on waiting, so a level registration should be
  // disabled for a while.
  absl::StatusOr<std::optional<Accepted>> Accept();

  // One receive or send, as much as goes at once. The buffer is used during
  // the call only. Of more than 64 buffers only the
  // first are used: a short transfer like any other.
  absl::StatusOr<Transfer> Receive(std::span<std::byte> buffer) {
    const internal::SocketFront& front = *front_;
    const std::int64_t tried = platform::TryReceive(front.native, buffer);
    if (ConcernsNobody(front, tried)) [[likely]]
      return Moved(tried);
    absl::StatusOr<Transfer> result = FinishReceive(buffer, tried);
    return InRegisters(result);
  }
  absl::StatusOr<Transfer> ReceiveVector(
      std::span<const std::span<std::byte>> buffers);
  absl::StatusOr<Transfer> Send(std::span<const std::byte> data) {
    const internal::SocketFront& front = *front_;
    const std::int64_t tried = platform::TrySend(front.native, data);
    if (ConcernsNobody(front, tried)) [[likely]]
      return Moved(tried);
    absl::StatusOr<Transfer> result = FinishSend(data, tried);
    return InRegisters(result);
  }
  absl::StatusOr<Transfer> SendVector(
      std::span<const std::span<const std::byte>> data);

  // Datagram sockets: one datagram with its source; to `destination`.
  absl::StatusOr<Datagram> ReceiveFrom(std::span<std::byte> buffer);
  absl::StatusOr<Transfer> SendTo(std::span<const std::byte> data,
                                  const SocketAddress& destination);

  // Ends one or both directions of a stream; sent data still goes out (C03).
  absl::Status Shutdown(ShutdownDirection direction);

  // Takes the pending error off the socket (SO_ERROR); OK if there is none.
  // In a handler use Event::status(): it has been taken already.
  absl::Status TakeError();

  absl::StatusOr<SocketAddress> LocalAddress() const;
  // NotConnected is FailedPrecondition.
  absl::StatusOr<SocketAddress> PeerAddress() const;

  absl::Status SetOption(SocketOption option, int value);
  absl::StatusOr<int> GetOption(SocketOption option) const;
  // Receive what is sent to `group`; see SocketOption for loop, ttl and
  // sending. An interface index of 0 is the one the address's scope names, else
  // the system chooses. InvalidArgument: not a multicast address.
  absl::Status JoinMulticast(const SocketAddress& group,
                             std::uint32_t interface_index = 0);
  absl::Status LeaveMulticast(const SocketAddress& group,
                              std::uint32_t interface_index = 0);

 private:
  friend class EventLoop;
  friend class internal::LoopCore;
  friend class internal::SocketAttacher;
  explicit Socket(std::shared_ptr<internal::SocketState> state);

  // A transfer that has moved something, and of which nobody wants to know.
  static bool ConcernsNobody(const internal::SocketFront& front,
                             std::int64_t moved) {
    return moved > front.concerns.load(std::memory_order_relaxed);
  }
  static Transfer Moved(std::int64_t bytes) {
    return {.bytes = static_cast<std::size_t>(bytes)};
  }
  // Made anew out of `result`, which a function elsewhere has written to
  // memory: a caller's own result need never be in memory then, and where all
  // went well the compiler sees what it is.
  static absl::StatusOr<Transfer> InRegisters(
      absl::StatusOr<Transfer>& result) {
    return std::move(result);
  }
  // After a system call that has returned `tried`.
  absl::StatusOr<Transfer> FinishReceive(std::span<std::byte> buffer,
                                         std::int64_t tried);
  absl::StatusOr<Transfer> FinishSend(std::span<const std::byte> data,
                                      std::int64_t tried);
  static std::shared_ptr<internal::SocketFront> NoFront() noexcept {
    return {std::shared_ptr<internal::SocketFront>(), &internal::no_socket};
  }
  // Null if it is not open.
  internal::SocketState* state() const;
  std::shared_ptr<internal::SocketState> shared_state() const;

  // The base of a SocketState, or NoFront(); never null, so that a transfer
  // need not ask.
  std::shared_ptr<internal::SocketFront> front_;
};

struct Accepted {
  Socket socket;
  SocketAddress peer;
};

}  // namespace weir

#endif  // WEIR_SOCKET_H_
