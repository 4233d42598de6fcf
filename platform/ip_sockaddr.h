// What the socket structures of all systems have in common: the families, and the
// addresses of the Internet. For posix/sockaddr.cc and windows/sockaddr.cc.

#ifndef WEIR_PLATFORM_IP_SOCKADDR_H_
#define WEIR_PLATFORM_IP_SOCKADDR_H_

#ifdef _WIN32
#include "platform/windows/winsock.h"
#else
#include <netinet/in.h>
#include <sys/socket.h>
#endif

#include <cstddef>
#include <cstring>

#include "weir/socket_address.h"

namespace weir::platform {

// AF_INET, AF_INET6, AF_UNIX or AF_UNSPEC.
int ToSystemFamily(AddressFamily family);
// Any other family gives kUnspecified.
AddressFamily FromSystemFamily(int family);

// Structures are copied in and out rather than aliased.
template <typename T>
std::size_t Store(const T& from, sockaddr_storage& storage) {
  static_assert(sizeof(T) <= sizeof(sockaddr_storage));
  std::memcpy(&storage, &from, sizeof(T));
  return sizeof(T);
}
template <typename T>
T Load(const sockaddr_storage& storage) {
  T to;
  std::memcpy(&to, &storage, sizeof(T));
  return to;
}

// `address` is of kIpv4 or kIpv6. Returns how many bytes count.
std::size_t StoreIp(const SocketAddress& address, sockaddr_storage& storage);

// `storage` is of AF_INET or AF_INET6, and `length` what was reported of it: too
// little gives the unspecified address.
SocketAddress LoadIp(const sockaddr_storage& storage, std::size_t length);

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_IP_SOCKADDR_H_
