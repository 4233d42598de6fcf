// Operations that are awaited (weir/awaitable.h, weir/task.h).

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/loop_threads.h"
#include "tests/conformance/operations.h"
#include "weir/file.h"
#include "weir/task.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class AwaitableConformance : public OperationsTest {};
WEIR_CONFORMANCE_SUITE(AwaitableConformance);

// Coroutines take what they need as parameters: those live in the frame.
Task<absl::Status> Echo(Stream stream) {
  std::array<std::byte, 1024> buffer;
  while (true) {
    const Completion in = co_await stream.Read(buffer);
    if (!in.ok()) co_return in.status;
    if (in.bytes == 0) {
      const Completion ended = co_await stream.Disconnected();
      co_return ended.status;
    }
    const Completion out =
        co_await stream.Write(std::span(buffer).first(in.bytes));
    if (!out.ok()) co_return out.status;
  }
}

TEST_P(AwaitableConformance, O01_AnEchoAsACoroutine) {
  for (const AddressFamily family : test::Available({AddressFamily::kUnix, AddressFamily::kIpv4})) {
    StreamAndPeer pair = Connect(family);
    std::optional<absl::Status> result;
    Spawn(Echo(std::move(pair.stream)),
          [&](absl::Status status) { result = std::move(status); });
    const std::string data = Pattern(200000);
    std::size_t given = 0;
    std::string arrived;
    PumpUntil([&] {
      if (given < data.size()) {
        given += Must(pair.peer.Send(
                          BytesOf(std::string_view(data).substr(given))))
                     .bytes;
      }
      arrived += Drain(pair.peer);
      return arrived.size() == data.size();
    });
    EXPECT_TRUE(arrived == data);
    EXPECT_FALSE(result.has_value());
    MustOk(pair.peer.Shutdown(ShutdownDirection::kSend));
    TurnUntil([&] { return result.has_value(); });
    EXPECT_OK(*result);
    AwaitPeerClosed(pair.peer);
  }
}

// Nothing happens before it is awaited, nor inside the await.
TEST_P(AwaitableConformance, O07_ItGoesOnInALaterTurn) {
  StreamAndPeer pair = Connect();
  Send(pair.peer, "abc");
  Indications told;
  Room room(8);
  {
    auto unused = pair.stream.Read(room);
    (void)unused;
  }
  Turn();
  Spawn([](Stream& stream, MutableBuffer into, Indications log) -> Task<> {
    log.Note("begun");
    const Completion done = co_await stream.Read(into);
    log.Note(Entry("read", done.status, done.bytes));
  }(pair.stream, room, told));
  EXPECT_THAT(told.Take(), ElementsAre("begun"));
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.Take(), ElementsAre("read OK 3"));
}

// What cannot be started gives its status at once.
TEST_P(AwaitableConformance, O02_WhatIsNotStartedGivesItsStatusAtOnce) {
  StreamAndPeer pair = Connect();
  Indications told;
  Spawn([](Stream& stream, Indications log) -> Task<> {
    Completion done = co_await stream.Read(MutableBuffer());
    log.Note(Entry("empty", done.status, done.bytes));
    Stream none;
    done = co_await none.Write(BytesOf("x"));
    log.Note(Entry("none", done.status, done.bytes));
    done = co_await stream.Flushed({.timeout = absl::ZeroDuration()});
    log.Note(Entry("timeout", done.status, done.bytes));
    weir::Listener nobody;
    const auto accepted = co_await nobody.Next();
    log.Note(Entry("accept", accepted.status(), 0));
  }(pair.stream, told));
  EXPECT_THAT(told.entries(), ElementsAre("empty INVALID_ARGUMENT 0",
                                          "none FAILED_PRECONDITION 0",
                                          "timeout INVALID_ARGUMENT 0",
                                          "accept FAILED_PRECONDITION 0"));
}

TEST_P(AwaitableConformance, O10_CancelAndDeadlineEndAnAwait) {
  StreamAndPeer pair = Connect();
  Indications told;
  Room room(8);
  Operation handle;
  Spawn([](Stream& stream, MutableBuffer into, Operation& operation,
           Indications log) -> Task<> {
    Completion done = co_await stream.Read(
        into, {.timeout = absl::Milliseconds(5)});
    log.Note(Entry("deadline", done.status, done.bytes));
    done = co_await stream.Read(into, {.handle = &operation});
    log.Note(Entry("cancel", done.status, done.bytes));
    done = co_await stream.Read(into);
    log.Note(Entry("close", done.status, done.bytes));
    done = co_await stream.Read(into);
    log.Note(Entry("closed", done.status, done.bytes));
  }(pair.stream, room, handle, told));
  TurnUntilCount(told, 1);
  ASSERT_OK(handle.Cancel());
  TurnUntilCount(told, 2);
  ASSERT_OK(pair.stream.Close());
  TurnUntilCount(told, 4);
  EXPECT_THAT(told.entries(), ElementsAre("deadline DEADLINE_EXCEEDED 0",
                                          "cancel CANCELLED 0",
                                          "close CANCELLED 0",
                                          "closed FAILED_PRECONDITION 0"));
}

// A server and its client, every await there is.
TEST_P(AwaitableConformance, O01_EveryOperationIsAwaited) {
  weir::Listener listener = Must(
      weir::Listener::Listen(loop(), SocketAddress::Ipv4Loopback(0)));
  const SocketAddress address = Must(listener.LocalAddress());
  const File file = Must(File::Open(test::ThisProgram()));
  Indications server, client;
  Spawn([](weir::Listener& from, const File& sent,
           Indications log) -> Task<> {
    absl::StatusOr<AcceptedStream> accepted = co_await from.Next();
    log.Note(Entry("accept", accepted.status(), 0));
    Stream stream = std::move(accepted->stream);
    Completion done = co_await stream.WriteFile(sent, 0, 1000);
    log.Note(Entry("file", done.status, done.bytes));
    done = co_await stream.Flushed();
    log.Note(Entry("flush", done.status, done.bytes));
    done = co_await stream.Disconnected();
    log.Note(Entry("disconnect", done.status, done.bytes));
  }(listener, file, server));
  Spawn([](EventLoop& on, SocketAddress to, Indications log) -> Task<> {
    Stream stream = Must(Stream::Open(on, AddressFamily::kIpv4));
    Completion done = co_await stream.ConnectTo(to);
    log.Note(Entry("connect", done.status, done.bytes));
    std::array<std::byte, 4096> buffer;
    std::size_t all = 0;
    do {
      done = co_await stream.Read(buffer);
      all += done.bytes;
    } while (done.ok() && done.bytes > 0);
    log.Note(Entry("read", done.status, all));
  }(loop(), address, client));
  TurnUntilCount(server, 4);
  TurnUntilCount(client, 2);
  EXPECT_THAT(server.entries(), ElementsAre("accept OK 0", "file OK 1000",
                                            "flush OK 0", "disconnect OK 0"));
  EXPECT_THAT(client.entries(), ElementsAre("connect OK 0", "read OK 1000"));
  // The loss of a connection.
  StreamAndPeer pair = Connect(AddressFamily::kIpv4);
  Indications lost;
  Spawn([](Stream& stream, Indications log) -> Task<> {
    const Completion done = co_await stream.UntilReset();
    log.Note(Entry("reset", done.status, done.bytes));
  }(pair.stream, lost));
  Reset(pair.peer);
  TurnUntilCount(lost, 1);
  EXPECT_THAT(lost.entries(), ElementsAre("reset UNAVAILABLE 0"));
  // Datagrams.
  DatagramSocket socket =
      Must(DatagramSocket::Bind(loop(), SocketAddress::Ipv4Loopback(0)));
  Indications told;
  Spawn([](DatagramSocket& from, Indications log) -> Task<> {
    const Completion sent =
        co_await from.WriteTo(BytesOf("abc"), Must(from.LocalAddress()));
    log.Note(Entry("sent", sent.status, sent.bytes));
    std::array<std::byte, 8> buffer;
    const DatagramCompletion got = co_await from.ReadFrom(buffer);
    log.Note(Entry("got", got.status, got.bytes));
  }(socket, told));
  TurnUntilCount(told, 2);
  EXPECT_THAT(told.entries(), ElementsAre("sent OK 3", "got OK 3"));
}

// Tasks: lazy, with results, awaiting one another without growing the stack.
Task<int> Sum(int count) {
  if (count == 0) co_return 0;
  const int rest = co_await Sum(count - 1);
  co_return rest + count;
}

TEST_P(AwaitableConformance, O01_TasksAwaitTasks) {
  int result = 0;
  Spawn(Sum(1000), [&](int sum) { result = sum; });
  EXPECT_EQ(result, 500500);
  // One that is never awaited is freed, and its parameters with it.
  Indications told;
  auto alive = std::make_shared<int>(1);
  {
    const auto unused = [](std::shared_ptr<int>) -> Task<> { co_return; }(alive);
    EXPECT_EQ(alive.use_count(), 2);
  }
  EXPECT_EQ(alive.use_count(), 1);
  Spawn([](std::shared_ptr<int>) -> Task<> { co_return; }(alive),
        [&] { told.Note("done"); });
  EXPECT_THAT(told.entries(), ElementsAre("done"));
  EXPECT_EQ(alive.use_count(), 1);
}

// The end of the loop goes on with everybody who awaits.
TEST_P(AwaitableConformance, C04_TheEndOfTheLoopEndsEveryAwait) {
  std::unique_ptr<EventLoop> ended = NewLoop();
  std::vector<Socket> peers;
  int results = 0;
  for (int i = 0; i < 5; ++i) {
    StreamAndPeer pair = Connect(*ended);
    peers.push_back(std::move(pair.peer));
    Spawn(Echo(std::move(pair.stream)), [&](absl::Status status) {
      EXPECT_CODE(status, kCancelled);
      ++results;
    });
  }
  MustOk(ended->RunOnce(absl::ZeroDuration()).status());
  ended.reset();
  EXPECT_EQ(results, 5);
  for (Socket& peer : peers) AwaitPeerClosed(peer);
}

// On several threads, each echo goes from one to another.
TEST_P(AwaitableConformance, O01_EchoesOnSeveralThreads) {
  const auto running = NewLoop(4);
  constexpr int kCount = 8;
  std::vector<Socket> peers;
  Tally ended;
  for (int i = 0; i < kCount; ++i) {
    StreamAndPeer pair = Connect(*running);
    peers.push_back(std::move(pair.peer));
    Spawn(Echo(std::move(pair.stream)), [&](absl::Status status) {
      EXPECT_OK(status);
      ended.Add();
    });
  }
  LoopThreads run(*running, 4);
  for (int round = 0; round < 100; ++round) {
    for (Socket& peer : peers) Send(peer, "hello");
    for (Socket& peer : peers) {
      std::string arrived;
      while (arrived.size() < 5) {
        AwaitReadable(peer);
        arrived += Receive(peer);
        if (HasFailure()) return;
      }
      EXPECT_EQ(arrived, "hello");
    }
  }
  for (Socket& peer : peers) MustOk(peer.Shutdown(ShutdownDirection::kSend));
  ended.AwaitAtLeast(kCount);
}

}  // namespace
}  // namespace weir::conformance
