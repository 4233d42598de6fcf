#include "platform/ip_sockaddr.h"

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

std::size_t StoreIp(const SocketAddress& address, sockaddr_storage& storage) {
  if (address.family() == AddressFamily::kIpv4) {
    sockaddr_in in = {};
    in.sin_family = AF_INET;
    in.sin_port = htons(address.port());
    std::memcpy(&in.sin_addr, address.ip_bytes().data(), sizeof(in.sin_addr));
    return Store(in, storage);
  }
  sockaddr_in6 in6 = {};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(address.port());
  in6.sin6_scope_id = address.scope_id();
  std::memcpy(&in6.sin6_addr, address.ip_bytes().data(), sizeof(in6.sin6_addr));
  return Store(in6, storage);
}

SocketAddress LoadIp(const sockaddr_storage& storage, std::size_t length) {
  if (storage.ss_family == AF_INET) {
    if (length < sizeof(sockaddr_in)) return SocketAddress();
    const auto in = Load<sockaddr_in>(storage);
    SocketAddress::Ipv4Bytes bytes;
    std::memcpy(bytes.data(), &in.sin_addr, bytes.size());
    return SocketAddress::Ipv4(bytes, ntohs(in.sin_port));
  }
  if (length < sizeof(sockaddr_in6)) return SocketAddress();
  const auto in6 = Load<sockaddr_in6>(storage);
  SocketAddress::Ipv6Bytes bytes;
  std::memcpy(bytes.data(), &in6.sin6_addr, bytes.size());
  return SocketAddress::Ipv6(bytes, ntohs(in6.sin6_port), in6.sin6_scope_id);
}

}  // namespace weir::platform
