#include "platform/posix/sockaddr.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "weir/socket_address.h"

namespace weir::platform {
namespace {

struct FamilyRow {
  AddressFamily family;
  int system;
};

constexpr FamilyRow kFamilies[] = {
    {AddressFamily::kUnspecified, AF_UNSPEC},
    {AddressFamily::kIpv4, AF_INET},
    {AddressFamily::kIpv6, AF_INET6},
    {AddressFamily::kUnix, AF_UNIX},
};

// Structures are copied in and out rather than aliased.
template <typename T>
socklen_t Store(const T& from, sockaddr_storage& storage) {
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

int ToSystemFamily(AddressFamily family) {
  for (const FamilyRow& row : kFamilies) {
    if (row.family == family) return row.system;
  }
  return AF_UNSPEC;
}

AddressFamily FromSystemFamily(int family) {
  for (const FamilyRow& row : kFamilies) {
    if (row.system == family) return row.family;
  }
  return AddressFamily::kUnspecified;
}

socklen_t ToSockaddr(const SocketAddress& address, sockaddr_storage& storage) {
  switch (address.family()) {
    case AddressFamily::kIpv4: {
      sockaddr_in in = {};
      in.sin_family = AF_INET;
      in.sin_port = htons(address.port());
      std::memcpy(&in.sin_addr, address.ip_bytes().data(), sizeof(in.sin_addr));
      return Store(in, storage);
    }
    case AddressFamily::kIpv6: {
      sockaddr_in6 in6 = {};
      in6.sin6_family = AF_INET6;
      in6.sin6_port = htons(address.port());
      in6.sin6_scope_id = address.scope_id();
      std::memcpy(&in6.sin6_addr, address.ip_bytes().data(),
                  sizeof(in6.sin6_addr));
      return Store(in6, storage);
    }
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
    case AF_INET: {
      if (length < sizeof(sockaddr_in)) return SocketAddress();
      const sockaddr_in in = Load<sockaddr_in>(storage);
      SocketAddress::Ipv4Bytes bytes;
      std::memcpy(bytes.data(), &in.sin_addr, bytes.size());
      return SocketAddress::Ipv4(bytes, ntohs(in.sin_port));
    }
    case AF_INET6: {
      if (length < sizeof(sockaddr_in6)) return SocketAddress();
      const sockaddr_in6 in6 = Load<sockaddr_in6>(storage);
      SocketAddress::Ipv6Bytes bytes;
      std::memcpy(bytes.data(), &in6.sin6_addr, bytes.size());
      return SocketAddress::Ipv6(bytes, ntohs(in6.sin6_port),
                                 in6.sin6_scope_id);
    }
    case AF_UNIX:
      return LoadUnix(storage, length);
    default:
      return SocketAddress();
  }
}

}  // namespace weir::platform
