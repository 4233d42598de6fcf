// For tests that change this machine's addresses: a network of their own.

#ifndef WEIR_TESTS_UNIT_OWN_NETWORK_H_
#define WEIR_TESTS_UNIT_OWN_NETWORK_H_

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>

#include "gtest/gtest.h"

namespace weir {

// Runs `body` in a child process, in a new network namespace, which has nothing
// but a loopback interface that is down. What it finds wrong it prints.
inline void InNewNetwork(const std::function<void()>& body) {
  constexpr int kNotPermitted = 77;
  std::fflush(nullptr);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::unshare(CLONE_NEWNET) != 0 &&
        ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
      ::_exit(kNotPermitted);
    }
    body();
    std::fflush(nullptr);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  if (WEXITSTATUS(status) == kNotPermitted) {
    GTEST_SKIP() << "a new network namespace is not permitted "
                    "(unshare(2), CAP_SYS_ADMIN)";
  }
  EXPECT_EQ(WEXITSTATUS(status), 0) << "see above";
}

// Asks the kernel, by RTM_NEWADDR or RTM_DELADDR, to change an address of the
// loopback interface, and waits for the answer: 0 or an error number.
inline int ChangeAddress(std::uint16_t type, int family, const char* text) {
  struct {
    nlmsghdr header;
    ifaddrmsg address;
    rtattr attribute;
    std::uint8_t bytes[16];
  } request = {};
  // In a new namespace, the only interface there is.
  constexpr std::uint32_t kLoopbackIndex = 1;
  const std::size_t size = family == AF_INET ? 4 : 16;
  request.header.nlmsg_len =
      static_cast<std::uint32_t>(offsetof(decltype(request), bytes) + size);
  request.header.nlmsg_type = type;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  if (type == RTM_NEWADDR) {
    request.header.nlmsg_flags |= NLM_F_CREATE | NLM_F_EXCL;
  }
  request.address.ifa_family = static_cast<std::uint8_t>(family);
  request.address.ifa_prefixlen = family == AF_INET ? 8 : 128;
  request.address.ifa_index = kLoopbackIndex;
  request.attribute.rta_len = static_cast<unsigned short>(RTA_LENGTH(size));
  request.attribute.rta_type = IFA_LOCAL;
  EXPECT_EQ(::inet_pton(family, text, request.bytes), 1);
  const int descriptor = ::socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  EXPECT_GE(descriptor, 0);
  EXPECT_EQ(::send(descriptor, &request, request.header.nlmsg_len, 0),
            static_cast<ssize_t>(request.header.nlmsg_len));
  struct {
    nlmsghdr header;
    nlmsgerr error;
    char rest[512];
  } answer = {};
  EXPECT_GT(::recv(descriptor, &answer, sizeof(answer), 0), 0);
  EXPECT_EQ(answer.header.nlmsg_type, NLMSG_ERROR);
  ::close(descriptor);
  return -answer.error.error;
}

}  // namespace weir

#endif  // WEIR_TESTS_UNIT_OWN_NETWORK_H_
