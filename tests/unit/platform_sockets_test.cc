#include "platform/sockets.h"

#include <array>
#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "platform/error.h"
#include "platform/socket_io.h"
#include "platform/socket_options.h"
#include "tests/conformance/descriptors.h"
#include "tests/support/system.h"
#include "tests/unit/platform_test_util.h"
#include "weir/socket_address.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

// Where it can be asked for.
void ExpectNonBlocking(NativeSocket socket) {
  if (test::ModeIsKnown()) {
    EXPECT_TRUE(test::IsNonBlocking(socket));
  }
}

TEST(PlatformSockets, SocketsAreNonBlockingAndCloseOnExecFromBirth) {
  for (AddressFamily family :
       test::Available({AddressFamily::kIpv4, AddressFamily::kIpv6,
                        AddressFamily::kUnix})) {
    for (SocketType type : {SocketType::kStream, SocketType::kDatagram}) {
      const ScopedSocket socket = Open(family, type);
      ExpectNonBlocking(socket.get());
      EXPECT_FALSE(test::IsInherited(socket.get()));
      const auto described = DescribeSocket(socket.get());
      ASSERT_TRUE(described.ok()) << described.status();
      EXPECT_EQ(described->family, family);
      EXPECT_EQ(described->type, type);
      EXPECT_FALSE(described->listening);
      EXPECT_FALSE(described->connected);
    }
  }
  const TcpPair tcp;
  ExpectNonBlocking(tcp.server.get());
  EXPECT_FALSE(test::IsInherited(tcp.server.get()));
}

TEST(PlatformSockets, AnUnspecifiedFamilyHasNoSockets) {
  const absl::Status status =
      OpenSocket(AddressFamily::kUnspecified, SocketType::kStream).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
}

TEST(PlatformSockets, APairIsConnected) {
  WEIR_SKIP_WITHOUT_UNIX_SOCKETS();
  for (SocketType type : {SocketType::kStream, SocketType::kDatagram}) {
    const auto pair = OpenPair(type);
    ASSERT_TRUE(pair.ok()) << pair.status();
    const ScopedSocket first((*pair)[0]);
    const ScopedSocket second((*pair)[1]);
    for (NativeSocket socket : *pair) {
      ExpectNonBlocking(socket);
      EXPECT_FALSE(test::IsInherited(socket));
      EXPECT_TRUE(DescribeSocket(socket)->connected);
      EXPECT_EQ(*PeerAddress(socket), SocketAddress::UnixUnnamed());
    }
    EXPECT_EQ(Send(first.get(), BytesOf("hello")).bytes, 5u);
    std::array<std::byte, 16> buffer;
    EXPECT_EQ(Receive(second.get(), buffer).bytes, 5u);
  }
}

TEST(PlatformSockets, P05_NoDescriptorsLeft) {
  WEIR_SKIP_WITHOUT_DESCRIPTOR_LIMIT();
  const conformance::NoDescriptorsLeft none;
  for (const absl::Status& status :
       {OpenSocket(AddressFamily::kIpv4, SocketType::kStream).status(),
        OpenPair(SocketType::kStream).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_EQ(CauseOf(status), ErrorCause::kTooManyDescriptors) << status;
  }
}

TEST(PlatformSockets, P05_AnAddressInUse) {
  const ScopedSocket listener = OpenListener();
  const SocketAddress address = AddressOf(listener);
  EXPECT_NE(address.port(), 0);
  const ScopedSocket second = Open(AddressFamily::kIpv4, SocketType::kStream);
  const absl::Status status = Bind(second.get(), address);
  EXPECT_EQ(CauseOf(status), ErrorCause::kAddressInUse);
  EXPECT_EQ(status, SystemError(test::CodeFor(ErrorCause::kAddressInUse),
                                "bind", address.ToString()));
}

TEST(PlatformSockets, P05_AnAddressOfSomebodyElse) {
  const ScopedSocket socket = Open(AddressFamily::kIpv4, SocketType::kStream);
  // 192.0.2.0/24 is for documentation (RFC 5737).
  const absl::Status status =
      Bind(socket.get(), SocketAddress::Ipv4({192, 0, 2, 1}, 0));
  EXPECT_EQ(CauseOf(status), ErrorCause::kAddressNotAvailable) << status;
}

TEST(PlatformSockets, P05_ARefusedConnect) {
  SocketAddress address;
  {
    const ScopedSocket unused =
        OpenBound(SocketAddress::Ipv4Loopback(0), SocketType::kStream);
    address = AddressOf(unused);
  }
  const ScopedSocket socket = Open(AddressFamily::kIpv4, SocketType::kStream);
  const auto result = Connect(socket.get(), address);
  absl::Status status = result.status();
  if (result.ok()) {
    ASSERT_EQ(*result, ConnectResult::kInProgress);
    ASSERT_TRUE(WaitFor(socket, PollBits::kWritable));
    status = TakeError(socket.get(), "connect", address.ToString());
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CauseOf(status), ErrorCause::kConnectionRefused);
  EXPECT_EQ(status, SystemError(test::CodeFor(ErrorCause::kConnectionRefused),
                                "connect", address.ToString()));
  // Fetching it has cleared it, but for systems that go on telling.
  const absl::Status again = TakeError(socket.get(), "connect");
  EXPECT_TRUE(again.ok() ||
              CauseOf(again) == ErrorCause::kConnectionRefused) << again;
}

TEST(PlatformSockets, ConnectingAndBothAddresses) {
  for (const SocketAddress& loopback :
       {SocketAddress::Ipv4Loopback(0), SocketAddress::Ipv6Loopback(0)}) {
    const ScopedSocket listener = OpenListener(loopback);
    EXPECT_TRUE(DescribeSocket(listener.get())->listening);
    const ScopedSocket client = Open(loopback.family(), SocketType::kStream);
    const auto result = Connect(client.get(), AddressOf(listener));
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_TRUE(WaitFor(client, PollBits::kWritable));
    EXPECT_TRUE(TakeError(client.get(), "connect").ok());
    EXPECT_TRUE(DescribeSocket(client.get())->connected);
    ASSERT_TRUE(WaitFor(listener, PollBits::kReadable));
    SocketAddress peer;
    const AcceptOutcome accepted = Accept(listener.get(), &peer);
    ASSERT_TRUE(accepted.ok()) << accepted.error;
    const ScopedSocket server(accepted.socket);
    EXPECT_EQ(peer, AddressOf(client));
    EXPECT_EQ(*PeerAddress(client.get()), AddressOf(listener));
    EXPECT_EQ(*PeerAddress(server.get()), AddressOf(client));
    // Linux answers the first call after an asynchronous success with success.
    (void)Connect(client.get(), AddressOf(listener));
    EXPECT_EQ(CauseOf(Connect(client.get(), AddressOf(listener)).status()),
              ErrorCause::kAlreadyConnected);
  }
}

TEST(PlatformSockets, P01_UnixStreamsOnPathsAndAbstractNames) {
  WEIR_SKIP_WITHOUT_UNIX_SOCKETS();
  const std::string unique = absl::StrCat(
      ::testing::TempDir(), "weir-sockets-test-", test::ProcessId(), ".sock");
  std::remove(unique.c_str());
  for (const SocketAddress& address :
       {*SocketAddress::UnixPath(unique),
        *SocketAddress::UnixAbstract(
            absl::StrCat("weir-test-", test::ProcessId()))}) {
    const ScopedSocket listener = OpenListener(address);
    EXPECT_EQ(AddressOf(listener), address);
    const ScopedSocket client = Open(AddressFamily::kUnix, SocketType::kStream);
    const auto result = Connect(client.get(), address);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(*result, ConnectResult::kConnected);
    EXPECT_EQ(*PeerAddress(client.get()), address);
    const ScopedSocket server(Accept(listener.get(), nullptr).socket);
    EXPECT_EQ(*PeerAddress(server.get()), SocketAddress::UnixUnnamed());
  }
  EXPECT_EQ(std::remove(unique.c_str()), 0);
  const ScopedSocket client = Open(AddressFamily::kUnix, SocketType::kStream);
  const absl::Status status =
      Connect(client.get(), *SocketAddress::UnixPath(unique)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(status.message().find(unique), std::string::npos) << status;
}

// connect(2): EAGAIN of a Unix stream is a refusal and not "in progress".
TEST(PlatformSockets, AFullUnixListenerRefusesAtOnce) {
  WEIR_SKIP_WITHOUT_UNIX_SOCKETS();
  const SocketAddress address = *SocketAddress::UnixAbstract(
      absl::StrCat("weir-full-", test::ProcessId()));
  const ScopedSocket listener = OpenListener(address, 1);
  std::vector<ScopedSocket> clients;
  absl::Status status;
  while (status.ok() && clients.size() < 100) {
    clients.push_back(Open(AddressFamily::kUnix, SocketType::kStream));
    status = Connect(clients.back().get(), address).status();
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(CauseOf(status), ErrorCause::kWouldBlock);
}

TEST(PlatformSockets, TheUnspecifiedAddressDissolvesADatagramsTie) {
  const ScopedSocket peer =
      OpenBound(SocketAddress::Ipv4Loopback(0), SocketType::kDatagram);
  const ScopedSocket socket = Open(AddressFamily::kIpv4, SocketType::kDatagram);
  EXPECT_EQ(*Connect(socket.get(), AddressOf(peer)), ConnectResult::kConnected);
  EXPECT_EQ(*PeerAddress(socket.get()), AddressOf(peer));
  ASSERT_TRUE(Connect(socket.get(), SocketAddress()).ok());
  EXPECT_EQ(CauseOf(PeerAddress(socket.get()).status()),
            ErrorCause::kNotConnected);
  const TcpPair tcp;
  EXPECT_EQ(Connect(tcp.client.get(), SocketAddress()).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(PeerAddress(tcp.client.get()).ok());
}

TEST(PlatformSockets, C03_ShutdownIsPerDirection) {
  const TcpPair tcp;
  ASSERT_TRUE(Shutdown(tcp.client.get(), ShutdownDirection::kSend).ok());
  ASSERT_TRUE(WaitFor(tcp.server, PollBits::kReadable));
  std::array<std::byte, 8> buffer;
  const IoOutcome end = Receive(tcp.server.get(), buffer);
  EXPECT_TRUE(end.ok());
  EXPECT_EQ(end.bytes, 0u);
  EXPECT_EQ(Send(tcp.server.get(), BytesOf("back")).bytes, 4u);
  ASSERT_TRUE(WaitFor(tcp.client, PollBits::kReadable));
  EXPECT_EQ(Receive(tcp.client.get(), buffer).bytes, 4u);
  ASSERT_TRUE(Shutdown(tcp.server.get(), ShutdownDirection::kReceive).ok());
  ASSERT_TRUE(Shutdown(tcp.server.get(), ShutdownDirection::kBoth).ok());
  const ScopedSocket unconnected =
      Open(AddressFamily::kIpv4, SocketType::kStream);
  EXPECT_EQ(CauseOf(Shutdown(unconnected.get(), ShutdownDirection::kBoth)),
            ErrorCause::kNotConnected);
}

TEST(PlatformSockets, R15_AResetIsThePendingError) {
  TcpPair tcp;
  ASSERT_TRUE(SetOption(tcp.client.get(), SocketOption::kLinger, 0).ok());
  tcp.client.Reset();
  ASSERT_TRUE(WaitFor(tcp.server, PollBits::kReadable));
  const absl::Status status = TakeError(tcp.server.get(), "receive");
  EXPECT_EQ(CauseOf(status), ErrorCause::kConnectionReset) << status;
}

TEST(PlatformSockets, P07_AForeignHandleIsDescribedAndMadeNonBlocking) {
  for (const SocketType type : {SocketType::kStream, SocketType::kDatagram}) {
    const ScopedSocket socket(test::OpenForeign(AddressFamily::kIpv4, type));
    if (test::ModeIsKnown()) {
      EXPECT_FALSE(test::IsNonBlocking(socket.get()));
    }
    const auto described = DescribeSocket(socket.get());
    ASSERT_TRUE(described.ok()) << described.status();
    EXPECT_EQ(described->family, AddressFamily::kIpv4);
    EXPECT_EQ(described->type, type);
    EXPECT_FALSE(described->listening);
    EXPECT_FALSE(described->connected);
    EXPECT_FALSE(described->connecting);
    ExpectNonBlocking(socket.get());
    if (type == SocketType::kDatagram) {
      ASSERT_TRUE(Bind(socket.get(), SocketAddress::Ipv4Loopback(0)).ok());
      // It would wait for ever.
      std::array<std::byte, 1> buffer;
      EXPECT_TRUE(Receive(socket.get(), buffer).would_block);
    }
  }
}

TEST(PlatformSockets, P07_WhatIsNoSocketIsRefused) {
  const NativeSocket handle = test::OpenNonSocket();
  const absl::Status status = DescribeSocket(handle).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_EQ(CauseOf(status), ErrorCause::kNotASocket);
  test::CloseNonSocket(handle);
}

// What a connect has come to shows on the handle.
TEST(PlatformSockets, P07_AForeignHandleTellsOfItsConnect) {
  const ScopedSocket listener = OpenListener();
  const ScopedSocket connected =
      Open(AddressFamily::kIpv4, SocketType::kStream);
  ASSERT_TRUE(Connect(connected.get(), AddressOf(listener)).ok());
  ASSERT_TRUE(WaitFor(connected, PollBits::kWritable));
  EXPECT_TRUE(DescribeSocket(connected.get())->connected);
  EXPECT_FALSE(DescribeSocket(connected.get())->connecting);
  SocketAddress nobody;
  {
    const ScopedSocket unused =
        OpenBound(SocketAddress::Ipv4Loopback(0), SocketType::kStream);
    nobody = AddressOf(unused);
  }
  const ScopedSocket refused = Open(AddressFamily::kIpv4, SocketType::kStream);
  if (!Connect(refused.get(), nobody).ok()) return;
  ASSERT_TRUE(WaitFor(refused, PollBits::kWritable));
  // It has an error to tell.
  EXPECT_TRUE(DescribeSocket(refused.get())->connected);
  EXPECT_FALSE(DescribeSocket(refused.get())->connecting);
}

TEST(PlatformSockets, P05_EveryCallOnABadHandleSaysSo) {
  ScopedSocket open = Open(AddressFamily::kIpv4, SocketType::kStream);
  const NativeSocket closed = open.get();
  open.Reset();
  for (NativeSocket socket : {closed, kInvalidSocket}) {
    const absl::Status statuses[] = {
        Close(socket),
        Bind(socket, SocketAddress::Ipv4Any(0)),
        Listen(socket, 1),
        Connect(socket, SocketAddress::Ipv4Loopback(1)).status(),
        Connect(socket, SocketAddress()).status(),
        LocalAddress(socket).status(),
        PeerAddress(socket).status(),
        Shutdown(socket, ShutdownDirection::kBoth),
        TakeError(socket, "connect"),
        DescribeSocket(socket).status(),
        SetOption(socket, SocketOption::kNoDelay, 1),
        GetOption(socket, SocketOption::kMulticastTtl).status(),
        JoinMulticast(socket, SocketAddress::Ipv4({224, 0, 0, 251}, 0))};
    for (const absl::Status& status : statuses) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
      EXPECT_EQ(CauseOf(status), ErrorCause::kBadDescriptor) << status;
    }
    const int bad = test::CodeFor(ErrorCause::kBadDescriptor);
    std::array<std::byte, 4> buffer;
    EXPECT_EQ(Receive(socket, buffer).error, bad);
    EXPECT_EQ(Send(socket, buffer).error, bad);
    EXPECT_EQ(Accept(socket, nullptr).error, bad);
  }
}

}  // namespace
}  // namespace weir::platform
