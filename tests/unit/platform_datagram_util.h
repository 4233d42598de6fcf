// Batches of datagrams for the tests of platform/datagram_io.h.

#ifndef WEIR_TESTS_UNIT_PLATFORM_DATAGRAM_UTIL_H_
#define WEIR_TESTS_UNIT_PLATFORM_DATAGRAM_UTIL_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "platform/datagram_io.h"
#include "platform/socket_options.h"
#include "platform/sockets.h"
#include "tests/unit/platform_test_util.h"
#include "weir/socket_address.h"

namespace weir::platform {

using Parts = std::vector<std::span<const std::byte>>;

inline ScopedSocket OpenUdp(const SocketAddress& address) {
  return OpenBound(address, SocketType::kDatagram);
}

// Bound to every address of both families.
inline ScopedSocket OpenDualStack() {
  ScopedSocket socket = Open(AddressFamily::kIpv6, SocketType::kDatagram);
  EXPECT_TRUE(SetOption(socket.get(), SocketOption::kIpv6Only, 0).ok());
  EXPECT_TRUE(Bind(socket.get(), SocketAddress::Ipv6Any(0)).ok());
  return socket;
}

inline SocketAddress Mapped(const SocketAddress& ipv4) {
  SocketAddress::Ipv6Bytes bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  for (std::size_t i = 0; i < 4; ++i) bytes[12 + i] = ipv4.ip_bytes()[i];
  return SocketAddress::Ipv6(bytes, ipv4.port());
}

// `count` buffers of `size` bytes to receive into.
class Inbox {
 public:
  Inbox(std::size_t count, std::size_t size)
      : memory_(count * size), datagrams_(count) {
    for (std::size_t i = 0; i < count; ++i) {
      datagrams_[i].buffer = std::span(memory_).subspan(i * size, size);
    }
  }

  // Receives until `wanted` have come, each batch after the last.
  void Fill(const ScopedSocket& socket, std::size_t wanted) {
    std::size_t have = 0;
    while (have < wanted) {
      ASSERT_TRUE(WaitFor(socket, PollBits::kReadable)) << "after " << have;
      const BatchOutcome outcome =
          ReceiveDatagrams(socket.get(), std::span(datagrams_).subspan(have));
      ASSERT_EQ(outcome.error, 0);
      have += outcome.count;
    }
    EXPECT_EQ(have, wanted);
  }

  ReceivedDatagram& operator[](std::size_t i) { return datagrams_[i]; }
  std::span<ReceivedDatagram> all() { return datagrams_; }
  std::string TextAt(std::size_t i) const {
    return TextOf(datagrams_[i].buffer.first(datagrams_[i].bytes));
  }

 private:
  std::vector<std::byte> memory_;
  std::vector<ReceivedDatagram> datagrams_;
};

inline BatchOutcome SendOne(const ScopedSocket& socket,
                            const OutgoingDatagram& datagram) {
  return SendDatagrams(socket.get(), std::span(&datagram, 1));
}

}  // namespace weir::platform

#endif  // WEIR_TESTS_UNIT_PLATFORM_DATAGRAM_UTIL_H_
