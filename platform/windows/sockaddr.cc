#include "platform/windows/sockaddr.h"

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

// sockaddr_un of <afunix.h>, which not every compiler's headers have.
struct UnixAddress {
  ADDRESS_FAMILY family;
  char path[108];
};
constexpr int kPathOffset = offsetof(UnixAddress, path);

// Structures are copied in and out rather than aliased.
template <typename T>
int Store(const T& from, sockaddr_storage& storage) {
  static_assert(sizeof(T) <= sizeof(sockaddr_storage));
  std::memcpy(&storage, &from, sizeof(T));
  return static_cast<int>(sizeof(T));
}

template <typename T>
T Load(const sockaddr_storage& storage) {
  T to;
  std::memcpy(&to, &storage, sizeof(T));
  return to;
}

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

int ToSockaddr(const SocketAddress& address, sockaddr_storage& storage) {
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
  const sockaddr none = {.sa_family = AF_UNSPEC, .sa_data = {}};
  return Store(none, storage);
}

SocketAddress FromSockaddr(const sockaddr_storage& storage, int length) {
  if (length < static_cast<int>(sizeof(ADDRESS_FAMILY))) {
    return SocketAddress();
  }
  switch (storage.ss_family) {
    case AF_INET: {
      if (length < static_cast<int>(sizeof(sockaddr_in))) {
        return SocketAddress();
      }
      const auto in = Load<sockaddr_in>(storage);
      SocketAddress::Ipv4Bytes bytes;
      std::memcpy(bytes.data(), &in.sin_addr, bytes.size());
      return SocketAddress::Ipv4(bytes, ntohs(in.sin_port));
    }
    case AF_INET6: {
      if (length < static_cast<int>(sizeof(sockaddr_in6))) {
        return SocketAddress();
      }
      const auto in6 = Load<sockaddr_in6>(storage);
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
