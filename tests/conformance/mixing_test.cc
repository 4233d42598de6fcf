// A socket is used through a registration or through operations (O13).

#include <utility>
#include <vector>

#include "tests/conformance/operations.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class MixingConformance : public OperationsTest {};
WEIR_CONFORMANCE_SUITE(MixingConformance);

TEST_P(MixingConformance, O13_ARegisteredSocketIsNotTakenOver) {
  Connection connection = Connected(test::LocalFamily());
  Socket listening = weir::conformance::Listener();
  Socket datagrams =
      Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0)));
  Recorder recorder;
  const std::vector<Registration> registrations = {
      Register(connection.server, {.interest = Interest::kReadable}, recorder),
      Register(listening, {.interest = Interest::kReadable}, recorder),
      Register(datagrams, {.interest = Interest::kReadable}, recorder)};
  const auto other = NewLoop();
  for (EventLoop* on : {&loop(), other.get()}) {
    EXPECT_CODE(Stream::Attach(*on, std::move(connection.server)),
                kFailedPrecondition);
    EXPECT_CODE(weir::Listener::Attach(*on, std::move(listening)),
                kFailedPrecondition);
    EXPECT_CODE(DatagramSocket::Attach(*on, std::move(datagrams)),
                kFailedPrecondition);
  }
  // They are left as they were, and their registrations go on.
  Send(connection.client, "abc");  // NOLINTBEGIN(bugprone-use-after-move)
  TurnUntilSeen(recorder, Events::kReadable);
  EXPECT_EQ(Receive(connection.server), "abc");
  EXPECT_TRUE(listening.is_open());
  EXPECT_TRUE(datagrams.is_open());
  // Removed, they can be.
  for (const Registration& registration : registrations) {
    MustOk(registration.Remove());
  }
  TurnUntil([&] { return recorder.count(Events::kRemoved) == 3; });
  EXPECT_OK(Stream::Attach(loop(), std::move(connection.server)));
  EXPECT_OK(weir::Listener::Attach(loop(), std::move(listening)));
  EXPECT_OK(DatagramSocket::Attach(loop(), std::move(datagrams)));
  EXPECT_FALSE(connection.server.is_open());  // NOLINTEND
}

// Right after Remove, before `removed` was told: each gets its own.
TEST_P(MixingConformance, O13_TakenOverRightAfterTheRemoval) {
  Connection connection = Connected(test::LocalFamily());
  Recorder recorder;
  const Registration registration = Register(
      connection.server, {.interest = Interest::kReadable}, recorder);
  Turn();
  MustOk(registration.Remove());
  auto attached = Stream::Attach(loop(), std::move(connection.server));
  if (!attached.ok()) {
    EXPECT_CODE(attached, kFailedPrecondition);
    TurnUntilSeen(recorder, Events::kRemoved);
    attached = Stream::Attach(loop(), std::move(connection.server));  // NOLINT
  }
  ASSERT_OK(attached);
  Indications told;
  Room room(4);
  for (std::size_t i = 1; i <= 3; ++i) {
    ASSERT_OK(attached->Receive(room, told.Handler("r")));
    Turn();
    Send(connection.client, "abc");
    TurnUntilCount(told, i);
  }
  EXPECT_THAT(recorder.events(), ElementsAre(Events::kRemoved));
  EXPECT_TRUE(recorder.handler_destroyed());
}

TEST_P(MixingConformance, O13_OnlyWhatFitsIsTakenOver) {
  Socket none;
  Socket unconnected =
      Must(Socket::Open(AddressFamily::kIpv4, SocketType::kStream));
  Socket listening = weir::conformance::Listener();
  Socket datagrams =
      Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0)));
  Connection connection = Connected(test::LocalFamily());
  EXPECT_CODE(Stream::Attach(loop(), std::move(none)), kFailedPrecondition);
  for (Socket* socket : {&unconnected, &listening, &datagrams}) {
    EXPECT_CODE(Stream::Attach(loop(), std::move(*socket)),
                kFailedPrecondition);
  }
  for (Socket* socket : {&unconnected, &connection.server, &datagrams}) {
    EXPECT_CODE(weir::Listener::Attach(loop(), std::move(*socket)),
                kFailedPrecondition);
  }
  for (Socket* socket : {&unconnected, &connection.server, &listening}) {
    EXPECT_CODE(DatagramSocket::Attach(loop(), std::move(*socket)),
                kFailedPrecondition);
  }
  for (Socket* socket :
       {&unconnected, &connection.server, &listening, &datagrams}) {
    EXPECT_TRUE(socket->is_open());
  }
}

// There and back: through a registration, through operations, and again.
TEST_P(MixingConformance, O13_ASocketGoesBackAndForth) {
  for (const AddressFamily family : test::Available({AddressFamily::kUnix, AddressFamily::kIpv4})) {
    Connection connection = Connected(family);
    Socket socket = std::move(connection.server);
    for (int round = 0; round < 3; ++round) {
      Stream stream = Must(Stream::Attach(loop(), std::move(socket)));
      Indications told;
      Room room(2);
      ASSERT_OK(stream.Receive(room, told.Handler("r")));
      Turn();
      Send(connection.client, "abcd");
      TurnUntilCount(told, 1);
      EXPECT_EQ(room.all(), "ab");
      socket = Must(stream.Detach());
      EXPECT_FALSE(stream.is_open());
      EXPECT_CODE(stream.Receive(room, told.Handler("x")),
                  kFailedPrecondition);
      EXPECT_CODE(stream.Close(told.ForClose("x")), kFailedPrecondition);
      Recorder recorder;
      const Registration registration =
          Register(socket, {.interest = Interest::kReadable}, recorder);
      TurnUntilSeen(recorder, Events::kReadable);
      EXPECT_EQ(Drain(socket), "cd");
      MustOk(registration.Remove());
      TurnUntilSeen(recorder, Events::kRemoved);
      EXPECT_THAT(told.entries(), ElementsAre("r OK 2"));
    }
    Send(socket, "bye");
    AwaitReadable(connection.client);
    EXPECT_EQ(Receive(connection.client), "bye");
  }
}

TEST_P(MixingConformance, O13_NothingIsGivenBackWhileAnythingIsPending) {
  StreamAndPeer pair = Connect();
  Indications told, fill;
  Room room(4);
  EXPECT_CODE(Stream().Detach(), kFailedPrecondition);
  ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
  EXPECT_CODE(pair.stream.Detach(), kFailedPrecondition);
  Send(pair.peer, "abc");
  TurnUntilCount(told, 1);
  ASSERT_OK(pair.stream.StartReceive(told.ForReceived("l")));
  EXPECT_CODE(pair.stream.Detach(), kFailedPrecondition);
  ASSERT_OK(pair.stream.PauseReceive());
  EXPECT_CODE(pair.stream.Detach(), kFailedPrecondition);
  StreamAndPeer sending = Connect();
  FillSends(sending.stream, fill);
  EXPECT_CODE(sending.stream.Detach(), kFailedPrecondition);
  EXPECT_TRUE(sending.stream.is_open());
}

// What has moved its bytes and is not told yet is pending.
TEST_P(MixingConformance, O13_DetachCountsWhatIsStillToBeTold) {
  StreamAndPeer pair = Connect();
  Indications told;
  Room first(1), second(1);
  ASSERT_OK(pair.stream.Receive(
      first, told.Handler("1", [&](const Completion&) {
        EXPECT_CODE(pair.stream.Detach(), kFailedPrecondition);
      })));
  ASSERT_OK(pair.stream.Receive(second, told.Handler("2")));
  Send(pair.peer, "ab");
  TurnUntilCount(told, 2);
  EXPECT_THAT(told.entries(), ElementsAre("1 OK 1", "2 OK 1"));
}

// In the handler of the last one it can be given back.
TEST_P(MixingConformance, O13_DetachInAHandler) {
  StreamAndPeer pair = Connect();
  Indications told;
  Room room(1);
  Socket back;
  ASSERT_OK(pair.stream.Receive(
      room, told.Handler("r", [&](const Completion&) {
        back = Must(pair.stream.Detach());
      })));
  Send(pair.peer, "abc");
  TurnUntilCount(told, 1);
  TurnPastSentinel();
  ASSERT_TRUE(back.is_open());
  EXPECT_EQ(Receive(back), "bc");
}

}  // namespace
}  // namespace weir::conformance
