// What the peer of a stream does besides sending data: it closes, resets, or
// sends an urgent byte (R14, R15).

#include "platform/poll.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/failure.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<AddressFamily> Families() {
  return test::Available(
      {AddressFamily::kIpv4, AddressFamily::kIpv6, AddressFamily::kUnix});
}

constexpr Events kReadableHangup = Events::kReadable | Events::kHangup;

bool IsPersistentLevel(const Mode& mode) {
  return mode.trigger == Trigger::kLevel &&
         mode.persistence == Persistence::kPersistent;
}

Transfer ReceiveOne(Socket& socket) {
  std::byte byte{};
  return Must(socket.Receive(std::span(&byte, 1)), "receive");
}

bool IsReadable(const Socket& socket) {
  platform::PollEntry entry{.socket = socket.native(),
                            .requested = platform::PollBits::kReadable};
  MustOk(platform::PollNow(std::span(&entry, 1)));
  return (entry.returned & platform::PollBits::kReadable) !=
         platform::PollBits::kNone;
}

class Hangup : public Conformance {};
WEIR_CONFORMANCE_SUITE(Hangup);

// Survey trap 21.
TEST_P(Hangup, R14_WithoutHangupInterestAPeersCloseIsReadable) {
  for (const AddressFamily family : Families()) {
    for (const Mode& mode : kAllModes) {
      SCOPED_TRACE(ToString(mode));
      Connection connection = Connected(family);
      Recorder recorder;
      Register(connection.server, mode.With(Interest::kReadable), recorder);
      Turn();
      EXPECT_EQ(recorder.count(), 0u);
      connection.client.Close();
      AwaitPeerClosed(connection.server);
      TurnUntilSeen(recorder, Events::kReadable);
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
      const Transfer received = ReceiveOne(connection.server);
      EXPECT_EQ(received.bytes, 0u);
      EXPECT_TRUE(received.end_of_stream);
    }
  }
}

// Nothing is left to be done with the socket, and still its reset is told (R02).
TEST_P(Hangup, R02_AnErrorAfterBothSidesWereShutDownIsTold) {
  if (GetParam() == "poll") {
    GTEST_SKIP() << "poll(2) tells the close again and again: it cannot wait "
                    "for what comes after it";
  }
  for (const Mode& mode : kAllModes) {
    if (mode.persistence == Persistence::kOneShot || IsPersistentLevel(mode)) {
      continue;
    }
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    Register(connection.server, mode.With(Interest::kReadable), recorder);
    ASSERT_OK(connection.server.Shutdown(ShutdownDirection::kBoth));
    // Linux shows what the socket itself has shut down as readable, Windows does
    // not.
    if (IsReadable(connection.server)) {
      TurnUntilSeen(recorder, Events::kReadable);
    }
    Turn();
    recorder.Take();
    Turn();
    EXPECT_THAT(recorder.Take(), IsEmpty());
    Reset(connection.client);
    TurnUntilSeen(recorder, Events::kError);
    EXPECT_THAT(recorder.events(),
                ElementsAre(Events::kReadable | Events::kError));
  }
}

// Survey trap 22.
TEST_P(Hangup, R14_LevelIsReadableUntilTheEndHasBeenRead) {
  Connection connection = Connected();
  Recorder recorder;
  Register(connection.server, {.interest = Interest::kReadable}, recorder);
  Send(connection.client, "ab");
  ASSERT_OK(connection.client.Shutdown(ShutdownDirection::kSend));
  AwaitPeerClosed(connection.server);
  TurnUntilSeen(recorder, Events::kReadable);
  recorder.Take();
  for (const std::size_t bytes : {1u, 1u, 0u}) {
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    const Transfer received = ReceiveOne(connection.server);
    EXPECT_EQ(received.bytes, bytes);
    EXPECT_FALSE(received.would_block);
    EXPECT_EQ(received.end_of_stream, bytes == 0);
  }
}

// Survey trap 22.
TEST_P(Hangup, R14_EdgeReportsTheEndAlthoughDataAreUnread) {
  if (!test::HangupOvertakesData()) {
    GTEST_SKIP() << "a hang-up shows only once the data is read here";
  }
  for (const AddressFamily family : Families()) {
    for (const bool hangup : {false, true}) {
      Connection connection = Connected(family);
      Recorder recorder;
      Register(connection.server,
               {.interest = hangup ? Interest::kReadable | Interest::kHangup
                                   : Interest::kReadable,
                .trigger = Trigger::kEdge},
               recorder);
      Send(connection.client, "abc");
      TurnUntilSeen(recorder, Events::kReadable);
      TurnPastSentinel();
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
      ASSERT_OK(connection.client.Shutdown(ShutdownDirection::kSend));
      AwaitPeerClosed(connection.server);
      TurnUntilSeen(recorder, Events::kReadable);
      TurnPastSentinel();
      EXPECT_THAT(recorder.Take(),
                  ElementsAre(hangup ? kReadableHangup : Events::kReadable));
      EXPECT_EQ(Drain(connection.server), "abc");
    }
  }
}

// Survey trap 23.
TEST_P(Hangup, R14_APeersHalfCloseIsAHangupAndSendingStaysUsable) {
  for (const AddressFamily family : Families()) {
    for (const Mode& mode : kAllModes) {
      SCOPED_TRACE(ToString(mode));
      Connection connection = Connected(family);
      Recorder recorder;
      Register(connection.server,
               mode.With(Interest::kReadable | Interest::kHangup), recorder);
      ASSERT_OK(connection.client.Shutdown(ShutdownDirection::kSend));
      AwaitPeerClosed(connection.server);
      TurnUntilSeen(recorder, Events::kHangup);
      EXPECT_THAT(recorder.Take(), ElementsAre(kReadableHangup));
      EXPECT_TRUE(ReceiveOne(connection.server).end_of_stream);
      Send(connection.server, "reply");
      AwaitReadable(connection.client);
      EXPECT_EQ(Receive(connection.client), "reply");
    }
  }
}

TEST_P(Hangup, R14_AskedForAloneItIsToldAlone) {
  for (const AddressFamily family : Families()) {
    for (const Mode& mode : kAllModes) {
      SCOPED_TRACE(ToString(mode));
      Connection connection = Connected(family);
      Recorder recorder;
      Register(connection.server, mode.With(Interest::kHangup), recorder);
      Send(connection.client, "data are not asked for");
      AwaitReadable(connection.server);
      ExpectIdle();
      EXPECT_THAT(recorder.events(), IsEmpty());
      connection.client.Close();
      AwaitPeerClosed(connection.server);
      if (!test::HangupOvertakesData()) Drain(connection.server);
      TurnUntilSeen(recorder, Events::kHangup);
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kHangup));
      if (IsPersistentLevel(mode)) {
        Turn();
        EXPECT_THAT(recorder.Take(), ElementsAre(Events::kHangup));
      } else {
        ExpectIdle();
        EXPECT_THAT(recorder.events(), IsEmpty());
      }
    }
  }
}

TEST_P(Hangup, R14_DataAreNoHangup) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    Register(connection.server,
             mode.With(Interest::kReadable | Interest::kHangup), recorder);
    Send(connection.client, "abc");
    TurnUntilSeen(recorder, Events::kReadable);
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  }
}

// Where both directions are done, the kernel reports so at every look (survey
// 1: EPOLLHUP cannot be masked); only a level registration that waits for
// something may hear of it again.
TEST_P(Hangup, R14_BothSidesDoneDoesNotSpin) {
  for (const AddressFamily family : Families()) {
    for (const Mode& mode : kAllModes) {
      SCOPED_TRACE(ToString(mode));
      Connection connection = Connected(family);
      Recorder recorder;
      const Registration registration =
          Register(connection.server,
                   mode.With(Interest::kReadable | Interest::kHangup),
                   recorder);
      ASSERT_OK(connection.server.Shutdown(ShutdownDirection::kSend));
      connection.client.Close();
      AwaitPeerClosed(connection.server);
      TurnUntilSeen(recorder, Events::kHangup);
      EXPECT_THAT(recorder.Take(), ElementsAre(kReadableHangup));
      if (IsPersistentLevel(mode)) {
        ASSERT_OK(registration.Modify({.interest = Interest::kNone}));
      }
      ExpectIdle();
      EXPECT_THAT(recorder.events(), IsEmpty());
    }
  }
}

// Survey trap 24.
TEST_P(Hangup, R15_AResetIsAnErrorInEveryMode) {
  const struct {
    Interest interest;
    Events events;
  } cases[] = {
      {Interest::kReadable, Events::kReadable | Events::kError},
      {Interest::kHangup, Events::kHangup | Events::kError},
      {Interest::kReadable | Interest::kHangup,
       kReadableHangup | Events::kError},
  };
  for (const AddressFamily family :
       {AddressFamily::kIpv4, AddressFamily::kIpv6}) {
    for (const Mode& mode : kAllModes) {
      for (const auto& [interest, events] : cases) {
        SCOPED_TRACE(ToString(mode) + " " + weir::ToString(interest));
        Connection connection = Connected(family);
        Recorder recorder;
        Register(connection.server, mode.With(interest), recorder);
        Reset(connection.client);
        AwaitPeerClosed(connection.server);
        TurnUntilSeen(recorder, Events::kError);
        EXPECT_THAT(recorder.Take(), ElementsAre(events));
        ASSERT_EQ(recorder.errors().size(), 1u);
        EXPECT_TRUE(IsFailure(recorder.errors().front(),
                              absl::StatusCode::kUnavailable,
                              ErrorCause::kConnectionReset,
                              {"socket", test::WordsFor(ErrorCause::kConnectionReset)}));
        // It has been taken off the socket, and is told once.
        EXPECT_OK(connection.server.TakeError());
        TurnPastSentinel();
        EXPECT_EQ(recorder.count(Events::kError), 0u);
      }
    }
  }
}

// Survey trap 24.
TEST_P(Hangup, R15_AResetIsAnErrorUnderAnEmptyInterestToo) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(Interest::kReadable), recorder);
    ASSERT_OK(registration.Modify({.interest = Interest::kNone}));
    Reset(connection.client);
    TurnUntilSeen(recorder, Events::kError);
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kError));
    EXPECT_EQ(CauseOf(recorder.errors().front()),
              ErrorCause::kConnectionReset);
    ExpectIdle();
    EXPECT_THAT(recorder.events(), IsEmpty());
  }
}

// A send to a peer that has gone is answered by a reset.
TEST_P(Hangup, R15_AResetAfterTheEndIsToldAsWell) {
  for (const Trigger trigger : {Trigger::kLevel, Trigger::kEdge}) {
    Connection connection = Connected();
    Recorder recorder;
    Register(connection.server,
             {.interest = Interest::kReadable, .trigger = trigger}, recorder);
    connection.client.Close();
    TurnUntilSeen(recorder, Events::kReadable);
    EXPECT_TRUE(ReceiveOne(connection.server).end_of_stream);
    Send(connection.server, "nobody reads this");
    TurnUntilSeen(recorder, Events::kError);
    const ErrorCause cause = test::ResetAfterTheEnd();
    EXPECT_TRUE(IsFailure(recorder.errors().front(),
                          cause == ErrorCause::kBrokenPipe
                              ? absl::StatusCode::kFailedPrecondition
                              : absl::StatusCode::kUnavailable,
                          cause, {"socket", test::WordsFor(cause)}));
  }
}

TEST_P(Hangup, R15_AFiredOneShotIsToldOfTheResetWhenItIsRearmed) {
  for (const Trigger trigger : {Trigger::kLevel, Trigger::kEdge}) {
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Register(connection.server,
                 {.interest = Interest::kReadable,
                  .trigger = trigger,
                  .persistence = Persistence::kOneShot},
                 recorder);
    Send(connection.client, "x");
    TurnUntilSeen(recorder, Events::kReadable);
    recorder.Take();
    Reset(connection.client);
    AwaitPeerClosed(connection.server);
    ExpectIdle();
    EXPECT_THAT(recorder.events(), IsEmpty());
    ASSERT_OK(registration.Rearm());
    TurnUntilSeen(recorder, Events::kError);
    EXPECT_THAT(recorder.Take(),
                ElementsAre(Events::kReadable | Events::kError));
    EXPECT_EQ(CauseOf(recorder.errors().front()),
              ErrorCause::kConnectionReset);
  }
}

// unix(7): a stream closed with data unread is reset.
TEST_P(Hangup, R15_AUnixPeerThatClosesOverUnreadDataResets) {
  WEIR_SKIP_WITHOUT_UNIX_SOCKETS();
  Connection connection = Connected(AddressFamily::kUnix);
  Recorder recorder;
  Register(connection.server,
           {.interest = Interest::kReadable | Interest::kHangup,
            .trigger = Trigger::kEdge},
           recorder);
  Send(connection.server, "unread");
  connection.client.Close();
  TurnUntilSeen(recorder, Events::kError);
  EXPECT_THAT(recorder.events(), ElementsAre(kReadableHangup | Events::kError));
  EXPECT_EQ(CauseOf(recorder.errors().front()), ErrorCause::kConnectionReset);
}

// Survey trap 30.
TEST_P(Hangup, R04_AnUrgentByteAloneIsNotReadable) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    Register(connection.server,
             mode.With(Interest::kReadable | Interest::kHangup), recorder);
    test::SendUrgent(connection.client.native(), '!');
    ExpectIdle();
    EXPECT_THAT(recorder.events(), IsEmpty());
    Send(connection.client, "data");
    TurnUntilSeen(recorder, Events::kReadable);
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    EXPECT_EQ(Receive(connection.server), "data");
  }
}

}  // namespace
}  // namespace weir::conformance
