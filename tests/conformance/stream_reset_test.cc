// Being told of the loss of a connection, whatever is received meanwhile (O01,
// O12).

#include <string>
#include <vector>

#include "tests/conformance/operations.h"
#include "weir/status.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class StreamReset : public OperationsTest {
 protected:
  // As it is told to who waits for it.
  static std::vector<std::string> Lost() { return {"lost UNAVAILABLE 0"}; }
};
WEIR_CONFORMANCE_SUITE(StreamReset);

TEST_P(StreamReset, O12_IsToldWhileReceivingIsPaused) {
  for (const bool data_waits : {false, true}) {
    SCOPED_TRACE(data_waits);
    StreamAndPeer pair = Connect(AddressFamily::kIpv4);
    Indications received, lost;
    ASSERT_OK(pair.stream.StartReceive(received.ForReceived("r")));
    ASSERT_OK(pair.stream.WaitForReset(lost.Handler("lost")));
    Send(pair.peer, "abc");
    TurnUntilCount(received, 1);
    ASSERT_OK(pair.stream.PauseReceive());
    TurnPastSentinel();
    if (data_waits) Send(pair.peer, "def");
    TurnPastSentinel();
    EXPECT_EQ(lost.count(), 0u);
    Reset(pair.peer);
    TurnUntilCount(lost, 1);
    EXPECT_EQ(lost.entries(), Lost());
    EXPECT_EQ(CauseOf(lost.last_status()), ErrorCause::kConnectionReset);
    EXPECT_THAT(received.entries(), ElementsAre("r OK 3"));
    // The receiver is told as well, when it goes on.
    ASSERT_OK(pair.stream.ResumeReceive());
    TurnUntil([&] { return received.alive() == 0; });
    EXPECT_EQ(received.entries().back(), "r UNAVAILABLE 0");
    EXPECT_EQ(CauseOf(received.last_status()), ErrorCause::kConnectionReset);
  }
}

// One that stalls while what was sent to it waits.
TEST_P(StreamReset, O12_IsToldWhileSendsWait) {
  StreamAndPeer pair = Connect(AddressFamily::kIpv4);
  Indications sent, lost;
  FillSends(pair.stream, sent);
  ASSERT_OK(pair.stream.WaitForReset(lost.Handler("lost")));
  TurnPastSentinel();
  EXPECT_EQ(lost.count(), 0u);
  Reset(pair.peer);
  TurnUntilCount(lost, 1);
  EXPECT_EQ(lost.entries(), Lost());
  TurnUntil([&] { return sent.alive() == 0; });
  EXPECT_EQ(sent.entries().back().substr(0, 17), "fill UNAVAILABLE ");
}

TEST_P(StreamReset, O12_IsToldBesidesAReceive) {
  StreamAndPeer pair = Connect(AddressFamily::kIpv4);
  Indications received, lost;
  Room room(4);
  ASSERT_OK(pair.stream.WaitForReset(lost.Handler("lost")));
  ASSERT_OK(pair.stream.Receive(room, received.Handler("r")));
  Turn();
  Reset(pair.peer);
  TurnUntilCount(lost, 1);
  TurnUntilCount(received, 1);
  EXPECT_EQ(lost.entries(), Lost());
  EXPECT_THAT(received.entries(), ElementsAre("r UNAVAILABLE 0"));
}

// The connection was lost before anybody asked, and perhaps told already.
TEST_P(StreamReset, O12_IsToldToWhoAsksLate) {
  for (const bool was_told : {false, true}) {
    SCOPED_TRACE(was_told);
    StreamAndPeer pair = Connect(AddressFamily::kIpv4);
    Indications received, lost;
    if (was_told) {
      ASSERT_OK(pair.stream.StartReceive(received.ForReceived("r")));
    }
    Reset(pair.peer);
    if (was_told) TurnUntilCount(received, 1);
    for (std::size_t i = 1; i <= 2; ++i) {
      ASSERT_OK(pair.stream.WaitForReset(lost.Handler("lost")));
      TurnUntilCount(lost, i);
      EXPECT_EQ(lost.entries().back(), Lost()[0]);
    }
  }
}

// An orderly end is none, not even of both directions, and costs nothing.
TEST_P(StreamReset, O12_AnOrderlyEndIsNoLoss) {
  for (const AddressFamily family :
       test::Available({AddressFamily::kUnix, AddressFamily::kIpv4})) {
    StreamAndPeer pair = Connect(family);
    Indications told, lost;
    ASSERT_OK(pair.stream.WaitForReset(lost.Handler("lost")));
    ASSERT_OK(pair.stream.StartReceive(told.ForReceived("r")));
    MustOk(pair.peer.Shutdown(ShutdownDirection::kSend));
    TurnUntilCount(told, 1);
    TurnPastSentinel();
    ExpectIdle();
    ASSERT_OK(pair.stream.Disconnect(told.Handler("d")));
    TurnUntilCount(told, 2);
    EXPECT_TRUE(Must(pair.peer.Receive(Room(4))).end_of_stream);
    pair.peer.Close();
    TurnPastSentinel();
    ExpectIdle();
    EXPECT_THAT(lost.entries(), IsEmpty());
    ASSERT_OK(pair.stream.Close(lost.ForClose("closed")));
    TurnUntilCount(lost, 2);
    EXPECT_THAT(lost.entries(), ElementsAre("lost CANCELLED 0", "closed"));
  }
}

// A peer that has not read all is gone, and the connection with it.
TEST_P(StreamReset, O12_APeerThatDoesNotReadIsALoss) {
  StreamAndPeer pair = Connect(AddressFamily::kIpv4);
  Indications told, lost;
  ASSERT_OK(pair.stream.WaitForReset(lost.Handler("lost")));
  ASSERT_OK(pair.stream.Send(BytesOf("abc"), told.Handler("s")));
  TurnUntilCount(told, 1);
  pair.peer.Close();
  TurnUntilCount(lost, 1);
  EXPECT_EQ(lost.entries(), Lost());
}

TEST_P(StreamReset, O10_ItIsCancelledAndTheStreamGoesOn) {
  StreamAndPeer pair = Connect();
  Indications told, lost;
  Operation one;
  ASSERT_OK(pair.stream.WaitForReset(lost.Handler("lost"), {.handle = &one}));
  Turn();
  ASSERT_OK(one.Cancel());
  TurnUntilCount(lost, 1);
  ASSERT_OK(pair.stream.WaitForReset(lost.Handler("late"),
                                     {.timeout = absl::Milliseconds(1)}));
  TurnUntilCount(lost, 2);
  ASSERT_OK(pair.stream.WaitForReset(lost.Handler("all")));
  ASSERT_OK(pair.stream.Cancel());
  TurnUntilCount(lost, 3);
  EXPECT_THAT(lost.entries(),
              ElementsAre("lost CANCELLED 0", "late DEADLINE_EXCEEDED 0",
                          "all CANCELLED 0"));
  ASSERT_OK(pair.stream.Send(BytesOf("abc"), told.Handler("s")));
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.entries(), ElementsAre("s OK 3"));
  EXPECT_EQ(Drain(pair.peer), "abc");
}

// It is an operation that is pending.
TEST_P(StreamReset, O13_NothingIsGivenBackMeanwhile) {
  StreamAndPeer pair = Connect();
  Indications lost;
  ASSERT_OK(pair.stream.WaitForReset(lost.Handler("lost")));
  EXPECT_CODE(pair.stream.Detach().status(), kFailedPrecondition);
  pair.stream = Stream();
  TurnUntilCount(lost, 1);
  EXPECT_THAT(lost.entries(), ElementsAre("lost CANCELLED 0"));
  Stream unconnected = Must(Stream::Open(loop(), AddressFamily::kIpv4));
  EXPECT_CODE(unconnected.WaitForReset(lost.Handler("x")),
              kFailedPrecondition);
}

}  // namespace
}  // namespace weir::conformance
