// Persistent edge registrations (R05): what is told, and how often. What counts
// as a drain is in drain_test.cc.

#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "tests/conformance/conformance.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

RegistrationOptions EdgeFor(Interest interest) {
  return {.interest = interest, .trigger = Trigger::kEdge};
}

class Edge : public Conformance {
 protected:
  // Sends `text`, and runs one turn when it has come to `to`.
  void SendAndTurn(Socket& from, const Socket& to, std::string_view text) {
    Send(from, text);
    AwaitReadable(to);
    Turn();
  }
};
WEIR_CONFORMANCE_SUITE(Edge);

// Survey trap 5.
TEST_P(Edge, R05_UnreadDataAreToldOnce) {
  Connection connection = Connected();
  Recorder recorder;
  Register(connection.server, EdgeFor(Interest::kReadable), recorder);
  SendAndTurn(connection.client, connection.server, "abc");
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  for (int turn = 0; turn < 3; ++turn) Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
}

// Survey trap 5: some was read, but not to the end.
TEST_P(Edge, R05_PartlyReadDataAreNotToldAgain) {
  Connection connection = Connected();
  Recorder recorder;
  Register(connection.server, EdgeFor(Interest::kReadable), recorder);
  SendAndTurn(connection.client, connection.server, "abc");
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  EXPECT_EQ(Receive(connection.server, 2), "ab");
  Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
  EXPECT_EQ(Drain(connection.server), "c");
}

// Survey trap 6.
TEST_P(Edge, R05_DataAfterADrainToWouldBlockAreToldEachTime) {
  Connection connection = Connected();
  Recorder recorder;
  Register(connection.server, EdgeFor(Interest::kReadable), recorder);
  Turn();
  for (int round = 0; round < 5; ++round) {
    SendAndTurn(connection.client, connection.server, "abc");
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    EXPECT_EQ(Drain(connection.server), "abc");
    if (round % 2 == 0) Turn();
    EXPECT_THAT(recorder.events(), IsEmpty());
  }
}

// Survey trap 6: the data come after the drain and before the handler returns.
TEST_P(Edge, R05_DataThatComeInTheHandlerAfterTheDrainAreTold) {
  Connection connection = Connected();
  Recorder recorder;
  int left = 3;
  Must(loop().Register(connection.server, EdgeFor(Interest::kReadable),
                       recorder.Handler([&](const Event& event) {
                         if (event.removed()) return;
                         EXPECT_EQ(Drain(connection.server), "x");
                         if (left-- == 0) return;
                         Send(connection.client, "x");
                         AwaitReadable(connection.server);
                       })));
  SendAndTurn(connection.client, connection.server, "x");
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  for (int turn = 0; turn < 3; ++turn) {
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  }
  Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
}

// Survey trap 6, on a listener: an accept that would block is a drain.
TEST_P(Edge, R05_AConnectionAfterTheLastAcceptIsTold) {
  Socket listener = Listener();
  Recorder recorder;
  Register(listener, EdgeFor(Interest::kReadable), recorder);
  Turn();
  for (int round = 0; round < 3; ++round) {
    Socket client = Must(Socket::Connect(AddressOf(listener)));
    AwaitReadable(listener);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    EXPECT_TRUE(Must(listener.Accept()).has_value());
    EXPECT_FALSE(Must(listener.Accept()).has_value());
    Turn();
    EXPECT_THAT(recorder.events(), IsEmpty());
  }
}

// Survey trap 7.
TEST_P(Edge, R05_DataThatCameAndWentBeforeTheWaitAreNotTold) {
  Connection connection = Connected();
  Recorder recorder;
  Register(connection.server, EdgeFor(Interest::kReadable), recorder);
  Turn();
  Send(connection.client, "abc");
  AwaitReadable(connection.server);
  EXPECT_EQ(Drain(connection.server), "abc");
  Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
  SendAndTurn(connection.client, connection.server, "def");
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
}

// Survey trap 7: after it was told, more comes and is drained with it.
TEST_P(Edge, R05_DataDrainedTogetherWithTheFirstAreNotToldAgain) {
  Connection connection = Connected();
  Recorder recorder;
  Must(loop().Register(connection.server, EdgeFor(Interest::kReadable),
                       recorder.Handler([&](const Event& event) {
                         if (event.removed()) return;
                         Send(connection.client, "def");
                         AwaitReadable(connection.server);
                         EXPECT_EQ(Drain(connection.server), "abcdef");
                       })));
  SendAndTurn(connection.client, connection.server, "abc");
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
}

// Survey trap 7: both are in one batch, and whichever handler comes first
// drains the other's socket; the other's report is then out of date.
TEST_P(Edge, R05_DrainedByAnotherHandlerOfTheBatchIsNotTold) {
  Connection one = Connected();
  Connection two = Connected();
  Recorder recorder;  // of both
  const auto drain_both = [&](const Event& event) {
    if (event.removed()) return;
    EXPECT_EQ(Drain(one.server) + Drain(two.server), "12");
  };
  Must(loop().Register(one.server, EdgeFor(Interest::kReadable),
                       recorder.Handler(drain_both)));
  Must(loop().Register(two.server, EdgeFor(Interest::kReadable),
                       recorder.Handler(drain_both)));
  Turn();
  for (int round = 0; round < 3; ++round) {
    Send(one.client, "1");
    Send(two.client, "2");
    AwaitReadable(one.server);
    AwaitReadable(two.server);
    EXPECT_EQ(Turn(), 1);
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
  }
}

// As before, but new data follow the drain: they must not go with it.
TEST_P(Edge, R05_DataAfterADrainByAnotherHandlerOfTheBatchAreTold) {
  Connection one = Connected();
  Connection two = Connected();
  Recorder told_one, told_two;
  bool first = true;
  const auto drain_both = [&](const Event& event) {
    if (event.removed()) return;
    if (!std::exchange(first, false)) return;
    EXPECT_EQ(Drain(one.server) + Drain(two.server), "12");
    Send(one.client, "3");
    Send(two.client, "4");
    AwaitReadable(one.server);
    AwaitReadable(two.server);
  };
  Must(loop().Register(one.server, EdgeFor(Interest::kReadable),
                       told_one.Handler(drain_both)));
  Must(loop().Register(two.server, EdgeFor(Interest::kReadable),
                       told_two.Handler(drain_both)));
  Turn();
  Send(one.client, "1");
  Send(two.client, "2");
  AwaitReadable(one.server);
  AwaitReadable(two.server);
  Turn();
  told_one.Take();
  told_two.Take();
  Turn();
  EXPECT_THAT(told_one.Take(), ElementsAre(Events::kReadable));
  EXPECT_THAT(told_two.Take(), ElementsAre(Events::kReadable));
}

// Survey trap 8. The data come in many pieces, at every point where they can
// come, and are read in pieces that do not fit them.
TEST_P(Edge, R05_AConsumerThatDrainsLosesNoByte) {
  Connection connection = Connected();
  std::string sent, received;
  std::size_t piece = 0;
  const auto send_more = [&] {
    const std::string text(1 + piece % 7, static_cast<char>('a' + piece % 26));
    Send(connection.client, text);
    AwaitReadable(connection.server);
    sent += text;
    ++piece;
  };
  Must(loop().Register(
      connection.server, EdgeFor(Interest::kReadable), [&](const Event& event) {
        if (event.removed()) return;
        if (piece % 3 == 0) send_more();  // before it is read
        while (true) {
          std::byte buffer[5];
          const Transfer got = Must(connection.server.Receive(buffer));
          received.append(reinterpret_cast<const char*>(buffer), got.bytes);
          if (got.would_block) break;
          if (piece % 5 == 0) send_more();  // in the middle
        }
        if (piece % 4 == 0) send_more();  // after the drain
      }));
  for (int round = 0; round < 300; ++round) {
    send_more();
    if (round % 2 == 0) Turn();
  }
  TurnUntil([&] { return received.size() >= sent.size(); });
  EXPECT_EQ(received, sent);
}

// events.h: "An undrained direction is told again only when the peer closes or
// the socket fails."
TEST_P(Edge, R05_NewDataOnAnUndrainedSocketAreNotTold) {
  for (const bool datagrams : {false, true}) {
    Connection connection = datagrams ? DatagramPair() : Connected();
    Recorder recorder;
    Register(connection.server, EdgeFor(Interest::kReadable), recorder);
    SendAndTurn(connection.client, connection.server, "abc");
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    SendAndTurn(connection.client, connection.server, "def");
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    EXPECT_EQ(Drain(connection.server), "abcdef");
    SendAndTurn(connection.client, connection.server, "ghi");
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  }
}

// Survey trap 9.
TEST_P(Edge, R05_WritableIsToldAfterAWouldBlockOnceThePeerHasDrained) {
  for (const AddressFamily family : test::Available({AddressFamily::kUnix, AddressFamily::kIpv4})) {
    Connection connection = Connected(family);
    Recorder recorder;
    Register(connection.server, EdgeFor(Interest::kWritable), recorder);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
    for (int round = 0; round < 3; ++round) {
      std::size_t filled = Fill(connection.server);
      Turn();
      // Over TCP the room can still grow by what is under way: fill it, too.
      while (recorder.count() > 0) {
        EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
        filled += Fill(connection.server);
        Turn();
      }
      std::size_t drained = 0;
      TurnUntil([&] {
        drained += Drain(connection.client).size();
        return recorder.count() > 0;
      });
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
      TurnUntil([&] {
        drained += Drain(connection.client).size();
        return drained == filled;
      });
      // All that room, and nobody asked for it: no second event.
      Turn();
      TurnPastSentinel();
      EXPECT_THAT(recorder.events(), IsEmpty());
    }
  }
}

// Survey trap 9, R05: "a short transfer counts". Nothing says would-block here.
TEST_P(Edge, R05_WritableIsToldAfterAShortSendOnceThePeerHasDrained) {
  Connection connection = Connected(test::LocalFamily());
  Recorder recorder;
  Register(connection.server, EdgeFor(Interest::kWritable), recorder);
  Turn();
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
  const std::string much(16 << 20, 'x');
  Transfer sent;
  std::size_t total = 0;
  do {
    sent = Must(connection.server.Send(std::as_bytes(std::span(much))));
    total += sent.bytes;
  } while (sent.bytes == much.size());
  if (sent.would_block) {
    GTEST_SKIP() << "the system takes all of a send or nothing here";
  }
  Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
  EXPECT_EQ(Drain(connection.client).size(), total);
  AwaitWritable(connection.server);
  Turn();
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
}

// Survey trap 10: epoll tells it after each send (survey 1).
TEST_P(Edge, R05_DatagramSendsThatNeverBlockAreNotToldAsWritable) {
  Connection pair = DatagramPair();
  Recorder recorder;
  Register(pair.server, EdgeFor(Interest::kReadable | Interest::kWritable),
           recorder);
  Turn();
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
  for (int round = 0; round < 5; ++round) {
    Send(pair.server, "x");
    Turn();
    EXPECT_EQ(Drain(pair.client), "x");
    Turn();
  }
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
}

// Survey trap 11: epoll tells the whole state at each arrival (survey 1).
TEST_P(Edge, R05_ArrivalOfDataDoesNotTellWritableAgain) {
  for (const bool datagrams : {false, true}) {
    Connection connection = datagrams ? DatagramPair() : Connected();
    Recorder recorder;
    Register(connection.server,
             EdgeFor(Interest::kReadable | Interest::kWritable), recorder);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
    for (int round = 0; round < 3; ++round) {
      SendAndTurn(connection.client, connection.server, "abc");
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
      EXPECT_EQ(Drain(connection.server), "abc");
      Send(connection.server, "answer");
    }
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
  }
}

}  // namespace
}  // namespace weir::conformance
