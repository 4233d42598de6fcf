// What drains a direction of an edge registration (R05): short transfers on
// streams, calls on the native handle with Registration::Drained, the end of a
// stream.

#include <span>
#include <string>
#include <string_view>

#include "platform/socket_io.h"
#include "tests/conformance/conformance.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

RegistrationOptions EdgeFor(Interest interest) {
  return {.interest = interest, .trigger = Trigger::kEdge};
}

std::string DrainNatively(const Socket& socket) {
  std::string all;
  while (true) {
    char buffer[4096];
    const platform::IoOutcome outcome = platform::Receive(
        socket.native(), std::as_writable_bytes(std::span(buffer)));
    if (!outcome.ok() || outcome.bytes == 0) return all;
    all.append(buffer, outcome.bytes);
  }
}

class EdgeDrain : public Conformance {
 protected:
  // Sends `text`, and runs one turn when it has come to `to`.
  void SendAndTurn(Socket& from, const Socket& to, std::string_view text) {
    Send(from, text);
    AwaitReadable(to);
    Turn();
  }
};
WEIR_CONFORMANCE_SUITE(EdgeDrain);

// R05: "a short receive on a stream counts" as a drain.
TEST_P(EdgeDrain, R05_AShortReceiveOnAStreamIsADrain) {
  for (const AddressFamily family : test::Available({AddressFamily::kIpv4, AddressFamily::kUnix})) {
    Connection connection = Connected(family);
    Recorder recorder;
    Register(connection.server, EdgeFor(Interest::kReadable), recorder);
    Turn();
    for (int round = 0; round < 5; ++round) {
      SendAndTurn(connection.client, connection.server, "abc");
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
      EXPECT_EQ(Receive(connection.server, 100), "abc");
      Turn();
      EXPECT_THAT(recorder.events(), IsEmpty());
    }
  }
}

// A datagram shorter than the buffer says nothing about the next one.
TEST_P(EdgeDrain, R05_AShortReceiveOfADatagramIsNotADrain) {
  Connection pair = DatagramPair();
  Recorder recorder;
  Register(pair.server, EdgeFor(Interest::kReadable), recorder);
  Send(pair.client, "one");
  SendAndTurn(pair.client, pair.server, "two");
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  EXPECT_EQ(Receive(pair.server, 100), "one");
  Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
  EXPECT_EQ(Drain(pair.server), "two");
  SendAndTurn(pair.client, pair.server, "three");
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
}

// As R05_AShortReceiveOfADatagramIsNotADrain, where an empty datagram
// is no end of stream either.
TEST_P(EdgeDrain, R05_AnEmptyDatagramIsToldAndIsNotADrain) {
  Connection pair = DatagramPair();
  Recorder recorder;
  Register(pair.server, EdgeFor(Interest::kReadable), recorder);
  Turn();
  Send(pair.client, "");
  SendAndTurn(pair.client, pair.server, "two");
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  EXPECT_EQ(Receive(pair.server), "");
  Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
  EXPECT_EQ(Receive(pair.server), "two");
}

// --- native I/O

// R05: "an explicit drained call by whoever does I/O on the native handle".
TEST_P(EdgeDrain, R05_DrainedAfterNativeReceivesLetsNewDataBeTold) {
  for (const bool in_the_handler : {false, true}) {
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration = Must(loop().Register(
        connection.server, EdgeFor(Interest::kReadable),
        recorder.Handler([&](const Event& event) {
          if (event.removed() || !in_the_handler) return;
          EXPECT_EQ(DrainNatively(connection.server), "abc");
          EXPECT_OK(event.registration().Drained(Interest::kReadable));
        })));
    Turn();
    for (int round = 0; round < 3; ++round) {
      SendAndTurn(connection.client, connection.server, "abc");
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
      if (!in_the_handler) {
        EXPECT_EQ(DrainNatively(connection.server), "abc");
        ASSERT_OK(registration.Drained(Interest::kReadable));
      }
      Turn();
      TurnPastSentinel();
      EXPECT_THAT(recorder.events(), IsEmpty());
    }
  }
}

// The data came and went before the wait, natively, and the registration was
// told so: nothing is delivered (survey trap 7).
TEST_P(EdgeDrain, R05_DrainedBeforeTheWaitMakesTheReportOutOfDate) {
  Connection connection = Connected();
  Recorder recorder;
  const Registration registration =
      Register(connection.server, EdgeFor(Interest::kReadable), recorder);
  Turn();
  Send(connection.client, "abc");
  AwaitReadable(connection.server);
  EXPECT_EQ(DrainNatively(connection.server), "abc");
  ASSERT_OK(registration.Drained(Interest::kReadable));
  Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
}

TEST_P(EdgeDrain, R05_DrainedOfOneDirectionDoesNotTellTheOther) {
  Connection connection = Connected();
  Recorder recorder;
  const Registration registration =
      Register(connection.server,
               EdgeFor(Interest::kReadable | Interest::kWritable), recorder);
  SendAndTurn(connection.client, connection.server, "abc");
  EXPECT_THAT(recorder.Take(),
              ElementsAre(Events::kReadable | Events::kWritable));
  EXPECT_EQ(DrainNatively(connection.server), "abc");
  ASSERT_OK(registration.Drained(Interest::kReadable));
  Turn();
  EXPECT_THAT(recorder.events(), IsEmpty());
  SendAndTurn(connection.client, connection.server, "def");
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
}

// New data, and a turn, came between the native drain and the call that tells
// of it: "a lost edge is never allowed".
TEST_P(EdgeDrain, R05_DataBetweenANativeDrainAndDrainedAreNotLost) {
  Connection connection = Connected();
  Recorder recorder;
  const Registration registration =
      Register(connection.server, EdgeFor(Interest::kReadable), recorder);
  SendAndTurn(connection.client, connection.server, "abc");
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  EXPECT_EQ(DrainNatively(connection.server), "abc");
  SendAndTurn(connection.client, connection.server, "def");
  // Not asserted: told in this turn or not.
  if (recorder.Take().empty()) {
    ASSERT_OK(registration.Drained(Interest::kReadable));
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  }
}

// --- the end of the stream

// R05, survey trap 22: one kernel event brings the data and the end; a short
// receive drains the data, and no kernel event will tell the end.
TEST_P(EdgeDrain, R05_TheEndThatCameWithTheDataIsToldAfterAShortReceive) {
  for (const AddressFamily family : test::Available({AddressFamily::kIpv4, AddressFamily::kUnix})) {
    Connection connection = Connected(family);
    Recorder recorder;
    Register(connection.server, EdgeFor(Interest::kReadable), recorder);
    Turn();
    Send(connection.client, "abc");
    MustOk(connection.client.Shutdown(ShutdownDirection::kSend));
    AwaitReadable(connection.server);
    AwaitPeerClosed(connection.server);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    EXPECT_EQ(Receive(connection.server, 100), "abc");
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    std::byte buffer[8];
    EXPECT_TRUE(Must(connection.server.Receive(buffer)).end_of_stream);
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
  }
}

// The same by a short native receive and the call that tells of it.
TEST_P(EdgeDrain, R05_TheEndThatCameWithTheDataIsToldAfterDrained) {
  Connection connection = Connected();
  Recorder recorder;
  const Registration registration =
      Register(connection.server, EdgeFor(Interest::kReadable), recorder);
  Turn();
  Send(connection.client, "abc");
  MustOk(connection.client.Shutdown(ShutdownDirection::kSend));
  AwaitReadable(connection.server);
  AwaitPeerClosed(connection.server);
  Turn();
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  std::byte buffer[100];
  EXPECT_EQ(platform::Receive(connection.server.native(), buffer).bytes, 3u);
  ASSERT_OK(registration.Drained(Interest::kReadable));
  Turn();
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
}

// The same with room to send asked for as well, short receive in the handler.
TEST_P(EdgeDrain, R05_TheEndIsToldAloneThoughTheSocketIsWritable) {
  Connection connection = Connected();
  Recorder recorder;
  Must(loop().Register(
      connection.server,
      EdgeFor(Interest::kReadable | Interest::kWritable | Interest::kHangup),
      recorder.Handler([&](const Event& event) {
        if (event.readable()) Receive(connection.server, 100);
      })));
  Turn();
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
  Send(connection.client, "abc");
  MustOk(connection.client.Shutdown(ShutdownDirection::kSend));
  AwaitReadable(connection.server);
  AwaitPeerClosed(connection.server);
  Turn();
  EXPECT_THAT(recorder.Take(),
              ElementsAre(Events::kReadable | HangupBehindData()));
  Turn();
  EXPECT_THAT(recorder.Take(),
              ElementsAre(Events::kReadable |
                          (Events::kHangup & ~HangupBehindData())));
  Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
}

// The usual loop: short receive, then another that returns the end. Whoever has
// read the end has nothing new to be told ("a notification with nothing new
// since the drain is not" allowed).
TEST_P(EdgeDrain, R05_AnEndThatHasBeenReadIsNotTold) {
  for (const bool in_the_handler : {false, true}) {
    SCOPED_TRACE(in_the_handler ? "in the handler" : "between turns");
    Connection connection = Connected();
    Recorder recorder;
    Must(loop().Register(connection.server, EdgeFor(Interest::kReadable),
                         recorder.Handler([&](const Event& event) {
                           if (!event.removed() && in_the_handler) {
                             EXPECT_EQ(Drain(connection.server), "abc");
                           }
                         })));
    Turn();
    Send(connection.client, "abc");
    MustOk(connection.client.Shutdown(ShutdownDirection::kSend));
    AwaitReadable(connection.server);
    AwaitPeerClosed(connection.server);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    if (!in_the_handler) {
      EXPECT_EQ(Drain(connection.server), "abc");
    }
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
  }
}

}  // namespace
}  // namespace weir::conformance
