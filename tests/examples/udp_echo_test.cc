// The UDP echo programs, driven from outside.

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/examples/server_process.h"

namespace weir::testing {
namespace {

// 65535 less the headers of IP and UDP.
constexpr std::size_t kLargest = 65507;

class UdpEcho : public ServerTest {
 protected:
  // A socket whose peer is the server.
  int Open() const {
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::connect(socket, reinterpret_cast<const sockaddr*>(&address()),
                        sizeof(address())),
              0);
    const timeval patience = {.tv_sec = kPatienceMs / 1000, .tv_usec = 0};
    ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return socket;
  }

  static void Send(int socket, const std::string& data) {
    ASSERT_EQ(::send(socket, data.data(), data.size(), 0),
              static_cast<ssize_t>(data.size()));
  }

  static std::string Receive(int socket) {
    std::string data(kLargest + 1, '\0');
    const ssize_t bytes = ::recv(socket, data.data(), data.size(), 0);
    if (bytes < 0) return "nothing came back";
    data.resize(static_cast<std::size_t>(bytes));
    return data;
  }

  static std::string RandomBytes(std::mt19937& random, std::size_t count) {
    std::string data(count, '\0');
    for (char& byte : data) byte = static_cast<char>(random());
    return data;
  }
};

// So few and small at a time that no kernel buffer overflows (a datagram
// counts with its bookkeeping there): on loopback nothing else is ever lost.
TEST_P(UdpEcho, BurstsComeBackCompleteAndInOrder) {
  constexpr int kClients = 4, kBurst = 16, kRounds = 200;
  std::mt19937 random(TestSeed());
  std::vector<int> sockets;
  for (int i = 0; i < kClients; ++i) sockets.push_back(Open());
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::vector<std::string>> sent(kClients);
    for (int i = 0; i < kClients * kBurst; ++i) {
      const std::size_t client = random() % kClients;
      sent[client].push_back(RandomBytes(random, random() % 500));
      Send(sockets[client], sent[client].back());
    }
    for (std::size_t client = 0; client < sent.size(); ++client) {
      for (const std::string& data : sent[client]) {
        ASSERT_EQ(Receive(sockets[client]), data) << "round " << round;
      }
    }
  }
  for (const int socket : sockets) ::close(socket);
}

TEST_P(UdpEcho, EverySizeComesBackWhole) {
  std::mt19937 random(TestSeed());
  const int socket = Open();
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{1472}, std::size_t{1473},
        std::size_t{9000}, std::size_t{65000}, kLargest, std::size_t{0}}) {
    const std::string data = RandomBytes(random, size);
    Send(socket, data);
    ASSERT_EQ(Receive(socket), data) << "of " << size << " bytes";
  }
  ::close(socket);
}

// Answers to them are refused by the network (ICMP).
TEST_P(UdpEcho, PeersThatVanishDisturbNobody) {
  const int socket = Open();
  for (int i = 0; i < 300; ++i) {
    for (int j = 0; j < 5; ++j) {
      const int vanishing = Open();
      Send(vanishing, "who is it?");
      ::close(vanishing);
    }
    const std::string data = "still there? " + std::to_string(i);
    Send(socket, data);
    ASSERT_EQ(Receive(socket), data);
  }
  ::close(socket);
}

TEST_P(UdpEcho, StopsAtSignalsInAFlood) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> floods;
  for (int i = 0; i < 2; ++i) {
    floods.emplace_back([&] {
      const int socket = Open();
      const std::string data(1000, 'x');
      // Fails once the server has gone, which is no matter.
      while (!stop.load()) ::send(socket, data.data(), data.size(), 0);
      ::close(socket);
    });
  }
  const int socket = Open();
  pollfd entry = {.fd = socket, .events = POLLIN, .revents = 0};
  // In the flood a datagram may be lost.
  for (int i = 0; i < kPatienceMs / 10; ++i) {
    Send(socket, "is it up?");
    if (::poll(&entry, 1, 10) == 1) break;
  }
  server().Signal(SIGINT);
  const Outcome outcome = server().Wait();
  stop.store(true);
  for (std::thread& flood : floods) flood.join();
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_NE(entry.revents & POLLIN, 0);
  ::close(socket);
}

INSTANTIATE_TEST_SUITE_P(
    , UdpEcho,
    ::testing::ValuesIn(OnEachBackend({{"udp_echo_server", ""},
                                       {"udp_echo_server", "", 0, "completion"},
                                       {"poll_replacement", ""}})),
    KindName);

}  // namespace
}  // namespace weir::testing
