// Bad input to a loop: a canonical status that says what was tried and what is
// wrong; nothing is lost, leaked or disturbed (P05, R13).

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/conformance/descriptors.h"
#include "tests/conformance/failure.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class BadInput : public Conformance {
 protected:
  // Registering fails so, and leaves the loop as it was.
  void ExpectRefused(Socket& socket, absl::StatusCode code, ErrorCause cause,
                     std::initializer_list<std::string> parts) {
    Recorder recorder;
    const auto result = loop().Register(
        socket, {.interest = Interest::kReadable}, recorder.Handler());
    EXPECT_TRUE(IsFailure(result.status(), code, cause, parts));
    EXPECT_TRUE(recorder.handler_destroyed());
    EXPECT_EQ(loop().counters().registrations, 0u);
    ExpectIdle();
    EXPECT_THAT(recorder.events(), IsEmpty());
  }
};
WEIR_CONFORMANCE_SUITE(BadInput);

TEST_P(BadInput, P05_ASocketThatIsNotOpenIsNotRegistered) {
  Connection connection = Connected();
  connection.server.Close();
  Socket released = Must(Socket::Adopt(Must(connection.client.Release())));
  Socket moved_to = std::move(released);
  Socket empty;
  for (Socket* socket :
       {&connection.server, &connection.client, &released, &empty}) {
    ExpectRefused(*socket, absl::StatusCode::kFailedPrecondition,
                  ErrorCause::kUnknown, {"register: ", "not open"});
  }
}

TEST_P(BadInput, P05_AnEmptyInterestOrHandlerIsNotRegistered) {
  Connection connection = Connected();
  Recorder recorder;
  for (const Mode& mode : kAllModes) {
    const auto nothing_asked_for =
        loop().Register(connection.server, mode.With(Interest::kNone),
                        recorder.Handler());
    EXPECT_TRUE(IsFailure(nothing_asked_for.status(),
                          absl::StatusCode::kInvalidArgument,
                          ErrorCause::kUnknown, {"register: ", "interest"}));
    const auto nobody_told = loop().Register(
        connection.server, mode.With(Interest::kReadable), nullptr);
    EXPECT_TRUE(IsFailure(nobody_told.status(),
                          absl::StatusCode::kInvalidArgument,
                          ErrorCause::kUnknown, {"register: ", "handler"}));
  }
  EXPECT_TRUE(recorder.handler_destroyed());
  // It is as free to be registered as before.
  Register(connection.server, {.interest = Interest::kReadable}, recorder);
  Send(connection.client, "abc");
  TurnUntilSeen(recorder, Events::kReadable);
}

TEST_P(BadInput, P05_RearmingWithAnEmptyInterestIsRefused) {
  Connection connection = Connected();
  Recorder recorder;
  const Registration registration =
      Register(connection.server,
               {.interest = Interest::kReadable,
                .persistence = Persistence::kOneShot},
               recorder);
  Send(connection.client, "abc");
  TurnUntilSeen(recorder, Events::kReadable);
  recorder.Take();
  EXPECT_TRUE(IsFailure(registration.Rearm(Interest::kNone),
                        absl::StatusCode::kInvalidArgument,
                        ErrorCause::kUnknown, {"re-arm: ", "interest"}));
  ExpectIdle();
  EXPECT_THAT(recorder.events(), IsEmpty());
  ASSERT_OK(registration.Rearm());
  TurnUntilSeen(recorder, Events::kReadable);
}

TEST_P(BadInput, P05_AStoppedLoopTakesNoRegistrationButLetsGo) {
  Connection connection = Connected();
  Recorder recorder;
  const Registration registration = Register(
      connection.server, {.interest = Interest::kReadable}, recorder);
  loop().Stop();
  Recorder refused;
  const auto result =
      loop().Register(connection.client, {.interest = Interest::kReadable},
                      refused.Handler());
  EXPECT_TRUE(IsFailure(result.status(), absl::StatusCode::kFailedPrecondition,
                        ErrorCause::kUnknown, {"register: ", "stopped"}));
  EXPECT_TRUE(refused.handler_destroyed());
  EXPECT_OK(registration.Remove());
  EXPECT_CODE(registration.Remove(), kFailedPrecondition);
  connection.server.Close();
  AwaitPeerClosed(connection.client);
  DestroyLoop();
  EXPECT_THAT(recorder.events(), ElementsAre(Events::kRemoved));
  EXPECT_TRUE(recorder.handler_destroyed());
}

TEST_P(BadInput, P07_WhatIsNoSocketIsNotAdopted) {
  const NativeSocket native = test::OpenNonSocket();
  EXPECT_TRUE(IsFailure(Socket::Adopt(native).status(),
                        absl::StatusCode::kInvalidArgument,
                        ErrorCause::kNotASocket,
                        {test::WordsFor(ErrorCause::kNotASocket)}));
  // It is the caller's still.
  EXPECT_TRUE(test::IsOpen(native));
  test::CloseNonSocket(native);
  for (const NativeSocket closed : {native, kInvalidSocket}) {
    EXPECT_TRUE(IsFailure(Socket::Adopt(closed).status(),
                          absl::StatusCode::kInvalidArgument,
                          ErrorCause::kBadDescriptor,
                          {test::WordsFor(ErrorCause::kBadDescriptor)}));
  }
}

// P07: between adopting and registering, whoever had the socket before can
// close it, and the number can become something else.
TEST_P(BadInput, P07_AForeignSocketClosedBehindOurBackIsRefused) {
  Connection connection = Connected();
  Socket adopted = Must(Socket::Adopt(Must(connection.server.Release())));
  const NativeSocket number = adopted.native();
  ASSERT_TRUE(test::CloseNative(number));
  ExpectRefused(adopted, absl::StatusCode::kInvalidArgument,
                ErrorCause::kBadDescriptor,
                {test::WordsFor(ErrorCause::kBadDescriptor)});
  // The lowest free number, so most likely the one that was closed.
  const NativeSocket other = test::OpenNonSocket();
  if (other == number) {
    ExpectRefused(adopted, absl::StatusCode::kInvalidArgument,
                  ErrorCause::kNotASocket,
                  {test::WordsFor(ErrorCause::kNotASocket)});
  }
  // Given back, or it would close what is not ours.
  EXPECT_EQ(Must(adopted.Release()), number);
  test::CloseNonSocket(other);
}

TEST_P(BadInput, P07_AForeignSocketClosedWhileRegisteredDoesNotSpin) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Socket adopted = Must(Socket::Adopt(Must(connection.server.Release())));
    Recorder recorder;
    const Registration registration =
        Register(adopted, mode.With(Interest::kReadable), recorder);
    Turn();
    ASSERT_TRUE(test::CloseNative(adopted.native()));
    ExpectIdle();
    // Some mechanisms see it and end the registration, some do not.
    if (registration.is_live()) {
      EXPECT_THAT(recorder.events(), IsEmpty());
      ASSERT_OK(registration.Remove());
      Turn();
      EXPECT_THAT(recorder.events(), ElementsAre(Events::kRemoved));
    } else {
      EXPECT_THAT(recorder.events(),
                  ElementsAre(Events::kError | Events::kRemoved));
      EXPECT_EQ(CauseOf(recorder.errors().front()),
                ErrorCause::kBadDescriptor);
    }
    EXPECT_TRUE(recorder.handler_destroyed());
    ASSERT_OK(adopted.Release());
  }
}

// The contract of Register: a refusal is returned, or comes as one event of
// error and removed where the mechanism tells later.
TEST_P(BadInput, R13_AHandleThatIsNotOpenIsRefusedAtOnceOrWithOneEvent) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    // Not adopted, so nobody looks at it before the kernel does.
    Connection pair = Connected(test::LocalFamily());
    ASSERT_TRUE(test::CloseNative(pair.server.native()));
    Recorder recorder;
    absl::Status refusal;
    const auto result = loop().Register(
        pair.server, mode.With(Interest::kReadable), recorder.Handler());
    if (result.ok()) {
      TurnUntilSeen(recorder, Events::kRemoved);
      EXPECT_THAT(recorder.events(),
                  ElementsAre(Events::kError | Events::kRemoved));
      EXPECT_FALSE(result->is_live());
      ASSERT_EQ(recorder.errors().size(), 1u);
      refusal = recorder.errors().front();
    } else {
      refusal = result.status();
    }
    // On Windows the number may be another handle's by now, which is no socket.
    const ErrorCause cause = !test::NumbersAreReusedAtOnce() &&
                                     CauseOf(refusal) == ErrorCause::kNotASocket
                                 ? ErrorCause::kNotASocket
                                 : ErrorCause::kBadDescriptor;
    EXPECT_TRUE(IsFailure(refusal, absl::StatusCode::kInvalidArgument, cause,
                          {test::WordsFor(cause)}));
    EXPECT_TRUE(recorder.handler_destroyed());
    EXPECT_EQ(loop().counters().registrations, 0u);
    ExpectIdle();
    EXPECT_LE(recorder.count(), 1u);
    // Others are not disturbed.
    Recorder other;
    Register(connection.server, mode.With(Interest::kReadable), other);
    Send(connection.client, "abc");
    TurnUntilSeen(other, Events::kReadable);
    ASSERT_OK(pair.server.Release());
    connection.server.Close();
    Turn();
  }
}

TEST_P(BadInput, R11_ARegisteredSocketIsNotReleased) {
  Connection connection = Connected();
  Recorder recorder;
  const Registration registration = Register(
      connection.server, {.interest = Interest::kReadable}, recorder);
  EXPECT_TRUE(IsFailure(connection.server.Release().status(),
                        absl::StatusCode::kFailedPrecondition,
                        ErrorCause::kUnknown, {"release: ", "registered"}));
  EXPECT_TRUE(connection.server.is_open());
  EXPECT_TRUE(registration.is_live());
  Send(connection.client, "abc");
  TurnUntilSeen(recorder, Events::kReadable);
  ASSERT_OK(registration.Remove());
  const NativeSocket native = Must(connection.server.Release());
  Turn();
  EXPECT_EQ(recorder.count(Events::kRemoved), 1u);
  Socket adopted = Must(Socket::Adopt(native));
  EXPECT_EQ(Drain(adopted), "abc");
}

// Registering needs no descriptor, so a server at its limit goes on serving.
// The first round, with descriptors, is for UBSan: it needs one to look at an
// object of a type that it has not seen.
TEST_P(BadInput, P05_RegisteringWorksWithoutDescriptors) {
  WEIR_SKIP_WITHOUT_DESCRIPTOR_LIMIT();
  for (const bool exhausted : {false, true}) {
    Connection connection = Connected();
    Recorder recorder;
    std::optional<NoDescriptorsLeft> none;
    if (exhausted) none.emplace();
    const Registration registration = Register(
        connection.server, {.interest = Interest::kReadable}, recorder);
    Send(connection.client, "abc");
    TurnUntilSeen(recorder, Events::kReadable);
    ASSERT_OK(registration.Remove());
    TurnUntilSeen(recorder, Events::kRemoved);
  }
}

TEST_P(BadInput, R01_AnInterestOfUnknownBitsIsRefused) {
  Connection connection = Connected();
  Recorder recorder;
  constexpr auto kUnknown = static_cast<Interest>(0xf8);
  EXPECT_CODE(loop().Register(connection.server, {.interest = kUnknown},
                              recorder.Handler()),
              kInvalidArgument);
  const Registration registration =
      Register(connection.server, {.interest = Interest::kReadable}, recorder);
  EXPECT_CODE(registration.Modify({.interest = kUnknown}), kInvalidArgument);
  EXPECT_CODE(registration.Rearm(kUnknown), kInvalidArgument);
  ASSERT_OK(registration.Remove());
  // A stale handle is stale, whatever it is asked.
  EXPECT_CODE(registration.Rearm(Interest::kNone), kFailedPrecondition);
  EXPECT_CODE(registration.Rearm(kUnknown), kFailedPrecondition);
}

// A handler may be re-arming it at that moment.
TEST_P(BadInput, R19_ARegistrationOfAStoppedLoopTakesChanges) {
  Connection connection = Connected();
  Recorder recorder;
  const Registration registration =
      Register(connection.server, {.interest = Interest::kReadable}, recorder);
  loop().Stop();
  EXPECT_OK(registration.Modify({.interest = Interest::kWritable}));
  EXPECT_OK(registration.Rearm());
  EXPECT_OK(registration.Enable());
  EXPECT_OK(registration.Disable());
  EXPECT_OK(registration.Remove());
  DestroyLoop();
  EXPECT_THAT(recorder.Take(), ::testing::ElementsAre(Events::kRemoved));
}

// It is one of IPv4, whatever is said of IPv6.
TEST_P(BadInput, P01_ListeningOnAMappedAddress) {
  Socket listener = Must(
      Socket::Listen(Must(SocketAddress::Parse("[::ffff:127.0.0.1]:0"))));
  const std::uint16_t port = AddressOf(listener).port();
  Socket client = Must(Socket::Connect(SocketAddress::Ipv4Loopback(port)));
  AwaitWritable(client);
  EXPECT_OK(client.TakeError());
}

}  // namespace
}  // namespace weir::conformance
