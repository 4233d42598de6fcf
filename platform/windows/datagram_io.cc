#include "platform/datagram_io.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "platform/error.h"
#include "platform/socket_io.h"
#include "platform/sockets.h"
#include "platform/windows/datagram_control.h"
#include "platform/windows/extensions.h"
#include "platform/windows/sockaddr.h"
#include "platform/windows/socket_buffers.h"
#include "platform/windows/socket_info.h"
#include "platform/windows/winsock.h"
#include "weir/native_socket.h"
#include "weir/socket_address.h"

namespace weir::platform {
namespace {

constexpr std::uint8_t kEcnMask = 3;

// WSARecvMsg and WSASendMsg; the system's own provider has them for datagram
// sockets of either family, at one address each.

LPFN_WSARECVMSG ReceiveMessageCall(NativeSocket socket) {
  static std::atomic<LPFN_WSARECVMSG> known{nullptr};
  LPFN_WSARECVMSG call = known.load(std::memory_order_relaxed);
  if (call == nullptr) {
    call = FindExtension<LPFN_WSARECVMSG>(ToSocket(socket), WSAID_WSARECVMSG);
    known.store(call, std::memory_order_relaxed);
  }
  return call;
}

LPFN_WSASENDMSG SendMessageCall(NativeSocket socket) {
  static std::atomic<LPFN_WSASENDMSG> known{nullptr};
  LPFN_WSASENDMSG call = known.load(std::memory_order_relaxed);
  if (call == nullptr) {
    call = FindExtension<LPFN_WSASENDMSG>(ToSocket(socket), WSAID_WSASENDMSG);
    known.store(call, std::memory_order_relaxed);
  }
  return call;
}

// How a batch went of which `count` were moved before a call did not succeed
// with `error`.
BatchOutcome OutcomeOf(std::size_t count, int error) {
  if (count > 0) return {.count = count};
  if (error == WSAEWOULDBLOCK) return {.would_block = true};
  return {.error = error};
}

// Returns 0 or an error number.
int ReceiveOne(NativeSocket socket, ReceivedDatagram& datagram) {
  SocketBuffers buffers(datagram.buffer);
  sockaddr_storage name = {};
  ControlSpace control;
  WSAMSG message = {};
  message.name = reinterpret_cast<sockaddr*>(&name);
  message.namelen = sizeof(name);
  message.lpBuffers = buffers.data();
  message.dwBufferCount = buffers.count();
  message.Control = control.whole();
  const LPFN_WSARECVMSG receive = ReceiveMessageCall(socket);
  if (receive == nullptr) return LastErrorOf(socket);
  DWORD bytes = 0;
  const int error =
      receive(ToSocket(socket), &message, &bytes, nullptr, nullptr) == 0
          ? 0
          : LastErrorOf(socket);
  if (error != 0 && error != WSAEMSGSIZE) return error;
  datagram.truncated = error != 0 || (message.dwFlags & MSG_TRUNC) != 0;
  datagram.bytes = datagram.truncated ? buffers.size() : bytes;
  datagram.source = FromSockaddr(name, message.namelen);
  datagram.destination.reset();
  datagram.ecn = 0;
  datagram.segment_size = 0;
  TakeControl(message, datagram);
  return 0;
}

// Whether the system knows IP_ECN: it came together with IP_RECVECN.
bool EcnIsKnown() {
  static const bool known = [] {
    const auto socket = OpenSocket(AddressFamily::kIpv4, SocketType::kDatagram);
    if (!socket.ok()) return false;
    DWORD value = 0;
    int length = sizeof(value);
    const bool result =
        ::getsockopt(ToSocket(*socket), IPPROTO_IP, kIpEcn,
                     reinterpret_cast<char*>(&value), &length) == 0;
    (void)Close(*socket);
    return result;
  }();
  return known;
}

bool GoesAsIpv4(NativeSocket socket, const OutgoingDatagram& datagram) {
  SocketAddress to;
  if (datagram.destination != nullptr) {
    to = *datagram.destination;
  } else {
    to = PeerAddress(socket).value_or(SocketAddress());
  }
  return !to.is_ipv6() || to.is_v4_mapped();
}

// What the system would not notice itself, as an error number.
int Check(const OutgoingDatagram& datagram) {
  // Some families would take it for "to the connected peer", others not.
  if (datagram.destination != nullptr &&
      datagram.destination->is_unspecified()) {
    return WSAEDESTADDRREQ;
  }
  if (datagram.data.size() > kMaxVectorBuffers) return WSAEMSGSIZE;
  if (datagram.segment_size > std::numeric_limits<std::uint16_t>::max() ||
      datagram.ecn.value_or(0) > kEcnMask) {
    return WSAEINVAL;
  }
  // Where it is not known it is not refused, but passed over.
  return datagram.ecn.value_or(0) != 0 && !EcnIsKnown() ? WSAEOPNOTSUPP : 0;
}

// Returns 0 or an error number.
int SendOne(NativeSocket socket, const OutgoingDatagram& datagram) {
  if (const int error = Check(datagram)) return error;
  SocketBuffers buffers(datagram.data);
  sockaddr_storage name;
  WSAMSG message = {};
  if (datagram.destination != nullptr) {
    message.namelen = ToSockaddr(*datagram.destination, name);
    message.name = reinterpret_cast<sockaddr*>(&name);
  }
  message.lpBuffers = buffers.data();
  message.dwBufferCount = buffers.count();
  DWORD bytes = 0;
  int result;
  if (datagram.segment_size == 0 && !datagram.ecn.has_value()) [[likely]] {
    result = message.name == nullptr
                 ? ::WSASend(ToSocket(socket), message.lpBuffers,
                             message.dwBufferCount, &bytes, 0, nullptr, nullptr)
                 : ::WSASendTo(ToSocket(socket), message.lpBuffers,
                               message.dwBufferCount, &bytes, 0, message.name,
                               message.namelen, nullptr, nullptr);
  } else {
    const LPFN_WSASENDMSG send = SendMessageCall(socket);
    if (send == nullptr) return LastErrorOf(socket);
    ControlSpace control;
    PutControl(datagram, GoesAsIpv4(socket, datagram), control, message);
    result = send(ToSocket(socket), &message, 0, &bytes, nullptr, nullptr);
  }
  if (result == 0) [[likely]] {
    return 0;
  }
  const int error = LastErrorOf(socket);
  return message.name == nullptr ? SendErrorOf(socket, error) : error;
}

struct FlagRow {
  int family;
  int level;
  int number;
  std::string_view name;
};

// An IPv6 socket tells of IPv4 datagrams by the options of IPv4.
constexpr FlagRow kDestinationFlags[] = {
    {AF_INET, IPPROTO_IP, IP_PKTINFO, "IP_PKTINFO"},
    {AF_INET6, IPPROTO_IPV6, IPV6_PKTINFO, "IPV6_PKTINFO"},
    {AF_INET6, IPPROTO_IP, IP_PKTINFO, "IP_PKTINFO"},
};
constexpr FlagRow kEcnFlags[] = {
    {AF_INET, IPPROTO_IP, kIpEcn, "IP_RECVECN"},
    {AF_INET6, IPPROTO_IPV6, kIpv6Ecn, "IPV6_RECVECN"},
    {AF_INET6, IPPROTO_IP, kIpEcn, "IP_RECVECN"},
};
// The whole traffic class, where the system does not know the former.
constexpr FlagRow kTrafficClassFlags[] = {
    {AF_INET, IPPROTO_IP, kIpReceiveTos, "IP_RECVTOS"},
    {AF_INET6, IPPROTO_IPV6, kIpv6ReceiveTrafficClass, "IPV6_RECVTCLASS"},
    {AF_INET6, IPPROTO_IP, kIpReceiveTos, "IP_RECVTOS"},
};

// Returns 0 or an error number.
int SetOne(NativeSocket socket, int level, int number, DWORD value) {
  return ::setsockopt(ToSocket(socket), level, number,
                      reinterpret_cast<const char*>(&value), sizeof(value)) == 0
             ? 0
             : LastErrorOf(socket);
}

absl::Status SetFlags(NativeSocket socket, int family,
                      std::span<const FlagRow> rows) {
  for (const FlagRow& row : rows) {
    if (row.family != family) continue;
    if (const int error = SetOne(socket, row.level, row.number, 1)) {
      return SystemError(error, "setsockopt", row.name);
    }
  }
  return absl::OkStatus();
}

// What systems say of an option of UDP that they do not know.
bool IsUnknownOption(int error) {
  return error == WSAENOPROTOOPT || error == WSAEINVAL ||
         error == WSAEOPNOTSUPP;
}

// Whether the socket knows UDP_SEND_MSG_SIZE; 0 if so, or an error number.
int AskForSegments(NativeSocket socket) {
  DWORD value = 0;
  int length = sizeof(value);
  return ::getsockopt(ToSocket(socket), IPPROTO_UDP, kUdpSendMessageSize,
                      reinterpret_cast<char*>(&value), &length) == 0
             ? 0
             : ::WSAGetLastError();
}

// Whether UDP sockets of `family` do.
int ProbeSendOffload(AddressFamily family) {
  const auto socket = OpenSocket(family, SocketType::kDatagram);
  if (!socket.ok()) return WSAENOBUFS;
  const int error = AskForSegments(*socket);
  (void)Close(*socket);
  return error;
}

}  // namespace

BatchOutcome ReceiveDatagrams(NativeSocket socket,
                              std::span<ReceivedDatagram> datagrams) {
  const std::size_t most = std::min(datagrams.size(), kMaxDatagramBatch);
  for (std::size_t i = 0; i < most; ++i) {
    if (const int error = ReceiveOne(socket, datagrams[i])) {
      return OutcomeOf(i, error);
    }
  }
  return {.count = most};
}

BatchOutcome SendDatagrams(NativeSocket socket,
                           std::span<const OutgoingDatagram> datagrams) {
  const std::size_t most = std::min(datagrams.size(), kMaxDatagramBatch);
  std::size_t buffers = 0;
  for (std::size_t i = 0; i < most; ++i) {
    buffers += datagrams[i].data.size();
    if (i > 0 && buffers > kMaxBatchBuffers) return {.count = i};
    if (const int error = SendOne(socket, datagrams[i])) {
      return OutcomeOf(i, error);
    }
  }
  return {.count = most};
}

absl::Status EnableDatagramInfo(NativeSocket socket) {
  SocketInfo info;
  if (const int error = QueryInfo(socket, info)) {
    return SystemError(error, "getsockopt SO_PROTOCOL_INFO");
  }
  if (info.family != AF_INET && info.family != AF_INET6) {
    return SystemError(WSAEAFNOSUPPORT, "setsockopt", "IP_PKTINFO");
  }
  absl::Status status = SetFlags(socket, info.family, kDestinationFlags);
  if (!status.ok()) return status;
  if (SetFlags(socket, info.family, kEcnFlags).ok()) return status;
  // A system that knows neither tells of no ECN.
  (void)SetFlags(socket, info.family, kTrafficClassFlags);
  return status;
}

absl::Status EnableReceiveOffload(NativeSocket socket) {
  constexpr DWORD kMostBytes = 65'535;
  SocketInfo info;
  int error = QueryInfo(socket, info);
  if (error == 0) {
    error = info.protocol == IPPROTO_UDP
                ? SetOne(socket, IPPROTO_UDP, kUdpReceiveCoalesced, kMostBytes)
                : WSAENOPROTOOPT;
    if (IsUnknownOption(error)) error = WSAENOPROTOOPT;
  }
  return SystemError(error, "setsockopt", "UDP_RECV_MAX_COALESCED_SIZE");
}

bool SendOffloadSupported() {
  enum class Answer { kNone, kYes, kNo };
  static std::atomic<Answer> known{Answer::kNone};
  const Answer answer = known.load(std::memory_order_relaxed);
  if (answer != Answer::kNone) return answer == Answer::kYes;
  for (const AddressFamily family :
       {AddressFamily::kIpv4, AddressFamily::kIpv6}) {
    const int error = ProbeSendOffload(family);
    if (error != 0 && !IsUnknownOption(error)) continue;
    known.store(error == 0 ? Answer::kYes : Answer::kNo,
                std::memory_order_relaxed);
    return error == 0;
  }
  return false;
}

bool TakesSegments(NativeSocket socket) { return AskForSegments(socket) == 0; }

}  // namespace weir::platform
