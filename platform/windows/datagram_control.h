// What the system tells of a datagram besides its bytes, and is told.

#ifndef WEIR_PLATFORM_WINDOWS_DATAGRAM_CONTROL_H_
#define WEIR_PLATFORM_WINDOWS_DATAGRAM_CONTROL_H_

#include <array>
#include <cstddef>

#include "platform/datagram_io.h"
#include "platform/windows/winsock.h"

namespace weir::platform {

// Options and messages of IP and UDP, after the documents: not in every
// compiler's headers. Where a message has the option's number, one name does for
// both.
inline constexpr int kIpReceiveTos = 40;
inline constexpr int kIpEcn = 50;                    // Windows 11, Server 2022
inline constexpr int kIpv6ReceiveTrafficClass = 40;
inline constexpr int kIpv6TrafficClass = 39;
inline constexpr int kIpv6Ecn = 50;
inline constexpr int kUdpSendMessageSize = 2;        // Windows 10, version 2004
inline constexpr int kUdpReceiveCoalesced = 3;

// Room for the control messages of one datagram. Of those received, both
// families' destination and traffic class, the segment size, and as much again
// for what the application has asked for by itself: what does not fit is not
// told.
struct ControlSpace {
  alignas(WSACMSGHDR) std::array<std::byte, 256> bytes;

  WSABUF whole() {
    return {static_cast<ULONG>(bytes.size()),
            reinterpret_cast<CHAR*>(bytes.data())};
  }
};

// Reads what came with `datagram`, whose source is known.
void TakeControl(WSAMSG& message, ReceivedDatagram& datagram);

// Writes what is to go with `datagram` to `space`, and the part that is used to
// `message`. `goes_as_ipv4` says whether it goes out as IPv4.
void PutControl(const OutgoingDatagram& datagram, bool goes_as_ipv4,
                ControlSpace& space, WSAMSG& message);

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_WINDOWS_DATAGRAM_CONTROL_H_
