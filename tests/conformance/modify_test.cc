// Changing a live registration (R08): its settings and its handler.

#include <string>
#include <vector>

#include "platform/socket_io.h"
#include "tests/conformance/conformance.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Interest kBoth = Interest::kReadable | Interest::kWritable;

bool IsPersistent(const Mode& mode) {
  return mode.persistence == Persistence::kPersistent;
}

// Told in every turn, once and again after a drain, or once.
bool IsToldInEveryTurn(const Mode& mode) {
  return IsPersistent(mode) && mode.trigger == Trigger::kLevel;
}

std::vector<Events> Times(int count, Events events) {
  return std::vector<Events>(static_cast<std::size_t>(count), events);
}

RegistrationChange ToMode(const Mode& mode) {
  RegistrationChange change;
  change.trigger = mode.trigger;
  change.persistence = mode.persistence;
  return change;
}

class Modify : public Conformance {
 protected:
  // `connection.server`, with unread data of which readable has just been told
  // as new, now behaves as `mode` demands; only `told` is in the events.
  void ExpectMode(const Mode& mode, Connection& connection,
                  Recorder& recorder) {
    for (int turn = 0; turn < 3; ++turn) Turn();
    EXPECT_THAT(recorder.Take(),
                Times(IsToldInEveryTurn(mode) ? 3 : 0, Events::kReadable));
    Drain(connection.server);
    Turn();
    EXPECT_THAT(recorder.Take(), IsEmpty());
    Send(connection.client, "new");
    AwaitReadable(connection.server);
    Turn();
    EXPECT_THAT(recorder.Take(),
                Times(IsPersistent(mode) ? 1 : 0, Events::kReadable));
  }
};
WEIR_CONFORMANCE_SUITE(Modify);

// --- trigger and persistence

// Survey trap 17, from every mode to every mode, after the first delivery.
TEST_P(Modify, R08_ANewModeIsInForceFromTheNextTurn) {
  for (const Mode& from : kAllModes) {
    for (const Mode& to : kAllModes) {
      SCOPED_TRACE(ToString(from) + " to " + ToString(to));
      Connection connection = Connected();
      Recorder recorder;
      const Registration registration =
          Register(connection.server, from.With(Interest::kReadable), recorder);
      Send(connection.client, "abc");
      AwaitReadable(connection.server);
      Turn();
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
      ASSERT_OK(registration.Modify(ToMode(to)));
      Turn();
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
      ExpectMode(to, connection, recorder);
    }
  }
}

// Survey trap 17: "and loses none". The event is on its way when the mode
// changes.
TEST_P(Modify, R08_AnEventOnItsWayWhenTheModeChangesIsToldOnce) {
  for (const Mode& from : kAllModes) {
    for (const Mode& to : kAllModes) {
      SCOPED_TRACE(ToString(from) + " to " + ToString(to));
      Connection connection = Connected();
      Recorder recorder;
      const Registration registration =
          Register(connection.server, from.With(Interest::kReadable), recorder);
      Turn();
      Send(connection.client, "abc");
      AwaitReadable(connection.server);
      ASSERT_OK(registration.Modify(ToMode(to)));
      Turn();
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
      ExpectMode(to, connection, recorder);
    }
  }
}

// Survey trap 17, by a change made in the registration's own handler.
TEST_P(Modify, R08_ANewModeSetInTheOwnHandlerIsInForceFromTheNextTurn) {
  for (const Mode& from : kAllModes) {
    for (const Mode& to : kAllModes) {
      SCOPED_TRACE(ToString(from) + " to " + ToString(to));
      Connection connection = Connected();
      Recorder recorder;
      bool changed = false;
      Must(loop().Register(connection.server, from.With(Interest::kReadable),
                           recorder.Handler([&](const Event& event) {
                             if (event.removed() || changed) return;
                             changed = true;
                             EXPECT_OK(event.registration().Modify(ToMode(to)));
                           })));
      Send(connection.client, "abc");
      AwaitReadable(connection.server);
      Turn();
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
      Turn();
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
      ExpectMode(to, connection, recorder);
    }
  }
}

// --- interest

// Survey trap 18 (libevent #636: the edge flag went with the direction).
TEST_P(Modify, R08_DroppingWritableKeepsTheModeOfReadable) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(kBoth), recorder);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
    ASSERT_OK(registration.Modify({.interest = Interest::kReadable}));
    Turn();
    EXPECT_THAT(recorder.Take(), IsEmpty());
    Send(connection.client, "abc");
    AwaitReadable(connection.server);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    ExpectMode(mode, connection, recorder);
  }
}

// Survey trap 18, the other direction.
TEST_P(Modify, R08_DroppingReadableKeepsTheModeOfWritable) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected(test::LocalFamily());
    Fill(connection.server);
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(kBoth), recorder);
    Turn();
    ASSERT_OK(registration.Modify({.interest = Interest::kWritable}));
    Send(connection.client, "abc");
    AwaitReadable(connection.server);
    Turn();
    EXPECT_THAT(recorder.Take(), IsEmpty());
    Drain(connection.client);
    AwaitWritable(connection.server);
    for (int turn = 0; turn < 3; ++turn) Turn();
    EXPECT_THAT(recorder.Take(),
                Times(IsToldInEveryTurn(mode) ? 3 : 1, Events::kWritable));
    Fill(connection.server);
    Turn();
    EXPECT_THAT(recorder.Take(), IsEmpty());
    Drain(connection.client);
    AwaitWritable(connection.server);
    Turn();
    EXPECT_THAT(recorder.Take(),
                Times(IsPersistent(mode) ? 1 : 0, Events::kWritable));
  }
}

// A direction that was dropped and is taken up again is told anew (R03).
TEST_P(Modify, R08_ADirectionDroppedAndTakenUpAgainIsToldAnew) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(kBoth), recorder);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
    ASSERT_OK(registration.Modify({.interest = Interest::kReadable}));
    Turn();
    EXPECT_THAT(recorder.Take(), IsEmpty());
    ASSERT_OK(registration.Modify({.interest = kBoth}));
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
  }
}

// Several changes before the next wait: the last one counts.
TEST_P(Modify, R08_OfSeveralChangesBeforeAWaitTheLastCounts) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Send(connection.client, "abc");
    AwaitReadable(connection.server);
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(Interest::kHangup), recorder);
    Turn();
    EXPECT_THAT(recorder.Take(), IsEmpty());
    ASSERT_OK(registration.Modify({.interest = kBoth}));
    ASSERT_OK(registration.Modify({.interest = Interest::kWritable}));
    ASSERT_OK(registration.Modify({.interest = Interest::kReadable}));
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  }
}

// --- the handler

TEST_P(Modify, R08_ANewHandlerIsToldWhatHoldsAndTheOldOneNothingMore) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Send(connection.client, "abc");
    AwaitReadable(connection.server);
    Recorder old_told, new_told;
    const Registration registration =
        Register(connection.server, mode.With(Interest::kReadable), old_told);
    Turn();
    EXPECT_THAT(old_told.Take(), ElementsAre(Events::kReadable));
    ASSERT_OK(registration.Modify({.handler = new_told.Handler()}));
    EXPECT_TRUE(old_told.handler_destroyed());
    Turn();
    EXPECT_THAT(new_told.Take(), ElementsAre(Events::kReadable));
    ExpectMode(mode, connection, new_told);
    ASSERT_OK(registration.Remove());
    Turn();
    EXPECT_THAT(new_told.Take(), ElementsAre(Events::kRemoved));
    EXPECT_THAT(old_told.events(), IsEmpty());
  }
}

// "no event reaches the new context that was raised for the old": raised in
// the kernel, and out of date when it is collected.
TEST_P(Modify, R08_AnEventRaisedForTheOldHandlerDoesNotReachTheNewOne) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder old_told, new_told;
    const Registration registration =
        Register(connection.server, mode.With(Interest::kReadable), old_told);
    Turn();
    Send(connection.client, "abc");
    AwaitReadable(connection.server);
    std::byte buffer[16];
    EXPECT_EQ(platform::Receive(connection.server.native(), buffer).bytes, 3u);
    ASSERT_OK(registration.Modify({.handler = new_told.Handler()}));
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(old_told.events(), IsEmpty());
    EXPECT_THAT(new_told.events(), IsEmpty());
    Send(connection.client, "def");
    AwaitReadable(connection.server);
    Turn();
    EXPECT_THAT(new_told.Take(), ElementsAre(Events::kReadable));
  }
}

// The same for what was fetched: both are in one batch, and whichever handler
// comes first replaces the other's.
TEST_P(Modify, R08_AnEventFetchedForTheOldHandlerDoesNotReachTheNewOne) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Turn();  // `removed` of the last round
    Connection connections[2] = {Connected(), Connected()};
    Registration registrations[2];
    Recorder old_told[2], new_told[2];
    int first = -1;
    for (int i = 0; i < 2; ++i) {
      Send(connections[i].client, "x");
      AwaitReadable(connections[i].server);
      registrations[i] = Must(
          loop().Register(connections[i].server, mode.With(Interest::kReadable),
                          old_told[i].Handler([&, i](const Event& event) {
                            if (event.removed() || first >= 0) return;
                            first = i;
                            const int other = 1 - i;
                            EXPECT_OK(registrations[other].Modify(
                                {.handler = new_told[other].Handler()}));
                          })));
    }
    EXPECT_EQ(Turn(), 1);
    ASSERT_GE(first, 0);
    const int other = 1 - first;
    EXPECT_THAT(old_told[first].events(), ElementsAre(Events::kReadable));
    EXPECT_THAT(old_told[other].events(), IsEmpty());
    EXPECT_TRUE(old_told[other].handler_destroyed());
    EXPECT_THAT(new_told[other].events(), IsEmpty());
    // It still holds (R03).
    Turn();
    EXPECT_THAT(new_told[other].events(), ElementsAre(Events::kReadable));
    EXPECT_THAT(old_told[other].events(), IsEmpty());
  }
}

// A handler that replaces itself runs to its end and is destroyed then.
TEST_P(Modify, R08_AHandlerCanReplaceItself) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Send(connection.client, "abc");
    AwaitReadable(connection.server);
    Recorder old_told, new_told;
    bool alive_after_change = false;
    Must(loop().Register(
        connection.server, mode.With(Interest::kReadable),
        old_told.Handler([&, own = std::string(100, 'o')](const Event& event) {
          if (event.removed()) return;
          EXPECT_OK(
              event.registration().Modify({.handler = new_told.Handler()}));
          alive_after_change = !old_told.handler_destroyed();
          EXPECT_EQ(own, std::string(100, 'o'));
        })));
    Turn();
    EXPECT_TRUE(alive_after_change);
    EXPECT_TRUE(old_told.handler_destroyed());
    EXPECT_THAT(old_told.Take(), ElementsAre(Events::kReadable));
    Turn();
    EXPECT_THAT(new_told.Take(), ElementsAre(Events::kReadable));
    ExpectMode(mode, connection, new_told);
    EXPECT_THAT(old_told.events(), IsEmpty());
  }
}

// Replaced twice by itself: the last one stays, the one between is never told.
TEST_P(Modify, R08_OfSeveralReplacementsInTheOwnHandlerTheLastStays) {
  Connection connection = Connected();
  Send(connection.client, "abc");
  AwaitReadable(connection.server);
  Recorder old_told, between_told, new_told;
  Must(loop().Register(
      connection.server, {.interest = Interest::kReadable},
      old_told.Handler([&](const Event& event) {
        const Registration self = event.registration();
        EXPECT_OK(self.Modify({.handler = between_told.Handler()}));
        EXPECT_OK(self.Modify({.handler = new_told.Handler()}));
      })));
  Turn();
  Turn();
  EXPECT_THAT(old_told.events(), ElementsAre(Events::kReadable));
  EXPECT_TRUE(old_told.handler_destroyed());
  EXPECT_THAT(between_told.events(), IsEmpty());
  EXPECT_TRUE(between_told.handler_destroyed());
  EXPECT_THAT(new_told.events(), ElementsAre(Events::kReadable));
}

// Replaced and removed in the same call: `removed` is for the new one (R09).
TEST_P(Modify, R08_RemovedGoesToTheHandlerInForce) {
  Connection connection = Connected();
  Send(connection.client, "abc");
  AwaitReadable(connection.server);
  Recorder old_told, new_told;
  Must(loop().Register(
      connection.server, {.interest = Interest::kReadable},
      old_told.Handler([&](const Event& event) {
        EXPECT_OK(event.registration().Modify({.handler = new_told.Handler()}));
        EXPECT_OK(event.registration().Remove());
      })));
  Turn();
  Turn();
  EXPECT_THAT(old_told.events(), ElementsAre(Events::kReadable));
  EXPECT_THAT(new_told.events(), ElementsAre(Events::kRemoved));
  EXPECT_TRUE(old_told.handler_destroyed());
  EXPECT_TRUE(new_told.handler_destroyed());
}

TEST_P(Modify, R08_OnAStaleHandleFailsAndChangesNothing) {
  Connection connection = Connected();
  Recorder recorder, never;
  const Registration registration =
      Register(connection.server, {.interest = Interest::kReadable}, recorder);
  ASSERT_OK(registration.Remove());
  EXPECT_CODE(registration.Modify({.interest = Interest::kWritable,
                                   .handler = never.Handler()}),
              kFailedPrecondition);
  Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), ElementsAre(Events::kRemoved));
  EXPECT_THAT(never.events(), IsEmpty());
  EXPECT_TRUE(never.handler_destroyed());
  EXPECT_CODE(Registration().Modify({}), kFailedPrecondition);
}

}  // namespace
}  // namespace weir::conformance
