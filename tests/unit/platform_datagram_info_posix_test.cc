// What Linux tells of datagrams besides.

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cstdint>

#include "gtest/gtest.h"
#include "platform/datagram_io.h"
#include "platform/posix/sockaddr.h"
#include "tests/unit/platform_datagram_util.h"
#include "tests/unit/platform_test_util.h"
#include "weir/socket_address.h"

namespace weir::platform {
namespace {

// The system's room for what it tells is ours: an application may ask for more.
TEST(DatagramInfo, WhatElseIsToldIsPassedOver) {
  const ScopedSocket receiver = OpenDualStack();
  ASSERT_TRUE(EnableDatagramInfo(receiver.get()).ok());
  const int on = 1;
  const struct {
    int level;
    int number;
  } flags[] = {{SOL_SOCKET, SO_TIMESTAMPNS},
               {SOL_SOCKET, SO_RXQ_OVFL},
               {IPPROTO_IP, IP_PKTINFO},
               {IPPROTO_IP, IP_RECVTTL}};
  for (const auto& [level, number] : flags) {
    ASSERT_EQ(
        ::setsockopt(ToDescriptor(receiver.get()), level, number, &on, sizeof(on)), 0);
  }
  const ScopedSocket sender = OpenUdp(SocketAddress::Ipv4Loopback(0));
  const SocketAddress to =
      SocketAddress::Ipv4Loopback(AddressOf(receiver).port());
  const Parts parts = {BytesOf("x")};
  EXPECT_EQ(SendOne(sender,
                    {.data = parts, .destination = &to, .ecn = std::uint8_t{2}})
                .count,
            1u);
  Inbox inbox(1, 8);
  inbox.Fill(receiver, 1);
  EXPECT_EQ(inbox[0].ecn, 2);
  ASSERT_TRUE(inbox[0].destination.has_value());
  EXPECT_EQ(inbox[0].destination->address, Mapped(to).with_port(0));
}

TEST(DatagramOptions, SendOffloadIsWhatASocketTakes) {
  const ScopedSocket socket = OpenUdp(SocketAddress::Ipv4Loopback(0));
  const int size = 100;
  const bool taken = ::setsockopt(ToDescriptor(socket.get()), IPPROTO_UDP, UDP_SEGMENT,
                                  &size, sizeof(size)) == 0;
  EXPECT_EQ(SendOffloadSupported(), taken);
  EXPECT_EQ(SendOffloadSupported(), taken);
}

}  // namespace
}  // namespace weir::platform
