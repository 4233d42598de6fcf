// Operations: started, and indicated exactly once, in order (O02 to O07).

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "tests/conformance/operations.h"
#include "weir/status.h"

namespace weir::conformance {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class OperationConformance : public OperationsTest {};
WEIR_CONFORMANCE_SUITE(OperationConformance);

// Survey trap 54.
TEST_P(OperationConformance, O02_EveryStartedOperationIsIndicatedOnce) {
  for (const AddressFamily family : test::Available({AddressFamily::kUnix, AddressFamily::kIpv4, AddressFamily::kIpv6})) {
    StreamAndPeer pair = Connect(family);
    Indications told;
    Room room(8);
    const std::array<ConstBuffer, 2> parts = {BytesOf("de"), BytesOf("f")};
    ASSERT_OK(pair.stream.Send(BytesOf("abc"), told.Handler("send")));
    ASSERT_OK(pair.stream.SendVector(parts, told.Handler("vector")));
    ASSERT_OK(pair.stream.Flush(told.Handler("flush")));
    ASSERT_OK(pair.stream.Disconnect(told.Handler("disconnect")));
    TurnUntilCount(told, 4);
    EXPECT_THAT(told.Take(), ElementsAre("send OK 3", "vector OK 3",
                                         "flush OK 0", "disconnect OK 0"));
    AwaitPeerClosed(pair.peer);
    EXPECT_EQ(Drain(pair.peer), "abcdef");
    ASSERT_OK(pair.stream.Receive(room, told.Handler("receive")));
    Send(pair.peer, "xyz");
    TurnUntilCount(told, 1);
    TurnPastSentinel();
    EXPECT_THAT(told.Take(), ElementsAre("receive OK 3"));
    EXPECT_EQ(room.all(), "xyz.....");
    EXPECT_EQ(told.alive(), 0);
  }
}

// Not started: no indication, and the handler is given back at once.
TEST_P(OperationConformance, O02_WhatIsNotStartedIsNeverIndicated) {
  StreamAndPeer pair = Connect();
  Indications told;
  Room room(8);
  const OperationOptions bad_timeout{.timeout = absl::ZeroDuration()};
  const OperationOptions negative{.timeout = -absl::Seconds(1)};
  EXPECT_CODE(pair.stream.Receive(MutableBuffer(), told.Handler("x")),
              kInvalidArgument);
  EXPECT_CODE(pair.stream.ReceiveVector({}, told.Handler("x")),
              kInvalidArgument);
  EXPECT_CODE(pair.stream.Receive(room, told.Handler("x"), bad_timeout),
              kInvalidArgument);
  EXPECT_CODE(pair.stream.Send(BytesOf("a"), told.Handler("x"), negative),
              kInvalidArgument);
  EXPECT_CODE(pair.stream.Connect(SocketAddress::Ipv4Loopback(1),
                                  told.Handler("x")),
              kFailedPrecondition);
  Stream none;
  EXPECT_CODE(none.Receive(room, told.Handler("x")), kFailedPrecondition);
  EXPECT_CODE(none.Send(BytesOf("a"), told.Handler("x")), kFailedPrecondition);
  Stream unconnected = Must(Stream::Open(loop(), AddressFamily::kIpv4));
  EXPECT_CODE(unconnected.Receive(room, told.Handler("x")),
              kFailedPrecondition);
  EXPECT_CODE(unconnected.Send(BytesOf("a"), told.Handler("x")),
              kFailedPrecondition);
  EXPECT_CODE(unconnected.Disconnect(told.Handler("x")), kFailedPrecondition);
  EXPECT_CODE(unconnected.SendCopy(BytesOf("a")), kFailedPrecondition);
  EXPECT_EQ(told.alive(), 0);
  Send(pair.peer, "data");
  TurnPastSentinel();
  EXPECT_THAT(told.entries(), IsEmpty());
  // They have left nothing behind.
  ASSERT_OK(pair.stream.Receive(room, told.Handler("receive")));
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.entries(), ElementsAre("receive OK 4"));
}

// Survey trap 55: never inside the starting call, not even if all is there.
TEST_P(OperationConformance, O07_StartingCallsNoHandler) {
  StreamAndPeer pair = Connect();
  Indications told;
  Room first(1), second(1), third(1);
  Send(pair.peer, "abc");
  bool starting = false;
  const auto check = [&](const Completion&) { EXPECT_FALSE(starting); };
  starting = true;
  ASSERT_OK(pair.stream.Receive(first, told.Handler("1", check)));
  ASSERT_OK(pair.stream.Send(BytesOf("x"), told.Handler("2", check)));
  starting = false;
  EXPECT_EQ(told.count(), 0u);
  TurnUntilCount(told, 2);
  told.Take();
  // From a handler too: there the direction is known to be ready.
  ASSERT_OK(pair.stream.Receive(
      second, told.Handler("outer", [&](const Completion& done) {
        check(done);
        starting = true;
        EXPECT_OK(pair.stream.Receive(third, told.Handler("inner", check)));
        EXPECT_OK(pair.stream.Send(BytesOf("y"), told.Handler("send", check)));
        EXPECT_EQ(told.count(), 1u);
        starting = false;
      })));
  TurnUntilCount(told, 3);
  EXPECT_EQ(told.entries()[0], "outer OK 1");
  EXPECT_EQ(first.all() + second.all() + third.all(), "abc");
}

TEST_P(OperationConformance, O03_AReceivePostedBeforeTheDataGetsThem) {
  StreamAndPeer pair = Connect();
  Indications told;
  Room room(8);
  ASSERT_OK(pair.stream.Receive(room, told.Handler("receive")));
  Turn();
  TurnPastSentinel();
  EXPECT_EQ(told.count(), 0u);
  EXPECT_EQ(room.all(), "........");
  Send(pair.peer, "abc");
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.entries(), ElementsAre("receive OK 3"));
  EXPECT_EQ(room.all(), "abc.....");
}

TEST_P(OperationConformance, O03_WithoutAReceiveNothingIsLost) {
  StreamAndPeer pair = Connect();
  Indications told;
  Send(pair.peer, "abc");
  TurnPastSentinel();
  Send(pair.peer, "def");
  TurnPastSentinel();
  Room room(8), later(8);
  ASSERT_OK(pair.stream.Receive(room, told.Handler("receive")));
  TurnUntilCount(told, 1);
  EXPECT_EQ(room.text(6), "abcdef");
  // Nor what comes while the last receive is over and the next not begun.
  Send(pair.peer, "ghi");
  TurnPastSentinel();
  EXPECT_EQ(told.count(), 1u);
  ASSERT_OK(pair.stream.Receive(later, told.Handler("receive")));
  TurnUntilCount(told, 2);
  EXPECT_EQ(later.text(3), "ghi");
}

TEST_P(OperationConformance, O04_TheEndOfTheStreamIsZeroBytesEveryTime) {
  for (const AddressFamily family : test::Available({AddressFamily::kUnix, AddressFamily::kIpv4})) {
    // The data and the end together, and one after the other.
    for (const bool together : {true, false}) {
      StreamAndPeer pair = Connect(family);
      Indications told;
      Room room(8);
      if (!together) {
        ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
        Turn();
      }
      Send(pair.peer, "abc");
      if (!together) TurnUntilCount(told, 1);
      MustOk(pair.peer.Shutdown(ShutdownDirection::kSend));
      if (together) {
        ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
        TurnUntilCount(told, 1);
      }
      for (std::size_t i = 2; i < 5; ++i) {
        ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
        TurnUntilCount(told, i);
      }
      EXPECT_THAT(told.entries(),
                  ElementsAre("r OK 3", "r OK 0", "r OK 0", "r OK 0"));
      // The other direction is not concerned.
      ASSERT_OK(pair.stream.Send(BytesOf("x"), told.Handler("send")));
      TurnUntilCount(told, 5);
      AwaitReadable(pair.peer);
      EXPECT_EQ(Receive(pair.peer), "x");
    }
  }
}

// A reset is an error, not an end, and whoever receives has to be told, also
// where a send met it first (it takes the error away from the socket).
TEST_P(OperationConformance, O04_AResetIsNotTheEndOfTheStream) {
  for (const bool sends : {false, true}) {
    StreamAndPeer pair = Connect(AddressFamily::kIpv4);
    Indications told;
    Room room(8), again(8);
    Indications sent;
    ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
    if (sends) {
      FillSends(pair.stream, sent);
    } else {
      Turn();
    }
    Reset(pair.peer);
    TurnUntilCount(told, 1);
    EXPECT_THAT(told.entries(), ElementsAre("r UNAVAILABLE 0")) << sends;
    EXPECT_EQ(CauseOf(told.last_status()), ErrorCause::kConnectionReset);
    told.Take();
    const absl::Status started =
        pair.stream.Receive(again, told.Handler("again"));
    if (started.ok()) {
      TurnUntilCount(told, 1);
      EXPECT_THAT(told.entries(), ElementsAre("again UNAVAILABLE 0"));
    } else {
      EXPECT_CODE(started, kFailedPrecondition);
    }
  }
}

// Nor is one that comes after a send has met something else: every receive is
// told of it.
TEST_P(OperationConformance, O04_AResetBehindABrokenPipeIsNoEndEither) {
  StreamAndPeer pair = Connect(AddressFamily::kIpv4);
  Indications told;
  Room room(8);
  ASSERT_OK(pair.stream.Disconnect(told.Handler("d")));
  TurnUntilCount(told, 1);
  ASSERT_OK(pair.stream.Send(BytesOf("x"), told.Handler("s")));
  TurnUntilCount(told, 2);
  Reset(pair.peer);
  for (std::size_t i = 3; i < 6; ++i) {
    ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
    TurnUntilCount(told, i);
  }
  EXPECT_THAT(told.entries(),
              ElementsAre("d OK 0", "s FAILED_PRECONDITION 0",
                          "r UNAVAILABLE 0", "r UNAVAILABLE 0",
                          "r UNAVAILABLE 0"));
  EXPECT_EQ(CauseOf(told.last_status()), ErrorCause::kConnectionReset);
}

TEST_P(OperationConformance, O05_ASendCompletesWhenAllIsConsumed) {
  for (const AddressFamily family : test::Available({AddressFamily::kUnix, AddressFamily::kIpv4})) {
    StreamAndPeer pair = Connect(family);
    Indications told;
    const std::string data = Pattern(kMoreThanFits);
    ASSERT_OK(pair.stream.Send(BytesOf(data), told.Handler("send")));
    Turn();
    TurnPastSentinel();
    EXPECT_EQ(told.count(), 0u);
    std::string arrived;
    PumpUntil([&] {
      arrived += Drain(pair.peer);
      return arrived.size() >= data.size();
    });
    EXPECT_TRUE(arrived == data);
    TurnUntilCount(told, 1);
    EXPECT_THAT(told.entries(),
                ElementsAre(absl::StrCat("send OK ", data.size())));
  }
}

TEST_P(OperationConformance, O05_AFailedSendSaysHowMuchWasConsumed) {
  for (const AddressFamily family :
       test::Available({AddressFamily::kUnix, AddressFamily::kIpv4})) {
    StreamAndPeer pair = Connect(family);
    Indications told;
    const std::string data = Pattern(kMoreThanFits);
    std::size_t consumed = 0;
    ASSERT_OK(pair.stream.Send(
        BytesOf(data), told.Handler("send", [&](const Completion& done) {
          consumed = done.bytes;
        })));
    ASSERT_OK(pair.stream.Send(BytesOf("later"), told.Handler("later")));
    Turn();
    TurnPastSentinel();
    AwaitReadable(pair.peer);
    // What a Unix socket takes is there at once, and no more follows: no turn is
    // run. TCP keeps some on its way, and resets what is closed before it came.
    const bool at_once = family == AddressFamily::kUnix;
    const std::string arrived =
        at_once ? Drain(pair.peer) : Receive(pair.peer, 1000);
    ASSERT_GT(arrived.size(), 0u);
    pair.peer.Close();
    TurnUntilCount(told, 2);
    EXPECT_GE(consumed, arrived.size());
    EXPECT_LT(consumed, data.size());
    if (at_once) {
      EXPECT_EQ(consumed, arrived.size());
      EXPECT_EQ(CauseOf(told.last_status()), ErrorCause::kBrokenPipe);
    } else {
      EXPECT_THAT(CauseOf(told.last_status()),
                  AnyOf(ErrorCause::kConnectionReset,
                        ErrorCause::kConnectionAborted,
                        ErrorCause::kBrokenPipe));
    }
    const std::string code = absl::StatusCodeToString(told.last_status().code());
    EXPECT_THAT(told.entries(),
                ElementsAre(absl::StrCat("send ", code, " ", consumed),
                            absl::StrCat("later ", code, " 0")));
  }
}

TEST_P(OperationConformance, O05_SendsOfNothingCompleteInTheirTurn) {
  StreamAndPeer pair = Connect();
  Indications told;
  const std::array<ConstBuffer, 4> sparse = {ConstBuffer(), BytesOf("a"),
                                             ConstBuffer(), ConstBuffer()};
  ASSERT_OK(pair.stream.Send(ConstBuffer(), told.Handler("nothing")));
  ASSERT_OK(pair.stream.SendVector({}, told.Handler("none")));
  ASSERT_OK(pair.stream.SendVector(sparse, told.Handler("sparse")));
  ASSERT_OK(pair.stream.Send(ConstBuffer(), told.Handler("nothing")));
  TurnUntilCount(told, 4);
  EXPECT_THAT(told.entries(), ElementsAre("nothing OK 0", "none OK 0",
                                          "sparse OK 1", "nothing OK 0"));
  EXPECT_EQ(Drain(pair.peer), "a");
}

// Survey trap 59.
TEST_P(OperationConformance, O06_ReceivesAreFilledAndToldInOrder) {
  StreamAndPeer pair = Connect();
  Indications told;
  std::vector<Room> rooms(5, Room(2));
  for (std::size_t i = 0; i < rooms.size(); ++i) {
    ASSERT_OK(pair.stream.Receive(rooms[i], told.Handler(absl::StrCat(i))));
  }
  Turn();
  Send(pair.peer, "abcde");
  TurnUntilCount(told, 3);
  TurnPastSentinel();
  EXPECT_THAT(told.Take(), ElementsAre("0 OK 2", "1 OK 2", "2 OK 1"));
  Send(pair.peer, "fgh");
  TurnUntilCount(told, 2);
  EXPECT_THAT(told.Take(), ElementsAre("3 OK 2", "4 OK 1"));
  EXPECT_EQ(rooms[0].all() + rooms[1].all() + rooms[2].all() + rooms[3].all() +
                rooms[4].all(),
            "abcde.fgh.");
}

TEST_P(OperationConformance, O06_ReceivesBehindTheEndAllEnd) {
  StreamAndPeer pair = Connect(AddressFamily::kIpv4);
  Indications told;
  std::vector<Room> rooms(4, Room(4));
  for (std::size_t i = 0; i < rooms.size(); ++i) {
    ASSERT_OK(pair.stream.Receive(rooms[i], told.Handler(absl::StrCat(i))));
  }
  Turn();
  Send(pair.peer, "abcde");
  MustOk(pair.peer.Shutdown(ShutdownDirection::kSend));
  TurnUntilCount(told, 4);
  EXPECT_THAT(told.entries(),
              ElementsAre("0 OK 4", "1 OK 1", "2 OK 0", "3 OK 0"));
}

TEST_P(OperationConformance, O06_ReceiveVectorFillsItsBuffersInOrder) {
  StreamAndPeer pair = Connect();
  Indications told;
  Room first(2), second(3), third(4);
  {
    // The list itself may go away at once.
    std::vector<MutableBuffer> rooms = {MutableBuffer(), first, second, third};
    ASSERT_OK(pair.stream.ReceiveVector(rooms, told.Handler("vector")));
    rooms.assign(4, MutableBuffer());
  }
  Send(pair.peer, "abcdefg");
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.entries(), ElementsAre("vector OK 7"));
  EXPECT_EQ(first.all() + second.all() + third.all(), "abcdefg..");
}

// Any number of empty buffers before the one with room: not an end.
TEST_P(OperationConformance, O04_EmptyBuffersInFrontAreNotAnEnd) {
  StreamAndPeer pair = Connect();
  Indications told;
  Room room(4);
  std::vector<MutableBuffer> rooms(2000);
  rooms.push_back(room);
  const absl::Status started =
      pair.stream.ReceiveVector(rooms, told.Handler("vector"));
  if (!started.ok()) {
    EXPECT_CODE(started, kInvalidArgument);
    return;
  }
  Send(pair.peer, "ab");
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.entries(), ElementsAre("vector OK 2"));
}

TEST_P(OperationConformance, O06_SendsOfEveryKindGoOutInOrder) {
  StreamAndPeer pair = Connect();
  Indications told;
  std::string expected;
  std::vector<std::string> kept;
  kept.reserve(1000);
  // More buffers than one call takes, and more bytes than the socket.
  for (std::size_t i = 0; i < 1000; ++i) {
    kept.push_back(absl::StrCat(i, ":", Pattern(i)));
    expected += kept.back();
    if (i % 3 == 0) {
      ASSERT_OK(pair.stream.SendCopy(BytesOf(kept.back())));
      kept.back().assign(kept.back().size(), '!');
    } else if (i % 3 == 1) {
      const std::string_view text = kept.back();
      const std::vector<ConstBuffer> parts = {BytesOf(text.substr(0, 1)),
                                              BytesOf(text.substr(1))};
      ASSERT_OK(pair.stream.SendVector(parts, told.Handler("s")));
    } else {
      ASSERT_OK(pair.stream.Send(BytesOf(kept.back()), told.Handler("s")));
    }
  }
  ASSERT_OK(pair.stream.Flush(told.Handler("flush")));
  std::string arrived;
  PumpUntil([&] {
    arrived += Drain(pair.peer);
    return arrived.size() >= expected.size();
  });
  EXPECT_TRUE(arrived == expected);
  TurnUntilCount(told, 667);
  const std::vector<std::string> entries = told.entries();
  ASSERT_EQ(entries.size(), 667u);
  std::size_t at = 0;
  for (std::size_t i = 0; i < 1000; ++i) {
    if (i % 3 == 0) continue;
    EXPECT_EQ(entries[at++], absl::StrCat("s OK ", kept[i].size()));
  }
  EXPECT_EQ(entries.back(), "flush OK 0");
}

// A stalled direction does not hold up the other.
TEST_P(OperationConformance, O06_BothDirectionsGoOnByThemselves) {
  StreamAndPeer pair = Connect(AddressFamily::kIpv4);
  Indications sent, told;
  FillSends(pair.stream, sent);
  Room room(4);
  for (std::size_t i = 1; i <= 3; ++i) {
    ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
    Send(pair.peer, "ab");
    TurnUntilCount(told, i);
  }
  EXPECT_GT(sent.alive(), 0);
  // And a receive that waits does not hold up the sends.
  ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
  PumpUntil([&] {
    Drain(pair.peer);
    return sent.alive() == 0;
  });
  EXPECT_EQ(told.count(), 3u);
}

}  // namespace
}  // namespace weir::conformance
