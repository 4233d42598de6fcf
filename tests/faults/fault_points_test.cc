// The fault points themselves: which calls a rule is for, and that there is one
// for every call that the library makes.

#include "tests/faults/fault_points.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/conformance/conformance.h"

namespace weir::faults {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FaultPoints : public ::testing::Test {
 protected:
  void SetUp() override {
    Clear();
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends_.data()), 0);
  }
  void TearDown() override {
    for (const int end : ends_) ::close(end);
    Clear();
  }
  // What each of `count` sends returns; an error as a negative number.
  std::vector<int> Sends(int count) {
    std::vector<int> results;
    for (int i = 0; i < count; ++i) {
      const ssize_t result = ::send(ends_[0], "abc", 3, MSG_NOSIGNAL);
      results.push_back(result < 0 ? -errno : static_cast<int>(result));
    }
    return results;
  }

  std::array<int, 2> ends_{};
};

TEST_F(FaultPoints, ARuleHitsTheCallsItIsFor) {
  const Armed armed;
  Inject({.call = Call::k_send, .error = ENOMEM, .skip = 1, .times = 2});
  EXPECT_THAT(Sends(4), ElementsAre(3, -ENOMEM, -ENOMEM, 3));
  EXPECT_EQ(CountOf(Call::k_send), 4u);
  EXPECT_EQ(CountOf(Call::k_recv), 0u);
  EXPECT_EQ(Hits(), 2u);
}

TEST_F(FaultPoints, ARuleMayHitEveryThird) {
  const Armed armed;
  Inject({.call = Call::k_send, .error = EINTR, .times = 2, .every = 3});
  EXPECT_THAT(Sends(8), ElementsAre(-EINTR, 3, 3, -EINTR, 3, 3, 3, 3));
}

TEST_F(FaultPoints, ARuleMayBeForOneDescriptorAndOneOption) {
  const Armed armed;
  Inject({.call = Call::k_send, .error = EPIPE, .descriptor = ends_[1]});
  const std::size_t option =
      Inject({.call = Call::k_getsockopt, .error = EIO, .detail = SO_TYPE});
  EXPECT_THAT(Sends(1), ElementsAre(3));
  int value = 0;
  socklen_t length = sizeof(value);
  EXPECT_EQ(::getsockopt(ends_[0], SOL_SOCKET, SO_ERROR, &value, &length), 0);
  EXPECT_EQ(MatchesOf(option), 0u);
  EXPECT_EQ(::getsockopt(ends_[0], SOL_SOCKET, SO_TYPE, &value, &length), -1);
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(MatchesOf(option), 1u);
}

TEST_F(FaultPoints, ATransferIsCutShort) {
  const Armed armed;
  Inject({.call = Call::k_send, .most = 2});
  EXPECT_THAT(Sends(2), ElementsAre(2, 3));
  std::array<char, 8> got{};
  EXPECT_EQ(::recv(ends_[1], got.data(), got.size(), MSG_DONTWAIT), 5);
  EXPECT_EQ(std::string(got.data()), "ababc");
}

TEST_F(FaultPoints, OnlyArmedAndNotForThePeer) {
  Inject({.call = Call::k_send, .error = ENOMEM, .times = Fault::kForever});
  EXPECT_THAT(Sends(1), ElementsAre(3));
  const Armed armed;
  EXPECT_THAT(Sends(1), ElementsAre(-ENOMEM));
  {
    const Unfaulted unfaulted;
    EXPECT_THAT(Sends(1), ElementsAre(3));
  }
  EXPECT_EQ(CountOf(Call::k_send), 1u);
}

TEST_F(FaultPoints, ACallOnAClosedDescriptorIsNoted) {
  const Armed armed;
  const int closed = ::dup(ends_[0]);
  ::close(closed);
  EXPECT_THAT(BadDescriptors(), IsEmpty());
  EXPECT_EQ(::close(closed), -1);
  EXPECT_THAT(BadDescriptors(),
              ElementsAre("close(" + std::to_string(closed) + ")"));
}

// What the library takes from elsewhere and makes no system call for, or none
// that can fail in the way it is made.
constexpr std::string_view kHarmless[] = {
    "clock_gettime",  // of a clock that exists
    "freeaddrinfo",
    "gai_strerror",
    "io_uring_free_probe",
    "io_uring_queue_exit",
    "memchr",
    "memcmp",
    "memcpy",
    "memmove",
    "memset",
    "pthread_self",
    "pthread_sigmask",  // with arguments that are right
    "sched_yield",
    "sigaddset",
    "sigemptyset",
    "sigismember",
    "sigpending",
    "strcmp",
    "strerror_r",
    "strlen",
    "strnlen",
};

// The functions of C that the library leaves to others (nm(1)).
std::set<std::string> ForeignFunctions() {
  std::set<std::string> names;
  const std::string command =
      std::string(WEIR_NM) + " -u '" + WEIR_LIBRARY + "' 2>/dev/null";
  std::FILE* const output = ::popen(command.c_str(), "r");
  if (output == nullptr) return names;
  std::array<char, 4096> line;
  while (std::fgets(line.data(), line.size(), output) != nullptr) {
    std::array<char, 4096> name{};
    if (std::sscanf(line.data(), " U %4095s", name.data()) != 1) continue;
    // C++, and what compilers call.
    if (name[0] != '_') names.insert(name.data());
  }
  ::pclose(output);
  return names;
}

TEST(FaultPointsOfTheLibrary, EveryCallItMakesCanBeMadeToFail) {
  const std::set<std::string> foreign = ForeignFunctions();
  ASSERT_TRUE(foreign.contains("recvmsg")) << "nm tells nothing";
  std::vector<std::string> without;
  for (const std::string& name : foreign) {
    const bool has_point =
        std::any_of(std::begin(kAllCalls), std::end(kAllCalls),
                    [&](Call call) { return NameOf(call) == name; });
    if (!has_point && std::find(std::begin(kHarmless), std::end(kHarmless),
                                name) == std::end(kHarmless)) {
      without.push_back(name);
    }
  }
  EXPECT_THAT(without, IsEmpty())
      << "add them to WEIR_FAULT_CALLS and the interposers, with their errors "
         "in documented_errors.cc";
}

}  // namespace
}  // namespace weir::faults
