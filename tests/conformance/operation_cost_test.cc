// What an operation costs in the steady state: no allocation (issue 3), and
// sends that wait together leave in one system call. Counted at operator new
// and at the system calls, which this program replaces.

#include <dlfcn.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/operations.h"
#include "tests/support/counted_new.h"
#include "weir/task.h"

namespace {

std::atomic<int> send_calls{0};

template <typename Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {
ssize_t send(int socket, const void* data, std::size_t size, int flags) {
  static auto* const next =
      Next<ssize_t(int, const void*, std::size_t, int)>("send");
  ++send_calls;
  return next(socket, data, size, flags);
}
ssize_t sendto(int socket, const void* data, std::size_t size, int flags,
               const sockaddr* address, socklen_t length) {
  static auto* const next = Next<ssize_t(int, const void*, std::size_t, int,
                                         const sockaddr*, socklen_t)>("sendto");
  ++send_calls;
  return next(socket, data, size, flags, address, length);
}
ssize_t sendmsg(int socket, const msghdr* message, int flags) {
  static auto* const next = Next<ssize_t(int, const msghdr*, int)>("sendmsg");
  ++send_calls;
  return next(socket, message, flags);
}
int sendmmsg(int socket, mmsghdr* messages, unsigned count, int flags) {
  static auto* const next =
      Next<int(int, mmsghdr*, unsigned, int)>("sendmmsg");
  ++send_calls;
  return next(socket, messages, count, flags);
}
}  // extern "C"

namespace weir::conformance {
namespace {

using test::allocations;

class OperationCost : public OperationsTest {
 protected:
  // The allocations of the second hundred of `step`s.
  template <typename Step>
  std::size_t Allocations(Step step) {
    for (int i = 0; i < 100; ++i) step();
    const std::size_t before = allocations.load();
    EXPECT_GT(before, 0u);  // they are counted at all
    for (int i = 0; i < 100; ++i) step();
    return allocations.load() - before;
  }
};
WEIR_CONFORMANCE_SUITE(OperationCost);

// A request and its reply, by handlers.
TEST_P(OperationCost, O02_OperationsAllocateNothing) {
  for (const int threads : {1, 2}) {
    auto measured = NewLoop(threads);
    StreamAndPeer pair = Connect(*measured);
    std::array<std::byte, 64> out{}, in{};
    int replies = 0;
    struct Server {
      void Receive() {
        MustOk(stream.Receive(buffer, [this](const Completion& done) {
          if (!done.ok()) return;
          MustOk(stream.Send(std::span(buffer).first(done.bytes),
                             [this](const Completion&) {
                               ++replies;
                               Receive();
                             }));
        }));
      }
      Stream& stream;
      int& replies;
      std::array<std::byte, 64> buffer{};
    } server{pair.stream, replies};
    MustOk(measured->Post([&] { server.Receive(); }));
    const std::size_t allocated = Allocations([&] {
      const int before = replies;
      MustOk(pair.peer.Send(out).status());
      while (replies == before) {
        MustOk(measured->RunOnce(kPatience).status());
      }
      MustOk(pair.peer.Receive(in).status());
    });
    EXPECT_EQ(allocated, 0u) << threads;
    measured.reset();  // the handlers go before what they refer to
  }
}

// With deadlines and handles, received by lending, sent by copies.
TEST_P(OperationCost, O02_DeadlinesCopiesAndLentBuffersAllocateNothing) {
  StreamAndPeer pair = Connect();
  std::array<std::byte, 64> out{}, in{};
  std::size_t received = 0;
  Operation flush;
  bool flushed = false;
  MustOk(pair.stream.StartReceive([&](const Received& got) {
    received += got.data.size();
    if (got.end()) return;
    MustOk(pair.stream.SendCopy(got.data).status());
    MustOk(pair.stream.Flush([&](const Completion&) { flushed = true; },
                             {.timeout = absl::Seconds(30)}));
  }));
  const std::size_t allocated = Allocations([&] {
    flushed = false;
    MustOk(pair.peer.Send(out).status());
    while (!flushed) Turn();
    MustOk(pair.peer.Receive(in).status());
  });
  EXPECT_EQ(allocated, 0u);
  EXPECT_EQ(received, 200 * out.size());
  DestroyLoop();
}

// Awaited: the coroutine's frame is all there is.
TEST_P(OperationCost, O02_AwaitingAllocatesNothing) {
  StreamAndPeer pair = Connect();
  std::array<std::byte, 64> out{}, in{};
  int replies = 0;
  Spawn([](Stream& stream, int& count) -> Task<> {
    std::array<std::byte, 64> buffer{};
    while (true) {
      const Completion got = co_await stream.Read(buffer);
      if (!got.ok() || got.bytes == 0) co_return;
      (void)co_await stream.Write(std::span(buffer).first(got.bytes));
      ++count;
    }
  }(pair.stream, replies));
  const std::size_t allocated = Allocations([&] {
    const int before = replies;
    MustOk(pair.peer.Send(out).status());
    while (replies == before) Turn();
    MustOk(pair.peer.Receive(in).status());
  });
  EXPECT_EQ(allocated, 0u);
  DestroyLoop();
}

// How many segments with data a TCP socket was sent (tcp(7)).
int SegmentsReceived(const Socket& socket) {
  tcp_info info = {};
  socklen_t length = sizeof(info);
  EXPECT_EQ(::getsockopt(static_cast<int>(socket.native()), IPPROTO_TCP,
                         TCP_INFO, &info, &length),
            0);
  return static_cast<int>(info.tcpi_data_segs_in);
}

// One call makes one segment of them; one each, with Nagle's algorithm off,
// would make as many as there are sends.
TEST_P(OperationCost, O06_SendsThatWaitTogetherLeaveInOneCall) {
  StreamAndPeer pair = Connect(AddressFamily::kIpv4);
  ASSERT_OK(pair.stream.SetOption(SocketOption::kNoDelay, 1));
  Indications told;
  const std::vector<ConstBuffer> parts = {BytesOf("d"), BytesOf("e")};
  for (const char* text : {"a", "b", "c"}) {
    ASSERT_OK(pair.stream.Send(BytesOf(text), told.Handler("s")));
  }
  ASSERT_OK(pair.stream.SendVector(parts, told.Handler("v")));
  ASSERT_OK(pair.stream.SendCopy(BytesOf("f")));
  ASSERT_OK(pair.stream.Send(BytesOf("g"), told.Handler("s")));
  const int before = send_calls.load();
  TurnUntilCount(told, 5);
  // None at all where the kernel is asked in another way.
  EXPECT_LE(send_calls.load() - before, 1);
  std::string arrived;
  while (arrived.size() < 7 && !HasFailure()) {
    AwaitReadable(pair.peer);
    arrived += Receive(pair.peer);
  }
  EXPECT_EQ(arrived, "abcdefg");
  EXPECT_EQ(SegmentsReceived(pair.peer), 1);
}

// Whatever it is made of, and in the order in which it was given.
TEST_P(OperationCost, O06_WhatOneHandlerSendsLeavesInOneCall) {
  StreamAndPeer pair = Connect(AddressFamily::kIpv4);
  ASSERT_OK(pair.stream.SetOption(SocketOption::kNoDelay, 1));
  std::array<std::byte, 16> in{};
  Indications told;
  const auto receive = [&](auto& again) -> void {
    MustOk(pair.stream.Receive(in, [&](const Completion& got) {
      if (!got.ok()) return;
      const ConstBuffer data = std::span(in).first(got.bytes);
      MustOk(pair.stream.SendCopy(data).status());
      MustOk(pair.stream.Send(BytesOf("b"), told.Handler("s")));
      MustOk(pair.stream.SendCopy(BytesOf("c")).status());
      MustOk(pair.stream.Send(BytesOf("d"), told.Handler("s")));
      // What was copied is the stream's.
      in.fill(std::byte{'x'});
      again(again);
    }));
  };
  receive(receive);
  for (std::size_t round = 1; round <= 3; ++round) {
    MustOk(pair.peer.Send(BytesOf("a")).status());
    const int before = send_calls.load();
    TurnUntilCount(told, 2 * round);
    EXPECT_LE(send_calls.load() - before, 1);
    std::string arrived;
    while (arrived.size() < 4 && !HasFailure()) {
      AwaitReadable(pair.peer);
      arrived += Receive(pair.peer);
    }
    EXPECT_EQ(arrived, "abcd");
    EXPECT_EQ(SegmentsReceived(pair.peer), static_cast<int>(round));
  }
  DestroyLoop();
}

// The same of what is sent on while it is lent, and of what comes after it.
TEST_P(OperationCost, O12_WhatIsSentOnLeavesInOneCall) {
  StreamAndPeer pair = Connect(AddressFamily::kIpv4);
  ASSERT_OK(pair.stream.SetOption(SocketOption::kNoDelay, 1));
  Indications told;
  MustOk(pair.stream.StartReceive([&](const Received& got) {
    if (got.end()) return;
    MustOk(pair.stream.SendCopy(got.data.subspan(1)).status());
    MustOk(pair.stream.SendCopy(got.data.first(1)).status());
    MustOk(pair.stream.SendCopy(BytesOf("!")).status());
    MustOk(pair.stream.Flush(told.Handler("f")));
  }));
  for (std::size_t round = 1; round <= 3; ++round) {
    MustOk(pair.peer.Send(BytesOf("abc")).status());
    const int before = send_calls.load();
    TurnUntilCount(told, round);
    EXPECT_LE(send_calls.load() - before, 1);
    std::string arrived;
    while (arrived.size() < 4 && !HasFailure()) {
      AwaitReadable(pair.peer);
      arrived += Receive(pair.peer);
    }
    EXPECT_EQ(arrived, "bca!");
    EXPECT_EQ(SegmentsReceived(pair.peer), static_cast<int>(round));
  }
  DestroyLoop();
}

// What the mechanism has to be told of that goes with the next wait, for all of
// them.
TEST_P(OperationCost, C01_StreamsThatEndTogetherAreClosedWithFewCalls) {
  if (!loop().capabilities().submissions) {
    GTEST_SKIP() << "each is taken back by a call of its own";
  }
  constexpr int kStreams = 16;
  std::vector<StreamAndPeer> pairs;
  for (int i = 0; i < kStreams; ++i) pairs.push_back(Connect());
  int closed = 0;
  for (StreamAndPeer& pair : pairs) {
    MustOk(pair.stream.StartReceive([&](const Received& got) {
      if (got.end()) MustOk(pair.stream.Close([&closed] { ++closed; }));
    }));
  }
  Turn();
  for (StreamAndPeer& pair : pairs) pair.peer.Close();
  const std::uint64_t before = loop().counters().system_calls;
  while (closed < kStreams) Turn();
  EXPECT_LT(loop().counters().system_calls - before, kStreams);
}

// weir/datagram_socket.h: datagrams that wait leave together in one call.
TEST_P(OperationCost, O06_DatagramsThatWaitTogetherLeaveInOneCall) {
  DatagramSocket from =
      Must(DatagramSocket::Bind(loop(), SocketAddress::Ipv4Loopback(0)));
  Socket to = Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0)));
  Indications told;
  for (int i = 0; i < 8; ++i) {
    ASSERT_OK(from.SendTo(BytesOf("x"), AddressOf(to), told.Handler("s")));
  }
  const int before = send_calls.load();
  TurnUntilCount(told, 8);
  EXPECT_LE(send_calls.load() - before, 1);
}

}  // namespace
}  // namespace weir::conformance
