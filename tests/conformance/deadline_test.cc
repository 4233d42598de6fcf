// Deadlines of operations (O11).

#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/conformance/operations.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

constexpr absl::Duration kShort = absl::Milliseconds(15);
// Time enough for what only has to be collected, on a loaded machine too.
constexpr absl::Duration kAmple = absl::Seconds(1);

class Deadline : public OperationsTest {};
WEIR_CONFORMANCE_SUITE(Deadline);

TEST_P(Deadline, O11_AReceiveEndsAtItsDeadlineNotBefore) {
  StreamAndPeer pair = Connect();
  Indications told;
  Room room(4), next(4);
  Operation receive;
  const absl::Time before = absl::Now();
  ASSERT_OK(pair.stream.Receive(room, told.Handler("r"),
                                {.timeout = kShort, .handle = &receive}));
  TurnUntilCount(told, 1);
  EXPECT_GE(absl::Now() - before, kShort - absl::Milliseconds(1));
  EXPECT_THAT(told.Take(), ElementsAre("r DEADLINE_EXCEEDED 0"));
  EXPECT_CODE(Must(receive.Result()).status, kDeadlineExceeded);
  EXPECT_CODE(receive.Cancel(), kFailedPrecondition);
  // Nothing was taken, and the stream is as good as before.
  Send(pair.peer, "abc");
  ASSERT_OK(pair.stream.Receive(next, told.Handler("r"),
                                {.timeout = kPatience}));
  ASSERT_OK(pair.stream.Send(BytesOf("x"), told.Handler("s")));
  TurnUntilCount(told, 2);
  EXPECT_EQ(room.all() + next.all(), "....abc.");
}

// Completed in time: the deadline is forgotten.
TEST_P(Deadline, O11_WhatCompletesInTimeIsNotToldAgain) {
  StreamAndPeer pair = Connect();
  Indications told;
  Room room(4);
  ASSERT_OK(pair.stream.Receive(room, told.Handler("r"), {.timeout = kAmple}));
  Send(pair.peer, "abc");
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.Take(), ElementsAre("r OK 3"));
  // The record is used again by one that has no deadline.
  Room other(4);
  ASSERT_OK(pair.stream.Receive(other, told.Handler("open")));
  Indications later;
  StreamAndPeer clock = Connect();
  ASSERT_OK(clock.stream.Receive(room, later.Handler("later"),
                                 {.timeout = kAmple + 3 * kShort}));
  TurnUntilCount(later, 1);
  EXPECT_EQ(told.count(), 0u);
}

// Of several only the one whose time is over, and in the order of time.
TEST_P(Deadline, O11_EachHasItsOwnTime) {
  StreamAndPeer pair = Connect();
  Indications told;
  std::vector<Room> rooms(4, Room(4));
  ASSERT_OK(pair.stream.Receive(rooms[0], told.Handler("long"),
                                {.timeout = absl::Hours(1000000)}));
  ASSERT_OK(pair.stream.Receive(rooms[1], told.Handler("second"),
                                {.timeout = 2 * kShort}));
  ASSERT_OK(
      pair.stream.Receive(rooms[2], told.Handler("first"), {.timeout = kShort}));
  ASSERT_OK(pair.stream.Receive(rooms[3], told.Handler("open")));
  TurnUntilCount(told, 2);
  EXPECT_THAT(told.Take(), ElementsAre("first DEADLINE_EXCEEDED 0",
                                       "second DEADLINE_EXCEEDED 0"));
  Send(pair.peer, "abcdef");
  TurnUntilCount(told, 2);
  EXPECT_THAT(told.entries(), ElementsAre("long OK 4", "open OK 2"));
}

// The shortest there is: still after the call, never inside it.
TEST_P(Deadline, O11_TheShortestDeadline) {
  StreamAndPeer pair = Connect();
  Indications told;
  Room room(4);
  ASSERT_OK(pair.stream.Receive(room, told.Handler("r"),
                                {.timeout = absl::Nanoseconds(1)}));
  EXPECT_EQ(told.count(), 0u);
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.entries(), ElementsAre("r DEADLINE_EXCEEDED 0"));
}

// O10 holds for them: what was consumed is said, and nothing can follow.
TEST_P(Deadline, O11_ASendThatIsCutLeavesOnlyTheClosing) {
  StreamAndPeer pair = Connect();
  Indications told;
  const std::string data = Pattern(kMoreThanFits);
  ASSERT_OK(pair.stream.Send(BytesOf(data), told.Handler("s"),
                             {.timeout = kShort}));
  ASSERT_OK(pair.stream.Send(BytesOf("later"), told.Handler("later")));
  TurnUntilCount(told, 2);
  const std::string arrived = Drain(pair.peer);
  EXPECT_GT(arrived.size(), 0u);
  EXPECT_THAT(told.Take(), ElementsAre(absl::StrCat("s DEADLINE_EXCEEDED ",
                                                    arrived.size()),
                                       "later CANCELLED 0"));
  EXPECT_CODE(pair.stream.Send(BytesOf("x"), told.Handler("x")),
              kFailedPrecondition);
  EXPECT_CODE(pair.stream.SendCopy(BytesOf("x")), kFailedPrecondition);
  ASSERT_OK(pair.stream.Close(told.ForClose("closed")));
  TurnUntilCount(told, 1);
  AwaitPeerClosed(pair.peer);
  EXPECT_EQ(Drain(pair.peer), "");
}

TEST_P(Deadline, O11_ConnectsAcceptsAndDatagramsHaveThem) {
  Socket full = Must(
      Socket::Listen(SocketAddress::Ipv4Loopback(0), {.backlog = 1}));
  Indications connects, told;
  std::vector<Stream> streams;
  constexpr std::size_t kCount = 6;
  for (std::size_t i = 0; i < kCount; ++i) {
    streams.push_back(Must(Stream::Open(loop(), AddressFamily::kIpv4)));
    ASSERT_OK(streams.back().Connect(AddressOf(full), connects.Handler("c"),
                                     {.timeout = 3 * kShort}));
  }
  weir::Listener listener = Must(
      weir::Listener::Listen(loop(), SocketAddress::Ipv4Loopback(0)));
  DatagramSocket datagrams =
      Must(DatagramSocket::Bind(loop(), SocketAddress::Ipv4Loopback(0)));
  Room room(4);
  ASSERT_OK(listener.Accept(told.ForAccept("a"), {.timeout = kShort}));
  ASSERT_OK(datagrams.ReceiveFrom(room, told.ForDatagram("d"),
                                  {.timeout = 2 * kShort}));
  TurnUntilCount(told, 2);
  // Both may have passed before the first is looked at.
  EXPECT_THAT(told.entries(), UnorderedElementsAre("a DEADLINE_EXCEEDED 0",
                                                   "d DEADLINE_EXCEEDED 0"));
  TurnUntilCount(connects, kCount);
  std::size_t timed_out = 0;
  for (const std::string& entry : connects.entries()) {
    timed_out += entry == "c DEADLINE_EXCEEDED 0" ? 1 : 0;
  }
  // Some were taken by the backlog, the others got no answer.
  EXPECT_GT(timed_out, 0u);
  EXPECT_EQ(connects.count(), kCount);
  for (std::size_t i = 0; i < kCount; ++i) {
    if (connects.entries()[i] != "c OK 0") continue;
    EXPECT_LT(timed_out, kCount);
  }
}

// A deadline that passes while a handler runs is still later than a result that
// is there: the result wins or the deadline does, but one of them only.
TEST_P(Deadline, O11_AResultAndADeadlineInOneTurn) {
  for (int round = 0; round < 20; ++round) {
    StreamAndPeer pair = Connect();
    Indications told;
    Room room(4);
    ASSERT_OK(pair.stream.Receive(room, told.Handler("r"),
                                  {.timeout = absl::Microseconds(100)}));
    if (round % 2 == 0) Turn();
    const absl::Time over = absl::Now() + absl::Microseconds(200);
    Send(pair.peer, "abc");
    while (absl::Now() < over) {
    }
    TurnUntilCount(told, 1);
    TurnPastSentinel();
    ASSERT_EQ(told.count(), 1u);
    const std::string entry = told.entries()[0];
    if (entry == "r DEADLINE_EXCEEDED 0") {
      EXPECT_EQ(room.all(), "....");
      ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
      TurnUntilCount(told, 2);
      EXPECT_EQ(told.entries()[1], "r OK 3");
    } else {
      EXPECT_EQ(entry, "r OK 3");
    }
  }
}

}  // namespace
}  // namespace weir::conformance
