// One-shot registrations (R06), level and edge.

#include "tests/conformance/conformance.h"
#include "weir/status.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Mode kOneShots[] = {
    {Trigger::kLevel, Persistence::kOneShot},
    {Trigger::kEdge, Persistence::kOneShot},
};
constexpr Interest kBoth = Interest::kReadable | Interest::kWritable;
constexpr Interest kAll = kBoth | Interest::kHangup;

class OneShot : public Conformance {
 protected:
  // A registration of `connection.server` that has delivered readable; the
  // data are unread.
  Registration Fired(Connection& connection, const Mode& mode,
                     Interest interest, Recorder& recorder) {
    const Registration registration =
        Register(connection.server, mode.With(interest), recorder);
    Send(connection.client, "abc");
    AwaitReadable(connection.server);
    Turn();
    EXPECT_EQ(recorder.count(Events::kReadable), 1u);
    recorder.Take();
    return registration;
  }
};
WEIR_CONFORMANCE_SUITE(OneShot);

// Survey trap 12: neither what is unread nor what is new.
TEST_P(OneShot, R06_SilentForDataUntilRearmed) {
  for (const Mode& mode : kOneShots) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Fired(connection, mode, Interest::kReadable, recorder);
    Turn();
    Send(connection.client, "def");
    Turn();
    EXPECT_EQ(Drain(connection.server), "abcdef");
    Turn();
    Send(connection.client, "ghi");
    AwaitReadable(connection.server);
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    EXPECT_TRUE(registration.is_live());  // disabled, not removed
  }
}

// Survey trap 12: no hang-up.
TEST_P(OneShot, R06_SilentForHangupUntilRearmed) {
  for (const Mode& mode : kOneShots) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration = Fired(
        connection, mode, Interest::kReadable | Interest::kHangup, recorder);
    MustOk(connection.client.Shutdown(ShutdownDirection::kSend));
    AwaitPeerClosed(connection.server);
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    ASSERT_OK(registration.Rearm());
    Turn();
    EXPECT_THAT(recorder.Take(),
                ElementsAre(Events::kReadable | HangupBehindData()));
  }
}

// Survey trap 12: no error, and it is not lost.
TEST_P(OneShot, R06_SilentForAResetUntilRearmed) {
  for (const Mode& mode : kOneShots) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration = Fired(connection, mode, kAll, recorder);
    Reset(connection.client);
    AwaitPeerClosed(connection.server);
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    ASSERT_OK(registration.Rearm(Interest::kReadable));
    Turn();
    EXPECT_THAT(recorder.Take(),
                ElementsAre(Events::kReadable | Events::kError));
    ASSERT_EQ(recorder.errors().size(), 1u);
    EXPECT_EQ(CauseOf(recorder.errors()[0]), ErrorCause::kConnectionReset);
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
  }
}

// Survey trap 12: an error, or a hang-up alone, is the one event as well.
TEST_P(OneShot, R06_AnErrorOrAHangupUsesTheShot) {
  for (const Mode& mode : kOneShots) {
    SCOPED_TRACE(ToString(mode));
    Connection reset = Connected();
    Connection closed = Connected();
    Recorder reset_told, closed_told;
    Register(reset.server, mode.With(Interest::kHangup), reset_told);
    Register(closed.server, mode.With(Interest::kHangup), closed_told);
    Turn();
    Reset(reset.client);
    MustOk(closed.client.Shutdown(ShutdownDirection::kSend));
    AwaitPeerClosed(reset.server);
    AwaitPeerClosed(closed.server);
    Turn();
    EXPECT_THAT(reset_told.Take(),
                ElementsAre(Events::kHangup | Events::kError));
    EXPECT_THAT(closed_told.Take(), ElementsAre(Events::kHangup));
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(reset_told.events(), IsEmpty());
    EXPECT_THAT(closed_told.events(), IsEmpty());
  }
}

// Survey trap 13.
TEST_P(OneShot, R06_RearmingWhileItHoldsTellsInTheNextTurn) {
  for (const Mode& mode : kOneShots) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Fired(connection, mode, Interest::kReadable, recorder);
    for (int round = 0; round < 3; ++round) {
      ASSERT_OK(registration.Rearm());
      Turn();
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
      Turn();
      EXPECT_THAT(recorder.Take(), IsEmpty());
    }
  }
}

// Survey trap 13, with nothing to tell: silence, then the next arrival.
TEST_P(OneShot, R06_RearmingADrainedSocketTellsTheNextArrivalAlone) {
  for (const Mode& mode : kOneShots) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Fired(connection, mode, Interest::kReadable, recorder);
    EXPECT_EQ(Drain(connection.server), "abc");
    ASSERT_OK(registration.Rearm());
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    Send(connection.client, "def");
    AwaitReadable(connection.server);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    Turn();
    EXPECT_THAT(recorder.Take(), IsEmpty());
  }
}

// Survey trap 14.
TEST_P(OneShot, R06_OneDirectionDisarmsBoth) {
  for (const Mode& mode : kOneShots) {
    SCOPED_TRACE(ToString(mode));
    // Writable first, then data.
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(kBoth), recorder);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
    Send(connection.client, "abc");
    AwaitReadable(connection.server);
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    ASSERT_OK(registration.Rearm());
    Turn();
    EXPECT_THAT(recorder.Take(),
                ElementsAre(Events::kReadable | Events::kWritable));

    // Data first, then room.
    Connection full = Connected(test::LocalFamily());
    Fill(full.server);
    Recorder full_told;
    Fired(full, mode, kBoth, full_told);
    Drain(full.client);
    AwaitWritable(full.server);
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(full_told.events(), IsEmpty());
  }
}

// Survey trap 14: "re-arm restores the interest that it names", and keeps it.
TEST_P(OneShot, R06_RearmingNamesTheInterestFromThenOn) {
  for (const Mode& mode : kOneShots) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration = Fired(connection, mode, kBoth, recorder);
    const struct {
      Interest interest;
      Events told;
    } steps[] = {
        {Interest::kReadable, Events::kReadable},
        {Interest::kWritable, Events::kWritable},
        {kBoth, Events::kReadable | Events::kWritable},
    };
    for (const auto& step : steps) {
      ASSERT_OK(registration.Rearm(step.interest));
      Turn();
      EXPECT_THAT(recorder.Take(), ElementsAre(step.told));
      ASSERT_OK(registration.Rearm());  // with the interest it has
      Turn();
      EXPECT_THAT(recorder.Take(), ElementsAre(step.told));
      Turn();
      EXPECT_THAT(recorder.Take(), IsEmpty());
    }
  }
}

TEST_P(OneShot, R06_RearmingForNothingIsRefusedAndChangesNothing) {
  for (const Mode& mode : kOneShots) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Fired(connection, mode, Interest::kReadable, recorder);
    EXPECT_CODE(registration.Rearm(Interest::kNone), kInvalidArgument);
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    ASSERT_OK(registration.Rearm());
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  }
}

// Survey trap 15: what arose is told, and what else holds with it.
TEST_P(OneShot, R06_WhatAroseWhileDisarmedIsToldAfterRearming) {
  for (const Mode& mode : kOneShots) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(kAll), recorder);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
    Send(connection.client, "abc");
    MustOk(connection.client.Shutdown(ShutdownDirection::kSend));
    AwaitReadable(connection.server);
    AwaitPeerClosed(connection.server);
    Turn();
    EXPECT_THAT(recorder.Take(), IsEmpty());
    ASSERT_OK(registration.Rearm());
    Turn();
    EXPECT_THAT(recorder.Take(),
                ElementsAre(Events::kReadable | Events::kWritable |
                            HangupBehindData()));
  }
}

// Survey trap 15: what came and went is not.
TEST_P(OneShot, R06_WhatCameAndWentWhileDisarmedIsNotTold) {
  for (const Mode& mode : kOneShots) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Fired(connection, mode, Interest::kReadable, recorder);
    Send(connection.client, "def");
    Turn();
    EXPECT_EQ(Drain(connection.server), "abcdef");
    ASSERT_OK(registration.Rearm());
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    // Came and went between the re-arm and the wait.
    Send(connection.client, "ghi");
    AwaitReadable(connection.server);
    EXPECT_EQ(Drain(connection.server), "ghi");
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    // The shot is still there.
    Send(connection.client, "jkl");
    AwaitReadable(connection.server);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  }
}

// Survey trap 16 (mio #1963: re-arming the whole interest for one direction
// told writable for ever).
TEST_P(OneShot, R06_RearmingReadAloneNeverTellsWritable) {
  for (const Mode& mode : kOneShots) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(kBoth), recorder);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
    ASSERT_OK(registration.Rearm(Interest::kReadable));
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    for (int round = 0; round < 3; ++round) {
      Send(connection.client, "abc");
      AwaitReadable(connection.server);
      Turn();
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
      EXPECT_EQ(Drain(connection.server), "abc");
      ASSERT_OK(registration.Rearm(Interest::kReadable));
      Turn();
      EXPECT_THAT(recorder.Take(), IsEmpty());
    }
  }
}

// Survey trap 16, persistent edge: a drain of one direction arms this one.
TEST_P(OneShot, R05_DrainingReadAloneNeverTellsWritable) {
  Connection connection = Connected();
  Recorder recorder;
  Register(connection.server, {.interest = kBoth, .trigger = Trigger::kEdge},
           recorder);
  Turn();
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(Drain(connection.server), "");
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
  }
}

// R06: the usual use, re-armed by its own handler after it has read.
TEST_P(OneShot, R06_ReadAndRearmInTheHandlerTellsEachArrivalOnce) {
  for (const Mode& mode : kOneShots) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    Must(loop().Register(connection.server, mode.With(Interest::kReadable),
                         recorder.Handler([&](const Event& event) {
                           if (event.removed()) return;
                           EXPECT_EQ(Receive(connection.server, 3), "abc");
                           EXPECT_OK(event.registration().Rearm());
                         })));
    Turn();
    for (int round = 0; round < 5; ++round) {
      Send(connection.client, "abc");
      AwaitReadable(connection.server);
      Turn();
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
      Turn();
      EXPECT_THAT(recorder.Take(), IsEmpty());
    }
  }
}

}  // namespace
}  // namespace weir::conformance
