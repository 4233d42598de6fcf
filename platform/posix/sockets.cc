#include "platform/sockets.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "platform/error.h"
#include "platform/poll.h"
#include "platform/posix/retry.h"
#include "platform/posix/sockaddr.h"
#include "weir/native_socket.h"
#include "weir/socket_address.h"
#include "weir/socket_options.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

int SystemType(SocketType type) {
  return type == SocketType::kStream ? SOCK_STREAM : SOCK_DGRAM;
}

int BirthFlags() { return SOCK_NONBLOCK | SOCK_CLOEXEC; }

// An int of level SOL_SOCKET. Returns 0 or an error number.
int QuerySocket(NativeSocket socket, int name, int& value) {
  socklen_t length = sizeof(value);
  return ::getsockopt(ToDescriptor(socket), SOL_SOCKET, name, &value,
                      &length) == 0
             ? 0
             : errno;
}

using NameCall = int (*)(int, sockaddr*, socklen_t*);

// getsockname(2) or getpeername(2).
absl::StatusOr<SocketAddress> QueryAddress(NativeSocket socket, NameCall call,
                                           std::string_view operation) {
  sockaddr_storage storage;
  socklen_t length = sizeof(storage);
  if (call(ToDescriptor(socket), reinterpret_cast<sockaddr*>(&storage),
           &length) != 0) {
    return SystemError(errno, operation);
  }
  return FromSockaddr(storage, length);
}

}  // namespace

absl::StatusOr<NativeSocket> OpenSocket(AddressFamily family, SocketType type) {
  if (family == AddressFamily::kUnspecified) {
    return SystemError(EINVAL, "socket", "of an unspecified address");
  }
  const int descriptor =
      ::socket(ToSystemFamily(family), SystemType(type) | BirthFlags(), 0);
  if (descriptor < 0) return SystemError(errno, "socket");
  return FromDescriptor(descriptor);
}

absl::StatusOr<std::array<NativeSocket, 2>> OpenPair(SocketType type) {
  int descriptors[2];
  if (::socketpair(AF_UNIX, SystemType(type) | BirthFlags(), 0, descriptors) !=
      0) {
    return SystemError(errno, "socketpair");
  }
  return std::array<NativeSocket, 2>{FromDescriptor(descriptors[0]),
                                     FromDescriptor(descriptors[1])};
}

absl::Status Close(NativeSocket socket) {
  // Linux gives the descriptor back before anything can interrupt it.
  if (::close(ToDescriptor(socket)) != 0 && errno != EINTR) {
    return SystemError(errno, "close");
  }
  return absl::OkStatus();
}

absl::Status Bind(NativeSocket socket, const SocketAddress& address) {
  sockaddr_storage storage;
  const socklen_t length = ToSockaddr(address, storage);
  if (::bind(ToDescriptor(socket), reinterpret_cast<sockaddr*>(&storage),
             length) != 0) {
    const int error = errno;
    return SystemError(error, "bind", address.ToString());
  }
  return absl::OkStatus();
}

absl::Status Listen(NativeSocket socket, int backlog) {
  if (::listen(ToDescriptor(socket), backlog) != 0) {
    return SystemError(errno, "listen");
  }
  return absl::OkStatus();
}

absl::StatusOr<ConnectResult> Connect(NativeSocket socket,
                                      const SocketAddress& address) {
  int type = 0;
  if (address.is_unspecified() && QuerySocket(socket, SO_TYPE, type) == 0 &&
      type == SOCK_STREAM) {
    return SystemError(EINVAL, "connect", address.ToString());
  }
  sockaddr_storage storage;
  const socklen_t length = ToSockaddr(address, storage);
  const auto connect_once = [&] {
    return ::connect(ToDescriptor(socket),
                     reinterpret_cast<sockaddr*>(&storage), length) == 0
               ? 0
               : errno;
  };
  int error = connect_once();
  // Linux: after a connect that failed, and whose error was fetched, the next
  // call only puts the socket back to where it can connect.
  if (error == ECONNABORTED) error = connect_once();
  if (error == 0) return ConnectResult::kConnected;
  // An interrupted connect goes on by itself (connect(2), ERRORS).
  if (error == EINPROGRESS || error == EINTR) return ConnectResult::kInProgress;
  return SystemError(error, "connect", address.ToString());
}

absl::StatusOr<SocketAddress> LocalAddress(NativeSocket socket) {
  return QueryAddress(socket, ::getsockname, "getsockname");
}

absl::StatusOr<SocketAddress> PeerAddress(NativeSocket socket) {
  return QueryAddress(socket, ::getpeername, "getpeername");
}

absl::Status Shutdown(NativeSocket socket, ShutdownDirection direction) {
  const int how = direction == ShutdownDirection::kReceive ? SHUT_RD
                  : direction == ShutdownDirection::kSend  ? SHUT_WR
                                                           : SHUT_RDWR;
  if (::shutdown(ToDescriptor(socket), how) != 0) {
    return SystemError(errno, "shutdown");
  }
  return absl::OkStatus();
}

// tcp_disconnect() in Linux, which purges the queue of what is to be sent.
absl::Status Abort(NativeSocket socket) {
  sockaddr nobody{};
  nobody.sa_family = AF_UNSPEC;
  if (::connect(ToDescriptor(socket), &nobody, sizeof(nobody)) != 0) {
    return SystemError(errno, "connect AF_UNSPEC");
  }
  return absl::OkStatus();
}

absl::Status TakeError(NativeSocket socket, std::string_view operation,
                       std::string_view subject) {
  int pending = 0;
  if (const int error = QuerySocket(socket, SO_ERROR, pending)) {
    return SystemError(error, "getsockopt SO_ERROR");
  }
  return SystemError(pending, operation, subject);
}

absl::Status CheckSocket(NativeSocket socket) {
  int type = 0;
  const int error = QuerySocket(socket, SO_TYPE, type);
  return error == 0 ? absl::OkStatus() : SystemError(error, "getsockopt");
}

absl::StatusOr<SocketDescription> DescribeSocket(NativeSocket socket) {
  int family = 0;
  int type = 0;
  int listening = 0;
  int error = QuerySocket(socket, SO_DOMAIN, family);
  if (error == 0) error = QuerySocket(socket, SO_TYPE, type);
  if (error == 0) error = QuerySocket(socket, SO_ACCEPTCONN, listening);
  if (error != 0) return SystemError(error, "getsockopt");

  SocketDescription description;
  description.family = FromSystemFamily(family);
  if (description.family == AddressFamily::kUnspecified) {
    return SystemError(EAFNOSUPPORT, "adopt socket");
  }
  if (type != SOCK_STREAM && type != SOCK_DGRAM) {
    return SystemError(ESOCKTNOSUPPORT, "adopt socket");
  }
  description.type =
      type == SOCK_STREAM ? SocketType::kStream : SocketType::kDatagram;
  description.listening = listening != 0;
  const absl::Status peer = PeerAddress(socket).status();
  if (!peer.ok() && CauseOf(peer) != ErrorCause::kNotConnected) return peer;
  description.connected = peer.ok();
  if (description.type == SocketType::kStream && !description.listening &&
      !description.connected) {
    // A fresh socket is "closed" (survey 1), one that connects is not. One that
    // was connected, or failed to be, also has an error or an end to tell.
    PollEntry entry{.socket = socket, .requested = PollBits::kHangup};
    const absl::Status status = PollNow(std::span(&entry, 1));
    if (!status.ok()) return status;
    const auto has = [&](PollBits bit) {
      return (entry.returned & bit) != PollBits::kNone;
    };
    description.connecting = !has(PollBits::kBothClosed);
    description.connected = has(PollBits::kBothClosed) &&
                            (has(PollBits::kError) || has(PollBits::kHangup));
  }

  const int flags = ::fcntl(ToDescriptor(socket), F_GETFL);
  if (flags < 0) return SystemError(errno, "fcntl F_GETFL");
  if ((flags & O_NONBLOCK) == 0 &&
      ::fcntl(ToDescriptor(socket), F_SETFL, flags | O_NONBLOCK) != 0) {
    return SystemError(errno, "fcntl F_SETFL");
  }
  return description;
}

}  // namespace weir::platform
