#include "platform/datagram_io.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "platform/error.h"
#include "platform/posix/retry.h"
#include "platform/posix/sockaddr.h"
#include "platform/socket_io.h"
#include "weir/native_socket.h"
#include "weir/socket_address.h"

namespace weir::platform {
namespace {

constexpr std::uint8_t kEcnMask = 3;

// `result` is what recvmmsg(2) or sendmmsg(2) returned; errno is its error.
BatchOutcome OutcomeOf(int result) {
  if (result >= 0) [[likely]] {
    return {.count = static_cast<std::size_t>(result)};
  }
  const int error = errno;
  if (error == EAGAIN || error == EWOULDBLOCK) return {.would_block = true};
  return {.error = error};
}

// What is told of a datagram that was received.

// Room for both families' packet information and traffic class, the segment
// size, and as much again for what the application has asked for by itself:
// what does not fit is not told (recvmsg(2), MSG_CTRUNC).
constexpr std::size_t kReceiveControlBytes =
    2 * (CMSG_SPACE(sizeof(in_pktinfo)) + CMSG_SPACE(sizeof(in6_pktinfo)) +
         3 * CMSG_SPACE(sizeof(int)));

template <typename T>
bool Load(const cmsghdr& header, T& value) {
  if (header.cmsg_len < CMSG_LEN(sizeof(T))) return false;
  std::memcpy(&value, CMSG_DATA(&header), sizeof(T));
  return true;
}

SocketAddress Ipv6Destination(const in6_pktinfo& info) {
  SocketAddress::Ipv6Bytes bytes;
  std::memcpy(bytes.data(), &info.ipi6_addr, bytes.size());
  // As the system fills in the source's (ipv6(7)): where the address means
  // nothing without it.
  const bool scoped = IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr) ||
                      IN6_IS_ADDR_MC_LINKLOCAL(&info.ipi6_addr);
  return SocketAddress::Ipv6(bytes, 0, scoped ? info.ipi6_ifindex : 0);
}

SocketAddress Ipv4Destination(const in_pktinfo& info) {
  SocketAddress::Ipv4Bytes bytes;
  std::memcpy(bytes.data(), &info.ipi_addr, bytes.size());
  return SocketAddress::Ipv4(bytes, 0);
}

void TakeIpv4(const cmsghdr& header, ReceivedDatagram& datagram) {
  in_pktinfo info;
  std::uint8_t tos;
  // An IPv6 socket tells a mapped one by IPV6_PKTINFO.
  if (header.cmsg_type == IP_PKTINFO && !datagram.source.is_ipv6() &&
      Load(header, info)) {
    datagram.destination = {
        .address = Ipv4Destination(info),
        .interface_index = static_cast<std::uint32_t>(info.ipi_ifindex)};
  } else if (header.cmsg_type == IP_TOS && Load(header, tos)) {
    datagram.ecn = tos & kEcnMask;
  }
}

void TakeIpv6(const cmsghdr& header, ReceivedDatagram& datagram) {
  in6_pktinfo info;
  int traffic_class;
  if (header.cmsg_type == IPV6_PKTINFO && Load(header, info)) {
    datagram.destination = {.address = Ipv6Destination(info),
                            .interface_index = info.ipi6_ifindex};
  } else if (header.cmsg_type == IPV6_TCLASS && Load(header, traffic_class)) {
    datagram.ecn = static_cast<std::uint8_t>(traffic_class & kEcnMask);
  }
}

void TakeUdp(const cmsghdr& header, ReceivedDatagram& datagram) {
  int segment_size;
  if (header.cmsg_type == UDP_GRO && Load(header, segment_size)) {
    datagram.segment_size = static_cast<std::size_t>(segment_size);
  }
}

void TakeControl(msghdr& message, ReceivedDatagram& datagram) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    switch (header->cmsg_level) {
      case IPPROTO_IP:
        TakeIpv4(*header, datagram);
        break;
      case IPPROTO_IPV6:
        TakeIpv6(*header, datagram);
        break;
      case IPPROTO_UDP:
        TakeUdp(*header, datagram);
        break;
      default:
        break;
    }
  }
}

// The datagrams to send, as the system wants them.
class SendBatch {
 public:
  bool HasRoomFor(const OutgoingDatagram& datagram) const {
    return count_ < kMaxDatagramBatch &&
           datagram.data.size() <= kMaxBatchBuffers - buffers_;
  }

  // There is room for it, and Check() has nothing against it.
  void Add(const OutgoingDatagram& datagram) {
    Slot& slot = slots_[count_];
    msghdr& message = messages_[count_++].msg_hdr;
    message = {};
    if (datagram.destination != nullptr) {
      message.msg_namelen = ToSockaddr(*datagram.destination, slot.name);
      message.msg_name = &slot.name;
    }
    message.msg_iov = &vectors_[buffers_];
    message.msg_iovlen = datagram.data.size();
    for (const std::span<const std::byte> part : datagram.data) {
      // sendmsg(2) takes no pointer to const, but writes nothing.
      vectors_[buffers_++] = {.iov_base = const_cast<std::byte*>(part.data()),
                              .iov_len = part.size()};
    }
    if (datagram.segment_size != 0) {
      Append(slot, message, IPPROTO_UDP, UDP_SEGMENT,
             static_cast<std::uint16_t>(datagram.segment_size));
    }
    if (datagram.ecn.has_value()) {
      // Either family passes over the other's, and the destination of an IPv6
      // socket decides which one counts.
      const int traffic_class = *datagram.ecn;
      Append(slot, message, IPPROTO_IP, IP_TOS, traffic_class);
      Append(slot, message, IPPROTO_IPV6, IPV6_TCLASS, traffic_class);
    }
  }

  std::span<mmsghdr> messages() { return std::span(messages_).first(count_); }

 private:
  struct Slot {
    sockaddr_storage name;
    alignas(
        cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(std::uint16_t)) +
                                           2 * CMSG_SPACE(sizeof(int))> control;
  };

  template <typename T>
  static void Append(Slot& slot, msghdr& message, int level, int type,
                     T value) {
    std::byte* const at = slot.control.data() + message.msg_controllen;
    std::memset(at, 0, CMSG_SPACE(sizeof(T)));
    auto* header = reinterpret_cast<cmsghdr*>(at);
    header->cmsg_len = CMSG_LEN(sizeof(T));
    header->cmsg_level = level;
    header->cmsg_type = type;
    std::memcpy(CMSG_DATA(header), &value, sizeof(T));
    message.msg_control = slot.control.data();
    message.msg_controllen += CMSG_SPACE(sizeof(T));
  }

  std::size_t count_ = 0;
  std::size_t buffers_ = 0;
  // Only the first count_ or buffers_ are initialised.
  std::array<mmsghdr, kMaxDatagramBatch> messages_;
  std::array<Slot, kMaxDatagramBatch> slots_;
  std::array<iovec, kMaxBatchBuffers> vectors_;
};

static_assert(kMaxVectorBuffers <= kMaxBatchBuffers);

// What the system would not notice itself, as an error number.
int Check(const OutgoingDatagram& datagram) {
  // Some families would take it for "to the connected peer", others not.
  if (datagram.destination != nullptr &&
      datagram.destination->is_unspecified()) {
    return EDESTADDRREQ;
  }
  if (datagram.data.size() > kMaxVectorBuffers) return EMSGSIZE;
  if (datagram.segment_size > std::numeric_limits<std::uint16_t>::max() ||
      datagram.ecn.value_or(0) > kEcnMask) {
    return EINVAL;
  }
  return 0;
}

struct FlagRow {
  int family;
  int level;
  int number;
  std::string_view name;
};

// On an IPv6 socket IPV6_RECVPKTINFO tells of IPv4 datagrams too, but
// IPV6_RECVTCLASS does not.
constexpr FlagRow kInfoFlags[] = {
    {AF_INET, IPPROTO_IP, IP_PKTINFO, "IP_PKTINFO"},
    {AF_INET, IPPROTO_IP, IP_RECVTOS, "IP_RECVTOS"},
    {AF_INET6, IPPROTO_IPV6, IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO"},
    {AF_INET6, IPPROTO_IPV6, IPV6_RECVTCLASS, "IPV6_RECVTCLASS"},
    {AF_INET6, IPPROTO_IP, IP_RECVTOS, "IP_RECVTOS"},
};

absl::Status SetFlag(NativeSocket socket, int level, int number,
                     std::string_view name) {
  const int on = 1;
  return ::setsockopt(ToDescriptor(socket), level, number, &on, sizeof(on)) == 0
             ? absl::OkStatus()
             : SystemError(errno, "setsockopt", name);
}

// Whether the socket knows UDP_SEGMENT; 0 if so, or an error number.
int AskForSegments(int descriptor) {
  int value = 0;
  socklen_t length = sizeof(value);
  return ::getsockopt(descriptor, IPPROTO_UDP, UDP_SEGMENT, &value, &length) ==
                 0
             ? 0
             : errno;
}

// Whether UDP sockets of `family` do; ENOPROTOOPT if not, other numbers if it
// could not be found out.
int ProbeSendOffload(int family) {
  const int descriptor = ::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return errno;
  const int error = AskForSegments(descriptor);
  ::close(descriptor);
  return error;
}

}  // namespace

BatchOutcome ReceiveDatagrams(NativeSocket socket,
                              std::span<ReceivedDatagram> datagrams) {
  struct Slot {
    sockaddr_storage name;
    alignas(cmsghdr) std::array<std::byte, kReceiveControlBytes> control;
    iovec vector;
  };
  // Only the first `count` are initialised, and of those what the system reads.
  std::array<mmsghdr, kMaxDatagramBatch> messages;
  std::array<Slot, kMaxDatagramBatch> slots;
  const std::size_t count = std::min(datagrams.size(), kMaxDatagramBatch);
  if (count == 0) return {};
  for (std::size_t i = 0; i < count; ++i) {
    Slot& slot = slots[i];
    slot.vector = {.iov_base = datagrams[i].buffer.data(),
                   .iov_len = datagrams[i].buffer.size()};
    messages[i] = {};
    msghdr& message = messages[i].msg_hdr;
    message.msg_name = &slot.name;
    message.msg_namelen = sizeof(slot.name);
    message.msg_iov = &slot.vector;
    message.msg_iovlen = 1;
    message.msg_control = slot.control.data();
    message.msg_controllen = slot.control.size();
  }
  const BatchOutcome outcome = OutcomeOf(RetryInterrupted([&] {
    return ::recvmmsg(ToDescriptor(socket), messages.data(),
                      static_cast<unsigned>(count), MSG_DONTWAIT, nullptr);
  }));
  for (std::size_t i = 0; i < outcome.count; ++i) {
    msghdr& message = messages[i].msg_hdr;
    ReceivedDatagram& datagram = datagrams[i];
    datagram.bytes = messages[i].msg_len;
    datagram.truncated = (message.msg_flags & MSG_TRUNC) != 0;
    datagram.source = FromSockaddr(slots[i].name, message.msg_namelen);
    datagram.destination.reset();
    datagram.ecn = 0;
    datagram.segment_size = 0;
    TakeControl(message, datagram);
  }
  return outcome;
}

BatchOutcome SendDatagrams(NativeSocket socket,
                           std::span<const OutgoingDatagram> datagrams) {
  SendBatch batch;
  int error = 0;
  for (const OutgoingDatagram& datagram : datagrams) {
    error = Check(datagram);
    if (error != 0 || !batch.HasRoomFor(datagram)) break;
    batch.Add(datagram);
  }
  const std::span<mmsghdr> messages = batch.messages();
  if (messages.empty()) return {.error = error};
  return OutcomeOf(RetryInterrupted([&] {
    return ::sendmmsg(ToDescriptor(socket), messages.data(),
                      static_cast<unsigned>(messages.size()),
                      MSG_DONTWAIT | MSG_NOSIGNAL);
  }));
}

absl::Status EnableDatagramInfo(NativeSocket socket) {
  int family = 0;
  socklen_t length = sizeof(family);
  if (::getsockopt(ToDescriptor(socket), SOL_SOCKET, SO_DOMAIN, &family,
                   &length) != 0) {
    return SystemError(errno, "getsockopt SO_DOMAIN");
  }
  if (family != AF_INET && family != AF_INET6) {
    return SystemError(EAFNOSUPPORT, "setsockopt", "IP_PKTINFO");
  }
  for (const FlagRow& row : kInfoFlags) {
    if (row.family != family) continue;
    const absl::Status status =
        SetFlag(socket, row.level, row.number, row.name);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status EnableReceiveOffload(NativeSocket socket) {
  return SetFlag(socket, IPPROTO_UDP, UDP_GRO, "UDP_GRO");
}

bool SendOffloadSupported() {
  enum class Answer { kNone, kYes, kNo };
  static std::atomic<Answer> known{Answer::kNone};
  const Answer answer = known.load(std::memory_order_relaxed);
  if (answer != Answer::kNone) return answer == Answer::kYes;
  for (const int family : {AF_INET, AF_INET6}) {
    const int error = ProbeSendOffload(family);
    if (error != 0 && error != ENOPROTOOPT) continue;
    known.store(error == 0 ? Answer::kYes : Answer::kNo,
                std::memory_order_relaxed);
    return error == 0;
  }
  return false;
}

bool TakesSegments(NativeSocket socket) {
  return AskForSegments(ToDescriptor(socket)) == 0;
}

}  // namespace weir::platform
