#include "platform/socket_options.h"

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "platform/error.h"
#include "platform/interfaces.h"
#include "platform/socket_io.h"
#include "tests/support/system.h"
#include "tests/unit/platform_test_util.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

TEST(SocketOptions, P01_WhatIsSetIsInForce) {
  const struct {
    AddressFamily family;
    SocketType type;
    SocketOption option;
    int value;
  } kCases[] = {
      {AddressFamily::kIpv4, SocketType::kStream, SocketOption::kReuseAddress,
       1},
      {AddressFamily::kIpv4, SocketType::kStream, SocketOption::kNoDelay, 1},
      {AddressFamily::kIpv4, SocketType::kStream, SocketOption::kKeepAlive, 1},
      {AddressFamily::kIpv4, SocketType::kDatagram, SocketOption::kReuseAddress,
       1},
      {AddressFamily::kIpv6, SocketType::kStream, SocketOption::kIpv6Only, 1},
      {AddressFamily::kIpv6, SocketType::kStream, SocketOption::kIpv6Only, 0},
      {AddressFamily::kIpv4, SocketType::kDatagram, SocketOption::kBroadcast,
       1},
      {AddressFamily::kIpv4, SocketType::kDatagram,
       SocketOption::kMulticastLoop, 0},
      {AddressFamily::kIpv6, SocketType::kDatagram,
       SocketOption::kMulticastLoop, 0},
      {AddressFamily::kIpv4, SocketType::kDatagram, SocketOption::kMulticastTtl,
       9},
      {AddressFamily::kIpv6, SocketType::kDatagram, SocketOption::kMulticastTtl,
       9},
      {AddressFamily::kIpv4, SocketType::kStream, SocketOption::kLinger, 5},
      {AddressFamily::kIpv4, SocketType::kStream, SocketOption::kLinger, 0},
      {AddressFamily::kIpv4, SocketType::kStream, SocketOption::kLinger, -1},
  };
  for (const auto& row : kCases) {
    SCOPED_TRACE(static_cast<int>(row.option));
    const ScopedSocket socket = Open(row.family, row.type);
    const absl::Status set = SetOption(socket.get(), row.option, row.value);
    EXPECT_TRUE(set.ok()) << set;
    const auto got = GetOption(socket.get(), row.option);
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(*got, row.value);
  }
}

TEST(SocketOptions, P01_KeepAliveHasItsTimes) {
  const ScopedSocket socket = Open(AddressFamily::kIpv4, SocketType::kStream);
  const struct {
    SocketOption option;
    int value;
  } kCases[] = {{SocketOption::kKeepAliveIdle, 31},
                {SocketOption::kKeepAliveInterval, 7},
                {SocketOption::kKeepAliveCount, 3}};
  for (const auto& row : kCases) {
    SCOPED_TRACE(static_cast<int>(row.option));
    const absl::Status set = SetOption(socket.get(), row.option, row.value);
    if (absl::IsUnimplemented(set)) {
      GTEST_SKIP() << "no TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT here";
    }
    EXPECT_TRUE(set.ok()) << set;
    const auto got = GetOption(socket.get(), row.option);
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(*got, row.value);
  }
}

TEST(SocketOptions, P01_LingerIsOffByDefault) {
  const ScopedSocket socket = Open(AddressFamily::kIpv4, SocketType::kStream);
  EXPECT_EQ(*GetOption(socket.get(), SocketOption::kLinger), -1);
}

TEST(SocketOptions, P01_BufferSizesAreAtLeastWhatWasAskedFor) {
  const ScopedSocket socket = Open(AddressFamily::kIpv4, SocketType::kStream);
  for (SocketOption option :
       {SocketOption::kSendBufferBytes, SocketOption::kReceiveBufferBytes}) {
    ASSERT_TRUE(SetOption(socket.get(), option, 16384).ok());
    EXPECT_GE(*GetOption(socket.get(), option), 16384);
  }
}

TEST(SocketOptions, P05_ValuesOutOfRangeAreRefused) {
  const ScopedSocket socket = Open(AddressFamily::kIpv4, SocketType::kStream);
  const struct {
    SocketOption option;
    int value;
  } kCases[] = {{SocketOption::kNoDelay, 2},
                {SocketOption::kKeepAlive, -1},
                {SocketOption::kKeepAliveIdle, 0},
                {SocketOption::kSendBufferBytes, -1},
                {SocketOption::kMulticastTtl, 256},
                {SocketOption::kMulticastTtl, -1},
                {SocketOption::kLinger, -2},
                {SocketOption::kMulticastInterface, -1}};
  for (const auto& row : kCases) {
    const absl::Status status = SetOption(socket.get(), row.option, row.value);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument)
        << static_cast<int>(row.option) << " " << status;
  }
  EXPECT_EQ(SetOption(socket.get(), SocketOption::kNoDelay, 2),
            SystemError(test::CodeFor(ErrorCause::kInvalidArgument),
                        "setsockopt", "TCP_NODELAY = 2"));
}

TEST(SocketOptions, P05_OptionsOfAnotherKindOfSocketAreNotSupported) {
  const ScopedSocket datagram =
      Open(AddressFamily::kIpv4, SocketType::kDatagram);
  std::vector<absl::Status> statuses = {
      SetOption(datagram.get(), SocketOption::kNoDelay, 1),
      GetOption(datagram.get(), SocketOption::kNoDelay).status(),
      SetOption(datagram.get(), SocketOption::kIpv6Only, 1)};
  for (const AddressFamily family : test::Available({AddressFamily::kUnix})) {
    const ScopedSocket local = Open(family, SocketType::kStream);
    statuses.push_back(SetOption(local.get(), SocketOption::kNoDelay, 1));
    statuses.push_back(SetOption(local.get(), SocketOption::kMulticastTtl, 1));
  }
  for (const absl::Status& status : statuses) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << status;
    EXPECT_EQ(CauseOf(status), ErrorCause::kNotSupported) << status;
  }
}

TEST(SocketOptions, P01_ReusePortSharesAnAddress) {
  const ScopedSocket first = Open(AddressFamily::kIpv4, SocketType::kStream);
  const ScopedSocket second = Open(AddressFamily::kIpv4, SocketType::kStream);
  for (const ScopedSocket* socket : {&first, &second}) {
    const absl::Status set =
        SetOption(socket->get(), SocketOption::kReusePort, 1);
    if (absl::IsUnimplemented(set)) GTEST_SKIP() << "no SO_REUSEPORT here";
    ASSERT_TRUE(set.ok()) << set;
    EXPECT_EQ(*GetOption(socket->get(), SocketOption::kReusePort), 1);
  }
  ASSERT_TRUE(Bind(first.get(), SocketAddress::Ipv4Loopback(0)).ok());
  EXPECT_TRUE(Bind(second.get(), AddressOf(first)).ok());
}

TEST(SocketOptions, P01_ADualStackSocketNamesIpv4PeersMapped) {
  const ScopedSocket listener = Open(AddressFamily::kIpv6, SocketType::kStream);
  ASSERT_TRUE(SetOption(listener.get(), SocketOption::kIpv6Only, 0).ok());
  ASSERT_TRUE(Bind(listener.get(), SocketAddress::Ipv6Any(0)).ok());
  ASSERT_TRUE(Listen(listener.get(), 4).ok());
  const ScopedSocket client = Open(AddressFamily::kIpv4, SocketType::kStream);
  ASSERT_TRUE(Connect(client.get(),
                      SocketAddress::Ipv4Loopback(AddressOf(listener).port()))
                  .ok());
  ASSERT_TRUE(WaitFor(listener, PollBits::kReadable));
  SocketAddress peer;
  const AcceptOutcome accepted = Accept(listener.get(), &peer);
  ASSERT_TRUE(accepted.ok()) << accepted.error;
  const ScopedSocket server(accepted.socket);
  EXPECT_TRUE(peer.is_v4_mapped());
  EXPECT_EQ(peer.unmapped(), AddressOf(client));
}

TEST(SocketOptions, P01_InterfacesHaveNames) {
  const auto index = InterfaceIndex(test::LoopbackInterface());
  ASSERT_TRUE(index.ok()) << index.status();
  // On every system that Weir knows.
  EXPECT_EQ(*index, 1u);
  for (const char* name : {"", "nosuchif0", "a-name-longer-than-any-allowed"}) {
    EXPECT_EQ(InterfaceIndex(name).status().code(), absl::StatusCode::kNotFound)
        << name;
  }
}

// The opposite of what Winsock calls so: an address is not taken away.
TEST(SocketOptions, P01_ReuseOfAnAddressLeavesALiveListenerAlone) {
  const ScopedSocket listener = Open(AddressFamily::kIpv4, SocketType::kStream);
  for (const int value : {0, 1}) {
    ASSERT_TRUE(
        SetOption(listener.get(), SocketOption::kReuseAddress, value).ok());
    EXPECT_EQ(*GetOption(listener.get(), SocketOption::kReuseAddress), value);
  }
  ASSERT_TRUE(Bind(listener.get(), SocketAddress::Ipv4Loopback(0)).ok());
  ASSERT_TRUE(Listen(listener.get(), 4).ok());
  for (const int value : {0, 1}) {
    const ScopedSocket second = Open(AddressFamily::kIpv4, SocketType::kStream);
    ASSERT_TRUE(
        SetOption(second.get(), SocketOption::kReuseAddress, value).ok());
    const absl::Status status = Bind(second.get(), AddressOf(listener));
    EXPECT_EQ(CauseOf(status), ErrorCause::kAddressInUse) << status;
  }
}

// A datagram to a group comes back through the loopback interface.
TEST(SocketOptions, P01_MulticastsReachWhoJoinedAndNobodyElse) {
  const auto loopback = InterfaceIndex(test::LoopbackInterface());
  ASSERT_TRUE(loopback.ok()) << loopback.status();
  const ScopedSocket socket =
      OpenBound(SocketAddress::Ipv4Any(0), SocketType::kDatagram);
  const SocketAddress group =
      SocketAddress::Ipv4({239, 255, 76, 67}, AddressOf(socket).port());
  ASSERT_TRUE(SetOption(socket.get(), SocketOption::kMulticastInterface,
                        static_cast<int>(*loopback))
                  .ok());
  ASSERT_TRUE(SetOption(socket.get(), SocketOption::kMulticastLoop, 1).ok());
  absl::Status status = JoinMulticast(socket.get(), group, *loopback);
  ASSERT_TRUE(status.ok()) << status;
  status = JoinMulticast(socket.get(), group, *loopback);
  EXPECT_EQ(CauseOf(status), ErrorCause::kAddressInUse) << status;
  EXPECT_EQ(status.message().find("join multicast 239.255.76.67: "), 0u)
      << status;

  EXPECT_EQ(SendTo(socket.get(), BytesOf("group"), group).bytes, 5u);
  ASSERT_TRUE(WaitFor(socket, PollBits::kReadable));
  std::array<std::byte, 16> buffer;
  EXPECT_EQ(Receive(socket.get(), buffer).bytes, 5u);

  EXPECT_TRUE(LeaveMulticast(socket.get(), group, *loopback).ok());
  status = LeaveMulticast(socket.get(), group, *loopback);
  EXPECT_EQ(CauseOf(status), ErrorCause::kAddressNotAvailable) << status;
}

TEST(SocketOptions, P01_Ipv6MulticastTakesTheInterfaceFromTheScope) {
  const auto loopback = InterfaceIndex(test::LoopbackInterface());
  ASSERT_TRUE(loopback.ok()) << loopback.status();
  const ScopedSocket socket = Open(AddressFamily::kIpv6, SocketType::kDatagram);
  const auto group =
      SocketAddress::FromIp("ff02::4c43%" + test::LoopbackInterface(), 0);
  ASSERT_TRUE(group.ok()) << group.status();
  absl::Status status = JoinMulticast(socket.get(), *group);
  EXPECT_TRUE(status.ok()) << status;
  status = LeaveMulticast(socket.get(), *group, *loopback);
  EXPECT_TRUE(status.ok()) << status;
  ASSERT_TRUE(SetOption(socket.get(), SocketOption::kMulticastInterface,
                        static_cast<int>(*loopback))
                  .ok());
  EXPECT_EQ(*GetOption(socket.get(), SocketOption::kMulticastInterface),
            static_cast<int>(*loopback));
}

TEST(SocketOptions, P05_GroupsThatAreNone) {
  const ScopedSocket socket = Open(AddressFamily::kIpv4, SocketType::kDatagram);
  for (const SocketAddress& group :
       {SocketAddress::Ipv4Loopback(0), SocketAddress::Ipv6Loopback(0),
        SocketAddress(), *SocketAddress::UnixPath("/x")}) {
    EXPECT_EQ(JoinMulticast(socket.get(), group).code(),
              absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(LeaveMulticast(socket.get(), group).code(),
              absl::StatusCode::kInvalidArgument);
  }
  const SocketAddress group = SocketAddress::Ipv4({239, 1, 2, 3}, 0);
  EXPECT_EQ(JoinMulticast(socket.get(), group, 0x7ffffff0).code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace weir::platform
