// Connecting and listening sockets: how a connect's outcome is told, and that
// a socket that does neither is silent (R14, R15, R05).

#include "absl/strings/str_cat.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/failure.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Interest kEverything =
    Interest::kReadable | Interest::kWritable | Interest::kHangup;

Socket OpenStream(AddressFamily family = AddressFamily::kIpv4) {
  return Must(Socket::Open(family, SocketType::kStream));
}

// A Unix listener, on a name that the system picks.
Socket UnixListener() {
  return Must(Socket::Listen(SocketAddress::UnixUnnamed()));
}

Socket ListenerOf(AddressFamily family) {
  return family == AddressFamily::kUnix ? UnixListener() : Listener(family);
}

class Connect : public Conformance {
 protected:
  // One event, an error that says which connect was refused; then silence.
  void ExpectRefused(Recorder& recorder, const SocketAddress& address) {
    TurnUntilSeen(recorder, Events::kError);
    ExpectIdle();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kError));
    ASSERT_EQ(recorder.errors().size(), 1u);
    EXPECT_TRUE(IsFailure(
        recorder.errors().front(), absl::StatusCode::kUnavailable,
        ErrorCause::kConnectionRefused,
        {"connect", address.ToString(), test::WordsFor(ErrorCause::kConnectionRefused)}));
    EXPECT_EQ(SystemCodeOf(recorder.errors().front()),
              test::CodeFor(ErrorCause::kConnectionRefused));
  }
};
WEIR_CONFORMANCE_SUITE(Connect);

// Survey trap 25.
TEST_P(Connect, R15_ARefusalIsAnErrorAndNeverWritable) {
  for (const Mode& mode : kAllModes) {
    for (const Interest interest : {Interest::kWritable, Interest::kReadable,
                                    Interest::kHangup, kEverything}) {
      SCOPED_TRACE(absl::StrCat(ToString(mode), " ", ToString(interest)));
      const SocketAddress address = RefusedAddress();
      Socket socket = Must(Socket::Connect(address));
      Recorder recorder;
      const Registration registration =
          Register(socket, mode.With(interest), recorder);
      ExpectRefused(recorder, address);
      // The error was taken with the event, and nothing is left to be told.
      EXPECT_OK(socket.TakeError());
      ASSERT_OK(registration.Rearm());
      ExpectIdle();
      EXPECT_THAT(recorder.events(), IsEmpty());
    }
  }
}

TEST_P(Connect, R15_ARefusalIsToldToARegistrationMadeBeforeTheConnect) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Socket socket = OpenStream();
    Recorder recorder;
    Register(socket, mode.With(kEverything), recorder);
    Turn();
    const SocketAddress address = RefusedAddress();
    EXPECT_EQ(Must(socket.StartConnecting(address)),
              ConnectProgress::kInProgress);
    ExpectRefused(recorder, address);
  }
}

TEST_P(Connect, R15_ARefusalIsToldUnderAnEmptyInterest) {
  const SocketAddress address = RefusedAddress();
  Socket socket = OpenStream();
  Recorder recorder;
  const Registration registration =
      Register(socket, {.interest = Interest::kWritable}, recorder);
  ASSERT_OK(registration.Modify({.interest = Interest::kNone}));
  Must(socket.StartConnecting(address));
  ExpectRefused(recorder, address);
}

TEST_P(Connect, R07_ADisabledRegistrationIsToldOfTheRefusalWhenEnabled) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    const SocketAddress address = RefusedAddress();
    Socket socket = Must(Socket::Connect(address));
    Recorder recorder;
    const Registration registration =
        Register(socket, mode.With(Interest::kWritable), recorder);
    ASSERT_OK(registration.Disable());
    ExpectIdle();
    EXPECT_THAT(recorder.events(), IsEmpty());
    ASSERT_OK(registration.Enable());
    ExpectRefused(recorder, address);
  }
}

// The contract of StartConnecting.
TEST_P(Connect, R15_ASocketThatWasRefusedMayTryAgain) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Socket listener = Listener();
    Socket socket = Must(Socket::Connect(RefusedAddress()));
    Recorder recorder;
    const Registration registration =
        Register(socket, mode.With(Interest::kWritable), recorder);
    TurnUntilSeen(recorder, Events::kError);
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kError));
    ASSERT_OK(socket.StartConnecting(AddressOf(listener)));
    if (mode.persistence == Persistence::kOneShot) {
      TurnPastSentinel();
      EXPECT_THAT(recorder.events(), IsEmpty());
      ASSERT_OK(registration.Rearm());
    }
    TurnUntilSeen(recorder, Events::kWritable);
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
    EXPECT_EQ(Must(socket.PeerAddress()), AddressOf(listener));
  }
}

// Survey trap 26.
TEST_P(Connect, R05_ASuccessIsWritableOnceAndNotReadable) {
  for (const AddressFamily family : test::Available({AddressFamily::kIpv4, AddressFamily::kIpv6, AddressFamily::kUnix})) {
    for (const Mode& mode : kAllModes) {
      SCOPED_TRACE(ToString(mode));
      Socket listener = ListenerOf(family);
      Socket socket = Must(Socket::Connect(AddressOf(listener)));
      Recorder recorder;
      Register(socket, mode.With(kEverything), recorder);
      TurnUntilSeen(recorder, Events::kWritable);
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
      if (mode.trigger == Trigger::kLevel &&
          mode.persistence == Persistence::kPersistent) {
        Turn();
        EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
      } else {
        TurnPastSentinel();
        EXPECT_THAT(recorder.events(), IsEmpty());
      }
    }
  }
}

TEST_P(Connect, R05_ASuccessIsToldToARegistrationMadeBeforeTheConnect) {
  for (const AddressFamily family : test::Available({AddressFamily::kIpv4, AddressFamily::kIpv6, AddressFamily::kUnix})) {
    for (const Mode& mode : kAllModes) {
      SCOPED_TRACE(ToString(mode));
      Socket listener = ListenerOf(family);
      Socket socket = OpenStream(family);
      Recorder recorder;
      Register(socket, mode.With(kEverything), recorder);
      ExpectIdle();
      ASSERT_OK(socket.StartConnecting(AddressOf(listener)));
      TurnUntilSeen(recorder, Events::kWritable);
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
    }
  }
}

// The first event of a connection can be that the peer has ended it.
TEST_P(Connect, R14_AHangupTellsAloneThatTheConnectionCameAndWent) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Socket listener = Listener();
    Socket socket = Must(Socket::Connect(AddressOf(listener)));
    Recorder recorder;
    Register(socket, mode.With(Interest::kHangup), recorder);
    AwaitReadable(listener);
    ASSERT_TRUE(Must(listener.Accept()).has_value());  // and closed
    AwaitPeerClosed(socket);
    for (int turn = 0; turn < 10 && recorder.count() == 0; ++turn) Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kHangup));
  }
}

TEST_P(Connect, R14_DataAndTheEndCanComeBeforeTheFirstTurn) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Socket listener = Listener();
    Socket socket = Must(Socket::Connect(AddressOf(listener)));
    Recorder recorder;
    Register(socket, mode.With(kEverything), recorder);
    AwaitReadable(listener);
    auto accepted = Must(listener.Accept());
    ASSERT_TRUE(accepted.has_value());
    Send(accepted->socket, "bye");
    accepted->socket.Close();
    AwaitPeerClosed(socket);
    TurnUntilSeen(recorder, Events::kReadable);
    EXPECT_THAT(recorder.Take(),
                ElementsAre(Events::kReadable | Events::kWritable |
                            HangupBehindData()));
    EXPECT_EQ(Drain(socket), "bye");
  }
}

// Survey trap 27: epoll calls such a socket writable and hung up, at every
// look.
TEST_P(Connect, R14_ASocketThatIsNeitherConnectedNorListeningIsSilent) {
  for (const AddressFamily family : test::Available({AddressFamily::kIpv4, AddressFamily::kIpv6, AddressFamily::kUnix})) {
    for (const Mode& mode : kAllModes) {
      SCOPED_TRACE(ToString(mode));
      Socket socket = OpenStream(family);
      Recorder recorder;
      const Registration registration =
          Register(socket, mode.With(kEverything), recorder);
      ExpectIdle();
      ASSERT_OK(registration.Rearm());
      ExpectIdle();
      EXPECT_THAT(recorder.events(), IsEmpty());
      ASSERT_OK(registration.Remove());
      Turn();
      EXPECT_THAT(recorder.events(), ElementsAre(Events::kRemoved));
    }
  }
}

TEST_P(Connect, R03_ListeningMayBeginAfterRegistering) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Socket listener = OpenStream();
    ASSERT_OK(listener.Bind(SocketAddress::Ipv4Loopback(0)));
    Recorder recorder;
    Register(listener, mode.With(Interest::kReadable | Interest::kHangup),
             recorder);
    ExpectIdle();
    ASSERT_OK(listener.StartListening());
    ExpectIdle();
    EXPECT_THAT(recorder.events(), IsEmpty());
    Socket client = Must(Socket::Connect(AddressOf(listener)));
    TurnUntilSeen(recorder, Events::kReadable);
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    EXPECT_TRUE(Must(listener.Accept()).has_value());
  }
}

// P07: what was connected, reset or listening before it came to us. The peer's
// reset leaves a foreign socket without a peer address, but not without news.
TEST_P(Connect, R15_AForeignConnectionThatWasResetBeforeItWasAdoptedSaysSo) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Reset(connection.client);
    AwaitPeerClosed(connection.server);
    Socket adopted = Must(Socket::Adopt(Must(connection.server.Release())));
    Recorder recorder;
    Register(adopted, mode.With(Interest::kReadable), recorder);
    for (int turn = 0; turn < 10 && recorder.count() == 0; ++turn) Turn();
    ASSERT_EQ(recorder.count(Events::kError), 1u);
    EXPECT_EQ(CauseOf(recorder.errors().front()),
              ErrorCause::kConnectionReset);
  }
}

TEST_P(Connect, P07_AForeignListenerThatWasAdoptedIsToldOfConnections) {
  Socket adopted = Must(Socket::Adopt(Must(Listener().Release())));
  Recorder recorder;
  Register(adopted, {.interest = Interest::kReadable}, recorder);
  Socket client = Must(Socket::Connect(AddressOf(adopted)));
  TurnUntilSeen(recorder, Events::kReadable);
  EXPECT_TRUE(Must(adopted.Accept()).has_value());
}

}  // namespace
}  // namespace weir::conformance
