// Kinds of descriptors that POSIX has.

#include <sys/socket.h>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "platform/posix/sockaddr.h"
#include "platform/socket_options.h"
#include "platform/sockets.h"
#include "tests/support/system.h"

namespace weir::platform {
namespace {

TEST(PlatformSockets, P07_SocketsOfOtherKindsAreRefused) {
  const int sequenced = ::socket(AF_UNIX, SOCK_SEQPACKET, 0);
  ASSERT_GE(sequenced, 0);
  absl::Status status = DescribeSocket(FromDescriptor(sequenced)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << status;
  EXPECT_FALSE(test::IsNonBlocking(FromDescriptor(sequenced)));
  test::CloseNative(FromDescriptor(sequenced));

  const int netlink = ::socket(AF_NETLINK, SOCK_DGRAM, 0);
  if (netlink >= 0) {
    status = DescribeSocket(FromDescriptor(netlink)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << status;
    test::CloseNative(FromDescriptor(netlink));
  }
}

TEST(PlatformSockets, P07_WhatIsRefusedKeepsItsMode) {
  const NativeSocket handle = test::OpenNonSocket();
  EXPECT_FALSE(DescribeSocket(handle).ok());
  EXPECT_FALSE(test::IsNonBlocking(handle));
  test::CloseNonSocket(handle);
}

// tcp(7), MAX_TCP_KEEPIDLE.
TEST(SocketOptions, P05_KeepAliveTimesHaveABound) {
  const auto socket = OpenSocket(AddressFamily::kIpv4, SocketType::kStream);
  ASSERT_TRUE(socket.ok()) << socket.status();
  const absl::Status status =
      SetOption(*socket, SocketOption::kKeepAliveIdle, 1'000'000);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  test::CloseNative(*socket);
}

}  // namespace
}  // namespace weir::platform
