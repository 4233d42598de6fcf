// Datagrams by operations (O01, O06, O12).

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "tests/conformance/operations.h"
#include "weir/status.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class DatagramOperation : public OperationsTest {
 protected:
  DatagramSocket Bound() {
    return Must(DatagramSocket::Bind(loop(), SocketAddress::Ipv4Loopback(0)));
  }
  // What StartReceive told, each datagram "bytes/truncated".
  struct Lent {
    DatagramsHandler Handler() {
      return [this](const ReceivedDatagrams& got) {
        ++calls;
        if (!got.status.ok()) errors.push_back(got.status);
        for (const ReceivedDatagram& each : got.datagrams) {
          datagrams.push_back(TextOf(each.data));
          sources.push_back(each.source);
          destinations.push_back(each.destination);
        }
      };
    }
    int calls = 0;
    std::vector<absl::Status> errors;
    std::vector<std::string> datagrams;
    std::vector<SocketAddress> sources;
    std::vector<std::optional<SocketAddress>> destinations;
  };
};
WEIR_CONFORMANCE_SUITE(DatagramOperation);

TEST_P(DatagramOperation, O01_EachReceiveTakesOneDatagram) {
  DatagramSocket from = Bound(), to = Bound();
  const SocketAddress address = Must(to.LocalAddress());
  Indications sent;
  std::vector<DatagramCompletion> done;
  std::vector<Room> rooms(4, Room(4));
  for (Room& room : rooms) {
    ASSERT_OK(to.ReceiveFrom(room, [&](const DatagramCompletion& result) {
      done.push_back(result);
    }));
  }
  for (const std::string_view text : {"ab", "", "cdefgh", "x"}) {
    ASSERT_OK(from.SendTo(BytesOf(text), address, sent.Handler("s")));
  }
  TurnUntil([&] { return done.size() == 4; });
  TurnUntilCount(sent, 4);
  EXPECT_THAT(sent.entries(),
              ElementsAre("s OK 2", "s OK 0", "s OK 6", "s OK 1"));
  const std::array<std::size_t, 4> sizes = {2, 0, 4, 1};
  for (std::size_t i = 0; i < done.size(); ++i) {
    EXPECT_OK(done[i].status);
    EXPECT_EQ(done[i].bytes, sizes[i]);
    EXPECT_EQ(done[i].truncated, i == 2);
    EXPECT_EQ(done[i].source, Must(from.LocalAddress()));
  }
  EXPECT_EQ(rooms[0].all() + rooms[1].all() + rooms[2].all() + rooms[3].all(),
            "ab......cdefx...");
  DestroyLoop();
}

// Whatever leaves together, and however: each is one datagram, and goes where
// it was sent.
TEST_P(DatagramOperation, O06_DatagramsThatLeaveTogetherStayApart) {
  DatagramSocket from = Bound(), one = Bound(), other = Bound();
  Lent to_one, to_other;
  ASSERT_OK(one.StartReceive(to_one.Handler()));
  ASSERT_OK(other.StartReceive(to_other.Handler()));
  const SocketAddress address = Must(one.LocalAddress());
  const SocketAddress elsewhere = Must(other.LocalAddress());
  Indications told;
  std::vector<std::string> expected;
  const auto send = [&](const std::string& text) {
    expected.push_back(text);
    MustOk(from.SendCopy(BytesOf(text), address).status());
  };
  const auto text = [](std::size_t size) {
    static char letter = 'a';
    letter = letter == 'z' ? 'a' : static_cast<char>(letter + 1);
    return std::string(size, letter);
  };
  // Of one length, shorter ones, longer ones, empty ones; too long to be
  // joined, and more than are.
  for (const std::size_t size : {100u, 100u, 60u, 60u, 60u, 100u, 0u, 0u, 1u,
                                 3000u, 3000u, 1232u, 1232u}) {
    send(text(size));
  }
  ASSERT_OK(from.SendTo(BytesOf("else"), elsewhere, told.Handler("s")));
  ASSERT_OK(from.SendTo(BytesOf("here"), address, told.Handler("s")));
  expected.push_back("here");
  for (int i = 0; i < 150; ++i) send(text(8));
  TurnUntil([&] {
    return to_one.datagrams.size() == expected.size() &&
           to_other.datagrams.size() == 1;
  });
  EXPECT_EQ(to_one.datagrams, expected);
  EXPECT_THAT(to_other.datagrams, ElementsAre("else"));
  EXPECT_THAT(told.entries(), ElementsAre("s OK 4", "s OK 4"));
  DestroyLoop();
}

// Into no room at all: the datagram is taken, and said to be cut.
TEST_P(DatagramOperation, O01_AReceiveWithoutRoomTakesADatagram) {
  DatagramSocket from = Bound(), to = Bound();
  Indications told, sent;
  ASSERT_OK(to.ReceiveFrom(MutableBuffer(), told.ForDatagram("r")));
  ASSERT_OK(
      from.SendTo(BytesOf("abc"), Must(to.LocalAddress()), sent.Handler("s")));
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.entries(), ElementsAre("r OK 0 truncated"));
}

TEST_P(DatagramOperation, O01_AConnectedSocketSendsAndGathers) {
  DatagramSocket from = Bound(), to = Bound();
  Indications told, sent;
  // Without a peer there is nobody to send to.
  ASSERT_OK(from.Send(BytesOf("x"), sent.Handler("s")));
  TurnUntilCount(sent, 1);
  EXPECT_FALSE(sent.last_status().ok());
  EXPECT_EQ(CauseOf(sent.last_status()), ErrorCause::kDestinationRequired);
  sent.Take();
  EXPECT_CODE(from.SendTo(BytesOf("x"), SocketAddress(), sent.Handler("x")),
              kInvalidArgument);
  ASSERT_OK(from.Connect(Must(to.LocalAddress())));
  EXPECT_EQ(Must(from.PeerAddress()), Must(to.LocalAddress()));
  const std::vector<ConstBuffer> parts = {BytesOf("ab"), ConstBuffer(),
                                          BytesOf("cd")};
  Room room(16), other(16), empty(4);
  ASSERT_OK(to.ReceiveFrom(room, told.ForDatagram("r")));
  ASSERT_OK(to.ReceiveFrom(other, told.ForDatagram("r")));
  ASSERT_OK(to.ReceiveFrom(empty, told.ForDatagram("r")));
  ASSERT_OK(from.SendVector(parts, sent.Handler("v")));
  ASSERT_OK(from.Send(BytesOf("efg"), sent.Handler("s")));
  ASSERT_OK(from.SendVector({}, sent.Handler("e")));
  TurnUntilCount(told, 3);
  EXPECT_THAT(told.entries(), ElementsAre("r OK 4", "r OK 3", "r OK 0"));
  EXPECT_THAT(sent.entries(), ElementsAre("v OK 4", "s OK 3", "e OK 0"));
  EXPECT_EQ(room.text(4) + other.text(3), "abcdefg");
  const std::vector<ConstBuffer> many(2000, BytesOf("x"));
  EXPECT_CODE(from.SendVector(many, sent.Handler("x")), kInvalidArgument);
  EXPECT_EQ(sent.alive(), 0);
}

// One that fails does not concern the others.
TEST_P(DatagramOperation, O05_ADatagramThatIsTooLongFailsAlone) {
  DatagramSocket from = Bound(), to = Bound();
  const SocketAddress address = Must(to.LocalAddress());
  Indications sent, told;
  const std::string giant(70000, 'x');
  Room room(8);
  ASSERT_OK(from.SendTo(BytesOf("a"), address, sent.Handler("s")));
  ASSERT_OK(from.SendTo(BytesOf(giant), address, sent.Handler("g")));
  ASSERT_OK(from.SendTo(BytesOf("b"), SocketAddress::Ipv6Loopback(9),
                        sent.Handler("f")));
  ASSERT_OK(from.SendTo(BytesOf("b"), address, sent.Handler("s")));
  TurnUntilCount(sent, 4);
  const auto entries = sent.entries();
  EXPECT_EQ(entries[0], "s OK 1");
  EXPECT_EQ(entries[1], "g INVALID_ARGUMENT 0");
  EXPECT_EQ(entries[2], "f UNIMPLEMENTED 0");
  EXPECT_EQ(entries[3], "s OK 1");
  for (std::size_t i = 1; i <= 2; ++i) {
    ASSERT_OK(to.ReceiveFrom(room, told.ForDatagram("r")));
    TurnUntilCount(told, i);
  }
  EXPECT_THAT(told.entries(), ElementsAre("r OK 1", "r OK 1"));
}

// A port that is unreachable is an error of one operation on a connected
// socket, which goes on (udp(7)).
TEST_P(DatagramOperation, O05_AnUnreachablePortIsToldAndTheSocketGoesOn) {
  DatagramSocket from = Bound();
  SocketAddress nobody;
  {
    Socket gone = Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0)));
    nobody = AddressOf(gone);
  }
  ASSERT_OK(from.Connect(nobody));
  Indications told, sent;
  Room room(4);
  ASSERT_OK(from.ReceiveFrom(room, told.ForDatagram("r")));
  // Else only whoever watches when the answer comes is told.
  if (!test::ReceivesTellOfUnreachablePorts()) Turn();
  ASSERT_OK(from.Send(BytesOf("x"), sent.Handler("s")));
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.entries(), ElementsAre("r UNAVAILABLE 0"));
  Socket back = Must(Socket::BindDatagram(nobody));
  ASSERT_OK(from.Send(BytesOf("y"), sent.Handler("s")));
  TurnUntilCount(sent, 2);
  AwaitReadable(back);
  EXPECT_EQ(Receive(back), "y");
}

TEST_P(DatagramOperation, O12_EveryDatagramIsLent) {
  DatagramSocket from = Bound(), to = Bound();
  const SocketAddress address = Must(to.LocalAddress());
  Lent lent;
  ASSERT_OK(to.StartReceive(lent.Handler(), {.destination = true}));
  Indications refused;
  Room room(4);
  EXPECT_CODE(to.ReceiveFrom(room, refused.ForDatagram("x")),
              kFailedPrecondition);
  EXPECT_CODE(to.StartReceive(lent.Handler()), kFailedPrecondition);
  EXPECT_CODE(to.StartReceive(nullptr), kInvalidArgument);
  std::vector<std::string> expected;
  // More than one call takes; one of no length, one of the greatest.
  for (std::size_t i = 0; i < 50; ++i) expected.push_back(Pattern(i));
  expected.push_back(Pattern(60000));
  for (const std::string& text : expected) {
    EXPECT_OK(from.SendCopy(BytesOf(text), address));
    Turn();
  }
  TurnUntil([&] { return lent.datagrams.size() >= expected.size(); });
  EXPECT_EQ(lent.datagrams, expected);
  for (const SocketAddress& source : lent.sources) {
    EXPECT_EQ(source, Must(from.LocalAddress()));
  }
  for (const auto& destination : lent.destinations) {
    ASSERT_TRUE(destination.has_value());
    EXPECT_EQ(destination->ToString().substr(0, 9), "127.0.0.1");
  }
  // Paused, they wait; resumed, they come.
  lent.datagrams.clear();
  ASSERT_OK(to.PauseReceive());
  EXPECT_OK(from.SendCopy(BytesOf("a"), address));
  TurnPastSentinel();
  EXPECT_OK(from.SendCopy(BytesOf("b"), address));
  TurnPastSentinel();
  EXPECT_THAT(lent.datagrams, IsEmpty());
  ExpectIdle();
  ASSERT_OK(to.ResumeReceive());
  TurnUntil([&] { return lent.datagrams.size() == 2; });
  EXPECT_THAT(lent.datagrams, ElementsAre("a", "b"));
  Indications told;
  ASSERT_OK(to.Close(told.ForClose("closed")));
  TurnUntilCount(told, 1);
  ASSERT_EQ(lent.errors.size(), 1u);
  EXPECT_CODE(lent.errors[0], kCancelled);
}

// An error is told, and the receiving goes on.
// UDP segmentation: one send, several datagrams.
TEST_P(DatagramOperation, O01_SegmentsArriveAsDatagrams) {
  DatagramSocket from = Bound(), to = Bound();
  const SocketAddress address = Must(to.LocalAddress());
  Indications told;
  EXPECT_CODE(from.SendSegments(BytesOf("abc"), 0, address, told.Handler("s")),
              kInvalidArgument);
  EXPECT_CODE(
      from.SendSegments(BytesOf(Pattern(65)), 1, address, told.Handler("s")),
      kInvalidArgument);
  EXPECT_CODE(DatagramSocket().SendSegments(BytesOf("abc"), 1, address,
                                            told.Handler("s")),
              kFailedPrecondition);
  if (!DatagramSocket::SegmentationSupported()) {
    EXPECT_CODE(
        from.SendSegments(BytesOf("abcdefgh"), 3, address, told.Handler("s")),
        kUnimplemented);
    EXPECT_EQ(told.alive(), 0);
    GTEST_SKIP() << "the system cannot cut datagrams";
  }
  EXPECT_EQ(told.alive(), 0);
  Lent lent;
  ASSERT_OK(to.StartReceive(lent.Handler()));
  ASSERT_OK(
      from.SendSegments(BytesOf("abcdefgh"), 3, address, told.Handler("s")));
  // One that needs no cutting, and one of nothing.
  ASSERT_OK(from.SendSegments(BytesOf("ij"), 3, address, told.Handler("s")));
  ASSERT_OK(from.SendSegments(BytesOf(""), 3, address, told.Handler("s")));
  TurnUntil([&] { return lent.datagrams.size() == 5; });
  EXPECT_THAT(lent.datagrams, ElementsAre("abc", "def", "gh", "ij", ""));
  EXPECT_THAT(lent.errors, IsEmpty());
  TurnUntilCount(told, 3);
  EXPECT_THAT(told.Take(), ElementsAre("s OK 8", "s OK 2", "s OK 0"));
  // More than one datagram could have: refused, and the socket goes on.
  const std::string much = Pattern(70000);
  ASSERT_OK(
      from.SendSegments(BytesOf(much), 1400, address, told.Handler("much")));
  ASSERT_OK(from.SendTo(BytesOf("after"), address, told.Handler("s")));
  TurnUntilCount(told, 2);
  EXPECT_THAT(told.Take(), ElementsAre("much INVALID_ARGUMENT 0", "s OK 5"));
  // To the connected peer.
  ASSERT_OK(from.Connect(address));
  ASSERT_OK(
      from.SendSegments(BytesOf("xyz"), 1, SocketAddress(), told.Handler("s")));
  TurnUntil([&] { return lent.datagrams.size() == 9; });
  EXPECT_EQ(lent.datagrams.back(), "z");
  DestroyLoop();
}

TEST_P(DatagramOperation, O05_ACopyOfSeveralArrivesAsDatagrams) {
  DatagramSocket from = Bound(), to = Bound();
  const SocketAddress address = Must(to.LocalAddress());
  EXPECT_CODE(DatagramSocket().SendCopy(BytesOf("abc"), address, 1),
              kFailedPrecondition);
  Lent lent;
  ASSERT_OK(to.StartReceive(lent.Handler()));
  EXPECT_EQ(Must(from.SendCopy(BytesOf("abcdefgh"), address, 3)), 8u);
  // Those that are one, or nothing.
  Must(from.SendCopy(BytesOf("ij"), address, 3));
  Must(from.SendCopy(BytesOf("klm"), address, 3));
  Must(from.SendCopy(BytesOf(""), address, 3));
  TurnUntil([&] { return lent.datagrams.size() == 6; });
  EXPECT_THAT(lent.datagrams, ElementsAre("abc", "def", "gh", "ij", "klm", ""));
  // By a thread that has no access to the loop.
  lent.datagrams.clear();
  std::thread([&] {
    Must(from.SendCopy(BytesOf("nopqrstu"), address, 3));
  }).join();
  TurnUntil([&] { return lent.datagrams.size() == 3; });
  EXPECT_THAT(lent.datagrams, ElementsAre("nop", "qrs", "tu"));
  DestroyLoop();
}

// With offload, what was sent together may come together; sent back as it came,
// it arrives as it was sent.
TEST_P(DatagramOperation, O12_WhatCameTogetherGoesBackTogether) {
  DatagramSocket client = Bound(), server = Bound();
  bool together = false;
  ASSERT_OK(server.StartReceive(
      [&](const ReceivedDatagrams& got) {
        for (const ReceivedDatagram& each : got.datagrams) {
          EXPECT_FALSE(each.truncated);
          if (each.segment_bytes == 0) {
            EXPECT_LE(each.data.size(), 1000u);
          } else {
            EXPECT_EQ(each.segment_bytes, 1000u);
            together = true;
          }
          Must(server.SendCopy(each.data, each.source, each.segment_bytes));
        }
      },
      {.offload = true}));
  const SocketAddress address = Must(server.LocalAddress());
  const std::string text = Pattern(40 * 1000 + 7);
  Lent lent;
  ASSERT_OK(client.StartReceive(lent.Handler()));
  Must(client.SendCopy(BytesOf(text), address, 1000));
  Must(client.SendCopy(BytesOf("single"), address));
  TurnUntil([&] { return lent.datagrams.size() == 42; });
  EXPECT_EQ(absl::StrJoin(lent.datagrams, ""), text + "single");
  EXPECT_EQ(together, DatagramSocket::SegmentationSupported());
  EXPECT_THAT(lent.errors, IsEmpty());
  DestroyLoop();
}

// Whatever the record of the operation was used for before.
TEST_P(DatagramOperation, O01_ASendToThePeerGoesToThePeer) {
  DatagramSocket from = Bound(), peer = Bound(), other = Bound();
  ASSERT_OK(from.Connect(Must(peer.LocalAddress())));
  Indications sent, told, strayed;
  Room room(4), stray(4);
  ASSERT_OK(peer.ReceiveFrom(room, told.ForDatagram("r")));
  ASSERT_OK(other.ReceiveFrom(stray, strayed.ForDatagram("r")));
  ASSERT_OK(
      from.SendTo(BytesOf("a"), Must(other.LocalAddress()), sent.Handler("s")));
  TurnUntilCount(sent, 1);
  TurnUntilCount(strayed, 1);
  ASSERT_OK(other.ReceiveFrom(stray, strayed.ForDatagram("r")));
  ASSERT_OK(from.Send(BytesOf("b"), sent.Handler("s")));
  TurnUntilCount(sent, 2);
  TurnUntilCount(told, 1);
  TurnPastSentinel();
  EXPECT_EQ(room.text(1), "b");
  EXPECT_EQ(strayed.count(), 1u);
}

TEST_P(DatagramOperation, O12_AnErrorDoesNotEndTheReceiving) {
  DatagramSocket from = Bound();
  SocketAddress nobody;
  {
    Socket gone = Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0)));
    nobody = AddressOf(gone);
  }
  ASSERT_OK(from.Connect(nobody));
  Lent lent;
  ASSERT_OK(from.StartReceive(lent.Handler()));
  Turn();
  EXPECT_OK(from.SendCopy(BytesOf("x"), SocketAddress()));
  TurnUntil([&] { return lent.errors.size() == 1; });
  ASSERT_EQ(lent.errors.size(), 1u);
  EXPECT_CODE(lent.errors[0], kUnavailable);
  if (absl::StrContains(GetParam(), "overlapped") &&
      !test::DatagramErrorsPass()) {
    // Its wait is under way already.
    DestroyLoop();
    WEIR_SKIP_WHERE_DATAGRAM_ERRORS_STAY();
  }
  Socket back = Must(Socket::BindDatagram(nobody));
  Must(back.StartConnecting(Must(from.LocalAddress())));
  Send(back, "hello");
  TurnUntil([&] { return !lent.datagrams.empty(); });
  EXPECT_THAT(lent.datagrams, ElementsAre("hello"));
  EXPECT_EQ(lent.errors.size(), 1u);
  DestroyLoop();
}

}  // namespace
}  // namespace weir::conformance
