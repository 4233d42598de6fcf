// What the system tells of datagrams, and its offloads.

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "platform/datagram_io.h"
#include "platform/interfaces.h"
#include "platform/socket_options.h"
#include "platform/sockets.h"
#include "tests/unit/platform_datagram_util.h"
#include "tests/unit/platform_test_util.h"
#include "weir/native_socket.h"
#include "weir/socket_address.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

// Bound to every address of both families.
ScopedSocket OpenDualStack() {
  ScopedSocket socket = Open(AddressFamily::kIpv6, SocketType::kDatagram);
  EXPECT_TRUE(SetOption(socket.get(), SocketOption::kIpv6Only, 0).ok());
  EXPECT_TRUE(Bind(socket.get(), SocketAddress::Ipv6Any(0)).ok());
  return socket;
}

SocketAddress Mapped(const SocketAddress& ipv4) {
  SocketAddress::Ipv6Bytes bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  for (std::size_t i = 0; i < 4; ++i) bytes[12 + i] = ipv4.ip_bytes()[i];
  return SocketAddress::Ipv6(bytes, ipv4.port());
}

std::uint32_t LoopbackIndex() {
  const auto index = InterfaceIndex("lo");
  EXPECT_TRUE(index.ok()) << index.status();
  return index.value_or(0);
}

TEST(DatagramInfo, TellsDestinationAndEcnOfEitherFamily) {
  const SocketAddress other = *SocketAddress::Parse("127.0.0.77:0");
  const struct {
    // Where the receiver is bound, but for the port; and where it is sent to.
    SocketAddress bound;
    SocketAddress to;
  } cases[] = {
      {SocketAddress::Ipv4Loopback(0), SocketAddress::Ipv4Loopback(0)},
      {SocketAddress::Ipv4Any(0), other},
      {SocketAddress::Ipv6Loopback(0), SocketAddress::Ipv6Loopback(0)},
      {SocketAddress::Ipv6Any(0), SocketAddress::Ipv6Loopback(0)},
  };
  for (const auto& [bound, to_ip] : cases) {
    SCOPED_TRACE(bound.ToString() + " " + to_ip.ToString());
    const ScopedSocket receiver = OpenUdp(bound);
    const ScopedSocket sender = Open(to_ip.family(), SocketType::kDatagram);
    const absl::Status enabled = EnableDatagramInfo(receiver.get());
    ASSERT_TRUE(enabled.ok()) << enabled;
    const SocketAddress to = to_ip.with_port(AddressOf(receiver).port());
    const Parts parts = {BytesOf("x")};
    std::vector<OutgoingDatagram> out(5, {.data = parts, .destination = &to});
    for (std::uint8_t ecn = 0; ecn < 4; ++ecn) out[ecn].ecn = ecn;
    ASSERT_EQ(SendDatagrams(sender.get(), out).count, 5u);
    Inbox inbox(5, 8);
    inbox.Fill(receiver, 5);
    const DatagramDestination expected = {.address = to.with_port(0),
                                          .interface_index = LoopbackIndex()};
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(inbox[i].ecn, i % 4) << i;
      ASSERT_TRUE(inbox[i].destination.has_value()) << i;
      EXPECT_EQ(inbox[i].destination->address.ToString(),
                expected.address.ToString());
      EXPECT_EQ(*inbox[i].destination, expected) << i;
    }
  }
}

TEST(DatagramInfo, ADualStackSocketTellsAndSendsOfBoth) {
  const ScopedSocket dual = OpenDualStack();
  const absl::Status enabled = EnableDatagramInfo(dual.get());
  ASSERT_TRUE(enabled.ok()) << enabled;
  const ScopedSocket v4 = OpenUdp(SocketAddress::Ipv4Loopback(0));
  const ScopedSocket v6 = OpenUdp(SocketAddress::Ipv6Loopback(0));
  const Parts parts = {BytesOf("x")};
  const std::uint16_t port = AddressOf(dual).port();
  const SocketAddress to4 = *SocketAddress::FromIp("127.0.0.77", port);
  const SocketAddress to6 = SocketAddress::Ipv6Loopback(port);
  EXPECT_EQ(
      SendOne(v4, {.data = parts, .destination = &to4, .ecn = std::uint8_t{1}})
          .count,
      1u);
  Inbox inbox(2, 8);
  inbox.Fill(dual, 1);
  EXPECT_EQ(inbox[0].source, Mapped(AddressOf(v4)));
  EXPECT_EQ(inbox[0].ecn, 1);
  EXPECT_EQ(inbox[0].destination,
            (DatagramDestination{.address = Mapped(to4).with_port(0),
                                 .interface_index = LoopbackIndex()}));
  EXPECT_EQ(
      SendOne(v6, {.data = parts, .destination = &to6, .ecn = std::uint8_t{2}})
          .count,
      1u);
  inbox.Fill(dual, 1);
  EXPECT_EQ(inbox[0].source, AddressOf(v6));
  EXPECT_EQ(inbox[0].ecn, 2);
  EXPECT_EQ(inbox[0].destination,
            (DatagramDestination{.address = to6.with_port(0),
                                 .interface_index = LoopbackIndex()}));

  // And back, to both in one batch.
  ASSERT_TRUE(EnableDatagramInfo(v4.get()).ok());
  ASSERT_TRUE(EnableDatagramInfo(v6.get()).ok());
  const SocketAddress back4 = Mapped(AddressOf(v4));
  const SocketAddress back6 = AddressOf(v6);
  const OutgoingDatagram out[] = {
      {.data = parts, .destination = &back4, .ecn = std::uint8_t{3}},
      {.data = parts, .destination = &back6, .ecn = std::uint8_t{1}}};
  EXPECT_EQ(SendDatagrams(dual.get(), out).count, 2u);
  inbox.Fill(v4, 1);
  EXPECT_EQ(inbox[0].ecn, 3);
  inbox.Fill(v6, 1);
  EXPECT_EQ(inbox[0].ecn, 1);
}

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
        ::setsockopt(receiver.descriptor(), level, number, &on, sizeof(on)), 0);
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

class DatagramOffload : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!SendOffloadSupported()) {
      GTEST_SKIP() << "this kernel has no UDP_SEGMENT (Linux 4.18)";
    }
  }

  const std::string text_ = "aaaabbbbccccdd";
  const Parts parts_ = {BytesOf(std::string_view(text_).substr(0, 6)),
                        BytesOf(std::string_view(text_).substr(6))};
};

TEST_F(DatagramOffload, SegmentsArriveAsDatagrams) {
  for (const SocketAddress& loopback :
       {SocketAddress::Ipv4Loopback(0), SocketAddress::Ipv6Loopback(0)}) {
    const ScopedSocket receiver = OpenUdp(loopback);
    ASSERT_TRUE(EnableDatagramInfo(receiver.get()).ok());
    const ScopedSocket sender = OpenUdp(loopback);
    const SocketAddress to = AddressOf(receiver);
    const BatchOutcome sent = SendOne(sender, {.data = parts_,
                                               .destination = &to,
                                               .segment_size = 4,
                                               .ecn = std::uint8_t{1}});
    ASSERT_TRUE(sent.ok()) << sent.error;
    EXPECT_EQ(sent.count, 1u);
    Inbox inbox(4, 64);
    inbox.Fill(receiver, 4);
    const std::string_view expected[] = {"aaaa", "bbbb", "cccc", "dd"};
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(inbox.TextAt(i), expected[i]);
      EXPECT_EQ(inbox[i].segment_size, 0u);
      EXPECT_EQ(inbox[i].ecn, 1);
    }
  }
}

TEST_F(DatagramOffload, ReceivedTogetherWhenAskedFor) {
  for (const SocketAddress& loopback :
       {SocketAddress::Ipv4Loopback(0), SocketAddress::Ipv6Loopback(0)}) {
    const ScopedSocket receiver = OpenUdp(loopback);
    const absl::Status enabled = EnableReceiveOffload(receiver.get());
    if (absl::IsUnimplemented(enabled)) GTEST_SKIP() << enabled;
    ASSERT_TRUE(enabled.ok()) << enabled;
    ASSERT_TRUE(EnableDatagramInfo(receiver.get()).ok());
    const ScopedSocket sender = OpenUdp(loopback);
    const SocketAddress to = AddressOf(receiver);
    const Parts lone = {BytesOf("lone")};
    const OutgoingDatagram out[] = {
        {.data = parts_, .destination = &to, .segment_size = 4},
        {.data = lone, .destination = &to, .segment_size = 4}};
    ASSERT_EQ(SendDatagrams(sender.get(), out).count, 2u);
    Inbox inbox(2, 65'536);
    inbox.Fill(receiver, 2);
    EXPECT_EQ(inbox.TextAt(0), text_);
    EXPECT_EQ(inbox[0].segment_size, 4u);
    EXPECT_FALSE(inbox[0].truncated);
    EXPECT_EQ(inbox[0].source, AddressOf(sender));
    EXPECT_EQ(inbox[0].destination,
              (DatagramDestination{.address = to.with_port(0),
                                   .interface_index = LoopbackIndex()}));
    EXPECT_EQ(inbox.TextAt(1), "lone");
    EXPECT_EQ(inbox[1].segment_size, 0u);
  }
}

TEST(DatagramOptions, WhatIsNoUdpSocketIsRefused) {
  const TcpPair tcp;
  const absl::Status offload = EnableReceiveOffload(tcp.client.get());
  EXPECT_EQ(CauseOf(offload), ErrorCause::kNotSupported) << offload;
  EXPECT_TRUE(absl::IsUnimplemented(offload)) << offload;
  const auto pair = OpenPair(SocketType::kDatagram);
  ASSERT_TRUE(pair.ok()) << pair.status();
  const ScopedSocket first((*pair)[0]);
  const ScopedSocket second((*pair)[1]);
  EXPECT_TRUE(absl::IsUnimplemented(EnableDatagramInfo(first.get())));
  EXPECT_TRUE(absl::IsUnimplemented(EnableReceiveOffload(first.get())));
  EXPECT_TRUE(absl::IsInvalidArgument(EnableDatagramInfo(kInvalidSocket)));
  EXPECT_TRUE(absl::IsInvalidArgument(EnableReceiveOffload(kInvalidSocket)));
}

TEST(DatagramOptions, SendOffloadIsWhatASocketTakes) {
  const ScopedSocket socket = OpenUdp(SocketAddress::Ipv4Loopback(0));
  const int size = 100;
  const bool taken = ::setsockopt(socket.descriptor(), IPPROTO_UDP, UDP_SEGMENT,
                                  &size, sizeof(size)) == 0;
  EXPECT_EQ(SendOffloadSupported(), taken);
  EXPECT_EQ(SendOffloadSupported(), taken);
}

}  // namespace
}  // namespace weir::platform
