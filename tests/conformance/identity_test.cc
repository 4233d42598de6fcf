// Which registration an event belongs to: descriptor numbers come back, the
// same socket is registered again, handles go stale (R10, R11, P05).

#include <array>
#include <utility>
#include <vector>

#include "tests/conformance/conformance.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::Each;
using ::testing::IsEmpty;

class Identity : public Conformance {};
WEIR_CONFORMANCE_SUITE(Identity);

// Survey trap 33.
TEST_P(Identity, R10_AReusedNumberNeverGetsTheOldEvents) {
  Socket listener = Listener();
  int reused = 0;
  for (int round = 0; round < 200; ++round) {
    const Mode& mode = kAllModes[round % 4];
    Connection old = ConnectedBy(listener);
    Recorder old_recorder;
    Register(old.server, mode.With(Interest::kReadable), old_recorder);
    Turn();
    Send(old.client, "for the old one");
    const NativeSocket number = old.server.native();
    old.server.Close();
    Connection fresh = ConnectedBy(listener);
    Socket& same =
        fresh.client.native() == number ? fresh.client : fresh.server;
    if (same.native() == number) ++reused;
    Socket& peer = &same == &fresh.client ? fresh.server : fresh.client;
    Recorder fresh_recorder;
    Register(same, mode.With(Interest::kReadable), fresh_recorder);
    Turn();
    Turn();
    EXPECT_THAT(old_recorder.events(), ElementsAre(Events::kRemoved));
    EXPECT_THAT(fresh_recorder.events(), IsEmpty());
    Send(peer, "for the new one");
    TurnUntilSeen(fresh_recorder, Events::kReadable);
    EXPECT_EQ(Drain(same), "for the new one");
    EXPECT_EQ(old_recorder.count(), 1u);
  }
  if (test::NumbersAreReusedAtOnce()) {
    EXPECT_EQ(reused, 200);
  }
}

// The same within a batch: the event that was fetched for the old socket must
// not be told to the new one of the same number.
TEST_P(Identity, R10_ANumberReusedInAHandlerDoesNotGetTheBatchsEvent) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Socket listener = Listener();
    std::array<Connection, 2> connections = {ConnectedBy(listener),
                                             ConnectedBy(listener)};
    std::array<Recorder, 2> recorders;
    Connection fresh;
    Recorder fresh_recorder;
    bool number_reused = false;
    for (std::size_t i = 0; i < 2; ++i) {
      Must(loop().Register(
          connections[i].server, mode.With(Interest::kReadable),
          recorders[i].Handler([&, i](const Event& event) {
            if (event.removed() || fresh.server.is_open()) return;
            Socket& other = connections[1 - i].server;
            const NativeSocket number = other.native();
            other.Close();
            fresh = ConnectedBy(listener);
            if (fresh.client.native() == number) {
              std::swap(fresh.client, fresh.server);
            }
            number_reused = fresh.server.native() == number;
            Register(fresh.server, mode.With(Interest::kReadable),
                     fresh_recorder);
          })));
    }
    Turn();
    for (Connection& connection : connections) {
      Send(connection.client, "old");
      AwaitReadable(connection.server);
    }
    TurnUntil([&] { return fresh.server.is_open(); });
    if (test::NumbersAreReusedAtOnce()) {
      EXPECT_TRUE(number_reused);
    }
    for (Connection& connection : connections) connection.server.Close();
    TurnPastSentinel();
    EXPECT_THAT(fresh_recorder.events(), IsEmpty());
    Send(fresh.client, "new");
    TurnUntilSeen(fresh_recorder, Events::kReadable);
    EXPECT_EQ(Drain(fresh.server), "new");
  }
}

// Survey trap 34.
TEST_P(Identity, R09_RegisteredAgainAtOnceOnlyTheNewOneIsTold) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder old;
    const Registration registration =
        Register(connection.server, mode.With(Interest::kReadable), old);
    Turn();
    Send(connection.client, "abc");
    AwaitReadable(connection.server);
    ASSERT_OK(registration.Remove());
    Recorder renewed;
    const Registration second =
        Register(connection.server, mode.With(Interest::kReadable), renewed);
    EXPECT_FALSE(registration.is_live());
    EXPECT_TRUE(second.is_live());
    EXPECT_NE(registration, second);
    TurnUntilSeen(renewed, Events::kReadable);
    EXPECT_THAT(renewed.Take(), ElementsAre(Events::kReadable));
    EXPECT_THAT(old.events(), ElementsAre(Events::kRemoved));
    TurnPastSentinel();
    EXPECT_THAT(old.events(), ElementsAre(Events::kRemoved));
  }
}

TEST_P(Identity, R09_RegisteredAgainManyTimesInOneTurn) {
  constexpr std::size_t kTimes = 50;
  Connection connection = Connected();
  Send(connection.client, "abc");
  AwaitReadable(connection.server);
  std::vector<Recorder> recorders(kTimes);
  for (std::size_t i = 0; i < kTimes; ++i) {
    const Registration registration = Register(
        connection.server, {.interest = Interest::kReadable}, recorders[i]);
    if (i + 1 < kTimes) {
      ASSERT_OK(registration.Remove());
    }
  }
  TurnUntilSeen(recorders.back(), Events::kReadable);
  for (std::size_t i = 0; i + 1 < kTimes; ++i) {
    EXPECT_THAT(recorders[i].events(), ElementsAre(Events::kRemoved));
  }
  EXPECT_THAT(recorders.back().events(), Each(Events::kReadable));
}

// Survey trap 35: epoll goes on reporting a closed descriptor as long as a
// duplicate is open, and cannot be told to stop by number (epoll(7)).
TEST_P(Identity, R10_ClosingASocketThatHasADuplicateEndsItsEvents) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    Register(connection.server,
             mode.With(Interest::kReadable | Interest::kHangup), recorder);
    Turn();
    const NativeSocket duplicate = test::Duplicate(connection.server.native());
    connection.server.Close();
    Turn();
    EXPECT_THAT(recorder.events(), ElementsAre(Events::kRemoved));
    Send(connection.client, "into the duplicate");
    ExpectIdle();
    connection.client.Close();
    ExpectIdle();
    EXPECT_EQ(recorder.count(), 1u);
    test::CloseNative(duplicate);
  }
}

// A request in the kernel keeps a listener listening (survey 2.2).
TEST_P(Identity, R10_AClosedListenersAddressIsFreeAtOnce) {
  enum class End { kClose, kRemoveAndClose, kRemoveReleaseAndClose };
  for (const End end :
       {End::kClose, End::kRemoveAndClose, End::kRemoveReleaseAndClose}) {
    SCOPED_TRACE(static_cast<int>(end));
    Socket listener = Listener();
    const SocketAddress address = AddressOf(listener);
    Recorder recorder;
    const Registration registration =
        Register(listener, {.interest = Interest::kReadable}, recorder);
    Turn();
    if (end != End::kClose) {
      ASSERT_OK(registration.Remove());
    }
    if (end == End::kRemoveReleaseAndClose) {
      test::CloseNative(Must(listener.Release()));
    } else {
      listener.Close();
    }
    EXPECT_OK(Socket::Listen(address));
    Turn();
  }
}

TEST_P(Identity, P07_ADuplicateIsASocketOfItsOwn) {
  Connection connection = Connected();
  Socket twin =
      Must(Socket::Adopt(test::Duplicate(connection.server.native())));
  Recorder recorder;
  Recorder twin_recorder;
  Register(connection.server, {.interest = Interest::kReadable}, recorder);
  Register(twin, {.interest = Interest::kReadable}, twin_recorder);
  Turn();
  connection.server.Close();
  Send(connection.client, "abc");
  TurnUntilSeen(twin_recorder, Events::kReadable);
  EXPECT_THAT(recorder.events(), ElementsAre(Events::kRemoved));
  EXPECT_EQ(Drain(twin), "abc");
}

// Survey trap 36.
TEST_P(Identity, R11_ASecondRegistrationIsRefusedAndDisturbsNothing) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    const std::unique_ptr<EventLoop> other_loop = NewLoop();
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(Interest::kReadable), recorder);
    Recorder refused;
    EXPECT_CODE(loop().Register(connection.server,
                                {.interest = Interest::kWritable},
                                refused.Handler()),
                kAlreadyExists);
    EXPECT_CODE(other_loop->Register(connection.server,
                                     {.interest = Interest::kWritable},
                                     refused.Handler()),
                kFailedPrecondition);
    EXPECT_TRUE(refused.handler_destroyed());
    EXPECT_EQ(loop().counters().registrations, 1u);
    EXPECT_EQ(other_loop->counters().registrations, 0u);
    ExpectIdle();
    EXPECT_TRUE(registration.is_live());
    Send(connection.client, "abc");
    TurnUntilSeen(recorder, Events::kReadable);
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    EXPECT_EQ(refused.count(), 0u);
    connection.server.Close();
    Turn();
  }
}

TEST_P(Identity, R11_OnceRemovedItMayGoToAnotherLoop) {
  const std::unique_ptr<EventLoop> other_loop = NewLoop();
  Connection connection = Connected();
  Recorder here;
  const Registration registration =
      Register(connection.server, {.interest = Interest::kReadable}, here);
  Turn();
  ASSERT_OK(registration.Remove());
  Recorder there;
  ASSERT_OK(other_loop->Register(connection.server,
                                 {.interest = Interest::kReadable},
                                 there.Handler()));
  EXPECT_CODE(loop().Register(connection.server,
                              {.interest = Interest::kReadable},
                              here.Handler()),
              kFailedPrecondition);
  Send(connection.client, "abc");
  TurnPastSentinel();
  EXPECT_THAT(here.events(), ElementsAre(Events::kRemoved));
  while (there.count() == 0) {
    ASSERT_OK(other_loop->RunOnce(kPatience));
  }
  EXPECT_THAT(there.events(), ElementsAre(Events::kReadable));
}

// Survey trap 37.
TEST_P(Identity, P05_AStaleHandleFailsAndChangesNothing) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder old;
    const Registration stale =
        Register(connection.server, mode.With(Interest::kReadable), old);
    ASSERT_OK(stale.Remove());
    // Its slot, if there is such a thing, and its socket are in use again.
    Recorder renewed;
    const Registration second =
        Register(connection.server, mode.With(Interest::kReadable), renewed);
    const auto expect_all_refused = [&] {
      EXPECT_FALSE(stale.is_live());
      EXPECT_CODE(stale.Remove(), kFailedPrecondition);
      EXPECT_CODE(stale.Disable(), kFailedPrecondition);
      EXPECT_CODE(stale.Enable(), kFailedPrecondition);
      EXPECT_CODE(stale.Rearm(), kFailedPrecondition);
      EXPECT_CODE(stale.Rearm(Interest::kWritable), kFailedPrecondition);
      EXPECT_CODE(stale.Modify({.interest = Interest::kWritable}),
                  kFailedPrecondition);
      EXPECT_CODE(stale.Drained(Interest::kReadable), kFailedPrecondition);
      ModificationRequest request{stale, {.interest = Interest::kWritable}};
      EXPECT_CODE(loop().ModifyBatch(std::span(&request, 1)).front(),
                  kFailedPrecondition);
    };
    expect_all_refused();
    ExpectIdle();
    expect_all_refused();
    EXPECT_THAT(old.events(), ElementsAre(Events::kRemoved));
    EXPECT_TRUE(second.is_live());
    Send(connection.client, "abc");
    TurnUntilSeen(renewed, Events::kReadable);
    EXPECT_THAT(renewed.Take(), ElementsAre(Events::kReadable));
    connection.server.Close();
    Turn();
  }
}

// A handle that failed says which operation, and why.
TEST_P(Identity, P05_AStaleOrEmptyHandleNamesTheOperation) {
  Connection connection = Connected();
  Recorder recorder;
  const Registration stale = Register(
      connection.server, {.interest = Interest::kReadable}, recorder);
  ASSERT_OK(stale.Remove());
  const Registration empty;
  EXPECT_FALSE(empty.is_live());
  EXPECT_EQ(empty, Registration());
  EXPECT_NE(empty, stale);
  for (const Registration& handle : {stale, empty}) {
    const auto expect = [](const absl::Status& status, const char* operation) {
      EXPECT_CODE(status, kFailedPrecondition);
      EXPECT_THAT(std::string(status.message()),
                  ::testing::StartsWith(operation));
    };
    expect(handle.Remove(), "remove: ");
    expect(handle.Disable(), "disable: ");
    expect(handle.Enable(), "enable: ");
    expect(handle.Rearm(), "re-arm: ");
    expect(handle.Rearm(Interest::kReadable), "re-arm: ");
    expect(handle.Modify({}), "modify: ");
    expect(handle.Drained(Interest::kReadable), "drained: ");
  }
}

}  // namespace
}  // namespace weir::conformance
