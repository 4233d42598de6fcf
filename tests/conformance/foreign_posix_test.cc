// Descriptors of POSIX that are no sockets of Weir's kinds (P07).

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tests/conformance/conformance.h"
#include "tests/conformance/failure.h"

namespace weir::conformance {
namespace {

TEST(Foreign, P07_WhatIsNoSocketOfOurKindIsNotAdopted) {
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  const struct {
    int descriptor;
    absl::StatusCode code;
    ErrorCause cause;
    int error;
  } cases[] = {
      {open("/dev/null", O_RDONLY), absl::StatusCode::kInvalidArgument,
       ErrorCause::kNotASocket, ENOTSOCK},
      {open("/proc/self/exe", O_RDONLY), absl::StatusCode::kInvalidArgument,
       ErrorCause::kNotASocket, ENOTSOCK},
      {epoll_create1(0), absl::StatusCode::kInvalidArgument,
       ErrorCause::kNotASocket, ENOTSOCK},
      {pipes[0], absl::StatusCode::kInvalidArgument, ErrorCause::kNotASocket,
       ENOTSOCK},
      {pipes[1], absl::StatusCode::kInvalidArgument, ErrorCause::kNotASocket,
       ENOTSOCK},
      {socket(AF_UNIX, SOCK_SEQPACKET, 0), absl::StatusCode::kUnimplemented,
       ErrorCause::kNotSupported, ESOCKTNOSUPPORT},
      {socket(AF_NETLINK, SOCK_RAW, 0), absl::StatusCode::kUnimplemented,
       ErrorCause::kNotSupported, EAFNOSUPPORT},
  };
  for (const auto& bad : cases) {
    ASSERT_GE(bad.descriptor, 0);
    const auto native = static_cast<NativeSocket>(bad.descriptor);
    EXPECT_TRUE(IsFailure(Socket::Adopt(native).status(), bad.code, bad.cause,
                          {std::strerror(bad.error)}));
    // It is the caller's still.
    EXPECT_TRUE(test::IsOpen(native));
    close(bad.descriptor);
  }
  // Weir's own choice, which no system's number stands for.
  const int datagram = socket(AF_UNIX, SOCK_DGRAM, 0);
  EXPECT_CODE(Socket::Adopt(static_cast<NativeSocket>(datagram)),
              kUnimplemented);
  EXPECT_TRUE(test::IsOpen(static_cast<NativeSocket>(datagram)));
  close(datagram);
}

}  // namespace
}  // namespace weir::conformance
