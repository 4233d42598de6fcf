// What the system tells of datagrams, and its offloads.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "platform/datagram_io.h"
#include "platform/error.h"
#include "platform/interfaces.h"
#include "platform/socket_options.h"
#include "platform/sockets.h"
#include "tests/support/system.h"
#include "tests/unit/platform_datagram_util.h"
#include "tests/unit/platform_test_util.h"
#include "weir/native_socket.h"
#include "weir/socket_address.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

std::uint32_t LoopbackIndex() {
  const auto index = InterfaceIndex(test::LoopbackInterface());
  EXPECT_TRUE(index.ok()) << index.status();
  return index.value_or(0);
}

// Whether ECN bits can be sent; says so if not.
bool EcnCanBeSent() {
  const ScopedSocket socket = OpenUdp(SocketAddress::Ipv4Loopback(0));
  const SocketAddress to = AddressOf(socket);
  const Parts parts = {BytesOf("x")};
  const BatchOutcome sent = SendOne(
      socket, {.data = parts, .destination = &to, .ecn = std::uint8_t{1}});
  if (sent.ok()) return true;
  EXPECT_EQ(CauseOfSystemCode(sent.error), ErrorCause::kNotSupported);
  std::printf("[   NOTE   ] left out: ECN bits, which are not sent here\n");
  return false;
}

// `ecn`, or 0 where it cannot be sent.
std::uint8_t Ecn(int ecn) {
  static const bool can_be_sent = EcnCanBeSent();
  return can_be_sent ? static_cast<std::uint8_t>(ecn) : std::uint8_t{0};
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
    for (int ecn = 0; ecn < 4; ++ecn) {
      out[static_cast<std::size_t>(ecn)].ecn = Ecn(ecn);
    }
    ASSERT_EQ(SendDatagrams(sender.get(), out).count, 5u);
    Inbox inbox(5, 8);
    inbox.Fill(receiver, 5);
    const DatagramDestination expected = {.address = to.with_port(0),
                                          .interface_index = LoopbackIndex()};
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(inbox[i].ecn, Ecn(static_cast<int>(i % 4))) << i;
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
      SendOne(v4, {.data = parts, .destination = &to4, .ecn = Ecn(1)}).count,
      1u);
  Inbox inbox(2, 8);
  inbox.Fill(dual, 1);
  EXPECT_EQ(inbox[0].source, Mapped(AddressOf(v4)));
  EXPECT_EQ(inbox[0].ecn, Ecn(1));
  EXPECT_EQ(inbox[0].destination,
            (DatagramDestination{.address = Mapped(to4).with_port(0),
                                 .interface_index = LoopbackIndex()}));
  EXPECT_EQ(
      SendOne(v6, {.data = parts, .destination = &to6, .ecn = Ecn(2)}).count,
      1u);
  inbox.Fill(dual, 1);
  EXPECT_EQ(inbox[0].source, AddressOf(v6));
  EXPECT_EQ(inbox[0].ecn, Ecn(2));
  EXPECT_EQ(inbox[0].destination,
            (DatagramDestination{.address = to6.with_port(0),
                                 .interface_index = LoopbackIndex()}));

  // And back, to both in one batch.
  ASSERT_TRUE(EnableDatagramInfo(v4.get()).ok());
  ASSERT_TRUE(EnableDatagramInfo(v6.get()).ok());
  const SocketAddress back4 = Mapped(AddressOf(v4));
  const SocketAddress back6 = AddressOf(v6);
  const OutgoingDatagram out[] = {
      {.data = parts, .destination = &back4, .ecn = Ecn(3)},
      {.data = parts, .destination = &back6, .ecn = Ecn(1)}};
  EXPECT_EQ(SendDatagrams(dual.get(), out).count, 2u);
  inbox.Fill(v4, 1);
  EXPECT_EQ(inbox[0].ecn, Ecn(3));
  inbox.Fill(v6, 1);
  EXPECT_EQ(inbox[0].ecn, Ecn(1));
}

class DatagramOffload : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!SendOffloadSupported()) {
      GTEST_SKIP() << "this system has no UDP_SEGMENT (Linux 4.18), or "
                      "UDP_SEND_MSG_SIZE (Windows 10)";
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
  for (const AddressFamily family : test::Available({AddressFamily::kUnix})) {
    const ScopedSocket local = Open(family, SocketType::kDatagram);
    EXPECT_TRUE(absl::IsUnimplemented(EnableDatagramInfo(local.get())));
    EXPECT_TRUE(absl::IsUnimplemented(EnableReceiveOffload(local.get())));
  }
  EXPECT_TRUE(absl::IsInvalidArgument(EnableDatagramInfo(kInvalidSocket)));
  EXPECT_TRUE(absl::IsInvalidArgument(EnableReceiveOffload(kInvalidSocket)));
}

}  // namespace
}  // namespace weir::platform
