// The end of a registration: exactly one `removed`, nothing after it, and only
// then is the handler destroyed (R09).

#include <memory>
#include <utility>

#include "tests/conformance/conformance.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Removal : public Conformance {
 protected:
  // What a removal looks like from outside, from just after it was asked for.
  void ExpectRemovedOnce(Recorder& recorder) {
    EXPECT_THAT(recorder.events(), IsEmpty());
    EXPECT_FALSE(recorder.handler_destroyed());
    TurnUntilSeen(recorder, Events::kRemoved);
    EXPECT_THAT(recorder.events(), ElementsAre(Events::kRemoved));
    EXPECT_TRUE(recorder.handler_destroyed());
    TurnPastSentinel();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kRemoved));
  }
};
WEIR_CONFORMANCE_SUITE(Removal);

// Survey trap 31: data are there, and a poll may have completed already.
TEST_P(Removal, R09_RemovingDeliversOneRemovedAndNothingElse) {
  for (const AddressFamily family : test::Available({AddressFamily::kIpv4, AddressFamily::kUnix})) {
    for (const Mode& mode : kAllModes) {
      SCOPED_TRACE(ToString(mode));
      Connection connection = Connected(family);
      Recorder recorder;
      const Registration registration =
          Register(connection.server, mode.With(Interest::kReadable), recorder);
      Turn();
      Send(connection.client, "abc");
      AwaitReadable(connection.server);
      ASSERT_OK(registration.Remove());
      EXPECT_FALSE(registration.is_live());
      ExpectRemovedOnce(recorder);
      EXPECT_EQ(Drain(connection.server), "abc");
    }
  }
}

TEST_P(Removal, R10_ClosingDeliversOneRemovedAndNothingElse) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(Interest::kReadable), recorder);
    Turn();
    Send(connection.client, "abc");
    AwaitReadable(connection.server);
    connection.server.Close();
    EXPECT_FALSE(connection.server.is_open());
    EXPECT_FALSE(registration.is_live());
    ExpectRemovedOnce(recorder);
  }
}

TEST_P(Removal, R10_DestroyingOrReplacingASocketClosesIt) {
  Connection connection = Connected();
  Recorder destroyed;
  Recorder replaced;
  {
    Socket gone = std::move(connection.server);
    Register(gone, {.interest = Interest::kReadable}, destroyed);
  }
  ExpectRemovedOnce(destroyed);
  Register(connection.client, {.interest = Interest::kReadable}, replaced);
  connection.client = Listener();
  ExpectRemovedOnce(replaced);
}

TEST_P(Removal, R01_ARegistrationFollowsAMovedSocket) {
  Connection connection = Connected();
  Recorder recorder;
  const Registration registration = Register(
      connection.server, {.interest = Interest::kReadable}, recorder);
  Socket moved = std::move(connection.server);
  Turn();
  Socket again;
  again = std::move(moved);
  Send(connection.client, "abc");
  TurnUntilSeen(recorder, Events::kReadable);
  EXPECT_EQ(Drain(again), "abc");
  EXPECT_TRUE(registration.is_live());
  recorder.Take();
  again.Close();
  ExpectRemovedOnce(recorder);
}

TEST_P(Removal, R09_BeforeTheFirstTurn) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Send(connection.client, "abc");
    AwaitReadable(connection.server);
    Recorder recorder;
    const Registration registration =
        Register(connection.server, mode.With(Interest::kReadable), recorder);
    ASSERT_OK(registration.Remove());
    ExpectRemovedOnce(recorder);
  }
}

// The mechanism knows nothing, or little, of these registrations.
TEST_P(Removal, R09_OfARegistrationThatIsSilent) {
  enum class Silence { kFired, kDisabled, kEmptyInterest, kNeverConnected };
  for (const Silence silence : {Silence::kFired, Silence::kDisabled,
                                Silence::kEmptyInterest,
                                Silence::kNeverConnected}) {
    for (const Trigger trigger : {Trigger::kLevel, Trigger::kEdge}) {
      SCOPED_TRACE(static_cast<int>(silence));
      Connection connection = Connected();
      if (silence == Silence::kNeverConnected) {
        connection.server =
            Must(Socket::Open(AddressFamily::kIpv4, SocketType::kStream));
      } else {
        Send(connection.client, "abc");
        AwaitReadable(connection.server);
      }
      Recorder recorder;
      const Registration registration =
          Register(connection.server,
                   {.interest = Interest::kReadable,
                    .trigger = trigger,
                    .persistence = Persistence::kOneShot},
                   recorder);
      if (silence == Silence::kDisabled) {
        ASSERT_OK(registration.Disable());
      } else if (silence == Silence::kEmptyInterest) {
        ASSERT_OK(registration.Modify({.interest = Interest::kNone}));
      }
      ExpectIdle();
      EXPECT_EQ(recorder.Take().size(), silence == Silence::kFired ? 1u : 0u);
      ASSERT_OK(registration.Remove());
      ExpectRemovedOnce(recorder);
    }
  }
}

// Nothing may be delivered from inside the call that causes it (R17).
TEST_P(Removal, R09_RemovedIsNotDeliveredInsideTheCall) {
  Connection connection = Connected();
  Recorder recorder;
  std::size_t seen_inside = 0;
  Registration registration;
  registration = Must(loop().Register(
      connection.server, {.interest = Interest::kReadable},
      recorder.Handler([&](const Event& event) {
        if (event.removed()) return;
        EXPECT_OK(event.registration().Remove());
        seen_inside = recorder.count();
        EXPECT_FALSE(recorder.handler_destroyed());
      })));
  Send(connection.client, "abc");
  TurnUntilSeen(recorder, Events::kRemoved);
  EXPECT_EQ(seen_inside, 1u);
  EXPECT_THAT(recorder.events(),
              ElementsAre(Events::kReadable, Events::kRemoved));
}

TEST_P(Removal, R09_TheRemovedEventNamesItsRegistrationWhichIsStale) {
  Connection connection = Connected();
  Registration named;
  absl::Status inside;
  absl::Status error = absl::UnknownError("not set");
  const Registration registration = Must(
      loop().Register(connection.server, {.interest = Interest::kReadable},
                      [&](const Event& event) {
                        named = event.registration();
                        inside = named.Remove();
                        error = event.status();
                      }));
  ASSERT_OK(registration.Remove());
  TurnUntil([&] { return named == registration; });
  EXPECT_FALSE(named.is_live());
  EXPECT_CODE(inside, kFailedPrecondition);
  EXPECT_OK(error);
}

// Everything that belongs to a connection may go in its `removed`, the socket
// and the last handle on the registration included.
TEST_P(Removal, R09_StructuresAreFreedInRemoved) {
  struct Context {
    Connection connection = Connected();
    Registration registration;
    bool* freed = nullptr;
    ~Context() { *freed = true; }
  };
  for (const bool by_closing : {false, true}) {
    bool freed = false;
    auto* context = new Context;
    context->freed = &freed;
    context->registration = Must(loop().Register(
        context->connection.server, {.interest = Interest::kReadable},
        [context](const Event& event) {
          if (event.removed()) delete context;
        }));
    Turn();
    Send(context->connection.client, "abc");
    if (by_closing) {
      context->connection.server.Close();
    } else {
      ASSERT_OK(context->registration.Remove());
    }
    EXPECT_FALSE(freed);
    TurnUntil([&] { return freed; });
    TurnPastSentinel();
  }
}

// What the handler owns is destroyed with it; that may close other sockets of
// the loop, and remove their registrations.
TEST_P(Removal, R09_AHandlerMayOwnSocketsOfTheSameLoop) {
  Connection connection = Connected();
  Recorder owned;
  auto inner = std::make_unique<Connection>(Connected());
  Register(inner->server, {.interest = Interest::kReadable}, owned);
  auto own_socket = std::make_shared<Socket>(std::move(connection.server));
  const Registration registration = Must(
      loop().Register(*own_socket, {.interest = Interest::kReadable},
                      [own_socket, inner = std::move(inner)](const Event&) {}));
  own_socket.reset();
  EXPECT_EQ(loop().counters().registrations, 2u);
  ASSERT_OK(registration.Remove());
  ExpectRemovedOnce(owned);
  EXPECT_EQ(loop().counters().registrations, 0u);
}

// Survey trap 38: a completion that names the record is under way each time
// (ASan sees if it is used too late).
TEST_P(Removal, R09_ARecordOutlivesWhatTheKernelSaysOfIt) {
  for (int round = 0; round < 200; ++round) {
    Connection connection = Connected(test::LocalFamily());
    Recorder recorder;
    Registration registration = Register(
        connection.server, {.interest = Interest::kReadable}, recorder);
    Turn();
    Send(connection.client, "abc");
    if (round % 2 == 0) {
      ASSERT_OK(registration.Remove());
    } else {
      connection.server.Close();
    }
    registration = Registration();
    Turn();
    EXPECT_THAT(recorder.events(), ElementsAre(Events::kRemoved));
    EXPECT_TRUE(recorder.handler_destroyed());
  }
  TurnPastSentinel();
}

TEST_P(Removal, R09_TheCounterOfLiveRegistrationsGoesBack) {
  Connection connection = Connected();
  Recorder recorder;
  EXPECT_EQ(loop().counters().registrations, 0u);
  const Registration registration = Register(
      connection.server, {.interest = Interest::kReadable}, recorder);
  EXPECT_EQ(loop().counters().registrations, 1u);
  ASSERT_OK(registration.Remove());
  Turn();
  EXPECT_EQ(loop().counters().registrations, 0u);
}

}  // namespace
}  // namespace weir::conformance
