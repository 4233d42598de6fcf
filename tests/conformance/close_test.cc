// Closing (C01, C02): what is pending ends, then the close is told, last.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/operations.h"
#include "weir/file.h"

namespace weir::conformance {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CloseConformance : public OperationsTest {};
WEIR_CONFORMANCE_SUITE(CloseConformance);

TEST_P(CloseConformance, C01_WhatIsPendingEndsAndThenTheCloseIsTold) {
  for (const bool turned : {false, true}) {
    StreamAndPeer pair = Connect();
    Indications told;
    Room first(4), second(4);
    const std::string big = Pattern(kMoreThanFits);
    std::size_t consumed = 0;
    ASSERT_OK(pair.stream.Receive(first, told.Handler("r1")));
    ASSERT_OK(pair.stream.Receive(second, told.Handler("r2")));
    ASSERT_OK(pair.stream.Send(
        BytesOf(big), told.Handler("s1", [&](const Completion& done) {
          consumed = done.bytes;
        })));
    ASSERT_OK(pair.stream.Send(BytesOf("x"), told.Handler("s2")));
    ASSERT_OK(pair.stream.Flush(told.Handler("flush")));
    if (turned) {
      Turn();
      TurnPastSentinel();
    }
    ASSERT_OK(pair.stream.Close(told.ForClose("closed")));
    EXPECT_FALSE(pair.stream.is_open());
    EXPECT_EQ(told.count(), 0u);  // not inside the call
    TurnUntilCount(told, 6);
    TurnPastSentinel();
    EXPECT_THAT(told.entries(),
                ElementsAre("r1 CANCELLED 0", "r2 CANCELLED 0",
                            absl::StrCat("s1 CANCELLED ", consumed),
                            "s2 CANCELLED 0", "flush CANCELLED 0", "closed"));
    EXPECT_EQ(told.alive(), 0);
    EXPECT_EQ(Drain(pair.peer).size(), consumed);
    EXPECT_EQ(consumed > 0, turned);
  }
}

TEST_P(CloseConformance, C01_AReceiverIsToldOfTheCloseBeforeItIsComplete) {
  for (const bool paused : {false, true}) {
    StreamAndPeer pair = Connect();
    Indications told;
    ASSERT_OK(pair.stream.StartReceive(told.ForReceived("r")));
    Turn();
    if (paused) MustOk(pair.stream.PauseReceive());
    Send(pair.peer, "abc");
    if (!paused) TurnUntilCount(told, 1);
    told.Take();
    ASSERT_OK(pair.stream.Close(told.ForClose("closed")));
    TurnUntilCount(told, 2);
    TurnPastSentinel();
    EXPECT_THAT(told.entries(), ElementsAre("r CANCELLED 0", "closed"));
    EXPECT_EQ(told.alive(), 0);
  }
}

TEST_P(CloseConformance, C01_ListenersAndDatagramSocketsCloseTheSame) {
  weir::Listener listener = Must(
      weir::Listener::Listen(loop(), SocketAddress::Ipv4Loopback(0)));
  weir::Listener accepting = Must(
      weir::Listener::Listen(loop(), SocketAddress::Ipv4Loopback(0)));
  DatagramSocket datagrams =
      Must(DatagramSocket::Bind(loop(), SocketAddress::Ipv4Loopback(0)));
  DatagramSocket receiving =
      Must(DatagramSocket::Bind(loop(), SocketAddress::Ipv4Loopback(0)));
  Indications told, accepted, received, lent;
  Room room(4);
  ASSERT_OK(listener.Accept(told.ForAccept("a1")));
  ASSERT_OK(listener.Accept(told.ForAccept("a2")));
  ASSERT_OK(accepting.StartAccepting(accepted.ForAccept("a")));
  ASSERT_OK(datagrams.ReceiveFrom(room, received.ForDatagram("r")));
  ASSERT_OK(datagrams.SendTo(BytesOf("x"), Must(datagrams.LocalAddress()),
                             received.Handler("s")));
  ASSERT_OK(receiving.StartReceive([lent](const ReceivedDatagrams& got) {
    lent.Note(Entry("d", got.status, got.datagrams.size()));
  }));
  ASSERT_OK(listener.Close(told.ForClose("closed")));
  ASSERT_OK(accepting.Close(accepted.ForClose("closed")));
  ASSERT_OK(datagrams.Close(received.ForClose("closed")));
  ASSERT_OK(receiving.Close(lent.ForClose("closed")));
  TurnUntilCount(told, 3);
  TurnUntilCount(accepted, 2);
  TurnUntilCount(received, 3);
  TurnUntilCount(lent, 2);
  TurnPastSentinel();
  EXPECT_THAT(told.entries(),
              ElementsAre("a1 CANCELLED 0", "a2 CANCELLED 0", "closed"));
  EXPECT_THAT(accepted.entries(), ElementsAre("a CANCELLED 0", "closed"));
  EXPECT_THAT(received.entries(),
              ElementsAre("r CANCELLED 0", "s CANCELLED 0", "closed"));
  EXPECT_THAT(lent.entries(), ElementsAre("d CANCELLED 0", "closed"));
}

// Survey trap 51.
TEST_P(CloseConformance, C01_AClosedListenerAcceptsNoMore) {
  weir::Listener listener = Must(
      weir::Listener::Listen(loop(), SocketAddress::Ipv4Loopback(0)));
  const SocketAddress address = Must(listener.LocalAddress());
  Indications told;
  for (int i = 0; i < 3; ++i) ASSERT_OK(listener.Accept(told.ForAccept("a")));
  Turn();
  ASSERT_OK(listener.Close(told.ForClose("closed")));
  TurnUntilCount(told, 4);
  // The address is free again, and nobody answers there.
  Stream client = Must(Stream::Open(loop(), AddressFamily::kIpv4));
  Indications refused;
  ASSERT_OK(client.Connect(address, refused.Handler("c")));
  TurnUntilCount(refused, 1);
  EXPECT_THAT(refused.entries(), ElementsAre("c UNAVAILABLE 0"));
  EXPECT_TRUE(told.TakeAccepted().empty());
}

// In every state that a stream has.
TEST_P(CloseConformance, C01_UnconnectedAndConnectingStreamsClose) {
  Socket full = Must(
      Socket::Listen(SocketAddress::Ipv4Loopback(0), {.backlog = 1}));
  for (const bool connecting : {false, true}) {
    for (const bool turned : {false, true}) {
      Indications told;
      std::vector<Stream> streams;
      std::size_t expected = 0;
      for (int i = 0; i < 4; ++i) {
        streams.push_back(Must(Stream::Open(loop(), AddressFamily::kIpv4)));
        if (connecting) {
          ASSERT_OK(streams.back().Connect(AddressOf(full), told.Handler("c")));
          ++expected;
        }
      }
      if (turned) Turn();
      for (Stream& stream : streams) {
        ASSERT_OK(stream.Close(told.ForClose("closed")));
        ++expected;
      }
      TurnUntilCount(told, expected);
      TurnPastSentinel();
      EXPECT_EQ(told.count(), expected);
      EXPECT_EQ(told.alive(), 0);
      EXPECT_EQ(told.entries().back(), "closed");
    }
  }
}

// All that there is to be called, on a stream that was closed: before and
// after the close is told.
TEST_P(CloseConformance, C02_AfterACloseEveryCallFails) {
  StreamAndPeer pair = Connect();
  Stream& stream = pair.stream;
  const File file = Must(File::Open(test::ThisProgram()));
  Indications told, refused;
  Room room(4);
  ASSERT_OK(stream.StartReceive(told.ForReceived("r")));
  Send(pair.peer, "abc");
  ASSERT_OK(stream.Close(told.ForClose("closed")));
  for (const bool complete : {false, true}) {
    EXPECT_FALSE(stream.is_open());
    const std::vector<ConstBuffer> out = {BytesOf("x")};
    const std::vector<MutableBuffer> in = {room};
    const auto handler = [&] { return refused.Handler("x"); };
    EXPECT_CODE(stream.Receive(room, handler()), kFailedPrecondition);
    EXPECT_CODE(stream.ReceiveVector(in, handler()), kFailedPrecondition);
    EXPECT_CODE(stream.Send(BytesOf("x"), handler()), kFailedPrecondition);
    EXPECT_CODE(stream.SendVector(out, handler()), kFailedPrecondition);
    EXPECT_CODE(stream.SendFile(file, 0, 1, handler()), kFailedPrecondition);
    EXPECT_CODE(stream.Flush(handler()), kFailedPrecondition);
    EXPECT_CODE(stream.Disconnect(handler()), kFailedPrecondition);
    EXPECT_CODE(stream.Connect(SocketAddress::Ipv4Loopback(1), handler()),
                kFailedPrecondition);
    EXPECT_CODE(stream.SendCopy(BytesOf("x")), kFailedPrecondition);
    EXPECT_CODE(stream.StartReceive(refused.ForReceived("x")),
                kFailedPrecondition);
    EXPECT_CODE(stream.PauseReceive(), kFailedPrecondition);
    EXPECT_CODE(stream.ResumeReceive(), kFailedPrecondition);
    EXPECT_CODE(stream.Cancel(), kFailedPrecondition);
    EXPECT_CODE(stream.Shutdown(ShutdownDirection::kBoth),
                kFailedPrecondition);
    EXPECT_CODE(stream.Close(refused.ForClose("x")), kFailedPrecondition);
    EXPECT_CODE(stream.Close(nullptr, CloseMode::kAbortive),
                kFailedPrecondition);
    EXPECT_CODE(stream.Detach(), kFailedPrecondition);
    EXPECT_CODE(stream.Bind(SocketAddress::Ipv4Loopback(0)),
                kFailedPrecondition);
    EXPECT_CODE(stream.LocalAddress(), kFailedPrecondition);
    EXPECT_CODE(stream.PeerAddress(), kFailedPrecondition);
    EXPECT_CODE(stream.SetOption(SocketOption::kNoDelay, 1),
                kFailedPrecondition);
    EXPECT_CODE(stream.GetOption(SocketOption::kNoDelay), kFailedPrecondition);
    if (!complete) TurnUntilCount(told, 2);
  }
  EXPECT_EQ(refused.alive(), 0);
  TurnPastSentinel();
  EXPECT_THAT(refused.entries(), IsEmpty());
  EXPECT_THAT(told.entries(), ElementsAre("r CANCELLED 0", "closed"));
}

TEST_P(CloseConformance, C02_AfterACloseListenersAndDatagramSocketsRefuse) {
  weir::Listener listener = Must(
      weir::Listener::Listen(loop(), SocketAddress::Ipv4Loopback(0)));
  DatagramSocket datagrams =
      Must(DatagramSocket::Bind(loop(), SocketAddress::Ipv4Loopback(0)));
  const SocketAddress address = Must(datagrams.LocalAddress());
  Indications told, refused;
  Room room(4);
  ASSERT_OK(listener.Close(told.ForClose("listener")));
  ASSERT_OK(datagrams.Close(told.ForClose("datagrams")));
  for (const bool complete : {false, true}) {
    EXPECT_CODE(listener.Accept(refused.ForAccept("x")), kFailedPrecondition);
    EXPECT_CODE(listener.StartAccepting(refused.ForAccept("x")),
                kFailedPrecondition);
    EXPECT_CODE(listener.PauseAccepting(), kFailedPrecondition);
    EXPECT_CODE(listener.ResumeAccepting(), kFailedPrecondition);
    EXPECT_CODE(listener.Cancel(), kFailedPrecondition);
    EXPECT_CODE(listener.Close(refused.ForClose("x")), kFailedPrecondition);
    EXPECT_CODE(listener.LocalAddress(), kFailedPrecondition);
    EXPECT_CODE(datagrams.ReceiveFrom(room, refused.ForDatagram("x")),
                kFailedPrecondition);
    EXPECT_CODE(datagrams.SendTo(BytesOf("x"), address, refused.Handler("x")),
                kFailedPrecondition);
    EXPECT_CODE(datagrams.Send(BytesOf("x"), refused.Handler("x")),
                kFailedPrecondition);
    EXPECT_CODE(datagrams.SendCopy(BytesOf("x"), address),
                kFailedPrecondition);
    EXPECT_CODE(datagrams.StartReceive([](const ReceivedDatagrams&) {}),
                kFailedPrecondition);
    EXPECT_CODE(datagrams.PauseReceive(), kFailedPrecondition);
    EXPECT_CODE(datagrams.Connect(address), kFailedPrecondition);
    EXPECT_CODE(datagrams.Cancel(), kFailedPrecondition);
    EXPECT_CODE(datagrams.Close(refused.ForClose("x")), kFailedPrecondition);
    if (!complete) TurnUntilCount(told, 2);
  }
  TurnPastSentinel();
  EXPECT_THAT(refused.entries(), IsEmpty());
  EXPECT_EQ(refused.alive(), 0);
}

// In the handler of an operation that ended together with others.
TEST_P(CloseConformance, C01_CloseFromAHandler) {
  StreamAndPeer pair = Connect();
  Indications told;
  std::vector<Room> rooms(3, Room(1));
  ASSERT_OK(pair.stream.Receive(
      rooms[0], told.Handler("0", [&](const Completion&) {
        EXPECT_OK(pair.stream.Close(told.ForClose("closed")));
        EXPECT_CODE(pair.stream.Close(), kFailedPrecondition);
        EXPECT_CODE(pair.stream.Receive(rooms[0], told.Handler("x")),
                    kFailedPrecondition);
        EXPECT_EQ(told.count(), 1u);
      })));
  ASSERT_OK(pair.stream.Receive(rooms[1], told.Handler("1")));
  ASSERT_OK(pair.stream.Receive(rooms[2], told.Handler("2")));
  Send(pair.peer, "ab");
  TurnUntilCount(told, 4);
  TurnPastSentinel();
  EXPECT_THAT(told.entries(), ElementsAre("0 OK 1", "1 OK 1",
                                          "2 CANCELLED 0", "closed"));
}

// From within its own receiver: no more data, one end.
TEST_P(CloseConformance, C01_CloseFromAReceiver) {
  StreamAndPeer pair = Connect();
  Indications told;
  ASSERT_OK(pair.stream.StartReceive(
      [&, note = told.ForReceived("r")](const Received& received) mutable {
        note(received);
        if (!received.end()) {
          EXPECT_OK(pair.stream.Close(told.ForClose("closed")));
        }
      }));
  Send(pair.peer, Pattern(200000));
  TurnUntilCount(told, 3);
  TurnPastSentinel();
  EXPECT_EQ(told.count(), 3u);
  EXPECT_EQ(told.entries()[1], "r CANCELLED 0");
  EXPECT_EQ(told.entries()[2], "closed");
}

// An object that owns its stream and is destroyed in the close handler, or in
// a handler of an operation.
TEST_P(CloseConformance, C01_TheOwnerIsDestroyedInAHandler) {
  struct Owner {
    Owner(Stream given, Indications log)
        : stream(std::move(given)), told(std::move(log)) {}
    ~Owner() { told.Note("destroyed"); }
    Stream stream;
    Room room{4};
    Indications told;
  };
  for (const bool in_close : {true, false}) {
    StreamAndPeer pair = Connect();
    Indications told;
    auto* owner = new Owner(std::move(pair.stream), told);
    if (in_close) {
      ASSERT_OK(owner->stream.Receive(
          owner->room, told.Handler("r", [owner](const Completion&) {
            EXPECT_OK(owner->stream.Close(
                owner->told.ForClose("closed", [owner] { delete owner; })));
          })));
      Send(pair.peer, "x");
      TurnUntilCount(told, 3);
      EXPECT_THAT(told.entries(), ElementsAre("r OK 1", "closed", "destroyed"));
    } else {
      ASSERT_OK(owner->stream.Receive(
          owner->room,
          told.Handler("r", [owner](const Completion&) { delete owner; })));
      Send(pair.peer, "x");
      TurnUntilCount(told, 2);
      EXPECT_THAT(told.entries(), ElementsAre("r OK 1", "destroyed"));
    }
    TurnPastSentinel();
    AwaitPeerClosed(pair.peer);
    EXPECT_EQ(told.alive(), 0);
  }
}

// Destroying a stream closes it, whoever else still waits is told so.
TEST_P(CloseConformance, C01_DestroyingTheObjectClosesIt) {
  Indications told;
  Room room(4);
  Socket peer;
  {
    StreamAndPeer pair = Connect();
    ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
    peer = std::move(pair.peer);
  }
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.entries(), ElementsAre("r CANCELLED 0"));
  AwaitPeerClosed(peer);
  // So does assigning to it.
  StreamAndPeer first = Connect();
  StreamAndPeer second = Connect();
  told.Take();
  ASSERT_OK(first.stream.Receive(room, told.Handler("r")));
  first.stream = std::move(second.stream);
  EXPECT_TRUE(first.stream.is_open());
  EXPECT_FALSE(static_cast<bool>(second.stream));  // NOLINT
  TurnUntilCount(told, 1);
  AwaitPeerClosed(first.peer);
  ASSERT_OK(first.stream.Send(BytesOf("x"), told.Handler("s")));
  TurnUntilCount(told, 2);
  EXPECT_EQ(Drain(second.peer), "x");
}

// The descriptor's number is soon another socket's: nothing is confused.
TEST_P(CloseConformance, C02_AReusedDescriptorIsAnotherSocket) {
  for (int round = 0; round < 20; ++round) {
    StreamAndPeer old = Connect();
    Indications told, fresh;
    Room room(4), other(4);
    ASSERT_OK(old.stream.Receive(room, told.Handler("r")));
    Turn();
    Send(old.peer, "old");
    ASSERT_OK(old.stream.Close(told.ForClose("closed")));
    TurnUntilCount(told, 2);
    StreamAndPeer next = Connect();
    ASSERT_OK(next.stream.Receive(other, fresh.Handler("r")));
    Turn();
    TurnPastSentinel();
    EXPECT_EQ(fresh.count(), 0u);
    Send(next.peer, "new");
    TurnUntilCount(fresh, 1);
    EXPECT_EQ(other.text(3), "new");
    // A mechanism that receives by itself may have done so before the close.
    EXPECT_THAT(told.entries(),
                AnyOf(ElementsAre("r CANCELLED 0", "closed"),
                      ElementsAre("r OK 3", "closed")));
    EXPECT_EQ(room.all(),
              told.entries()[0] == "r OK 3" ? "old." : "....");
  }
}

}  // namespace
}  // namespace weir::conformance
