// The kinds of socket and the options that Weir knows, by one name on all
// systems (P01).

#ifndef WEIR_SOCKET_OPTIONS_H_
#define WEIR_SOCKET_OPTIONS_H_

#include <cstdint>

namespace weir {

enum class SocketType : std::uint8_t { kStream, kDatagram };

enum class ShutdownDirection : std::uint8_t { kReceive, kSend, kBoth };

// All values are ints; those of switches are 0 and 1.
enum class SocketOption : std::uint8_t {
  // Switch: bind although connections of an earlier listener linger.
  kReuseAddress,
  // Switch: several sockets share one address, set on each before bind.
  kReusePort,
  // Switch, TCP: small sends go out at once.
  kNoDelay,
  // Switch: probe a silent peer, after kKeepAliveIdle seconds, then every
  // kKeepAliveInterval seconds, and give up after kKeepAliveCount probes.
  kKeepAlive,
  kKeepAliveIdle,
  kKeepAliveInterval,
  kKeepAliveCount,
  // Bytes. Linux gives twice of what is asked for, reports that figure, and
  // cuts at the machine's limit (socket(7)).
  kSendBufferBytes,
  kReceiveBufferBytes,
  // Switch, IPv6, before bind: no IPv4 through this socket. What it is by
  // default differs between systems.
  kIpv6Only,
  // Switch: datagrams may go to broadcast addresses.
  kBroadcast,
  // Switch: multicasts sent here are also received on this machine.
  kMulticastLoop,
  // Hops that multicasts may make, 0 to 255.
  kMulticastTtl,
  // Index of the interface that multicasts leave by; 0: the system chooses.
  kMulticastInterface,
  // What close does with unsent data: -1 sends it behind the scenes; 0 throws
  // it away and resets the connection; N > 0 also sends it and gives up after
  // N seconds (a non-blocking close does not wait for it).
  kLinger,
};

}  // namespace weir

#endif  // WEIR_SOCKET_OPTIONS_H_
