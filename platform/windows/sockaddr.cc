#include "platform/windows/sockaddr.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "weir/socket_address.h"

namespace weir::platform {
namespace {

// sockaddr_un of <afunix.h>, which not every compiler's headers have.
struct UnixAddress {
  ADDRESS_FAMILY family;
  char path[108];
};
constexpr int kPathOffset = offsetof(UnixAddress, path);

// Unnamed is the family alone. Windows has no abstract names: it refuses what
// begins with a zero byte.
int StoreUnix(std::string_view name, sockaddr_storage& storage) {
  UnixAddress address = {};
  address.family = AF_UNIX;
  const std::size_t length = std::min(name.size(), sizeof(address.path));
  std::copy_n(name.data(), length, address.path);
  Store(address, storage);
  return length == 0 ? kPathOffset : static_cast<int>(sizeof(address));
}

SocketAddress LoadUnix(const sockaddr_storage& storage, int length) {
  if (length <= kPathOffset) return SocketAddress::UnixUnnamed();
  const auto address = Load<UnixAddress>(storage);
  const std::size_t size =
      std::min(static_cast<std::size_t>(length - kPathOffset),
               sizeof(address.path));
  const char* const end = std::find(address.path, address.path + size, '\0');
  return SocketAddress::FromUnixNameBytes(
      {address.path, static_cast<std::size_t>(end - address.path)});
}

}  // namespace

int ToSockaddr(const SocketAddress& address, sockaddr_storage& storage) {
  switch (address.family()) {
    case AddressFamily::kIpv4:
    case AddressFamily::kIpv6:
      return static_cast<int>(StoreIp(address, storage));
    case AddressFamily::kUnix:
      return StoreUnix(address.unix_name_bytes(), storage);
    case AddressFamily::kUnspecified:
      break;
  }
  const sockaddr none = {.sa_family = AF_UNSPEC, .sa_data = {}};
  return static_cast<int>(Store(none, storage));
}

SocketAddress FromSockaddr(const sockaddr_storage& storage, int length) {
  if (length < static_cast<int>(sizeof(ADDRESS_FAMILY))) {
    return SocketAddress();
  }
  switch (storage.ss_family) {
    case AF_INET:
    case AF_INET6:
      return LoadIp(storage, static_cast<std::size_t>(length));
    case AF_UNIX:
      return LoadUnix(storage, length);
    default:
      return SocketAddress();
  }
}

}  // namespace weir::platform
