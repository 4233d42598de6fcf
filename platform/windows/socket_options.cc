#include "platform/socket_options.h"

#include "platform/windows/winsock.h"
// After Winsock.
#include <iphlpapi.h>
#include <netioapi.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "platform/error.h"
#include "platform/windows/sockaddr.h"
#include "platform/windows/socket_info.h"
#include "weir/native_socket.h"
#include "weir/socket_address.h"
#include "weir/socket_options.h"

namespace weir::platform {
namespace {

constexpr int kMaxInt = std::numeric_limits<int>::max();
constexpr int kMaxLinger = std::numeric_limits<u_short>::max();

// <ws2ipdef.h> of newer SDKs; Windows 10, version 1709.
constexpr int kTcpKeepIdle = 3;
constexpr int kTcpKeepCount = 16;
constexpr int kTcpKeepInterval = 17;

// What an option is of.
enum class Owner { kAny, kTcp, kIpv6, kIp };

struct OptionRow {
  SocketOption option;
  // What messages call it.
  std::string_view name;
  int min;
  int max;
  Owner owner;
  int level;
  // 0: there is no such option.
  int number;
  // For an IPv6 socket, where that has an option of its own; else 0.
  int ipv6_number = 0;
};

constexpr OptionRow kOptions[] = {
    {SocketOption::kReuseAddress, "SO_REUSEADDR", 0, 1, Owner::kAny, SOL_SOCKET,
     SO_REUSEADDR},
    {SocketOption::kReusePort, "SO_REUSEPORT", 0, 1, Owner::kAny, SOL_SOCKET,
     0},
    {SocketOption::kNoDelay, "TCP_NODELAY", 0, 1, Owner::kTcp, IPPROTO_TCP,
     TCP_NODELAY},
    {SocketOption::kKeepAlive, "SO_KEEPALIVE", 0, 1, Owner::kAny, SOL_SOCKET,
     SO_KEEPALIVE},
    {SocketOption::kKeepAliveIdle, "TCP_KEEPIDLE", 1, kMaxInt, Owner::kTcp,
     IPPROTO_TCP, kTcpKeepIdle},
    {SocketOption::kKeepAliveInterval, "TCP_KEEPINTVL", 1, kMaxInt, Owner::kTcp,
     IPPROTO_TCP, kTcpKeepInterval},
    {SocketOption::kKeepAliveCount, "TCP_KEEPCNT", 1, kMaxInt, Owner::kTcp,
     IPPROTO_TCP, kTcpKeepCount},
    {SocketOption::kSendBufferBytes, "SO_SNDBUF", 0, kMaxInt, Owner::kAny,
     SOL_SOCKET, SO_SNDBUF},
    {SocketOption::kReceiveBufferBytes, "SO_RCVBUF", 0, kMaxInt, Owner::kAny,
     SOL_SOCKET, SO_RCVBUF},
    {SocketOption::kIpv6Only, "IPV6_V6ONLY", 0, 1, Owner::kIpv6, IPPROTO_IPV6,
     IPV6_V6ONLY},
    {SocketOption::kBroadcast, "SO_BROADCAST", 0, 1, Owner::kAny, SOL_SOCKET,
     SO_BROADCAST},
    {SocketOption::kMulticastLoop, "multicast loop", 0, 1, Owner::kIp,
     IPPROTO_IP, IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP},
    {SocketOption::kMulticastTtl, "multicast TTL", 0, 255, Owner::kIp,
     IPPROTO_IP, IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS},
    {SocketOption::kMulticastInterface, "multicast interface", 0, kMaxInt,
     Owner::kIp, IPPROTO_IP, IP_MULTICAST_IF, IPV6_MULTICAST_IF},
    {SocketOption::kLinger, "SO_LINGER", -1, kMaxLinger, Owner::kAny,
     SOL_SOCKET, SO_LINGER},
};

const OptionRow* FindRow(SocketOption option) {
  for (const OptionRow& row : kOptions) {
    if (row.option == option) return &row;
  }
  return nullptr;
}

// The system's name of an option on one particular socket.
struct OptionKey {
  int level = 0;
  int number = 0;
};

bool Owns(Owner owner, const SocketInfo& info) {
  switch (owner) {
    case Owner::kAny:
      return true;
    case Owner::kTcp:
      return info.protocol == IPPROTO_TCP;
    case Owner::kIpv6:
      return info.family == AF_INET6;
    case Owner::kIp:
      return info.family == AF_INET || info.family == AF_INET6;
  }
  return false;
}

// Returns 0 or an error number. Winsock sets some options on sockets that they
// do nothing for, and of others says that the value is wrong.
int KeyFor(NativeSocket socket, const OptionRow& row, OptionKey& key) {
  key = {row.level, row.number};
  if (row.owner == Owner::kAny && row.option != SocketOption::kReuseAddress) {
    return row.number == 0 ? WSAENOPROTOOPT : 0;
  }
  SocketInfo info;
  if (const int error = QueryInfo(socket, info)) return error;
  if (!Owns(row.owner, info)) return WSAENOPROTOOPT;
  if (row.ipv6_number != 0 && info.family == AF_INET6) {
    key = {IPPROTO_IPV6, row.ipv6_number};
  }
  // On a stream, SO_REUSEADDR shares the address with a live listener, which is
  // nobody's wish; connections of an earlier one are in the way of nobody, unless
  // he asked for exclusive use. That is the opposite switch.
  if (row.option == SocketOption::kReuseAddress && info.type == SOCK_STREAM) {
    key.number = SO_EXCLUSIVEADDRUSE;
  }
  return 0;
}

// Both return 0 or an error number.

template <typename T>
int SetRaw(NativeSocket socket, OptionKey key, const T& value) {
  return ::setsockopt(ToSocket(socket), key.level, key.number,
                      reinterpret_cast<const char*>(&value),
                      sizeof(value)) == 0
             ? 0
             : LastErrorOf(socket);
}

template <typename T>
int GetRaw(NativeSocket socket, OptionKey key, T& value) {
  // Of a BOOL, some providers write one byte.
  value = {};
  int length = sizeof(value);
  return ::getsockopt(ToSocket(socket), key.level, key.number,
                      reinterpret_cast<char*>(&value), &length) == 0
             ? 0
             : LastErrorOf(socket);
}

// Some options' values are something else to the system.

bool Is(OptionKey key, int level, int number) {
  return key.level == level && key.number == number;
}

// An IPv4 address of the interface of that index: what every version takes for
// the interface. Returns 0 or an error number.
int InterfaceAddress(std::uint32_t index, in_addr& address) {
  address = {};
  if (index == 0) return 0;
  MIB_UNICASTIPADDRESS_TABLE* table = nullptr;
  if (const DWORD error = ::GetUnicastIpAddressTable(AF_INET, &table)) {
    return static_cast<int>(error);
  }
  int error = ERROR_DEV_NOT_EXIST;
  for (ULONG i = 0; i < table->NumEntries; ++i) {
    const MIB_UNICASTIPADDRESS_ROW& row = table->Table[i];
    if (row.InterfaceIndex != index) continue;
    address = row.Address.Ipv4.sin_addr;
    error = 0;
    break;
  }
  ::FreeMibTable(table);
  return error;
}

int SetValue(NativeSocket socket, OptionKey key, int value) {
  if (Is(key, SOL_SOCKET, SO_LINGER)) {
    const linger setting = {.l_onoff = static_cast<u_short>(value >= 0),
                            .l_linger = static_cast<u_short>(
                                value >= 0 ? value : 0)};
    return SetRaw(socket, key, setting);
  }
  if (Is(key, IPPROTO_IP, IP_MULTICAST_IF)) {
    in_addr setting;
    const int error =
        InterfaceAddress(static_cast<std::uint32_t>(value), setting);
    return error != 0 ? error : SetRaw(socket, key, setting);
  }
  if (Is(key, SOL_SOCKET, SO_EXCLUSIVEADDRUSE)) value = value == 0 ? 1 : 0;
  return SetRaw(socket, key, value);
}

int GetValue(NativeSocket socket, OptionKey key, int& value) {
  if (Is(key, SOL_SOCKET, SO_LINGER)) {
    linger setting;
    const int error = GetRaw(socket, key, setting);
    value = setting.l_onoff != 0 ? setting.l_linger : -1;
    return error;
  }
  // It gives back an address.
  if (Is(key, IPPROTO_IP, IP_MULTICAST_IF)) return WSAENOPROTOOPT;
  const int error = GetRaw(socket, key, value);
  if (Is(key, SOL_SOCKET, SO_EXCLUSIVEADDRUSE)) value = value == 0 ? 1 : 0;
  return error;
}

// Returns 0 or an error number.
int SetMembership(NativeSocket socket, const SocketAddress& group,
                  std::uint32_t interface_index, bool join) {
  if (group.is_ipv6()) {
    ipv6_mreq request = {};
    std::memcpy(&request.ipv6mr_multiaddr, group.ip_bytes().data(),
                sizeof(request.ipv6mr_multiaddr));
    request.ipv6mr_interface =
        interface_index != 0 ? interface_index : group.scope_id();
    return SetRaw(
        socket,
        {IPPROTO_IPV6, join ? IPV6_ADD_MEMBERSHIP : IPV6_DROP_MEMBERSHIP},
        request);
  }
  ip_mreq request = {};
  std::memcpy(&request.imr_multiaddr, group.ip_bytes().data(),
              sizeof(request.imr_multiaddr));
  if (const int error =
          InterfaceAddress(interface_index, request.imr_interface)) {
    return error;
  }
  return SetRaw(socket,
                {IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP},
                request);
}

absl::Status ChangeMembership(NativeSocket socket, const SocketAddress& group,
                              std::uint32_t interface_index, bool join) {
  const std::string_view operation = join ? "join multicast" : "leave multicast";
  if (!group.is_multicast()) {
    return SystemError(WSAEINVAL, operation, group.ToString());
  }
  int error = SetMembership(socket, group, interface_index, join);
  // The arguments are in order: it has joined already, or has not.
  if (error == WSAEINVAL || error == WSAEADDRNOTAVAIL) {
    error = join ? WSAEADDRINUSE : WSAEADDRNOTAVAIL;
  }
  return SystemError(error, operation, group.ip());
}

}  // namespace

absl::Status SetOption(NativeSocket socket, SocketOption option, int value) {
  const OptionRow* row = FindRow(option);
  if (row == nullptr) return SystemError(WSAEINVAL, "setsockopt");
  const std::string subject = absl::StrCat(
      absl::string_view(row->name.data(), row->name.size()), " = ", value);
  if (value < row->min || value > row->max) {
    return SystemError(WSAEINVAL, "setsockopt", subject);
  }
  OptionKey key;
  int error = KeyFor(socket, *row, key);
  if (error == 0) error = SetValue(socket, key, value);
  return SystemError(error, "setsockopt", subject);
}

absl::StatusOr<int> GetOption(NativeSocket socket, SocketOption option) {
  const OptionRow* row = FindRow(option);
  if (row == nullptr) return SystemError(WSAEINVAL, "getsockopt");
  OptionKey key;
  int value = 0;
  int error = KeyFor(socket, *row, key);
  if (error == 0) error = GetValue(socket, key, value);
  if (error != 0) return SystemError(error, "getsockopt", row->name);
  return value;
}

absl::Status JoinMulticast(NativeSocket socket, const SocketAddress& group,
                           std::uint32_t interface_index) {
  return ChangeMembership(socket, group, interface_index, /*join=*/true);
}

absl::Status LeaveMulticast(NativeSocket socket, const SocketAddress& group,
                            std::uint32_t interface_index) {
  return ChangeMembership(socket, group, interface_index, /*join=*/false);
}

}  // namespace weir::platform
