// Receiving into buffers that the runtime lends (O12).

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/operations.h"
#include "weir/status.h"

namespace weir::conformance {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class StreamReceive : public OperationsTest {};
WEIR_CONFORMANCE_SUITE(StreamReceive);

TEST_P(StreamReceive, O12_EverythingIsToldUntilTheEnd) {
  for (const AddressFamily family : test::Available({AddressFamily::kUnix, AddressFamily::kIpv4})) {
    StreamAndPeer pair = Connect(family);
    Indications told;
    Send(pair.peer, "before,");
    ASSERT_OK(pair.stream.StartReceive(told.ForReceived("r")));
    EXPECT_EQ(told.count(), 0u);
    TurnUntilCount(told, 1);
    EXPECT_THAT(told.Take(), ElementsAre("r OK 7"));
    const std::string big = Pattern(1 << 20);
    std::size_t given = 0;
    PumpUntil([&] {
      const std::string_view rest = std::string_view(big).substr(given);
      if (!rest.empty()) given += Must(pair.peer.Send(BytesOf(rest))).bytes;
      return told.received().size() == 7 + big.size();
    });
    EXPECT_TRUE(told.received() == "before," + big);
    for (const std::string& entry : told.Take()) {
      EXPECT_EQ(entry.substr(0, 5), "r OK ");
      EXPECT_NE(entry, "r OK 0");
    }
    ExpectIdle();
    Send(pair.peer, "last");
    MustOk(pair.peer.Shutdown(ShutdownDirection::kSend));
    TurnUntil([&] { return told.alive() == 0; });
    EXPECT_THAT(told.Take(), ElementsAre("r OK 4", "r OK 0"));
    TurnPastSentinel();
    EXPECT_THAT(told.Take(), IsEmpty());
    // It can be started again, and ends again.
    ASSERT_OK(pair.stream.StartReceive(told.ForReceived("again")));
    TurnUntilCount(told, 1);
    EXPECT_THAT(told.Take(), ElementsAre("again OK 0"));
    ASSERT_OK(pair.stream.Send(BytesOf("x"), told.Handler("s")));
    TurnUntilCount(told, 1);
  }
}

TEST_P(StreamReceive, O12_AResetIsTheLastIndication) {
  for (const bool sends : {false, true}) {
    StreamAndPeer pair = Connect(AddressFamily::kIpv4);
    Indications told, sent;
    ASSERT_OK(pair.stream.StartReceive(told.ForReceived("r")));
    if (sends) FillSends(pair.stream, sent);
    Send(pair.peer, "abc");
    TurnUntilCount(told, 1);
    Reset(pair.peer);
    TurnUntilCount(told, 2);
    TurnPastSentinel();
    EXPECT_THAT(told.entries(), ElementsAre("r OK 3", "r UNAVAILABLE 0"));
    EXPECT_EQ(CauseOf(told.last_status()), ErrorCause::kConnectionReset);
    EXPECT_EQ(told.alive(), 0);
  }
}

// Data and the reset come at one moment: two things, both told, where the system
// does not throw away what nobody has received yet. What is told of the reset depends on who was told first, the receive or a send.
TEST_P(StreamReceive, O12_AResetTogetherWithDataIsTold) {
  for (const bool answers : {false, true}) {
    for (int round = 0; round < 20; ++round) {
      StreamAndPeer pair = Connect(AddressFamily::kIpv4);
      Indications told;
      ReceiveHandler record = told.ForReceived("r");
      ASSERT_OK(pair.stream.StartReceive([&](const Received& received) {
        if (answers && !received.end()) {
          (void)pair.stream.SendCopy(received.data);
        }
        record(received);
      }));
      Turn();
      Send(pair.peer, "abc");
      Reset(pair.peer);
      PumpUntil([&] { return !told.last_status().ok(); });
      if (test::DataOutlivesAReset()) {
        EXPECT_THAT(told.entries(), ElementsAre("r OK 3", "r UNAVAILABLE 0"));
      } else {
        EXPECT_THAT(told.entries(),
                    AnyOf(ElementsAre("r OK 3", "r UNAVAILABLE 0"),
                          ElementsAre("r UNAVAILABLE 0")));
      }
    }
  }
}

// Much was sent, and then the connection was reset, while the receiver was
// paused. Linux tells it no more by itself when it goes on (see
// Submissions::IsLongBurst).
TEST_P(StreamReceive, O12_AResetBehindMuchDataIsTold) {
  for (const std::size_t most : {1u << 16, 1u << 19, 1u << 20, 1u << 22}) {
    SCOPED_TRACE(most);
    StreamAndPeer pair = Connect(AddressFamily::kIpv4);
    MustOk(pair.stream.SetOption(SocketOption::kReceiveBufferBytes, 4 << 20));
    MustOk(pair.peer.SetOption(SocketOption::kSendBufferBytes, 4 << 20));
    Indications told;
    ASSERT_OK(pair.stream.StartReceive(told.ForReceived("r")));
    Send(pair.peer, "x");
    TurnUntilCount(told, 1);
    ASSERT_OK(pair.stream.PauseReceive());
    Turn();
    const std::string data = Pattern(most);
    std::size_t sent = 0;
    // As much as it takes: there may be room for less.
    for (int tries = 0; tries < 1000 && sent < most; ++tries) {
      sent += Must(pair.peer.Send(BytesOf(data).subspan(sent))).bytes;
      Turn();
    }
    Reset(pair.peer);
    ASSERT_OK(pair.stream.ResumeReceive());
    TurnUntil([&] { return told.alive() == 0; });
    EXPECT_EQ(CauseOf(told.last_status()), ErrorCause::kConnectionReset);
  }
}

TEST_P(StreamReceive, O12_OneReceiverAndNoReceivesBesides) {
  StreamAndPeer pair = Connect();
  Indications told, refused;
  Room room(4);
  EXPECT_CODE(pair.stream.StartReceive(nullptr), kInvalidArgument);
  EXPECT_CODE(pair.stream.PauseReceive(), kFailedPrecondition);
  EXPECT_CODE(pair.stream.ResumeReceive(), kFailedPrecondition);
  ASSERT_OK(pair.stream.Receive(room, told.Handler("o")));
  EXPECT_CODE(pair.stream.StartReceive(refused.ForReceived("x")),
              kFailedPrecondition);
  Send(pair.peer, "a");
  TurnUntilCount(told, 1);
  ASSERT_OK(pair.stream.StartReceive(told.ForReceived("r")));
  EXPECT_CODE(pair.stream.StartReceive(refused.ForReceived("x")),
              kFailedPrecondition);
  EXPECT_CODE(pair.stream.Receive(room, refused.Handler("x")),
              kFailedPrecondition);
  EXPECT_EQ(refused.alive(), 0);
  Send(pair.peer, "b");
  TurnUntilCount(told, 2);
  // A cancel of all operations does not concern it.
  ASSERT_OK(pair.stream.Cancel());
  Send(pair.peer, "c");
  TurnUntilCount(told, 3);
  EXPECT_THAT(told.entries(), ElementsAre("o OK 1", "r OK 1", "r OK 1"));
  EXPECT_THAT(refused.entries(), IsEmpty());
}

TEST_P(StreamReceive, O12_NothingIsToldBetweenPauseAndResume) {
  for (const AddressFamily family : test::Available({AddressFamily::kUnix, AddressFamily::kIpv4})) {
    StreamAndPeer pair = Connect(family);
    Indications told;
    ASSERT_OK(pair.stream.StartReceive(told.ForReceived("r")));
    Send(pair.peer, "a");
    TurnUntilCount(told, 1);
    told.Take();
    for (int round = 0; round < 3; ++round) {
      ASSERT_OK(pair.stream.PauseReceive());
      ASSERT_OK(pair.stream.PauseReceive());
      Send(pair.peer, "abc");
      TurnPastSentinel();
      Send(pair.peer, "def");
      TurnPastSentinel();
      EXPECT_THAT(told.Take(), IsEmpty());
      // Waiting data do not keep the loop busy.
      ExpectIdle();
      ASSERT_OK(pair.stream.ResumeReceive());
      EXPECT_EQ(told.count(), 0u);
      const std::size_t before = told.received().size();
      TurnUntil([&] { return told.received().size() == before + 6; });
      EXPECT_EQ(told.received().substr(before), "abcdef");
      for (const std::string& entry : told.Take()) {
        EXPECT_EQ(entry.substr(0, 5), "r OK ");
      }
    }
    // The end waits as well.
    ASSERT_OK(pair.stream.PauseReceive());
    MustOk(pair.peer.Shutdown(ShutdownDirection::kSend));
    TurnPastSentinel();
    EXPECT_THAT(told.Take(), IsEmpty());
    ASSERT_OK(pair.stream.ResumeReceive());
    TurnUntilCount(told, 1);
    EXPECT_THAT(told.Take(), ElementsAre("r OK 0"));
  }
}

// From its handler: no further call, however much is there.
TEST_P(StreamReceive, O12_PauseInTheHandlerHoldsAtOnce) {
  StreamAndPeer pair = Connect();
  std::size_t calls = 0, bytes = 0;
  const std::size_t given = Fill(pair.peer);
  ASSERT_OK(pair.stream.StartReceive([&](const Received& received) {
    ++calls;
    bytes += received.data.size();
    if (received.end()) return;
    EXPECT_OK(pair.stream.PauseReceive());
  }));
  for (std::size_t call = 1; bytes < given; ++call) {
    TurnUntil([&] { return calls == call; });
    TurnPastSentinel();
    EXPECT_EQ(calls, call);
    ASSERT_OK(pair.stream.ResumeReceive());
  }
  TurnPastSentinel();
  EXPECT_EQ(bytes, given);
  DestroyLoop();  // the handler goes before what it refers to
}

// A paused stream slows its peer down.
TEST_P(StreamReceive, O12_APauseIsBackPressure) {
  StreamAndPeer pair = Connect(AddressFamily::kIpv4);
  Indications told;
  ASSERT_OK(pair.stream.StartReceive(told.ForReceived("r")));
  Turn();
  ASSERT_OK(pair.stream.PauseReceive());
  std::size_t given = Fill(pair.peer);
  TurnPastSentinel();
  given += Fill(pair.peer);
  EXPECT_EQ(told.count(), 0u);
  EXPECT_TRUE(Must(pair.peer.Send(BytesOf("x"))).would_block);
  ASSERT_OK(pair.stream.ResumeReceive());
  PumpUntil([&] { return told.received().size() >= given; });
  AwaitWritable(pair.peer);
  EXPECT_EQ(told.received().size(), given);
}

// What is received is echoed by copies, and pausing keeps the memory bounded:
// bytes and order are right.
TEST_P(StreamReceive, O12_EchoWithAStalledReader) {
  constexpr std::size_t kMost = 256 * 1024;
  StreamAndPeer pair = Connect(AddressFamily::kIpv4);
  std::size_t highest = 0;
  int pauses = 0;
  bool ended = false;
  ASSERT_OK(pair.stream.StartReceive([&](const Received& received) {
    if (received.end()) {
      EXPECT_OK(received.status);
      EXPECT_OK(pair.stream.Disconnect([&](const Completion& done) {
        EXPECT_OK(done.status);
        ended = true;
      }));
      return;
    }
    const std::size_t unsent = Must(pair.stream.SendCopy(received.data));
    highest = std::max(highest, unsent);
    if (unsent < kMost) return;
    ++pauses;
    EXPECT_OK(pair.stream.PauseReceive());
    EXPECT_OK(pair.stream.Flush([&](const Completion& done) {
      EXPECT_OK(done.status);
      EXPECT_OK(pair.stream.ResumeReceive());
    }));
  }));
  const std::string data = Pattern(kMoreThanFits);
  std::size_t given = 0;
  std::string arrived;
  // Nothing is read until nothing more can be sent.
  int stalled = 0;
  PumpUntil([&] {
    const std::size_t before = given;
    while (given < data.size()) {
      const auto sent =
          Must(pair.peer.Send(BytesOf(std::string_view(data).substr(given))));
      if (sent.would_block) break;
      given += sent.bytes;
    }
    if (given == before) ++stalled;
    return (stalled >= 20 && pauses > 0) || given == data.size();
  });
  EXPECT_LT(given, data.size());
  PumpUntil([&] {
    if (given < data.size()) {
      given += Must(pair.peer.Send(
                        BytesOf(std::string_view(data).substr(given))))
                   .bytes;
      if (given == data.size()) {
        MustOk(pair.peer.Shutdown(ShutdownDirection::kSend));
      }
    }
    arrived += Drain(pair.peer);
    return arrived.size() == data.size();
  });
  EXPECT_TRUE(arrived == data);
  TurnUntil([&] { return ended; });
  EXPECT_GT(pauses, 0);
  EXPECT_LE(highest, kMost + 64 * 1024);
  AwaitPeerClosed(pair.peer);
  DestroyLoop();
}

// Survey trap 65: a stream that is always ready starves nobody.
TEST_P(StreamReceive, O12_AFloodStarvesNobody) {
  StreamAndPeer flood = Connect();
  StreamAndPeer other = Connect();
  Indications told;
  Room room(4);
  std::size_t calls = 0;
  bool posted = false;
  // Refilled by its own handler: there is always more.
  Fill(flood.peer);
  ASSERT_OK(flood.stream.StartReceive([&](const Received&) {
    if (++calls < 100000) (void)flood.peer.Send(BytesOf(Pattern(100000)));
  }));
  ASSERT_OK(other.stream.Receive(room, told.Handler("r")));
  Send(other.peer, "x");
  MustOk(loop().Post([&] { posted = true; }));
  const auto done = [&] { return posted && told.count() == 1; };
  for (int turn = 0; turn < 5 && !done(); ++turn) Turn();
  EXPECT_TRUE(done());
  EXPECT_LT(calls, 100000u);
  DestroyLoop();
}

TEST_P(StreamReceive, P06_LentBuffersAreCounted) {
  StreamAndPeer pair = Connect(AddressFamily::kIpv4);
  Indications told;
  ASSERT_OK(pair.stream.StartReceive(told.ForReceived("r")));
  Turn();
  EXPECT_EQ(loop().counters().buffers_lent, 0u);
  for (std::size_t i = 1; i <= 3; ++i) {
    Send(pair.peer, "abc");
    TurnUntilCount(told, i);
    EXPECT_EQ(loop().counters().buffers_lent, i);
  }
  // Its end lends nothing.
  pair.peer.Close();
  TurnUntilCount(told, 4);
  EXPECT_EQ(loop().counters().buffers_lent, 3u);
}

}  // namespace
}  // namespace weir::conformance
