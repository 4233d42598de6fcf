// The bridge between weir::SocketAddress and Winsock's structures.

#ifndef WEIR_PLATFORM_WINDOWS_SOCKADDR_H_
#define WEIR_PLATFORM_WINDOWS_SOCKADDR_H_

#include "platform/ip_sockaddr.h"
#include "platform/windows/winsock.h"
#include "weir/socket_address.h"

namespace weir::platform {

// Writes `address` to `storage`, only the bytes that count, and returns how
// many: what the system calls ask for.
int ToSockaddr(const SocketAddress& address, sockaddr_storage& storage);

// Of what a system call wrote. `length` is the length that it reported: 0, and
// a family that Weir does not know, give the unspecified address.
SocketAddress FromSockaddr(const sockaddr_storage& storage, int length);

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_WINDOWS_SOCKADDR_H_
