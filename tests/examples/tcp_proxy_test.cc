// The TCP proxy, driven from both of its sides.

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/examples/server_process.h"
#include "tests/examples/stream_client.h"
#include "tests/examples/stream_side.h"

namespace weir::testing {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryTells = false;
#else
constexpr bool kMemoryTells = true;
#endif

// A socket bound to a port of its own on the loopback interface.
struct Bound {
  int socket = -1;
  std::string address;
};

Bound Bind() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof(address);
  EXPECT_EQ(::bind(socket, generic, length), 0);
  EXPECT_EQ(::getsockname(socket, generic, &length), 0);
  return {socket, "127.0.0.1:" + std::to_string(ntohs(address.sin_port))};
}

void SetPatience(int socket) {
  const timeval patience = {.tv_sec = kPatienceMs / 1000, .tv_usec = 0};
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

// What the next receive says: bytes, "" for the end, or errno as a number.
std::string ReceiveOnce(int socket) {
  std::array<char, 4096> buffer;
  const ssize_t bytes = ::recv(socket, buffer.data(), buffer.size(), 0);
  if (bytes < 0) return "errno " + std::to_string(errno);
  return std::string(buffer.data(), static_cast<std::size_t>(bytes));
}

const std::string kReset = "errno " + std::to_string(ECONNRESET);

// The test is the upstream server.
class TcpProxy : public ServerTest {
 protected:
  std::vector<std::string> ExtraArguments() override {
    Bound bound = Bind();
    listener_ = bound.socket;
    if (upstream_listens()) {
      EXPECT_EQ(::listen(listener_, 4096), 0);
    }
    SetPatience(listener_);
    return {"--upstream=" + bound.address};
  }

  void TearDown() override {
    ServerTest::TearDown();
    ::close(listener_);
  }

  virtual bool upstream_listens() const { return true; }

  int AcceptUpstream() {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    EXPECT_GE(socket, 0);
    SetPatience(socket);
    return socket;
  }

  // Both ends of one connection through the proxy.
  struct Ends {
    int client, upstream;
  };
  Ends Connect() {
    const int client = ConnectTo(address());
    EXPECT_GE(client, 0);
    return {client, AcceptUpstream()};
  }

  // Sends on both sides until neither goes on.
  static void SendUntilStalled(Side& a, Side& b, std::size_t most) {
    constexpr int kStallMs = 300;
    std::array<pollfd, 2> entries = {
        {{.fd = a.socket(), .events = POLLOUT, .revents = 0},
         {.fd = b.socket(), .events = POLLOUT, .revents = 0}}};
    while ((a.sent() < most || b.sent() < most) &&
           ::poll(entries.data(), entries.size(), kStallMs) > 0) {
      a.Send(most);
      b.Send(most);
      if (a.sent() == most) entries[0].fd = -1;
      if (b.sent() == most) entries[1].fd = -1;
    }
  }

  // Receives on both sides until both have seen the end.
  static void ReceiveToTheEnd(Side& a, Side& b) {
    while (!a.ended() || !b.ended()) {
      std::array<pollfd, 2> entries = {
          {{.fd = a.ended() ? -1 : a.socket(), .events = POLLIN, .revents = 0},
           {.fd = b.ended() ? -1 : b.socket(),
            .events = POLLIN,
            .revents = 0}}};
      ASSERT_GT(::poll(entries.data(), entries.size(), kPatienceMs), 0);
      for (Side* side : {&a, &b}) {
        if (entries[side == &a ? 0 : 1].revents != 0) side->Receive();
      }
      ASSERT_FALSE(a.wrong() || b.wrong());
    }
  }

  // Far more than the buffers of kernels hold.
  static constexpr std::size_t kTooMuch = 128 << 20;

  int listener_ = -1;
};

TEST_P(TcpProxy, BothSidesStalledThenEveryByteBothWays) {
  // Warm: the first connection's buffers are the proxy's own for good.
  const Ends first = Connect();
  ASSERT_EQ(::send(first.client, "x", 1, MSG_NOSIGNAL), 1);
  ASSERT_EQ(ReceiveOnce(first.upstream), "x");
  const long before = server().ResidentKib();

  const Ends ends = Connect();
  Side client(ends.client, 1, 2);
  Side upstream(ends.upstream, 2, 1);
  SendUntilStalled(client, upstream, kTooMuch);
  EXPECT_LT(client.sent(), kTooMuch);
  EXPECT_LT(upstream.sent(), kTooMuch);
  if (kMemoryTells) {
    EXPECT_LT(server().ResidentKib() - before, 4096);
  }
  // The others do not wait with it.
  ASSERT_EQ(::send(first.upstream, "y", 1, MSG_NOSIGNAL), 1);
  EXPECT_EQ(ReceiveOnce(first.client), "y");
  // Nor does it spin.
  const long processor_before = server().ProcessorMs();
  ::poll(nullptr, 0, 300);
  EXPECT_LE(server().ProcessorMs() - processor_before, 60);

  client.EndSending();
  upstream.EndSending();
  ReceiveToTheEnd(client, upstream);
  EXPECT_EQ(client.received(), upstream.sent());
  EXPECT_EQ(upstream.received(), client.sent());
  for (const int socket :
       {ends.client, ends.upstream, first.client, first.upstream}) {
    ::close(socket);
  }
}

// One side's stall does not keep the other direction.
TEST_P(TcpProxy, OneDirectionFlowsWhileTheOtherIsStalled) {
  WEIR_SKIP_WHERE_STALLED_SENDS_STAY();
  constexpr std::size_t kMuch = 64 << 20;
  const Ends ends = Connect();
  Side client(ends.client, 3, 4);
  Side upstream(ends.upstream, 4, 3);
  // The upstream server does not receive.
  Side unused(-1, 0, 0);
  SendUntilStalled(client, unused, kTooMuch);
  const std::size_t stalled_at = client.sent();
  ASSERT_LT(stalled_at, kTooMuch);
  const long before = server().ResidentKib();
  std::array<pollfd, 2> entries = {
      {{.fd = ends.client, .events = POLLIN, .revents = 0},
       {.fd = ends.upstream, .events = POLLOUT, .revents = 0}}};
  while (client.received() < kMuch) {
    if (upstream.sent() == kMuch) entries[1].fd = -1;
    ASSERT_GT(::poll(entries.data(), entries.size(), kPatienceMs), 0);
    if (entries[1].revents != 0) upstream.Send(kMuch);
    if (entries[0].revents != 0) client.Receive();
    ASSERT_FALSE(client.wrong());
  }
  if (kMemoryTells) {
    EXPECT_LT(server().ResidentKib() - before, 4096);
  }
  client.EndSending();
  upstream.EndSending();
  ReceiveToTheEnd(client, upstream);
  EXPECT_EQ(upstream.received(), stalled_at);
  ::close(ends.client);
  ::close(ends.upstream);
}

TEST_P(TcpProxy, HalfCloseIsCarriedThrough) {
  for (const bool client_first : {true, false}) {
    const Ends ends = Connect();
    Side first(client_first ? ends.client : ends.upstream, 5, 6);
    Side second(client_first ? ends.upstream : ends.client, 6, 5);
    // The end comes after what was sent before it, and leaves the other
    // direction open.
    first.Send(1000);
    first.EndSending();
    while (!second.ended()) {
      pollfd entry = {.fd = second.socket(), .events = POLLIN, .revents = 0};
      ASSERT_EQ(::poll(&entry, 1, kPatienceMs), 1);
      second.Receive();
    }
    EXPECT_EQ(second.received(), 1000u);
    char byte;
    EXPECT_EQ(::recv(first.socket(), &byte, 1, MSG_DONTWAIT), -1);
    EXPECT_EQ(errno, EAGAIN);
    second.Send(2000);
    second.EndSending();
    ReceiveToTheEnd(first, second);
    EXPECT_EQ(first.received(), 2000u);
    ::close(ends.client);
    ::close(ends.upstream);
  }
}

TEST_P(TcpProxy, ResetIsCarriedThrough) {
  for (const bool by_client : {true, false}) {
    const Ends ends = Connect();
    const int mine = by_client ? ends.client : ends.upstream;
    const int other = by_client ? ends.upstream : ends.client;
    ASSERT_EQ(::send(mine, "hello", 5, MSG_NOSIGNAL), 5);
    ASSERT_EQ(ReceiveOnce(other), "hello");
    CloseWithReset(mine);
    EXPECT_EQ(ReceiveOnce(other), kReset);
    ::close(other);
  }
}

// The proxy has ceased to receive from the one, because the other has stalled.
TEST_P(TcpProxy, ResetOfAStalledConnectionIsCarriedThrough) {
  WEIR_SKIP_WHERE_STALLED_SENDS_STAY();
  for (const bool by_client : {true, false}) {
    const Ends ends = Connect();
    const int mine = by_client ? ends.client : ends.upstream;
    const int other = by_client ? ends.upstream : ends.client;
    Side sending(mine, 13, 14);
    Side unused(-1, 0, 0);
    SendUntilStalled(sending, unused, kTooMuch);
    ASSERT_LT(sending.sent(), kTooMuch);
    CloseWithReset(mine);
    pollfd entry = {.fd = other, .events = 0, .revents = 0};
    ASSERT_EQ(::poll(&entry, 1, kPatienceMs), 1);
    EXPECT_NE(entry.revents & POLLERR, 0);
    ::close(other);
  }
}

// After the other direction has ended, too.
TEST_P(TcpProxy, ResetAfterHalfCloseIsCarriedThrough) {
  const Ends ends = Connect();
  ::shutdown(ends.client, SHUT_WR);
  ASSERT_EQ(ReceiveOnce(ends.upstream), "");
  CloseWithReset(ends.upstream);
  EXPECT_EQ(ReceiveOnce(ends.client), kReset);
  ::close(ends.client);
}

TEST_P(TcpProxy, ChurnLeavesNothingBehind) {
  std::mt19937 random(TestSeed());
  const Ends kept = Connect();
  const int before = HeldByServer();
  const auto churn = [&](int connections) {
    for (int i = 0; i < connections; ++i) {
      const Ends ends = Connect();
      const bool swap = random() % 2 == 0;
      const int a = swap ? ends.client : ends.upstream;
      const int b = swap ? ends.upstream : ends.client;
      if (random() % 2 == 0) {
        ASSERT_EQ(::send(a, "unheard", 7, MSG_NOSIGNAL), 7);
      }
      if (random() % 2 == 0) {
        CloseWithReset(a);
      } else {
        ::close(a);
      }
      if (random() % 2 == 0) ReceiveOnce(b);
      ::close(b);
    }
    // A round trip gives the proxy a turn to notice the last ones.
    const auto end = std::chrono::steady_clock::now() +
                     std::chrono::milliseconds(kPatienceMs);
    int held = 0;
    while ((held = HeldByServer()) > before &&
           std::chrono::steady_clock::now() < end) {
      ASSERT_EQ(::send(kept.client, "x", 1, MSG_NOSIGNAL), 1);
      ASSERT_EQ(ReceiveOnce(kept.upstream), "x");
    }
    EXPECT_LE(held, before);
  };
  churn(200);
  if (!IsEmulated()) {
    const long memory = server().ResidentKib();
    churn(2000);
    if (kMemoryTells) {
      EXPECT_LT(server().ResidentKib() - memory, 1024);
    }
  }
  ::close(kept.client);
  ::close(kept.upstream);
}

// TearDown() sees that it does.
TEST_P(TcpProxy, StopsWithConnectionsInEveryState) {
  std::vector<int> sockets;
  for (int i = 0; i < 12; ++i) {
    const Ends ends = Connect();
    sockets.push_back(ends.client);
    sockets.push_back(ends.upstream);
    Side client(ends.client, 7, 8), upstream(ends.upstream, 8, 7);
    switch (i % 4) {
      case 0:
        break;
      case 1:
        SendUntilStalled(client, upstream, 1 << 20);
        break;
      case 2:
        client.EndSending();
        ASSERT_EQ(ReceiveOnce(ends.upstream), "");
        break;
      case 3:
        upstream.Send(1 << 20);
        upstream.EndSending();
        break;
    }
  }
  server().Signal(SIGTERM);
  const Outcome outcome = server().Wait();
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  for (const int socket : sockets) ::close(socket);
}

// Nobody listens.
class TcpProxyRefused : public TcpProxy {
 protected:
  bool upstream_listens() const override { return false; }
};

TEST_P(TcpProxyRefused, ClientIsResetAtOnce) {
  const int before = HeldByServer();
  for (int i = 0; i < 50; ++i) {
    const int client = ConnectTo(address());
    // Whichever call comes first after the reset is told of it.
    if (i % 2 == 0 && ::send(client, "hello", 5, MSG_NOSIGNAL) < 0) {
      EXPECT_EQ(errno, ECONNRESET);
    } else {
      EXPECT_EQ(ReceiveOnce(client), kReset);
    }
    ::close(client);
  }
  EXPECT_LE(HeldByServer(), before + 2);
}

// The server is given by its name.
class TcpProxyToAName : public TcpProxy {
 protected:
  std::vector<std::string> ExtraArguments() override {
    std::string argument = TcpProxy::ExtraArguments().front();
    const std::size_t at = argument.find("127.0.0.1");
    EXPECT_NE(at, argument.npos);
    return {argument.replace(at, 9, "localhost")};
  }
};

TEST_P(TcpProxyToAName, ConnectsToAnAddressOfIt) {
  for (int i = 0; i < 3; ++i) {
    const Ends ends = Connect();
    ASSERT_EQ(::send(ends.client, "x", 1, MSG_NOSIGNAL), 1);
    EXPECT_EQ(ReceiveOnce(ends.upstream), "x");
    ::close(ends.client);
    EXPECT_EQ(ReceiveOnce(ends.upstream), "");
    ::close(ends.upstream);
  }
}

// An echo server behind it: the echo tests' streams hold through the proxy.
class TcpProxyToEcho : public ServerTest {
 protected:
  std::vector<std::string> ExtraArguments() override {
    echo_.emplace(
        "echo_server",
        std::vector<std::string>{"--backend=" + Backends().front(),
                                 "--listen=127.0.0.1:0"});
    const auto echo = echo_->WaitUntilListening();
    EXPECT_TRUE(echo.has_value());
    if (!echo.has_value()) return {};
    return {"--upstream=127.0.0.1:" + std::to_string(ntohs(echo->sin_port))};
  }

 private:
  std::optional<ServerProcess> echo_;
};

TEST_P(TcpProxyToEcho, ManyStreamsWithEndingsOfAllKinds) {
  std::mt19937 random(TestSeed());
  for (int round = 0; round < 3; ++round) {
    std::vector<StreamPlan> plans;
    for (int i = 0; i < 60; ++i) plans.push_back(RandomPlan(random, 1 << 20));
    for (int i = 0; i < 2; ++i) {
      plans.push_back({.size = 15 << 20,
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

const auto kKinds = ::testing::ValuesIn(OnEachBackend({{"tcp_proxy", ""}}));
INSTANTIATE_TEST_SUITE_P(, TcpProxy, kKinds, KindName);
INSTANTIATE_TEST_SUITE_P(, TcpProxyRefused, kKinds, KindName);
INSTANTIATE_TEST_SUITE_P(, TcpProxyToAName, kKinds, KindName);
INSTANTIATE_TEST_SUITE_P(, TcpProxyToEcho, kKinds, KindName);

}  // namespace
}  // namespace weir::testing
