#include "platform/posix/sockaddr.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "weir/socket_address.h"

namespace weir::platform {
namespace {

socklen_t StoreUnix(std::string_view name, sockaddr_storage& storage) {
  sockaddr_un un;
  un.sun_family = AF_UNIX;
  const std::size_t length = std::min(name.size(), sizeof(un.sun_path));
  std::copy_n(name.data(), length, un.sun_path);
  std::size_t end = offsetof(sockaddr_un, sun_path) + length;
  // A path ends in a zero byte where there is room for one; an abstract name
  // ends with the length, and unnamed is the family alone (unix(7)).
  if (length != 0 && un.sun_path[0] != '\0' && length < sizeof(un.sun_path)) {
    un.sun_path[length] = '\0';
    ++end;
  }
  std::memcpy(&storage, &un, end);
  return static_cast<socklen_t>(end);
}

SocketAddress LoadUnix(const sockaddr_storage& storage, socklen_t length) {
  constexpr std::size_t kNameOffset = offsetof(sockaddr_un, sun_path);
  if (length <= kNameOffset) return SocketAddress::UnixUnnamed();
  const char* name = reinterpret_cast<const char*>(&storage) + kNameOffset;
  // The reported length can be one more than the structure's (unix(7), BUGS).
  const std::size_t size =
      std::min(static_cast<std::size_t>(length) - kNameOffset,
               sizeof(sockaddr_un::sun_path));
  return SocketAddress::FromUnixNameBytes(
      {name, name[0] == '\0' ? size : ::strnlen(name, size)});
}

}  // namespace

socklen_t ToSockaddr(const SocketAddress& address, sockaddr_storage& storage) {
  switch (address.family()) {
    case AddressFamily::kIpv4:
    case AddressFamily::kIpv6:
      return static_cast<socklen_t>(StoreIp(address, storage));
    case AddressFamily::kUnix:
      return StoreUnix(address.unix_name_bytes(), storage);
    case AddressFamily::kUnspecified:
      break;
  }
  storage.ss_family = AF_UNSPEC;
  return offsetof(sockaddr, sa_data);
}

SocketAddress FromSockaddr(const sockaddr_storage& storage, socklen_t length) {
  if (length < offsetof(sockaddr, sa_data)) return SocketAddress();
  switch (storage.ss_family) {
    case AF_INET:
    case AF_INET6:
      return LoadIp(storage, length);
    case AF_UNIX:
      return LoadUnix(storage, length);
    default:
      return SocketAddress();
  }
}

}  // namespace weir::platform
