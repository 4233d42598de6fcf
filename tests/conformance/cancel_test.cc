// Cancelling operations: one, or all of a socket (O10).

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/conformance/operations.h"
#include "weir/file.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CancelConformance : public OperationsTest {
 protected:
  static void ExpectRefused(Stream& stream, Indications& told) {
    Room room(4);
    const File file = Must(File::Open(test::ThisProgram()));
    EXPECT_CODE(stream.Receive(room, told.Handler("x")), kFailedPrecondition);
    EXPECT_CODE(stream.Send(BytesOf("x"), told.Handler("x")),
                kFailedPrecondition);
    EXPECT_CODE(stream.SendFile(file, 0, 1, told.Handler("x")),
                kFailedPrecondition);
    EXPECT_CODE(stream.Flush(told.Handler("x")), kFailedPrecondition);
    EXPECT_CODE(stream.Disconnect(told.Handler("x")), kFailedPrecondition);
    EXPECT_CODE(stream.SendCopy(BytesOf("x")), kFailedPrecondition);
    EXPECT_CODE(stream.StartReceive(told.ForReceived("x")),
                kFailedPrecondition);
    EXPECT_CODE(
        stream.Connect(SocketAddress::Ipv4Loopback(1), told.Handler("x")),
        kFailedPrecondition);
  }
  void ExpectCloses(Stream& stream, Indications& told) {
    told.Take();
    EXPECT_TRUE(stream.is_open());
    ASSERT_OK(stream.Close(told.ForClose("closed")));
    TurnUntilCount(told, 1);
    EXPECT_THAT(told.Take(), ElementsAre("closed"));
    EXPECT_EQ(told.alive(), 0);
  }
};
WEIR_CONFORMANCE_SUITE(CancelConformance);

using Start = std::function<absl::Status(
    Stream&, CompletionHandler, const OperationOptions&)>;
struct Startable {
  const char* name;
  bool breaks;
  Start start;
};

std::vector<Startable> StreamOperations() {
  static Room& room = *new Room(8);
  static const File& file = *new File(Must(File::Open(test::ThisProgram())));
  return {
      {"receive", false,
       [](Stream& stream, CompletionHandler handler,
          const OperationOptions& options) {
         return stream.Receive(room, std::move(handler), options);
       }},
      {"send", true,
       [](Stream& stream, CompletionHandler handler,
          const OperationOptions& options) {
         return stream.Send(BytesOf("send"), std::move(handler), options);
       }},
      {"send file", true,
       [](Stream& stream, CompletionHandler handler,
          const OperationOptions& options) {
         return stream.SendFile(file, 0, 100, std::move(handler), options);
       }},
      {"flush", false,
       [](Stream& stream, CompletionHandler handler,
          const OperationOptions& options) {
         return stream.Flush(std::move(handler), options);
       }},
  };
}

// Cancelled before its first turn, and after it was tried.
TEST_P(CancelConformance, O10_EachKindIsCancelledOnce) {
  for (const Startable& kind : StreamOperations()) {
    for (const bool tried : {false, true}) {
      SCOPED_TRACE(kind.name);
      StreamAndPeer pair = Connect();
      Indications told, fill;
      if (tried) FillSends(pair.stream, fill);
      Operation operation;
      ASSERT_OK(
          kind.start(pair.stream, told.Handler("o"), {.handle = &operation}));
      if (tried) {
        Turn();
        TurnPastSentinel();
      }
      ASSERT_EQ(told.count(), 0u);
      EXPECT_FALSE(operation.done());
      EXPECT_OK(operation.Cancel());
      // Not inside the call.
      EXPECT_EQ(told.count(), 0u);
      TurnUntilCount(told, 1);
      TurnPastSentinel();
      EXPECT_THAT(told.Take(), ElementsAre("o CANCELLED 0"));
      EXPECT_TRUE(operation.done());
      EXPECT_CODE(operation.Cancel(), kFailedPrecondition);
      EXPECT_CODE(Must(operation.Result()).status, kCancelled);
      if (kind.breaks) {
        ExpectRefused(pair.stream, told);
      } else if (!tried) {
        ASSERT_OK(pair.stream.Send(BytesOf("x"), told.Handler("s")));
        TurnUntilCount(told, 1);
        EXPECT_THAT(told.Take(), ElementsAre("s OK 1"));
      }
      ExpectCloses(pair.stream, told);
    }
  }
}

// A disconnect that waits behind a send: cancelled, it leaves only the closing.
TEST_P(CancelConformance, O10_ADisconnectThatWaitsIsCancelled) {
  StreamAndPeer pair = Connect();
  Indications told, fill;
  const std::size_t given = FillSends(pair.stream, fill);
  Operation operation;
  ASSERT_OK(pair.stream.Disconnect(told.Handler("d"), {.handle = &operation}));
  ASSERT_OK(operation.Cancel());
  // What was to be sent before it still goes out.
  PumpUntil([&] {
    Drain(pair.peer);
    return fill.alive() == 0;
  });
  EXPECT_THAT(fill.entries(), ElementsAre(absl::StrCat("fill OK ", given)));
  EXPECT_THAT(told.entries(), ElementsAre("d CANCELLED 0"));
}

TEST_P(CancelConformance, O10_AConnectIsCancelled) {
  for (const bool tried : {false, true}) {
    // A listener without room leaves a connect pending (listen(2)).
    Socket listener = Must(Socket::Listen(SocketAddress::Ipv4Loopback(0),
                                          {.backlog = 1}));
    std::vector<Stream> streams;
    std::vector<Operation> operations;
    Indications told;
    const int count = 8;
    for (int i = 0; i < count; ++i) {
      streams.push_back(Must(Stream::Open(loop(), AddressFamily::kIpv4)));
      operations.emplace_back();
      ASSERT_OK(streams.back().Connect(AddressOf(listener), told.Handler("c"),
                                       {.handle = &operations.back()}));
    }
    if (tried) {
      Turn();
      TurnPastSentinel();
    }
    int cancelled = 0;
    for (Operation& operation : operations) {
      if (operation.Cancel().ok()) ++cancelled;
    }
    EXPECT_GT(cancelled, 0);
    TurnUntilCount(told, count);
    TurnPastSentinel();
    EXPECT_EQ(told.count(), static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
      const absl::Status status = Must(operations[i].Result()).status;
      if (status.ok()) continue;
      --cancelled;
      EXPECT_CODE(status, kCancelled);
      Indications refused;
      ExpectRefused(streams[i], refused);
      ExpectCloses(streams[i], refused);
    }
    EXPECT_EQ(cancelled, 0);
  }
}

// Survey traps 48 and 56.
TEST_P(CancelConformance, O10_WhatHasEndedKeepsItsResult) {
  StreamAndPeer pair = Connect();
  Indications told;
  Room first(1), second(1);
  Operation ended, waiting;
  bool given_up = false;
  ASSERT_OK(pair.stream.Receive(
      first, told.Handler("1",
                          [&](const Completion&) {
                            EXPECT_CODE(ended.Cancel(), kFailedPrecondition);
                            // One that has ended and is still to be told; or,
                            // where the mechanism receives by itself, one that
                            // it has only been given.
                            EXPECT_FALSE(waiting.done());
                            given_up = waiting.Cancel().ok();
                          }),
      {.handle = &ended}));
  ASSERT_OK(pair.stream.Receive(second, told.Handler("2"),
                                {.handle = &waiting}));
  Send(pair.peer, "ab");
  TurnUntilCount(told, 2);
  const bool cancelled = given_up && !Must(waiting.Result()).ok();
  EXPECT_THAT(told.Take(), ElementsAre("1 OK 1", cancelled ? "2 CANCELLED 0"
                                                           : "2 OK 1"));
  EXPECT_CODE(ended.Cancel(), kFailedPrecondition);
  EXPECT_CODE(waiting.Cancel(), kFailedPrecondition);
  TurnPastSentinel();
  EXPECT_THAT(told.entries(), IsEmpty());
  // The stream is as good as before.
  ASSERT_OK(pair.stream.Send(BytesOf("x"), told.Handler("s")));
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.entries(), ElementsAre("s OK 1"));
  EXPECT_CODE(Operation().Cancel(), kFailedPrecondition);
}

// Survey trap 50: not a byte comes into its buffer, and none is lost.
TEST_P(CancelConformance, O10_ACancelledReceiveTakesNothing) {
  StreamAndPeer pair = Connect();
  Indications told;
  Room first(4), second(4), third(4);
  Operation operation;
  ASSERT_OK(pair.stream.Receive(first, told.Handler("1")));
  ASSERT_OK(pair.stream.Receive(second, told.Handler("2"),
                                {.handle = &operation}));
  ASSERT_OK(pair.stream.Receive(third, told.Handler("3")));
  Turn();
  ASSERT_OK(operation.Cancel());
  Send(pair.peer, "abcdefgh");
  TurnUntilCount(told, 3);
  EXPECT_THAT(told.entries(), ElementsAre("2 CANCELLED 0", "1 OK 4", "3 OK 4"));
  EXPECT_EQ(first.all() + second.all() + third.all(), "abcd....efgh");
}

// What was before the cancelled send goes out, what was behind it cannot.
TEST_P(CancelConformance, O10_SendsBehindACancelledOneAreCancelled) {
  StreamAndPeer pair = Connect();
  Indications told, fill;
  const std::size_t given = FillSends(pair.stream, fill);
  Operation middle;
  Room room(4);
  ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
  ASSERT_OK(pair.stream.Send(BytesOf("before"), told.Handler("before")));
  ASSERT_OK(pair.stream.Send(BytesOf("middle"), told.Handler("middle"),
                             {.handle = &middle}));
  ASSERT_OK(pair.stream.Send(BytesOf("after"), told.Handler("after")));
  ASSERT_OK(pair.stream.Flush(told.Handler("flush")));
  ASSERT_OK(middle.Cancel());
  TurnUntilCount(told, 3);
  EXPECT_THAT(told.Take(), ElementsAre("middle CANCELLED 0",
                                       "after CANCELLED 0",
                                       "flush CANCELLED 0"));
  std::string arrived;
  PumpUntil([&] {
    arrived += Drain(pair.peer);
    return arrived.size() >= given + 6;
  });
  EXPECT_EQ(arrived.substr(given), "before");
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.Take(), ElementsAre("before OK 6"));
  // A receive that was started before goes on.
  Send(pair.peer, "x");
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.Take(), ElementsAre("r OK 1"));
  ExpectRefused(pair.stream, told);
  ExpectCloses(pair.stream, told);
}

// Nobody may go on sending behind a hole.
TEST_P(CancelConformance, O10_AStreamWithACancelledSendIsNotGivenBack) {
  StreamAndPeer pair = Connect();
  Indications told;
  Operation operation;
  ASSERT_OK(pair.stream.Send(BytesOf("send"), told.Handler("s"),
                             {.handle = &operation}));
  ASSERT_OK(operation.Cancel());
  TurnUntilCount(told, 1);
  EXPECT_CODE(pair.stream.Detach(), kFailedPrecondition);
  EXPECT_TRUE(pair.stream.is_open());
}

// A send that was cut in the middle says how many bytes went out.
TEST_P(CancelConformance, O10_ACancelledSendSaysHowMuchWasConsumed) {
  StreamAndPeer pair = Connect();
  Indications told;
  const std::string data = Pattern(kMoreThanFits);
  Operation operation;
  ASSERT_OK(pair.stream.Send(BytesOf(data), told.Handler("s"),
                             {.handle = &operation}));
  Turn();
  TurnPastSentinel();
  ASSERT_OK(operation.Cancel());
  TurnUntilCount(told, 1);
  TurnPastSentinel();
  const std::string arrived = Drain(pair.peer);
  ASSERT_GT(arrived.size(), 0u);
  EXPECT_TRUE(data.compare(0, arrived.size(), arrived) == 0);
  EXPECT_THAT(told.entries(),
              ElementsAre(absl::StrCat("s CANCELLED ", arrived.size())));
}

TEST_P(CancelConformance, O10_CancelAllEndsEachOnceInOrder) {
  StreamAndPeer pair = Connect();
  Indications received, sent;
  std::vector<Room> rooms(3, Room(4));
  ASSERT_OK(pair.stream.Cancel());  // of nothing
  const std::string big = Pattern(kMoreThanFits);
  for (std::size_t i = 0; i < rooms.size(); ++i) {
    ASSERT_OK(
        pair.stream.Receive(rooms[i], received.Handler(absl::StrCat("r", i))));
  }
  ASSERT_OK(pair.stream.Cancel());
  TurnUntilCount(received, 3);
  EXPECT_THAT(received.Take(),
              ElementsAre("r0 CANCELLED 0", "r1 CANCELLED 0",
                          "r2 CANCELLED 0"));
  // Receives alone leave it usable.
  ASSERT_OK(pair.stream.Send(BytesOf(big), sent.Handler("big")));
  ASSERT_OK(pair.stream.Send(BytesOf("later"), sent.Handler("later")));
  ASSERT_OK(pair.stream.Receive(rooms[0], received.Handler("r")));
  Turn();
  ASSERT_OK(pair.stream.Cancel());
  TurnUntilCount(received, 1);
  TurnUntilCount(sent, 2);
  TurnPastSentinel();
  EXPECT_THAT(received.Take(), ElementsAre("r CANCELLED 0"));
  EXPECT_THAT(sent.Take(), ElementsAre(absl::StrCat("big CANCELLED ",
                                                    Drain(pair.peer).size()),
                                       "later CANCELLED 0"));
  ExpectRefused(pair.stream, sent);
  ExpectCloses(pair.stream, sent);
}

// From a handler: those that were told already, or are about to be, are not.
TEST_P(CancelConformance, O10_CancelAllFromAHandler) {
  StreamAndPeer pair = Connect();
  Indications told;
  std::vector<Room> rooms(3, Room(1));
  ASSERT_OK(pair.stream.Receive(
      rooms[0], told.Handler("0", [&](const Completion&) {
        EXPECT_OK(pair.stream.Cancel());
        EXPECT_OK(pair.stream.Cancel());
      })));
  ASSERT_OK(pair.stream.Receive(rooms[1], told.Handler("1")));
  ASSERT_OK(pair.stream.Receive(rooms[2], told.Handler("2")));
  Send(pair.peer, "ab");
  TurnUntilCount(told, 3);
  TurnPastSentinel();
  EXPECT_THAT(told.entries(), ElementsAre("0 OK 1", "1 OK 1", "2 CANCELLED 0"));
}

TEST_P(CancelConformance, O10_AcceptsAreCancelledAndTheListenerGoesOn) {
  weir::Listener listener = Must(
      weir::Listener::Listen(loop(), SocketAddress::Ipv4Loopback(0)));
  Indications told;
  Operation one;
  ASSERT_OK(listener.Accept(told.ForAccept("1"), {.handle = &one}));
  ASSERT_OK(listener.Accept(told.ForAccept("2")));
  Turn();
  ASSERT_OK(one.Cancel());
  TurnUntilCount(told, 1);
  ASSERT_OK(listener.Cancel());
  TurnUntilCount(told, 2);
  EXPECT_THAT(told.Take(), ElementsAre("1 CANCELLED 0", "2 CANCELLED 0"));
  EXPECT_CODE(one.Cancel(), kFailedPrecondition);
  ASSERT_OK(listener.Accept(told.ForAccept("3")));
  Socket client = Must(Socket::Connect(Must(listener.LocalAddress())));
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.Take(), ElementsAre("3 OK 0"));
}

// A datagram socket is none the worse for it.
TEST_P(CancelConformance, O10_ACancelledDatagramSendLeavesTheSocketUsable) {
  DatagramSocket socket =
      Must(DatagramSocket::Bind(loop(), SocketAddress::Ipv4Loopback(0)));
  const SocketAddress self = Must(socket.LocalAddress());
  Indications told;
  Room room(8);
  Operation send, receive;
  ASSERT_OK(socket.ReceiveFrom(room, told.ForDatagram("r"),
                               {.handle = &receive}));
  ASSERT_OK(socket.SendTo(BytesOf("ab"), self, told.Handler("s"),
                          {.handle = &send}));
  ASSERT_OK(receive.Cancel());
  ASSERT_OK(send.Cancel());
  TurnUntilCount(told, 2);
  EXPECT_THAT(told.Take(), ElementsAre("r CANCELLED 0", "s CANCELLED 0"));
  ASSERT_OK(socket.ReceiveFrom(room, told.ForDatagram("r")));
  ASSERT_OK(socket.SendTo(BytesOf("cde"), self, told.Handler("s")));
  TurnUntilCount(told, 2);
  TurnPastSentinel();
  EXPECT_THAT(told.Take(),
              ::testing::UnorderedElementsAre("r OK 3", "s OK 3"));
}

// A cancel that comes too late leaves the stream as it is, also where the
// mechanism had the send and its completion was on its way.
TEST_P(CancelConformance, O10_ASendThatWinsAgainstItsCancelBreaksNothing) {
  for (const bool all : {false, true}) {
    StreamAndPeer pair = Connect();
    Indications told;
    Operation send;
    ASSERT_OK(pair.stream.Send(BytesOf("abc"), told.Handler("s"),
                               {.handle = &send}));
    // It is admitted, and may be under way.
    Turn();
    if (all) {
      ASSERT_OK(pair.stream.Cancel());
    } else {
      (void)send.Cancel();
    }
    TurnUntilCount(told, 1);
    if (!Must(send.Result()).ok()) {
      EXPECT_THAT(told.entries(), ElementsAre("s CANCELLED 0"));
      ExpectRefused(pair.stream, told);
      continue;
    }
    ASSERT_OK(pair.stream.Send(BytesOf("def"), told.Handler("s")));
    TurnUntilCount(told, 2);
    EXPECT_THAT(told.entries(), ElementsAre("s OK 3", "s OK 3"));
    EXPECT_EQ(Drain(pair.peer), "abcdef");
  }
}

// One that has to wait is cancelled, wherever the system keeps it: a thread of
// the kernel that was busy with it calls it interrupted.
TEST_P(CancelConformance, O10_ASendThatWaitsInTheSystemIsCancelled) {
  WEIR_SKIP_WITHOUT_UNIX_SOCKETS();
  constexpr int kSmall = 4096;
  auto pair = Must(Socket::Pair());
  MustOk(pair.first.SetOption(SocketOption::kSendBufferBytes, kSmall));
  Stream stream = Must(Stream::Attach(loop(), std::move(pair.first)));
  Indications told;
  const std::string data = Pattern(70000);
  Operation send;
  ASSERT_OK(stream.Send(BytesOf(data), told.Handler("s"), {.handle = &send}));
  for (int turn = 0; turn < 4; ++turn) Turn();
  TurnPastSentinel();
  ASSERT_OK(send.Cancel());
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.entries(),
              ElementsAre(absl::StrCat("s CANCELLED ",
                                       Drain(pair.second).size())));
}

// weir/event_loop.h: once a loop was stopped, cancelling still works.
TEST_P(CancelConformance, O10_CancellingWorksOnAStoppedLoop) {
  const auto stopped = NewLoop();
  StreamAndPeer pair = Connect(*stopped);
  Indications told;
  Room first(4), second(4);
  Operation operation;
  ASSERT_OK(pair.stream.Receive(first, told.Handler("1"),
                                {.handle = &operation}));
  ASSERT_OK(pair.stream.Receive(second, told.Handler("2")));
  stopped->Stop();
  EXPECT_OK(operation.Cancel());
  EXPECT_CODE(operation.Cancel(), kFailedPrecondition);
  EXPECT_OK(pair.stream.Cancel());
}

}  // namespace
}  // namespace weir::conformance
