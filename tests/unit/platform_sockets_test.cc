#include "platform/sockets.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "platform/socket_io.h"
#include "platform/socket_options.h"
#include "tests/unit/platform_test_util.h"
#include "weir/socket_address.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

bool IsNonBlocking(NativeSocket socket) {
  return (::fcntl(ToDescriptor(socket), F_GETFL) & O_NONBLOCK) != 0;
}
bool IsCloseOnExec(NativeSocket socket) {
  return (::fcntl(ToDescriptor(socket), F_GETFD) & FD_CLOEXEC) != 0;
}

// Leaves the process no room for another descriptor.
class ScopedNoDescriptors {
 public:
  ScopedNoDescriptors() {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &previous_), 0);
    // The lowest free number is the first that may not be used.
    const int free = ::dup(STDERR_FILENO);
    EXPECT_GE(free, 0);
    ::close(free);
    const rlimit none = {static_cast<rlim_t>(free), previous_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  }
  ~ScopedNoDescriptors() {
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &previous_), 0);
  }

 private:
  rlimit previous_;
};

TEST(PlatformSockets, SocketsAreNonBlockingAndCloseOnExecFromBirth) {
  for (AddressFamily family :
       {AddressFamily::kIpv4, AddressFamily::kIpv6, AddressFamily::kUnix}) {
    for (SocketType type : {SocketType::kStream, SocketType::kDatagram}) {
      const ScopedSocket socket = Open(family, type);
      EXPECT_TRUE(IsNonBlocking(socket.get()));
      EXPECT_TRUE(IsCloseOnExec(socket.get()));
      const auto described = DescribeSocket(socket.get());
      ASSERT_TRUE(described.ok()) << described.status();
      EXPECT_EQ(described->family, family);
      EXPECT_EQ(described->type, type);
      EXPECT_FALSE(described->listening);
      EXPECT_FALSE(described->connected);
    }
  }
  const TcpPair tcp;
  EXPECT_TRUE(IsNonBlocking(tcp.server.get()));
  EXPECT_TRUE(IsCloseOnExec(tcp.server.get()));
}

TEST(PlatformSockets, AnUnspecifiedFamilyHasNoSockets) {
  const absl::Status status =
      OpenSocket(AddressFamily::kUnspecified, SocketType::kStream).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
}

TEST(PlatformSockets, APairIsConnected) {
  for (SocketType type : {SocketType::kStream, SocketType::kDatagram}) {
    const auto pair = OpenPair(type);
    ASSERT_TRUE(pair.ok()) << pair.status();
    const ScopedSocket first((*pair)[0]);
    const ScopedSocket second((*pair)[1]);
    for (NativeSocket socket : *pair) {
      EXPECT_TRUE(IsNonBlocking(socket));
      EXPECT_TRUE(IsCloseOnExec(socket));
      EXPECT_TRUE(DescribeSocket(socket)->connected);
      EXPECT_EQ(*PeerAddress(socket), SocketAddress::UnixUnnamed());
    }
    EXPECT_EQ(Send(first.get(), BytesOf("hello")).bytes, 5u);
    std::array<std::byte, 16> buffer;
    EXPECT_EQ(Receive(second.get(), buffer).bytes, 5u);
  }
}

TEST(PlatformSockets, P05_NoDescriptorsLeft) {
  const ScopedNoDescriptors none;
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
  EXPECT_EQ(status.message(),
            absl::StrCat("bind ", address.ToString(),
                         ": Address already in use (EADDRINUSE 98)"));
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
    ASSERT_TRUE(WaitFor(socket, POLLOUT));
    status = TakeError(socket.get(), "connect", address.ToString());
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CauseOf(status), ErrorCause::kConnectionRefused);
  EXPECT_EQ(status.message(),
            absl::StrCat("connect ", address.ToString(),
                         ": Connection refused (ECONNREFUSED 111)"));
  // Fetching it has cleared it.
  EXPECT_TRUE(TakeError(socket.get(), "connect").ok());
}

TEST(PlatformSockets, ConnectingAndBothAddresses) {
  for (const SocketAddress& loopback :
       {SocketAddress::Ipv4Loopback(0), SocketAddress::Ipv6Loopback(0)}) {
    const ScopedSocket listener = OpenListener(loopback);
    EXPECT_TRUE(DescribeSocket(listener.get())->listening);
    const ScopedSocket client = Open(loopback.family(), SocketType::kStream);
    const auto result = Connect(client.get(), AddressOf(listener));
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_TRUE(WaitFor(client, POLLOUT));
    EXPECT_TRUE(TakeError(client.get(), "connect").ok());
    EXPECT_TRUE(DescribeSocket(client.get())->connected);
    ASSERT_TRUE(WaitFor(listener, POLLIN));
    const AcceptOutcome accepted = Accept(listener.get());
    ASSERT_TRUE(accepted.ok()) << accepted.error;
    const ScopedSocket server(accepted.socket);
    EXPECT_EQ(accepted.peer, AddressOf(client));
    EXPECT_EQ(*PeerAddress(client.get()), AddressOf(listener));
    EXPECT_EQ(*PeerAddress(server.get()), AddressOf(client));
    // Linux answers the first call after an asynchronous success with success.
    (void)Connect(client.get(), AddressOf(listener));
    EXPECT_EQ(CauseOf(Connect(client.get(), AddressOf(listener)).status()),
              ErrorCause::kAlreadyConnected);
  }
}

TEST(PlatformSockets, P01_UnixStreamsOnPathsAndAbstractNames) {
  const std::string unique = absl::StrCat(
      ::testing::TempDir(), "weir-sockets-test-", ::getpid(), ".sock");
  ::unlink(unique.c_str());
  for (const SocketAddress& address :
       {*SocketAddress::UnixPath(unique),
        *SocketAddress::UnixAbstract(absl::StrCat("weir-test-", ::getpid()))}) {
    const ScopedSocket listener = OpenListener(address);
    EXPECT_EQ(AddressOf(listener), address);
    const ScopedSocket client = Open(AddressFamily::kUnix, SocketType::kStream);
    const auto result = Connect(client.get(), address);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(*result, ConnectResult::kConnected);
    EXPECT_EQ(*PeerAddress(client.get()), address);
    const ScopedSocket server(Accept(listener.get()).socket);
    EXPECT_EQ(*PeerAddress(server.get()), SocketAddress::UnixUnnamed());
  }
  EXPECT_EQ(::unlink(unique.c_str()), 0);
  const ScopedSocket client = Open(AddressFamily::kUnix, SocketType::kStream);
  const absl::Status status =
      Connect(client.get(), *SocketAddress::UnixPath(unique)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(status.message().find(unique), std::string::npos) << status;
}

// connect(2): EAGAIN of a Unix stream is a refusal and not "in progress".
TEST(PlatformSockets, AFullUnixListenerRefusesAtOnce) {
  const SocketAddress address =
      *SocketAddress::UnixAbstract(absl::StrCat("weir-full-", ::getpid()));
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
  ASSERT_TRUE(WaitFor(tcp.server, POLLIN));
  std::array<std::byte, 8> buffer;
  const IoOutcome end = Receive(tcp.server.get(), buffer);
  EXPECT_TRUE(end.ok());
  EXPECT_EQ(end.bytes, 0u);
  EXPECT_EQ(Send(tcp.server.get(), BytesOf("back")).bytes, 4u);
  ASSERT_TRUE(WaitFor(tcp.client, POLLIN));
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
  ASSERT_TRUE(WaitFor(tcp.server, POLLIN));
  const absl::Status status = TakeError(tcp.server.get(), "receive");
  EXPECT_EQ(CauseOf(status), ErrorCause::kConnectionReset) << status;
}

TEST(PlatformSockets, P07_AForeignHandleIsDescribedAndMadeNonBlocking) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_GE(descriptor, 0);
  const ScopedSocket socket(FromDescriptor(descriptor));
  EXPECT_FALSE(IsNonBlocking(socket.get()));
  const auto described = DescribeSocket(socket.get());
  ASSERT_TRUE(described.ok()) << described.status();
  EXPECT_EQ(described->family, AddressFamily::kIpv4);
  EXPECT_TRUE(IsNonBlocking(socket.get()));
}

TEST(PlatformSockets, P07_WhatIsNoSocketOfOurKindIsRefused) {
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  absl::Status status = DescribeSocket(FromDescriptor(pipe_ends[0])).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_EQ(CauseOf(status), ErrorCause::kNotASocket);
  EXPECT_FALSE(IsNonBlocking(FromDescriptor(pipe_ends[0])));
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);

  const int sequenced = ::socket(AF_UNIX, SOCK_SEQPACKET, 0);
  ASSERT_GE(sequenced, 0);
  status = DescribeSocket(FromDescriptor(sequenced)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << status;
  EXPECT_FALSE(IsNonBlocking(FromDescriptor(sequenced)));
  ::close(sequenced);

  const int netlink = ::socket(AF_NETLINK, SOCK_DGRAM, 0);
  if (netlink >= 0) {
    status = DescribeSocket(FromDescriptor(netlink)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << status;
    ::close(netlink);
  }
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
    std::array<std::byte, 4> buffer;
    EXPECT_EQ(Receive(socket, buffer).error, EBADF);
    EXPECT_EQ(Send(socket, buffer).error, EBADF);
    EXPECT_EQ(Accept(socket).error, EBADF);
  }
}

}  // namespace
}  // namespace weir::platform
