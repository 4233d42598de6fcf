// Disabling and enabling (R07), what an empty interest tells, and one mask for
// several kernel events (R02).

#include "tests/conformance/conformance.h"
#include "weir/status.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Interest kBoth = Interest::kReadable | Interest::kWritable;
constexpr Interest kAll = kBoth | Interest::kHangup;

class Disable : public Conformance {
 protected:
  // How many turns the loop makes until a timer ends the wait: a handful,
  // unless something that nobody is told keeps waking it.
  void ExpectNoSpin() {
    bool over = false;
    ASSERT_OK(loop().PostAfter(absl::Milliseconds(20), [&] { over = true; }));
    const auto before = loop().counters().turns;
    TurnUntil([&] { return over; });
    EXPECT_LE(loop().counters().turns - before, 10u);
  }
};
WEIR_CONFORMANCE_SUITE(Disable);

TEST_P(Disable, R07_NothingIsToldUntilEnabled) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(kAll), recorder);
    ASSERT_OK(registration.Disable());
    Turn();
    Send(connection.client, "abc");
    AwaitReadable(connection.server);
    Turn();
    MustOk(connection.client.Shutdown(ShutdownDirection::kSend));
    AwaitPeerClosed(connection.server);
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    EXPECT_TRUE(registration.is_live());
    ASSERT_OK(registration.Enable());
    Turn();
    EXPECT_THAT(recorder.Take(),
                ElementsAre(Events::kReadable | Events::kWritable |
                            HangupBehindData()));
  }
}

// "notifications already queued in the kernel do not reach the handler".
TEST_P(Disable, R07_AnEventOnItsWayIsNotTold) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(Interest::kReadable), recorder);
    Turn();
    Send(connection.client, "abc");
    AwaitReadable(connection.server);
    ASSERT_OK(registration.Disable());
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    ASSERT_OK(registration.Enable());
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  }
}

// Fetched already: whichever handler of the batch comes first disables the
// other's registration.
TEST_P(Disable, R07_AnEventOfTheSameBatchIsNotTold) {
  for (const bool enable_at_once : {false, true}) {
    for (const Mode& mode : kAllModes) {
      SCOPED_TRACE(ToString(mode));
      Turn();  // `removed` of the last round
      Connection connections[2] = {Connected(), Connected()};
      Registration registrations[2];
      Recorder told[2];
      int first = -1;
      for (int i = 0; i < 2; ++i) {
        Send(connections[i].client, "x");
        AwaitReadable(connections[i].server);
        registrations[i] = Must(loop().Register(
            connections[i].server, mode.With(Interest::kReadable),
            told[i].Handler([&, i](const Event& event) {
              if (event.removed() || first >= 0) return;
              first = i;
              EXPECT_OK(registrations[1 - i].Disable());
              if (enable_at_once) {
                EXPECT_OK(registrations[1 - i].Enable());
              }
            })));
      }
      EXPECT_EQ(Turn(), 1);
      ASSERT_GE(first, 0);
      const int other = 1 - first;
      EXPECT_THAT(told[other].events(), IsEmpty());
      if (!enable_at_once) {
        Turn();
        EXPECT_THAT(told[other].events(), IsEmpty());
        ASSERT_OK(registrations[other].Enable());
      }
      // The event was dropped, not what it was about (R03).
      Turn();
      EXPECT_THAT(told[other].events(), ElementsAre(Events::kReadable));
    }
  }
}

TEST_P(Disable, R07_InTheOwnHandlerItIsTheLastEvent) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    Must(loop().Register(connection.server, mode.With(Interest::kReadable),
                         recorder.Handler([](const Event& event) {
                           if (event.removed()) return;
                           EXPECT_OK(event.registration().Disable());
                         })));
    Send(connection.client, "abc");
    AwaitReadable(connection.server);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    Send(connection.client, "def");
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
  }
}

TEST_P(Disable, R07_WhatCameAndWentWhileDisabledIsNotTold) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(Interest::kReadable), recorder);
    Turn();
    ASSERT_OK(registration.Disable());
    Turn();
    Send(connection.client, "abc");
    AwaitReadable(connection.server);
    Turn();
    EXPECT_EQ(Drain(connection.server), "abc");
    ASSERT_OK(registration.Enable());
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    Send(connection.client, "def");
    AwaitReadable(connection.server);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  }
}

// registration.h: "a disabled registration stays disabled"; Rearm enables.
TEST_P(Disable, R07_ModifyingLeavesItDisabledAndRearmingEnables) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder, replaced;
    const Registration registration =
        Register(connection.server, mode.With(Interest::kReadable), replaced);
    ASSERT_OK(registration.Disable());
    ASSERT_OK(registration.Modify({.interest = kBoth,
                                   .trigger = mode.trigger,
                                   .handler = recorder.Handler()}));
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    ASSERT_OK(registration.Rearm());
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
    EXPECT_THAT(replaced.events(), IsEmpty());
  }
}

// registration.h: "A fired one-shot stays fired."
TEST_P(Disable, R07_EnablingDoesNotArmAFiredOneShot) {
  for (const Mode& mode : kAllModes) {
    if (mode.persistence != Persistence::kOneShot) continue;
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(Interest::kWritable), recorder);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
    ASSERT_OK(registration.Disable());
    ASSERT_OK(registration.Enable());
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    ASSERT_OK(registration.Rearm());
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
  }
}

TEST_P(Disable, R07_OnAStaleOrEmptyHandleFails) {
  Connection connection = Connected();
  Recorder recorder;
  const Registration registration =
      Register(connection.server, {.interest = Interest::kReadable}, recorder);
  ASSERT_OK(registration.Remove());
  for (const Registration& handle : {registration, Registration()}) {
    EXPECT_FALSE(handle.is_live());
    EXPECT_CODE(handle.Disable(), kFailedPrecondition);
    EXPECT_CODE(handle.Enable(), kFailedPrecondition);
    EXPECT_CODE(handle.Rearm(), kFailedPrecondition);
    EXPECT_CODE(handle.Rearm(Interest::kReadable), kFailedPrecondition);
    EXPECT_CODE(handle.Drained(Interest::kReadable), kFailedPrecondition);
  }
  Turn();
  EXPECT_THAT(recorder.events(), ElementsAre(Events::kRemoved));
}

// --- after a reset

// Survey trap 19; survey 1: mask 0 does not silence a descriptor.
TEST_P(Disable, R07_AResetIsNotToldWhileDisabledAndDoesNotSpin) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(Interest::kReadable), recorder);
    Turn();
    ASSERT_OK(registration.Disable());
    Turn();
    Reset(connection.client);
    AwaitPeerClosed(connection.server);
    ExpectNoSpin();
    EXPECT_THAT(recorder.events(), IsEmpty());
    ASSERT_OK(registration.Enable());
    Turn();
    EXPECT_THAT(recorder.Take(),
                ElementsAre(Events::kReadable | Events::kError));
    ASSERT_EQ(recorder.errors().size(), 1u);
    EXPECT_EQ(CauseOf(recorder.errors()[0]), ErrorCause::kConnectionReset);
  }
}

// Survey trap 19, for a registration that was disabled after the reset.
TEST_P(Disable, R07_DisablingAfterAResetDoesNotSpin) {
  Connection connection = Connected();
  Recorder recorder;
  const Registration registration =
      Register(connection.server, {.interest = kAll}, recorder);
  Turn();
  Reset(connection.client);
  AwaitPeerClosed(connection.server);
  Turn();
  EXPECT_TRUE(Has(recorder.seen(), Events::kError));
  ASSERT_OK(registration.Disable());
  recorder.Take();
  ExpectNoSpin();
  EXPECT_THAT(recorder.events(), IsEmpty());
}

// Survey traps 19 and 24; registration.h: with an empty interest "only errors
// are then delivered, once each".
TEST_P(Disable, R08_AnEmptyInterestTellsAResetOnceAndDoesNotSpin) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(Interest::kReadable), recorder);
    Turn();
    ASSERT_OK(registration.Modify({.interest = Interest::kNone}));
    Send(connection.client, "abc");
    AwaitReadable(connection.server);
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    Reset(connection.client);
    AwaitPeerClosed(connection.server);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kError));
    ASSERT_EQ(recorder.errors().size(), 1u);
    EXPECT_EQ(CauseOf(recorder.errors()[0]), ErrorCause::kConnectionReset);
    ExpectNoSpin();
    EXPECT_THAT(recorder.events(), IsEmpty());
  }
}

// Survey trap 19: a close in both directions, which the kernel reports
// whatever was asked for, is no error.
TEST_P(Disable, R08_AnEmptyInterestTellsNothingOfAnOrderlyCloseAndDoesNotSpin) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(Interest::kReadable), recorder);
    Turn();
    ASSERT_OK(registration.Modify({.interest = Interest::kNone}));
    MustOk(connection.client.Shutdown(ShutdownDirection::kBoth));
    MustOk(connection.server.Shutdown(ShutdownDirection::kBoth));
    AwaitPeerClosed(connection.server);
    ExpectNoSpin();
    EXPECT_THAT(recorder.events(), IsEmpty());
  }
}

// Survey trap 19, R06: a fired one-shot.
TEST_P(Disable, R06_AResetDoesNotMakeAFiredOneShotSpin) {
  for (const Mode& mode : kAllModes) {
    if (mode.persistence != Persistence::kOneShot) continue;
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    Register(connection.server, mode.With(Interest::kWritable), recorder);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
    Reset(connection.client);
    AwaitPeerClosed(connection.server);
    ExpectNoSpin();
    EXPECT_THAT(recorder.events(), IsEmpty());
  }
}

// --- one mask

// Survey trap 20: room, data, more data and the end, each an event of its own
// to the kernel.
TEST_P(Disable, R02_SeveralKernelEventsOfOneTurnAreOneMask) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Turn();  // `removed` of the last round
    Connection connection = Connected(test::LocalFamily());
    Fill(connection.server);
    Recorder recorder;
    Register(connection.server, mode.With(kAll), recorder);
    Turn();
    EXPECT_THAT(recorder.events(), IsEmpty());
    for (int i = 0; i < 3; ++i) Send(connection.client, "abc");
    Drain(connection.client);
    MustOk(connection.client.Shutdown(ShutdownDirection::kSend));
    AwaitReadable(connection.server);
    AwaitWritable(connection.server);
    AwaitPeerClosed(connection.server);
    EXPECT_EQ(Turn(), 1);
    EXPECT_THAT(recorder.events(),
                ElementsAre(Events::kReadable | Events::kWritable |
                            HangupBehindData()));
  }
}

}  // namespace
}  // namespace weir::conformance
