#include "platform/windows/datagram_control.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "platform/datagram_io.h"
#include "platform/windows/winsock.h"
#include "weir/socket_address.h"

namespace weir::platform {
namespace {

constexpr int kEcnMask = 3;

template <typename T>
bool Load(const WSACMSGHDR& header, T& value) {
  if (header.cmsg_len < WSA_CMSG_LEN(sizeof(T))) return false;
  std::memcpy(&value, WSA_CMSG_DATA(&header), sizeof(T));
  return true;
}

// Of an int, or, as Linux has it and Wine passes it on, a byte.
bool LoadEcn(const WSACMSGHDR& header, std::uint8_t& ecn) {
  int value = 0;
  std::uint8_t narrow = 0;
  if (Load(header, value)) {
    ecn = static_cast<std::uint8_t>(value & kEcnMask);
    return true;
  }
  if (!Load(header, narrow)) return false;
  ecn = narrow & kEcnMask;
  return true;
}

SocketAddress Ipv6Destination(const in6_pktinfo& info) {
  SocketAddress::Ipv6Bytes bytes;
  std::memcpy(bytes.data(), &info.ipi6_addr, bytes.size());
  // As the system fills in the source's: where the address means nothing
  // without it.
  const bool scoped = IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr) ||
                      IN6_IS_ADDR_MC_LINKLOCAL(&info.ipi6_addr);
  return SocketAddress::Ipv6(bytes, 0, scoped ? info.ipi6_ifindex : 0);
}

// In the form that the source has: mapped on an IPv6 socket.
SocketAddress Ipv4Destination(const in_pktinfo& info, bool mapped) {
  SocketAddress::Ipv4Bytes bytes;
  std::memcpy(bytes.data(), &info.ipi_addr, bytes.size());
  if (!mapped) return SocketAddress::Ipv4(bytes, 0);
  SocketAddress::Ipv6Bytes wide = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  std::memcpy(wide.data() + 12, bytes.data(), bytes.size());
  return SocketAddress::Ipv6(wide, 0);
}

void TakeIpv4(const WSACMSGHDR& header, ReceivedDatagram& datagram) {
  in_pktinfo info;
  if (header.cmsg_type == IP_PKTINFO && Load(header, info)) {
    datagram.destination = {
        .address = Ipv4Destination(info, datagram.source.is_ipv6()),
        .interface_index = info.ipi_ifindex};
  } else if (header.cmsg_type == IP_TOS || header.cmsg_type == kIpEcn) {
    LoadEcn(header, datagram.ecn);
  }
}

void TakeIpv6(const WSACMSGHDR& header, ReceivedDatagram& datagram) {
  in6_pktinfo info;
  if (header.cmsg_type == IPV6_PKTINFO && Load(header, info)) {
    datagram.destination = {.address = Ipv6Destination(info),
                            .interface_index = info.ipi6_ifindex};
  } else if (header.cmsg_type == kIpv6TrafficClass ||
             header.cmsg_type == kIpv6Ecn) {
    LoadEcn(header, datagram.ecn);
  }
}

void TakeUdp(const WSACMSGHDR& header, ReceivedDatagram& datagram) {
  DWORD segment_size;
  if (header.cmsg_type == kUdpReceiveCoalesced && Load(header, segment_size)) {
    datagram.segment_size = segment_size;
  }
}

void Append(ControlSpace& space, WSAMSG& message, int level, int type,
            DWORD value) {
  std::byte* const at = space.bytes.data() + message.Control.len;
  std::memset(at, 0, WSA_CMSG_SPACE(sizeof(value)));
  auto* header = reinterpret_cast<WSACMSGHDR*>(at);
  header->cmsg_len = WSA_CMSG_LEN(sizeof(value));
  header->cmsg_level = level;
  header->cmsg_type = type;
  std::memcpy(WSA_CMSG_DATA(header), &value, sizeof(value));
  message.Control.len += static_cast<ULONG>(WSA_CMSG_SPACE(sizeof(value)));
}

}  // namespace

void TakeControl(WSAMSG& message, ReceivedDatagram& datagram) {
  for (const WSACMSGHDR* header = WSA_CMSG_FIRSTHDR(&message);
       header != nullptr; header = WSA_CMSG_NXTHDR(&message, header)) {
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

void PutControl(const OutgoingDatagram& datagram, bool goes_as_ipv4,
                ControlSpace& space, WSAMSG& message) {
  message.Control = space.whole();
  message.Control.len = 0;
  if (datagram.segment_size != 0) {
    Append(space, message, IPPROTO_UDP, kUdpSendMessageSize,
           static_cast<DWORD>(datagram.segment_size));
  }
  // Zero is what a socket sends that is not set to anything else.
  if (datagram.ecn.value_or(0) != 0) {
    Append(space, message, goes_as_ipv4 ? IPPROTO_IP : IPPROTO_IPV6,
           goes_as_ipv4 ? kIpEcn : kIpv6Ecn, *datagram.ecn);
  }
  if (message.Control.len == 0) message.Control.buf = nullptr;
}

}  // namespace weir::platform
