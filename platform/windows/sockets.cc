#include "platform/sockets.h"

#include <array>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "platform/error.h"
#include "platform/poll.h"
#include "platform/windows/sockaddr.h"
#include "platform/windows/socket_info.h"
#include "platform/windows/winsock.h"
#include "weir/native_socket.h"
#include "weir/socket_address.h"
#include "weir/socket_options.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

// <mstcpip.h>, <mswsock.h>; not in every compiler's headers.
constexpr DWORD kUdpConnectionReset = IOC_IN | IOC_VENDOR | 12;
constexpr DWORD kUdpNetworkReset = IOC_IN | IOC_VENDOR | 15;

int SystemType(SocketType type) {
  return type == SocketType::kStream ? SOCK_STREAM : SOCK_DGRAM;
}

// Returns 0 or an error number.
int MakeNonBlocking(NativeSocket socket) {
  u_long on = 1;
  return ::ioctlsocket(ToSocket(socket), static_cast<long>(FIONBIO), &on) == 0
             ? 0
             : LastErrorOf(socket);
}

// Otherwise a datagram that could not be delivered fails a later receive of a
// socket that has nothing to do with it (survey trap 29). A system that does
// not know the control does not do it either.
void IgnoreUnreachable(NativeSocket socket) {
  for (const DWORD control : {kUdpConnectionReset, kUdpNetworkReset}) {
    BOOL off = FALSE;
    DWORD written = 0;
    ::WSAIoctl(ToSocket(socket), control, &off, sizeof(off), nullptr, 0,
               &written, nullptr, nullptr);
  }
}

using NameCall = int(WSAAPI*)(SOCKET, sockaddr*, int*);

// getsockname or getpeername. Returns 0 or an error number.
int QueryAddress(NativeSocket socket, NameCall call, SocketAddress& address) {
  sockaddr_storage storage = {};
  int length = sizeof(storage);
  if (call(ToSocket(socket), reinterpret_cast<sockaddr*>(&storage), &length) !=
      0) {
    return LastErrorOf(socket);
  }
  address = FromSockaddr(storage, length);
  return 0;
}

// What POSIX says of a socket that is not bound.
SocketAddress UnboundAddress(int family) {
  switch (FromSystemFamily(family)) {
    case AddressFamily::kIpv4:
      return SocketAddress::Ipv4Any(0);
    case AddressFamily::kIpv6:
      return SocketAddress::Ipv6Any(0);
    case AddressFamily::kUnix:
      return SocketAddress::UnixUnnamed();
    case AddressFamily::kUnspecified:
      break;
  }
  return SocketAddress();
}

// Whether `socket` is bound, if only by connecting.
bool IsBound(NativeSocket socket) {
  SocketAddress address;
  return QueryAddress(socket, ::getsockname, address) == 0;
}

// How a stream stands that neither listens nor has a peer. A fresh one is not
// bound; a connect binds, and until it is decided nothing holds of the socket.
// (One that was bound and nothing else looks like that, too.)
absl::Status DescribeUnconnected(NativeSocket socket,
                                 SocketDescription& description) {
  if (!IsBound(socket)) return absl::OkStatus();
  PollEntry entry{.socket = socket,
                  .requested = PollBits::kWritable | PollBits::kHangup};
  if (absl::Status status = PollNow(std::span(&entry, 1)); !status.ok()) {
    return status;
  }
  description.connecting = entry.returned == PollBits::kNone;
  description.connected = !description.connecting;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<NativeSocket> OpenSocket(AddressFamily family, SocketType type) {
  if (family == AddressFamily::kUnspecified) {
    return SystemError(WSAEINVAL, "socket", "of an unspecified address");
  }
  if (const int error = StartWinsock()) {
    return SystemError(error, "WSAStartup");
  }
  const SOCKET made = ::WSASocketW(
      ToSystemFamily(family), SystemType(type), 0, nullptr, 0,
      WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
  if (made == INVALID_SOCKET) {
    return SystemError(::WSAGetLastError(), "socket");
  }
  const NativeSocket socket = FromSocket(made);
  if (const int error = MakeNonBlocking(socket)) {
    ::closesocket(made);
    return SystemError(error, "ioctlsocket FIONBIO");
  }
  if (type == SocketType::kDatagram) IgnoreUnreachable(socket);
  return socket;
}

absl::StatusOr<std::array<NativeSocket, 2>> OpenPair(SocketType) {
  return SystemError(WSAEOPNOTSUPP, "socketpair");
}

absl::Status Close(NativeSocket socket) {
  // Whatever is pending would stay so for ever, and a pending send would go on
  // into the next socket that gets this number (on Wine). Fails if there is
  // nothing.
  ::CancelIoEx(reinterpret_cast<HANDLE>(ToSocket(socket)), nullptr);
  if (::closesocket(ToSocket(socket)) != 0) {
    return SystemError(LastErrorOf(socket), "close");
  }
  return absl::OkStatus();
}

absl::Status Bind(NativeSocket socket, const SocketAddress& address) {
  sockaddr_storage storage;
  const int length = ToSockaddr(address, storage);
  if (::bind(ToSocket(socket), reinterpret_cast<sockaddr*>(&storage), length) !=
      0) {
    const int error = LastErrorOf(socket);
    return SystemError(error, "bind", address.ToString());
  }
  return absl::OkStatus();
}

absl::Status Listen(NativeSocket socket, int backlog) {
  // A plain number is cut to 200; negative, it is taken for what it is, from
  // 200 on (SOMAXCONN_HINT, <winsock2.h>).
  constexpr int kMostPlain = 200;
  if (::listen(ToSocket(socket), backlog > kMostPlain ? -backlog : backlog) !=
      0) {
    int error = LastErrorOf(socket);
    SocketInfo info;
    if (error == WSAEINVAL && QueryInfo(socket, info) == 0 &&
        info.type == SOCK_DGRAM) {
      error = WSAEOPNOTSUPP;
    }
    return SystemError(error, "listen");
  }
  return absl::OkStatus();
}

absl::StatusOr<ConnectResult> Connect(NativeSocket socket,
                                      const SocketAddress& address) {
  SocketInfo info;
  if (address.is_unspecified() && QueryInfo(socket, info) == 0 &&
      info.type == SOCK_STREAM) {
    return SystemError(WSAEINVAL, "connect", address.ToString());
  }
  sockaddr_storage storage;
  // The zero address of its own family dissolves a datagram socket's tie.
  const int length =
      ToSockaddr(address.is_unspecified() ? UnboundAddress(info.family)
                                          : address,
                 storage);
  const auto connect_once = [&] {
    return ::connect(ToSocket(socket), reinterpret_cast<sockaddr*>(&storage),
                     length) == 0
               ? 0
               : LastErrorOf(socket);
  };
  int error = connect_once();
  // Wine passes on what Linux says to the first call after a connect that failed:
  // that the next one may try.
  if (error == WSAECONNABORTED) error = connect_once();
  if (error == 0) return ConnectResult::kConnected;
  if (error == WSAEWOULDBLOCK) return ConnectResult::kInProgress;
  return SystemError(error, "connect", address.ToString());
}

absl::StatusOr<SocketAddress> LocalAddress(NativeSocket socket) {
  SocketAddress address;
  int error = QueryAddress(socket, ::getsockname, address);
  if (error == WSAEINVAL) {
    SocketInfo info;
    error = QueryInfo(socket, info);
    address = UnboundAddress(info.family);
  }
  if (error != 0) return SystemError(error, "getsockname");
  return address;
}

absl::StatusOr<SocketAddress> PeerAddress(NativeSocket socket) {
  SocketAddress address;
  if (const int error = QueryAddress(socket, ::getpeername, address)) {
    return SystemError(error, "getpeername");
  }
  // Of a tie that was dissolved, some versions still tell that much.
  if (!address.is_unix() && address.port() == 0) {
    return SystemError(WSAENOTCONN, "getpeername");
  }
  return address;
}

absl::Status Shutdown(NativeSocket socket, ShutdownDirection direction) {
  const int how = direction == ShutdownDirection::kReceive ? SD_RECEIVE
                  : direction == ShutdownDirection::kSend  ? SD_SEND
                                                           : SD_BOTH;
  if (::shutdown(ToSocket(socket), how) != 0) {
    return SystemError(LastErrorOf(socket), "shutdown");
  }
  return absl::OkStatus();
}

// Winsock resets with the handle.
absl::Status Abort(NativeSocket socket) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  if (::setsockopt(ToSocket(socket), SOL_SOCKET, SO_LINGER,
                   reinterpret_cast<const char*>(&at_once),
                   sizeof(at_once)) != 0) {
    return SystemError(LastErrorOf(socket), "setsockopt SO_LINGER");
  }
  return absl::OkStatus();
}

absl::Status TakeError(NativeSocket socket, std::string_view operation,
                       std::string_view subject) {
  int pending = 0;
  if (const int error = QuerySocketInt(socket, SO_ERROR, pending)) {
    return SystemError(error, "getsockopt SO_ERROR");
  }
  if (pending == 0 && WasReset(socket)) pending = WSAECONNRESET;
  return SystemError(pending, operation, subject);
}

absl::Status CheckSocket(NativeSocket socket) {
  int type = 0;
  const int error = QuerySocketInt(socket, SO_TYPE, type);
  return error == 0 ? absl::OkStatus() : SystemError(error, "getsockopt");
}

absl::StatusOr<SocketDescription> DescribeSocket(NativeSocket socket) {
  SocketInfo info;
  int listening = 0;
  int error = StartWinsock();
  if (error == 0) error = QueryInfo(socket, info);
  if (error == 0 && info.type == SOCK_STREAM) {
    error = QuerySocketInt(socket, SO_ACCEPTCONN, listening);
  }
  if (error != 0) return SystemError(error, "getsockopt");

  SocketDescription description;
  description.family = FromSystemFamily(info.family);
  if (description.family == AddressFamily::kUnspecified) {
    return SystemError(WSAEAFNOSUPPORT, "adopt socket");
  }
  if (info.type != SOCK_STREAM && info.type != SOCK_DGRAM) {
    return SystemError(WSAESOCKTNOSUPPORT, "adopt socket");
  }
  description.type = info.type == SOCK_STREAM ? SocketType::kStream
                                              : SocketType::kDatagram;
  description.listening = listening != 0;
  const absl::Status peer = PeerAddress(socket).status();
  if (!peer.ok() && CauseOf(peer) != ErrorCause::kNotConnected) return peer;
  description.connected = peer.ok();
  if (description.type == SocketType::kStream && !description.listening &&
      !description.connected) {
    if (absl::Status status = DescribeUnconnected(socket, description);
        !status.ok()) {
      return status;
    }
  }
  if (const int failed = MakeNonBlocking(socket)) {
    return SystemError(failed, "ioctlsocket FIONBIO");
  }
  if (description.type == SocketType::kDatagram) IgnoreUnreachable(socket);
  return description;
}

}  // namespace weir::platform
