// The bridge between weir::SocketAddress and the system's own structures.

#ifndef WEIR_PLATFORM_POSIX_SOCKADDR_H_
#define WEIR_PLATFORM_POSIX_SOCKADDR_H_

#include <sys/socket.h>

#include <cstdint>

#include "platform/ip_sockaddr.h"
#include "weir/native_socket.h"
#include "weir/socket_address.h"

namespace weir::platform {

inline int ToDescriptor(NativeSocket socket) {
  return static_cast<int>(socket);
}
inline NativeSocket FromDescriptor(int descriptor) {
  return static_cast<NativeSocket>(static_cast<std::intptr_t>(descriptor));
}

// Writes `address` to `storage`, only the bytes that count, and returns how
// many: what the system calls ask for.
socklen_t ToSockaddr(const SocketAddress& address, sockaddr_storage& storage);

// Of what a system call wrote. `length` is the length that it reported: 0, and
// a family that Weir does not know, give the unspecified address.
SocketAddress FromSockaddr(const sockaddr_storage& storage, socklen_t length);

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_POSIX_SOCKADDR_H_
