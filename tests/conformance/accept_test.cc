// Accepting on notification (R21).

#include <cstdint>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/conformance/descriptors.h"
#include "tests/conformance/loop_threads.h"
#include "weir/status.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;

class AcceptTest : public Conformance {};
WEIR_CONFORMANCE_SUITE(AcceptTest);

// Clients whose connections wait at `listener` to be accepted.
std::vector<Socket> Connecting(const Socket& listener, int count) {
  std::vector<Socket> clients;
  for (int i = 0; i < count; ++i) {
    clients.push_back(Must(Socket::Connect(AddressOf(listener))));
    AwaitWritable(clients.back());
  }
  AwaitReadable(listener);
  return clients;
}

// Throttled by the handler: level, one connection a turn.
TEST_P(AcceptTest, R21_OneConnectionAtATime) {
  Socket listener = Listener();
  std::vector<Socket> accepted;
  Must(loop().Register(listener, {.interest = Interest::kReadable},
                       [&](const Event& event) {
                         if (event.removed()) return;
                         EXPECT_EQ(event.events(), Events::kReadable);
                         auto connection = Must(listener.Accept());
                         ASSERT_TRUE(connection.has_value());
                         accepted.push_back(std::move(connection->socket));
                       }));
  Turn();
  const auto clients = Connecting(listener, 5);
  for (std::size_t turn = 1; turn <= 5; ++turn) {
    EXPECT_EQ(Turn(), 1);
    EXPECT_EQ(accepted.size(), turn);
  }
  TurnPastSentinel();
  EXPECT_EQ(accepted.size(), 5u);
}

// Edge: until there is none left; and a connection that comes afterwards is a
// new edge.
TEST_P(AcceptTest, R05_AnEdgeListenerAcceptsUntilThereIsNone) {
  Socket listener = Listener();
  std::vector<Socket> accepted;
  int calls = 0;
  Must(loop().Register(
      listener, {.interest = Interest::kReadable, .trigger = Trigger::kEdge},
      [&](const Event& event) {
        if (event.removed()) return;
        ++calls;
        while (auto connection = Must(listener.Accept())) {
          accepted.push_back(std::move(connection->socket));
        }
      }));
  for (std::size_t round = 1; round <= 3; ++round) {
    const auto clients = Connecting(listener, 4);
    TurnUntil([&] { return accepted.size() == 4 * round; });
    TurnPastSentinel();
    EXPECT_EQ(calls, static_cast<int>(round));
  }
}

// The address that accept tells is the client's own.
TEST_P(AcceptTest, R21_ThePeerIsTold) {
  Socket listener = Listener();
  Recorder recorder;
  Register(listener, {.interest = Interest::kReadable}, recorder);
  const auto clients = Connecting(listener, 1);
  TurnUntilSeen(recorder, Events::kReadable);
  const auto connection = Must(listener.Accept());
  ASSERT_TRUE(connection.has_value());
  EXPECT_EQ(connection->peer, AddressOf(clients[0]));
  EXPECT_EQ(Must(listener.Accept()).has_value(), false);
}

// Survey trap 60: out of descriptors. The listener is disabled and tried again
// by a timer: it does not spin, and no connection is lost.
TEST_P(AcceptTest, R21_OutOfDescriptorsNeitherSpinsNorLosesAConnection) {
  WEIR_SKIP_WITHOUT_DESCRIPTOR_LIMIT();
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Socket listener = Listener();
    const auto clients = Connecting(listener, 3);
    std::vector<Socket> accepted;
    int refused = 0;
    Registration registration;
    Timer retry = Must(loop().CreateTimer([&] {
      // Re-arming enables, and tells what holds.
      EXPECT_OK(registration.Rearm());
    }));
    const auto accept = [&](const Event& event) {
      if (event.removed()) return;
      EXPECT_EQ(event.events(), Events::kReadable);
      while (true) {
        auto connection = listener.Accept();
        if (!connection.ok()) {
          EXPECT_CODE(connection, kResourceExhausted);
          EXPECT_EQ(CauseOf(connection.status()),
                    ErrorCause::kTooManyDescriptors);
          ++refused;
          EXPECT_OK(event.registration().Disable());
          EXPECT_OK(retry.Set(absl::Milliseconds(1)));
          return;
        }
        if (!connection->has_value()) return;
        accepted.push_back(std::move((*connection)->socket));
      }
    };
    registration = Must(
        loop().Register(listener, mode.With(Interest::kReadable), accept));
    std::uint64_t turns = 0;
    {
      const NoDescriptorsLeft none;
      const auto before = loop().counters();
      TurnUntil([&] { return refused >= 10; });
      turns = loop().counters().turns - before.turns;
    }
    EXPECT_TRUE(accepted.empty());
    // A turn for each refusal, one for each timer, and a few for the clock.
    EXPECT_LE(turns, 40u);
    TurnUntil([&] { return accepted.size() == 3; });
    // And it goes on listening.
    if (mode.persistence == Persistence::kOneShot) {
      ASSERT_OK(registration.Rearm());
    }
    const auto later = Connecting(listener, 1);
    TurnUntil([&] { return accepted.size() == 4; });
    ASSERT_OK(registration.Remove());
    Turn();
  }
}

// While the listener is disabled it is silent, whoever waits at it.
TEST_P(AcceptTest, R07_ADisabledListenerIsSilent) {
  Socket listener = Listener();
  Recorder recorder;
  const Registration registration =
      Register(listener, {.interest = Interest::kReadable}, recorder);
  ASSERT_OK(registration.Disable());
  const auto clients = Connecting(listener, 2);
  TurnPastSentinel();
  EXPECT_EQ(recorder.count(), 0u);
  ExpectIdle();
  ASSERT_OK(registration.Enable());
  Turn();
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
}

// A client that gives up before it was accepted: nothing to fall over.
TEST_P(AcceptTest, R21_ConnectionsThatDiedWhileTheyWaitedDoNoHarm) {
  Socket listener = Listener();
  std::size_t accepted = 0;
  Must(loop().Register(
      listener, {.interest = Interest::kReadable, .trigger = Trigger::kEdge},
      [&](const Event& event) {
        if (event.removed()) return;
        while (Must(listener.Accept()).has_value()) ++accepted;
      }));
  auto clients = Connecting(listener, 3);
  for (Socket& client : clients) Reset(client);
  TurnPastSentinel();
  const std::size_t dead = accepted;
  const auto later = Connecting(listener, 1);
  TurnUntil([&] { return accepted == dead + 1; });
}

// Scale-out on one listener: level one-shot on several threads, each
// connection accepted once.
TEST_P(AcceptTest, R21_SeveralThreadsAcceptEachConnectionOnce) {
  const auto several = NewLoop(4);
  Socket listener = Listener();
  Tally accepted;
  Exclusive exclusive;
  Must(several->Register(
      listener,
      {.interest = Interest::kReadable, .persistence = Persistence::kOneShot},
      [&](const Event& event) {
        if (event.removed()) return;
        const Exclusive::Visit visit(exclusive);
        if (Must(listener.Accept()).has_value()) accepted.Add();
        EXPECT_OK(event.registration().Rearm());
      }));
  LoopThreads threads(*several, 4);
  std::vector<Socket> clients;
  for (int i = 0; i < 300; ++i) {
    clients.push_back(Must(Socket::Connect(AddressOf(listener))));
  }
  EXPECT_TRUE(accepted.AwaitAtLeast(300));
  DeliverSentinel(*several);
  EXPECT_EQ(accepted.value(), 300);
  EXPECT_FALSE(exclusive.violated());
}

}  // namespace
}  // namespace weir::conformance
