// What the peer sees of a close and of a shutdown (C03).

#include <string>
#include <utility>

#include "tests/conformance/operations.h"
#include "weir/status.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;

class ClosePeer : public OperationsTest {
 protected:
  // Everything up to the end of the stream; a reset is a failure.
  static std::string ReceiveToTheEnd(Socket& peer) {
    std::string all;
    std::string buffer(65536, '\0');
    while (true) {
      AwaitReadable(peer);
      const auto got = peer.Receive(
          std::as_writable_bytes(std::span(buffer.data(), buffer.size())));
      if (!got.ok()) {
        ADD_FAILURE() << got.status() << " after " << all.size() << " bytes";
        return all;
      }
      if (got->end_of_stream) return all;
      all.append(buffer, 0, got->bytes);
    }
  }
  static void ExpectReset(Socket& peer) {
    std::string buffer(65536, '\0');
    while (true) {
      AwaitReadable(peer);
      const auto got = peer.Receive(
          std::as_writable_bytes(std::span(buffer.data(), buffer.size())));
      if (!got.ok()) {
        EXPECT_EQ(CauseOf(got.status()), ErrorCause::kConnectionReset);
        return;
      }
      if (got->end_of_stream) {
        ADD_FAILURE() << "an end instead of a reset";
        return;
      }
    }
  }
  void CloseAndWait(Stream& stream, CloseMode mode = CloseMode::kGraceful) {
    Indications told;
    ASSERT_OK(stream.Close(told.ForClose("closed"), mode));
    TurnUntilCount(told, 1);
  }
};
WEIR_CONFORMANCE_SUITE(ClosePeer);

std::vector<AddressFamily> Families() {
  return test::Available({AddressFamily::kUnix, AddressFamily::kIpv4});
}

TEST_P(ClosePeer, C03_WhatWasSentStillArrives) {
  for (const AddressFamily family : Families()) {
    StreamAndPeer pair = Connect(family);
    Indications told;
    const std::string data = Pattern(50000);
    ASSERT_OK(pair.stream.Send(BytesOf(data), told.Handler("s")));
    TurnUntilCount(told, 1);
    CloseAndWait(pair.stream);
    EXPECT_TRUE(ReceiveToTheEnd(pair.peer) == data);
  }
}

// A close with received data unread resets a TCP connection (RFC 1122,
// 4.2.2.13) and a Unix one; a graceful close must not.
TEST_P(ClosePeer, C03_UnreadDataDoNotMakeItAReset) {
  for (const AddressFamily family : Families()) {
    for (const bool watched : {false, true}) {
      SCOPED_TRACE(watched);
      StreamAndPeer pair = Connect(family);
      Indications told;
      Room room(2);
      if (watched) {
        // The mechanism watches it from now on.
        ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
        Turn();
        Send(pair.peer, "x");
        TurnUntilCount(told, 1);
        told.Take();
      }
      ASSERT_OK(pair.stream.Send(BytesOf("reply"), told.Handler("s")));
      TurnUntilCount(told, 1);
      Send(pair.peer, Pattern(10000));
      CloseAndWait(pair.stream);
      EXPECT_EQ(ReceiveToTheEnd(pair.peer), "reply");
    }
  }
}

// The same when they came so late that the loop cannot know of them: in the
// same turn, after the wait.
TEST_P(ClosePeer, C03_DataThatCameAfterTheWaitDoNotMakeItAReset) {
  for (const AddressFamily family : Families()) {
    StreamAndPeer pair = Connect(family);
    Indications told;
    Room room(8);
    ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
    ASSERT_OK(pair.stream.Send(BytesOf("reply"), told.Handler("s")));
    Turn();
    Send(pair.peer, "x");
    TurnUntilCount(told, 2);
    told.Take();
    MustOk(loop().Post([&] {
      Send(pair.peer, "late");
      EXPECT_OK(pair.stream.Close(told.ForClose("closed")));
    }));
    TurnUntilCount(told, 1);
    EXPECT_EQ(ReceiveToTheEnd(pair.peer), "reply");
  }
}

// From the handler of a receive that took a part.
TEST_P(ClosePeer, C03_ClosingInTheMiddleOfARequestIsNoReset) {
  for (const AddressFamily family : Families()) {
    StreamAndPeer pair = Connect(family);
    Indications told;
    Room room(100);
    ASSERT_OK(pair.stream.Receive(
        room, told.Handler("r", [&](const Completion&) {
          ASSERT_OK(pair.stream.Send(
              BytesOf("refused"), told.Handler("s", [&](const Completion&) {
                EXPECT_OK(pair.stream.Close(told.ForClose("closed")));
              })));
        })));
    Turn();
    Send(pair.peer, Pattern(50000));
    TurnUntilCount(told, 3);
    EXPECT_EQ(ReceiveToTheEnd(pair.peer), "refused");
  }
}

TEST_P(ClosePeer, C03_AnAbortiveCloseIsAReset) {
  for (const bool unread : {false, true}) {
    StreamAndPeer pair = Connect(AddressFamily::kIpv4);
    Indications told;
    ASSERT_OK(pair.stream.Send(BytesOf("x"), told.Handler("s")));
    TurnUntilCount(told, 1);
    if (unread) Send(pair.peer, "unread");
    CloseAndWait(pair.stream, CloseMode::kAbortive);
    ExpectReset(pair.peer);
  }
}

// Also after the peer ended its direction.
TEST_P(ClosePeer, C03_AnAbortiveCloseAfterTheEndIsAReset) {
  StreamAndPeer pair = Connect(AddressFamily::kIpv4);
  Indications told;
  Room room(4);
  MustOk(pair.peer.Shutdown(ShutdownDirection::kSend));
  ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.entries(), ElementsAre("r OK 0"));
  CloseAndWait(pair.stream, CloseMode::kAbortive);
  ExpectReset(pair.peer);
}

TEST_P(ClosePeer, C03_ShutdownEndsOneDirection) {
  for (const AddressFamily family : Families()) {
    StreamAndPeer pair = Connect(family);
    Indications told;
    Room room(4);
    ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
    Turn();
    ASSERT_OK(pair.stream.Shutdown(ShutdownDirection::kSend));
    EXPECT_EQ(ReceiveToTheEnd(pair.peer), "");
    Send(pair.peer, "abc");
    TurnUntilCount(told, 1);
    EXPECT_THAT(told.Take(), ElementsAre("r OK 3"));
    // Nothing can be sent any more; what is received is not concerned.
    ASSERT_OK(pair.stream.Send(BytesOf("x"), told.Handler("s")));
    TurnUntilCount(told, 1);
    EXPECT_THAT(told.Take(), ElementsAre("s FAILED_PRECONDITION 0"));
    EXPECT_EQ(CauseOf(told.last_status()), ErrorCause::kBrokenPipe);
    Send(pair.peer, "de");
    MustOk(pair.peer.Shutdown(ShutdownDirection::kSend));
    ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
    TurnUntilCount(told, 1);
    for (std::size_t i = 2; i <= 3; ++i) {
      ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
      TurnUntilCount(told, i);
    }
    EXPECT_THAT(told.Take(), ElementsAre("r OK 2", "r OK 0", "r OK 0"));
  }
}

// A receive that waits is told at once.
TEST_P(ClosePeer, C03_ShutdownOfReceivingEndsReceives) {
  for (const AddressFamily family : Families()) {
    for (const auto direction :
         {ShutdownDirection::kReceive, ShutdownDirection::kBoth}) {
      StreamAndPeer pair = Connect(family);
      Indications told;
      Room room(4);
      ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
      Turn();
      ASSERT_OK(pair.stream.Shutdown(direction));
      TurnUntilCount(told, 1);
      EXPECT_THAT(told.Take(), ElementsAre("r OK 0"));
      if (direction == ShutdownDirection::kReceive) {
        ASSERT_OK(pair.stream.Send(BytesOf("x"), told.Handler("s")));
        TurnUntilCount(told, 1);
        EXPECT_EQ(Drain(pair.peer), "x");
      }
    }
  }
}

TEST_P(ClosePeer, C03_ShutdownOfReceivingEndsLentReceives) {
  for (const AddressFamily family : Families()) {
    StreamAndPeer pair = Connect(family);
    std::vector<std::string> told;
    ASSERT_OK(pair.stream.StartReceive([&](const Received& received) {
      told.push_back(received.data.empty() ? received.status.ToString()
                                           : TextOf(received.data));
    }));
    Turn();
    Send(pair.peer, "first");
    TurnUntil([&] { return told.size() == 1; });
    Turn();
    ASSERT_OK(pair.stream.Shutdown(ShutdownDirection::kReceive));
    TurnUntil([&] { return told.size() == 2; });
    EXPECT_THAT(told, ElementsAre("first", "OK"));
  }
}

// Disconnect: first what waits, then the end.
TEST_P(ClosePeer, C03_DisconnectComesBehindWhatWaits) {
  StreamAndPeer pair = Connect(AddressFamily::kIpv4);
  Indications told, fill;
  const std::size_t given = FillSends(pair.stream, fill);
  ASSERT_OK(pair.stream.SendCopy(BytesOf("copy")));
  ASSERT_OK(pair.stream.Disconnect(told.Handler("d")));
  TurnPastSentinel();
  EXPECT_EQ(told.count(), 0u);
  std::string arrived;
  PumpUntil([&] {
    arrived += Drain(pair.peer);
    return told.count() == 1;
  });
  EXPECT_THAT(told.entries(), ElementsAre("d OK 0"));
  arrived += ReceiveToTheEnd(pair.peer);
  EXPECT_EQ(arrived.size(), given + 4);
  EXPECT_EQ(arrived.substr(given), "copy");
  // The other direction is still there.
  Room room(4);
  ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
  Send(pair.peer, "abc");
  TurnUntilCount(told, 2);
}

// The connection is there, but its connect was not told yet.
TEST_P(ClosePeer, C03_AnAbortiveCloseWhileConnecting) {
  Socket listening = weir::conformance::Listener();
  Stream stream = Must(Stream::Open(loop(), AddressFamily::kIpv4));
  Indications told;
  ASSERT_OK(stream.Connect(AddressOf(listening), told.Handler("c")));
  Turn();
  ASSERT_OK(stream.Close(told.ForClose("closed"), CloseMode::kAbortive));
  TurnUntilCount(told, 2);
  EXPECT_EQ(told.entries().back(), "closed");
  auto accepted = Must(listening.Accept());
  // One that was cancelled before it was begun leaves nothing.
  if (accepted.has_value()) ExpectReset(accepted->socket);
}

}  // namespace
}  // namespace weir::conformance
