// Sockets from birth to close: the calls that a connection makes once. Moving
// data is in socket_io.h, options are in socket_options.h.
//
// Every socket made here is non-blocking and close-on-exec from its birth on.
// A call that a signal interrupts is made again, here and nowhere above.
// Errors name the operation and the address and carry a cause (weir/status.h);
// kInvalidSocket and any descriptor that is not open give InvalidArgument with
// cause kBadDescriptor. All functions may be called from any thread, but
// nothing protects a socket that another thread closes meanwhile.

#ifndef WEIR_PLATFORM_SOCKETS_H_
#define WEIR_PLATFORM_SOCKETS_H_

#include <array>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weir/native_socket.h"
#include "weir/socket_address.h"
#include "weir/socket_options.h"

namespace weir::platform {

using weir::ShutdownDirection;
using weir::SocketType;

// A new socket of the family's usual protocol: TCP, UDP, or Unix-domain.
// InvalidArgument: kUnspecified has no sockets. ResourceExhausted: no
// descriptor is left (kTooManyDescriptors), or no memory. Unimplemented: the
// machine has no such family.
absl::StatusOr<NativeSocket> OpenSocket(AddressFamily family, SocketType type);

// Two Unix-domain sockets that are connected with each other. Errors as for
// OpenSocket().
absl::StatusOr<std::array<NativeSocket, 2>> OpenPair(SocketType type);

// Gives the descriptor back. Whatever it returns, the descriptor is gone and
// the call must not be made again (close(2)); an error other than
// kBadDescriptor is one that the socket had kept until then.
absl::Status Close(NativeSocket socket);

// FailedPrecondition: in use (kAddressInUse), or not an address of this machine
// (kAddressNotAvailable). PermissionDenied, NotFound: port or path. Sets no
// option: for reuse, set SocketOption::kReuseAddress before. The unnamed Unix
// address gets an abstract name that the system picks (Linux).
absl::Status Bind(NativeSocket socket, const SocketAddress& address);

// `backlog`: how many connections may wait to be accepted; the system cuts a
// number that is too large.
absl::Status Listen(NativeSocket socket, int backlog);

enum class ConnectResult : std::uint8_t {
  kConnected,
  // The socket becomes writable when it is decided; TakeError() then tells.
  kInProgress,
};

// Starts to connect a stream, or sets the peer of a datagram socket; the
// unspecified address dissolves a datagram socket's tie, and is InvalidArgument
// for a stream. A Unix stream whose
// listener's queue is full is not connected later but refused at once:
// Unavailable, kWouldBlock.
absl::StatusOr<ConnectResult> Connect(NativeSocket socket,
                                      const SocketAddress& address);

// The address this socket is bound to. An IP socket that is not bound has the
// "any" address and port 0, a Unix socket is unnamed.
absl::StatusOr<SocketAddress> LocalAddress(NativeSocket socket);

// FailedPrecondition, kNotConnected: there is no peer.
absl::StatusOr<SocketAddress> PeerAddress(NativeSocket socket);

// FailedPrecondition, kNotConnected: not a connected stream.
absl::Status Shutdown(NativeSocket socket, ShutdownDirection direction);

// Fetches and clears the error that is pending on the socket (SO_ERROR): OK if
// there is none, else its status, which names `operation` and `subject`. If the
// socket cannot be asked, that error, with operation "getsockopt SO_ERROR".
// On Windows a stream's failure is not cleared: the next call may tell it again.
absl::Status TakeError(NativeSocket socket, std::string_view operation,
                       std::string_view subject = {});

// Resets a connected stream: what was to be sent is thrown away, and the peer is
// told. The handle stays open. On Windows all this happens when it is closed.
absl::Status Abort(NativeSocket socket);

struct SocketDescription {
  AddressFamily family = AddressFamily::kUnspecified;
  SocketType type = SocketType::kStream;
  bool listening = false;
  // Also of a stream that was connected, or could not be, and whose error or
  // end has not been told.
  bool connected = false;
  // A stream whose connect is in progress.
  bool connecting = false;
};

// OK if this is an open socket; else InvalidArgument (kBadDescriptor,
// kNotASocket).
absl::Status CheckSocket(NativeSocket socket);

// For adopting a foreign handle (P07): finds out what it is and makes it
// non-blocking; nothing else is changed, and nothing at all on an error.
// InvalidArgument: not open (kBadDescriptor) or not a socket (kNotASocket).
// Unimplemented, kNotSupported: a family or type that Weir does not drive.
absl::StatusOr<SocketDescription> DescribeSocket(NativeSocket socket);

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_SOCKETS_H_
