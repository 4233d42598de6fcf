// The TCP echo programs, driven from outside: every byte back, whatever the
// peers do, and nothing left behind.

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/examples/server_process.h"
#include "tests/examples/stream_client.h"

namespace weir::testing {
namespace {

// Memory that sanitizers keep for themselves says nothing about the server.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryTells = false;
#else
constexpr bool kMemoryTells = true;
#endif

class TcpEcho : public ServerTest {
 protected:
  // Whether `holds` becomes true, looked at once per round trip.
  template <typename Predicate>
  bool BecomesTrue(Predicate holds) {
    const int socket = ConnectTo(address());
    const auto end = std::chrono::steady_clock::now() +
                     std::chrono::milliseconds(kPatienceMs);
    bool held = false;
    while (!(held = holds()) && std::chrono::steady_clock::now() < end) {
      if (const std::string failure = RoundTrip(socket); !failure.empty()) {
        ADD_FAILURE() << failure;
        break;
      }
    }
    ::close(socket);
    return held;
  }

  // The processor time the server takes in `period_ms` of being left alone.
  long ProcessorMsIn(int period_ms) {
    const long before = server().ProcessorMs();
    ::poll(nullptr, 0, period_ms);
    return server().ProcessorMs() - before;
  }

  static constexpr std::size_t kMoreThanBuffers = 14 << 20;

  // What a server that has nothing to do may take at most.
  static constexpr int kPeriodMs = 300;
  static constexpr long kIdleMs = 60;
};

TEST_P(TcpEcho, ManyStreamsOfRandomSizes) {
  std::mt19937 random(TestSeed());
  for (int round = 0; round < 2; ++round) {
    std::vector<StreamPlan> plans;
    for (int i = 0; i < 64; ++i) {
      plans.push_back(RandomPlan(random, 3 << 20));
      plans.back().ending = Ending::kHalfClose;
    }
    // More than the kernel holds: the server's sending has to wait.
    for (int i = 0; i < 2; ++i) {
      plans.push_back({.size = kMoreThanBuffers,
                       .noise = random() % 4096,
                       .most_per_send = 256 * 1024,
                       .most_per_receive = 64 * 1024,
                       .ending = Ending::kHalfClose,
                       .send_first = true,
                       .receive_buffer = 64 * 1024});
    }
    ASSERT_EQ(RunStreams(address(), plans), "");
  }
}

TEST_P(TcpEcho, ManyStreamsWithEndingsOfAllKinds) {
  std::mt19937 random(TestSeed());
  for (int round = 0; round < 5; ++round) {
    std::vector<StreamPlan> plans;
    for (int i = 0; i < 100; ++i) plans.push_back(RandomPlan(random, 1 << 20));
    ASSERT_EQ(RunStreams(address(), plans), "");
  }
}

TEST_P(TcpEcho, PeerThatDoesNotReceiveIsMadeToWait) {
  constexpr std::size_t kMuch = 1 << 20;
  // Far more than any buffers of kernels hold.
  constexpr std::size_t kTooMuch = 256 << 20;
  const std::vector<char> data(kMuch, 'x');
  const int socket = ConnectTo(address());
  ASSERT_EQ(RoundTrip(socket), "");
  const long before = server().ResidentKib();
  std::size_t taken = 0;
  pollfd entry = {.fd = socket, .events = POLLOUT, .revents = 0};
  while (taken < kTooMuch && ::poll(&entry, 1, kPeriodMs) == 1) {
    const ssize_t sent =
        ::send(socket, data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    ASSERT_GT(sent, 0);
    taken += static_cast<std::size_t>(sent);
  }
  EXPECT_LT(taken, kTooMuch);
  if (kMemoryTells) {
    EXPECT_LT(server().ResidentKib() - before, 4096);
  }
  EXPECT_LE(ProcessorMsIn(kPeriodMs), kIdleMs);
  // The others do not wait with it.
  const int other = ConnectTo(address());
  EXPECT_EQ(RoundTrip(other), "");
  ::close(other);
  // It all comes back.
  ::shutdown(socket, SHUT_WR);
  std::vector<char> buffer(kMuch);
  std::size_t back = 0;
  ssize_t got;
  while ((got = ::recv(socket, buffer.data(), buffer.size(), 0)) > 0) {
    back += static_cast<std::size_t>(got);
  }
  EXPECT_EQ(got, 0);
  EXPECT_EQ(back, taken);
  ::close(socket);
}

TEST_P(TcpEcho, ChurnLeavesNothingBehind) {
  std::mt19937 random(TestSeed());
  const int before = HeldByServer();
  const auto churn = [&](int connections) {
    for (int i = 0; i < connections; ++i) {
      const int socket = ConnectTo(address());
      ASSERT_GE(socket, 0) << "connection " << i;
      const auto what = random() % 8;
      if (what < 4) {
        ASSERT_EQ(RoundTrip(socket), "") << "connection " << i;
      }
      // Also with bytes on their way in both directions.
      if (what == 4) {
        ASSERT_EQ(::send(socket, "unheard", 7, MSG_NOSIGNAL), 7);
      }
      if (what % 2 == 0) {
        CloseWithReset(socket);
      } else {
        ::close(socket);
      }
    }
    EXPECT_TRUE(BecomesTrue([&] {
      return HeldByServer() <= before + 1;
    })) << HeldByServer()
        << " descriptors, before: " << before;
  };
  churn(500);
  if (!IsEmulated()) {
    const long memory = server().ResidentKib();
    churn(3000);
    if (kMemoryTells) {
      EXPECT_LT(server().ResidentKib() - memory, 1024);
    }
  }
}

TEST_P(TcpEcho, ServesManyConnectionsAtOnce) {
  constexpr int kMany = 400;
  std::vector<int> sockets;
  for (int i = 0; i < kMany; ++i) sockets.push_back(ConnectTo(address()));
  for (const int socket : sockets) EXPECT_EQ(RoundTrip(socket), "");
  EXPECT_LE(ProcessorMsIn(kPeriodMs), kIdleMs);
  for (const int socket : sockets) EXPECT_EQ(RoundTrip(socket), "");
  for (const int socket : sockets) ::close(socket);
}

// R21: the listener neither spins nor is lost.
TEST_P(TcpEcho, R21_RunsOutOfDescriptors) {
  if (IsEmulated()) GTEST_SKIP() << "no limit of descriptors for a program here";
  constexpr int kServed = 8, kAll = 40;
  const int first = ConnectTo(address());
  ASSERT_EQ(RoundTrip(first), "");
  server().LimitDescriptors(server().Descriptors() + kServed);
  std::vector<int> sockets;
  for (int i = 0; i < kAll; ++i) sockets.push_back(ConnectTo(address()));
  for (std::size_t i = 0; i < kServed; ++i)
    EXPECT_EQ(RoundTrip(sockets[i]), "");
  // The next one waits, and with it the listener; the rest goes on.
  EXPECT_LE(ProcessorMsIn(kPeriodMs), kIdleMs);
  EXPECT_EQ(RoundTrip(first), "");
  char byte;
  EXPECT_EQ(::recv(sockets.back(), &byte, 1, MSG_DONTWAIT), -1);
  // Each that goes makes room for another.
  for (const int socket : sockets) {
    EXPECT_EQ(RoundTrip(socket), "");
    ::close(socket);
  }
  ::close(first);
}

TEST_P(TcpEcho, StopsAtSigintWithConnectionsOpen) {
  std::vector<int> sockets;
  for (int i = 0; i < 20; ++i) {
    sockets.push_back(ConnectTo(address()));
    ASSERT_EQ(RoundTrip(sockets.back()), "");
  }
  server().Signal(SIGINT);
  const Outcome outcome = server().Wait();
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  for (const int socket : sockets) {
    char byte;
    EXPECT_EQ(::recv(socket, &byte, 1, 0), 0);
    ::close(socket);
  }
}

TEST_P(TcpEcho, StopsAtSigtermUnderLoad) {
  const std::vector<char> data(1 << 20, 'x');
  std::vector<int> sockets;
  for (int i = 0; i < 20; ++i) {
    sockets.push_back(ConnectTo(address()));
    ASSERT_EQ(RoundTrip(sockets.back()), "");
    ASSERT_GT(::send(sockets.back(), data.data(), data.size(),
                     MSG_NOSIGNAL | MSG_DONTWAIT),
              0);
  }
  server().Signal(SIGTERM);
  const Outcome outcome = server().Wait();
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  for (const int socket : sockets) ::close(socket);
}

INSTANTIATE_TEST_SUITE_P(
    , TcpEcho,
    ::testing::ValuesIn(OnEachBackend({{"echo_server", "", 1},
                                       {"echo_server", "", 4},
                                       {"echo_server", "", 1, "completion"},
                                       {"echo_server", "", 4, "completion"},
                                       {"echo_server", "", 1, "awaitable"},
                                       {"echo_server", "", 4, "awaitable"},
                                       {"echo_server", "", 1, "stream"},
                                       {"echo_server", "", 4, "stream"},
                                       {"multithreaded_server", "", 1},
                                       {"multithreaded_server", "", 4},
                                       {"poll_replacement", ""}})),
    KindName);

}  // namespace
}  // namespace weir::testing
