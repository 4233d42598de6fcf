// Registering in every mode (R01) and the state that holds already when a
// registration is armed (R03).

#include <functional>
#include <string>
#include <vector>

#include "tests/conformance/conformance.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Arming : public Conformance {};
WEIR_CONFORMANCE_SUITE(Arming);

// --- R01

TEST_P(Arming, R01_EveryModeTellsReadableOnceThereIsSomething) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    Register(connection.server, mode.With(Interest::kReadable), recorder);
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    Send(connection.client, "x");
    AwaitReadable(connection.server);
    Turn();
    EXPECT_THAT(recorder.events(), ElementsAre(Events::kReadable));
  }
}

TEST_P(Arming, R01_EveryModeTellsWritableOnceThereIsRoom) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected(test::LocalFamily());
    Fill(connection.server);
    Recorder recorder;
    Register(connection.server, mode.With(Interest::kWritable), recorder);
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    Drain(connection.client);
    AwaitWritable(connection.server);
    Turn();
    EXPECT_THAT(recorder.events(), ElementsAre(Events::kWritable));
  }
}

TEST_P(Arming, R01_EveryModeTellsHangupOnceThePeerHasClosedItsSide) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    Register(connection.server, mode.With(Interest::kHangup), recorder);
    Send(connection.client, "not asked for");
    AwaitReadable(connection.server);
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    MustOk(connection.client.Shutdown(ShutdownDirection::kSend));
    AwaitPeerClosed(connection.server);
    if (!test::HangupOvertakesData()) Drain(connection.server);
    Turn();
    EXPECT_THAT(recorder.events(), ElementsAre(Events::kHangup));
  }
}

// What tells the four combinations apart, in one script: unread data; then a
// drain and new data.
TEST_P(Arming, R01_TriggerAndPersistenceAreIndependentOfEachOther) {
  const struct {
    Mode mode;
    int while_unread;    // of three turns
    int after_new_data;  // of one turn
  } cases[] = {
      {{Trigger::kLevel, Persistence::kPersistent}, 3, 1},
      {{Trigger::kLevel, Persistence::kOneShot}, 1, 0},
      {{Trigger::kEdge, Persistence::kPersistent}, 1, 1},
      {{Trigger::kEdge, Persistence::kOneShot}, 1, 0},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(ToString(c.mode));
    Connection connection = Connected();
    Send(connection.client, "first");
    AwaitReadable(connection.server);
    Recorder recorder;
    Register(connection.server, c.mode.With(Interest::kReadable), recorder);
    for (int turn = 0; turn < 3; ++turn) Turn();
    EXPECT_THAT(recorder.Take(),
                std::vector<Events>(static_cast<std::size_t>(c.while_unread),
                                    Events::kReadable));
    EXPECT_EQ(Drain(connection.server), "first");
    Turn();
    EXPECT_THAT(recorder.Take(), IsEmpty());
    Send(connection.client, "second");
    AwaitReadable(connection.server);
    Turn();
    EXPECT_THAT(recorder.Take(),
                std::vector<Events>(static_cast<std::size_t>(c.after_new_data),
                                    Events::kReadable));
  }
}

TEST_P(Arming, R01_EachRegistrationIsToldThroughItsOwnHandlerAndHandle) {
  Connection one = Connected();
  Connection two = Connected();
  Send(one.client, "1");
  Send(two.client, "2");
  AwaitReadable(one.server);
  AwaitReadable(two.server);
  std::vector<Registration> told_one, told_two;
  const Registration first = Must(loop().Register(
      one.server, {.interest = Interest::kReadable},
      [&](const Event& event) { told_one.push_back(event.registration()); }));
  const Registration second = Must(loop().Register(
      two.server, {.interest = Interest::kReadable},
      [&](const Event& event) { told_two.push_back(event.registration()); }));
  EXPECT_NE(first, second);
  EXPECT_EQ(Turn(), 2);
  EXPECT_THAT(told_one, ElementsAre(first));
  EXPECT_THAT(told_two, ElementsAre(second));
  // The handlers' captures die before the loop.
  ASSERT_OK(first.Remove());
  ASSERT_OK(second.Remove());
  Turn();
}

// --- R03

// Survey trap 1.
TEST_P(Arming, R03_RegisteringWithUnreadDataTellsReadableInTheNextTurn) {
  for (const Mode& mode : kAllModes) {
    for (const AddressFamily family : test::Available({AddressFamily::kIpv4, AddressFamily::kUnix})) {
      SCOPED_TRACE(ToString(mode));
      Connection connection = Connected(family);
      Send(connection.client, "early");
      AwaitReadable(connection.server);
      Recorder recorder;
      Register(connection.server, mode.With(Interest::kReadable), recorder);
      EXPECT_THAT(recorder.events(), IsEmpty());  // never inside the call
      Turn();
      EXPECT_THAT(recorder.events(), ElementsAre(Events::kReadable));
    }
  }
}

// Where a registration has to go before the next one of its socket can be made,
// too.
TEST_P(Arming, R03_RegisteringAgainTellsWhatHoldsInTheNextTurn) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder first;
    const Registration registration =
        Register(connection.server, mode.With(Interest::kWritable), first);
    TurnUntilSeen(first, Events::kWritable);
    Recorder second;
    ASSERT_OK(registration.Remove());
    Register(connection.server, mode.With(Interest::kWritable), second);
    Turn();
    EXPECT_EQ(first.events().back(), Events::kRemoved);
    EXPECT_THAT(second.events(), ElementsAre(Events::kWritable));
  }
}

// Survey trap 1, the other conditions that can hold already.
TEST_P(Arming, R03_WhateverHoldsAtRegistrationIsToldInTheNextTurn) {
  const Interest all =
      Interest::kReadable | Interest::kWritable | Interest::kHangup;
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Turn();  // `removed` of the last round
    Connection idle = Connected();

    Connection busy = Connected();
    Send(busy.client, "x");
    AwaitReadable(busy.server);

    Connection closed = Connected();
    MustOk(closed.client.Shutdown(ShutdownDirection::kSend));
    AwaitPeerClosed(closed.server);

    Connection datagrams = DatagramPair();
    Send(datagrams.client, "x");
    AwaitReadable(datagrams.server);

    Socket listener = Listener();
    Socket waiting = Must(Socket::Connect(AddressOf(listener)));
    AwaitReadable(listener);

    Recorder idle_told, busy_told, closed_told, datagram_told, listener_told;
    Register(idle.server, mode.With(all), idle_told);
    Register(busy.server, mode.With(all), busy_told);
    Register(closed.server, mode.With(all), closed_told);
    Register(datagrams.server, mode.With(all), datagram_told);
    Register(listener, mode.With(Interest::kReadable), listener_told);
    EXPECT_EQ(Turn(), 5);
    const Events both = Events::kReadable | Events::kWritable;
    EXPECT_THAT(idle_told.events(), ElementsAre(Events::kWritable));
    EXPECT_THAT(busy_told.events(), ElementsAre(both));
    EXPECT_THAT(closed_told.events(), ElementsAre(both | Events::kHangup));
    EXPECT_THAT(datagram_told.events(), ElementsAre(both));
    EXPECT_THAT(listener_told.events(), ElementsAre(Events::kReadable));
  }
}

// The calls that arm again, each on a registration of which readable has been
// told and still holds.
struct Rearming {
  const char* name;
  std::function<absl::Status(const Registration&)> call;
  Events told;
};

std::vector<Rearming> Rearmings() {
  const Interest both = Interest::kReadable | Interest::kWritable;
  return {
      {"modify nothing", [](const Registration& r) { return r.Modify({}); },
       Events::kReadable},
      {"modify to the same interest",
       [](const Registration& r) {
         return r.Modify({.interest = Interest::kReadable});
       },
       Events::kReadable},
      {"widen",
       [=](const Registration& r) { return r.Modify({.interest = both}); },
       Events::kReadable | Events::kWritable},
      {"exchange the interest",
       [](const Registration& r) {
         return r.Modify({.interest = Interest::kWritable});
       },
       Events::kWritable},
      {"re-arm", [](const Registration& r) { return r.Rearm(); },
       Events::kReadable},
      {"re-arm wider", [=](const Registration& r) { return r.Rearm(both); },
       Events::kReadable | Events::kWritable},
      {"disable and re-arm",
       [](const Registration& r) {
         MustOk(r.Disable());
         return r.Rearm();
       },
       Events::kReadable},
  };
}

// Survey trap 2.
TEST_P(Arming, R03_ModifyingOrRearmingTellsWhatHoldsInTheNextTurn) {
  for (const Mode& mode : kAllModes) {
    for (const Rearming& rearming : Rearmings()) {
      SCOPED_TRACE(ToString(mode) + ", " + rearming.name);
      Connection connection = Connected();
      Send(connection.client, "x");
      AwaitReadable(connection.server);
      Recorder recorder;
      const Registration registration =
          Register(connection.server, mode.With(Interest::kReadable), recorder);
      Turn();
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
      ASSERT_OK(rearming.call(registration));
      EXPECT_THAT(recorder.events(), IsEmpty());  // never inside the call
      Turn();
      EXPECT_THAT(recorder.Take(), ElementsAre(rearming.told));
    }
  }
}

// Survey trap 2, called from the registration's own handler.
TEST_P(Arming, R03_RearmingInTheOwnHandlerTellsWhatHoldsInTheNextTurn) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Send(connection.client, "x");
    AwaitReadable(connection.server);
    Recorder recorder;
    Must(loop().Register(connection.server, mode.With(Interest::kReadable),
                         recorder.Handler([](const Event& event) {
                           if (!event.removed()) {
                             EXPECT_OK(event.registration().Rearm());
                           }
                         })));
    for (int turn = 0; turn < 3; ++turn) {
      Turn();
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    }
  }
}

// Survey trap 2, enabling. A fired one-shot stays fired (registration.h).
TEST_P(Arming, R03_EnablingTellsWhatHoldsInTheNextTurn) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(Interest::kReadable), recorder);
    Turn();
    ASSERT_OK(registration.Disable());
    Turn();
    Send(connection.client, "x");
    AwaitReadable(connection.server);
    Turn();
    EXPECT_THAT(recorder.events(), IsEmpty());
    ASSERT_OK(registration.Enable());
    Turn();
    EXPECT_THAT(recorder.events(), ElementsAre(Events::kReadable));
  }
}

// Survey trap 2: the registration is armed, its condition has come up, and
// it is widened before the loop has looked. On io_uring the armed poll is then
// complete and cannot be changed any more; the other direction is told in the
// same turn all the same.
TEST_P(Arming, R03_WideningWhileAReportIsOnItsWayTellsBothInTheNextTurn) {
  const Interest both = Interest::kReadable | Interest::kWritable;
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(Interest::kReadable), recorder);
    Turn();
    Send(connection.client, "x");
    AwaitReadable(connection.server);
    ASSERT_OK(registration.Modify({.interest = both}));
    Turn();
    EXPECT_THAT(recorder.Take(),
                ElementsAre(Events::kReadable | Events::kWritable));
  }
}

// The mirror of it: what has been dropped from the interest is not told,
// although its report is on its way.
TEST_P(Arming, R03_NarrowingWhileAReportIsOnItsWayTellsWhatIsLeft) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected(test::LocalFamily());
    Fill(connection.server);
    Recorder recorder;
    const Registration registration = Register(
        connection.server, mode.With(Interest::kReadable | Interest::kWritable),
        recorder);
    Turn();
    Send(connection.client, "x");
    AwaitReadable(connection.server);
    ASSERT_OK(registration.Modify({.interest = Interest::kWritable}));
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
    Drain(connection.client);
    AwaitWritable(connection.server);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
  }
}

}  // namespace
}  // namespace weir::conformance
