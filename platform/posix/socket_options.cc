#include "platform/socket_options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "platform/error.h"
#include "platform/posix/sockaddr.h"
#include "weir/native_socket.h"
#include "weir/socket_address.h"
#include "weir/socket_options.h"

namespace weir::platform {
namespace {

constexpr int kMaxInt = std::numeric_limits<int>::max();

struct OptionRow {
  SocketOption option;
  // What messages call it.
  std::string_view name;
  int min;
  int max;
  int level;
  int number;
  // For an IPv6 socket, where that has an option of its own; else -1.
  int ipv6_number = -1;
};

constexpr OptionRow kOptions[] = {
    {SocketOption::kReuseAddress, "SO_REUSEADDR", 0, 1, SOL_SOCKET,
     SO_REUSEADDR},
    {SocketOption::kReusePort, "SO_REUSEPORT", 0, 1, SOL_SOCKET, SO_REUSEPORT},
    {SocketOption::kNoDelay, "TCP_NODELAY", 0, 1, IPPROTO_TCP, TCP_NODELAY},
    {SocketOption::kKeepAlive, "SO_KEEPALIVE", 0, 1, SOL_SOCKET, SO_KEEPALIVE},
    {SocketOption::kKeepAliveIdle, "TCP_KEEPIDLE", 1, kMaxInt, IPPROTO_TCP,
     TCP_KEEPIDLE},
    {SocketOption::kKeepAliveInterval, "TCP_KEEPINTVL", 1, kMaxInt, IPPROTO_TCP,
     TCP_KEEPINTVL},
    {SocketOption::kKeepAliveCount, "TCP_KEEPCNT", 1, kMaxInt, IPPROTO_TCP,
     TCP_KEEPCNT},
    {SocketOption::kSendBufferBytes, "SO_SNDBUF", 0, kMaxInt, SOL_SOCKET,
     SO_SNDBUF},
    {SocketOption::kReceiveBufferBytes, "SO_RCVBUF", 0, kMaxInt, SOL_SOCKET,
     SO_RCVBUF},
    {SocketOption::kIpv6Only, "IPV6_V6ONLY", 0, 1, IPPROTO_IPV6, IPV6_V6ONLY},
    {SocketOption::kBroadcast, "SO_BROADCAST", 0, 1, SOL_SOCKET, SO_BROADCAST},
    {SocketOption::kMulticastLoop, "multicast loop", 0, 1, IPPROTO_IP,
     IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP},
    {SocketOption::kMulticastTtl, "multicast TTL", 0, 255, IPPROTO_IP,
     IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS},
    {SocketOption::kMulticastInterface, "multicast interface", 0, kMaxInt,
     IPPROTO_IP, IP_MULTICAST_IF, IPV6_MULTICAST_IF},
    {SocketOption::kLinger, "SO_LINGER", -1, kMaxInt, SOL_SOCKET, SO_LINGER},
};

const OptionRow* FindRow(SocketOption option) {
  for (const OptionRow& row : kOptions) {
    if (row.option == option) return &row;
  }
  return nullptr;
}

// The system's name of an option on one particular socket.
struct OptionKey {
  int level;
  int number;
};

absl::StatusOr<OptionKey> KeyFor(NativeSocket socket, const OptionRow& row) {
  if (row.ipv6_number < 0) return OptionKey{row.level, row.number};
  int family = 0;
  socklen_t length = sizeof(family);
  if (::getsockopt(ToDescriptor(socket), SOL_SOCKET, SO_DOMAIN, &family,
                   &length) != 0) {
    return SystemError(errno, "getsockopt SO_DOMAIN");
  }
  if (family == AF_INET6) return OptionKey{IPPROTO_IPV6, row.ipv6_number};
  return OptionKey{row.level, row.number};
}

// Both return 0 or an error number.

template <typename T>
int SetRaw(NativeSocket socket, OptionKey key, const T& value) {
  return ::setsockopt(ToDescriptor(socket), key.level, key.number, &value,
                      sizeof(value)) == 0
             ? 0
             : errno;
}

template <typename T>
int GetRaw(NativeSocket socket, OptionKey key, T& value) {
  socklen_t length = sizeof(value);
  if (::getsockopt(ToDescriptor(socket), key.level, key.number, &value,
                   &length) != 0) {
    return errno;
  }
  // The system knows a shorter structure, with less in it.
  return length < sizeof(value) ? ENOPROTOOPT : 0;
}

// Some options' values are structures for the system.

bool IsLinger(OptionKey key) {
  return key.level == SOL_SOCKET && key.number == SO_LINGER;
}

bool IsIpv4Interface(OptionKey key) {
  return key.level == IPPROTO_IP && key.number == IP_MULTICAST_IF;
}

int SetValue(NativeSocket socket, OptionKey key, int value) {
  if (IsLinger(key)) {
    const linger setting = {.l_onoff = value >= 0 ? 1 : 0,
                            .l_linger = value >= 0 ? value : 0};
    return SetRaw(socket, key, setting);
  }
  if (IsIpv4Interface(key)) {
    ip_mreqn setting = {};
    setting.imr_ifindex = value;
    return SetRaw(socket, key, setting);
  }
  return SetRaw(socket, key, value);
}

int GetValue(NativeSocket socket, OptionKey key, int& value) {
  if (IsLinger(key)) {
    linger setting = {};
    const int error = GetRaw(socket, key, setting);
    value = setting.l_onoff != 0 ? setting.l_linger : -1;
    return error;
  }
  if (IsIpv4Interface(key)) {
    ip_mreqn setting = {};
    const int error = GetRaw(socket, key, setting);
    value = setting.imr_ifindex;
    return error;
  }
  return GetRaw(socket, key, value);
}

// MCAST_JOIN_GROUP and MCAST_LEAVE_GROUP (RFC 3678) take both families.
absl::Status ChangeMembership(NativeSocket socket, const SocketAddress& group,
                              std::uint32_t interface_index, int number,
                              std::string_view operation) {
  if (!group.is_multicast()) {
    return SystemError(EINVAL, operation, group.ToString());
  }
  group_req request = {};
  request.gr_interface =
      interface_index != 0 ? interface_index : group.scope_id();
  ToSockaddr(group, request.gr_group);
  const int level = group.is_ipv6() ? IPPROTO_IPV6 : IPPROTO_IP;
  return SystemError(SetRaw(socket, {level, number}, request), operation,
                     group.ip());
}

}  // namespace

absl::Status SetOption(NativeSocket socket, SocketOption option, int value) {
  const OptionRow* row = FindRow(option);
  if (row == nullptr) return SystemError(EINVAL, "setsockopt");
  const std::string subject = absl::StrCat(
      absl::string_view(row->name.data(), row->name.size()), " = ", value);
  if (value < row->min || value > row->max) {
    return SystemError(EINVAL, "setsockopt", subject);
  }
  const absl::StatusOr<OptionKey> key = KeyFor(socket, *row);
  if (!key.ok()) return key.status();
  return SystemError(SetValue(socket, *key, value), "setsockopt", subject);
}

absl::StatusOr<int> GetOption(NativeSocket socket, SocketOption option) {
  const OptionRow* row = FindRow(option);
  if (row == nullptr) return SystemError(EINVAL, "getsockopt");
  const absl::StatusOr<OptionKey> key = KeyFor(socket, *row);
  if (!key.ok()) return key.status();
  int value = 0;
  if (const int error = GetValue(socket, *key, value)) {
    return SystemError(error, "getsockopt", row->name);
  }
  return value;
}

absl::Status JoinMulticast(NativeSocket socket, const SocketAddress& group,
                           std::uint32_t interface_index) {
  return ChangeMembership(socket, group, interface_index, MCAST_JOIN_GROUP,
                          "join multicast");
}

absl::Status LeaveMulticast(NativeSocket socket, const SocketAddress& group,
                            std::uint32_t interface_index) {
  return ChangeMembership(socket, group, interface_index, MCAST_LEAVE_GROUP,
                          "leave multicast");
}

}  // namespace weir::platform
