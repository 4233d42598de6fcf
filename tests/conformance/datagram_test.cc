// Datagram sockets: errors that do not end them, no hang-up, and datagrams
// that only a receive consumes (R14, R15, R05).

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/conformance/failure.h"

namespace weir::conformance {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

Socket Bound(const SocketAddress& address = SocketAddress::Ipv4Loopback(0)) {
  return Must(Socket::BindDatagram(address));
}

void SendTo(Socket& socket, std::string_view text, const SocketAddress& to) {
  const Transfer sent = Must(
      socket.SendTo(std::as_bytes(std::span(text.data(), text.size())), to),
      "send to");
  EXPECT_EQ(sent.bytes, text.size());
  EXPECT_FALSE(sent.would_block);
}

Datagram ReceiveFrom(Socket& socket) {
  std::array<std::byte, 16> buffer{};
  return Must(socket.ReceiveFrom(buffer), "receive from");
}

// An address of `loopback`'s that nobody is at.
SocketAddress GivenUp(const SocketAddress& loopback) {
  return AddressOf(Bound(loopback));
}

class Datagrams : public Conformance {};
WEIR_CONFORMANCE_SUITE(Datagrams);

// Survey trap 28: epoll reports an error and nothing readable.
TEST_P(Datagrams, R15_AnUnreachablePortIsAnError) {
  for (const SocketAddress& loopback :
       {SocketAddress::Ipv4Loopback(0), SocketAddress::Ipv6Loopback(0)}) {
    for (const Mode& mode : kAllModes) {
      SCOPED_TRACE(ToString(mode));
      Socket socket = Bound(loopback);
      ASSERT_OK(socket.StartConnecting(GivenUp(loopback)));
      Recorder recorder;
      Register(socket, mode.With(Interest::kReadable | Interest::kHangup),
               recorder);
      Turn();
      Send(socket, "into the void");
      TurnUntilSeen(recorder, Events::kError);
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kError));
      ASSERT_EQ(recorder.errors().size(), 1u);
      EXPECT_TRUE(IsFailure(
          recorder.errors().front(), absl::StatusCode::kUnavailable,
          ErrorCause::kConnectionRefused,
          {"socket", test::WordsFor(ErrorCause::kConnectionRefused)}));
      ExpectIdle();
      EXPECT_THAT(recorder.events(), IsEmpty());
    }
  }
}

TEST_P(Datagrams, R15_AfterAnUnreachablePortTheSocketStillReceives) {
  WEIR_SKIP_WHERE_DATAGRAM_ERRORS_STAY();
  for (const SocketAddress& loopback :
       {SocketAddress::Ipv4Loopback(0), SocketAddress::Ipv6Loopback(0)}) {
    for (const Mode& mode : kAllModes) {
      SCOPED_TRACE(ToString(mode));
      Socket socket = Bound(loopback);
      const SocketAddress peer_address = GivenUp(loopback);
      ASSERT_OK(socket.StartConnecting(peer_address));
      Recorder recorder;
      const Registration registration = Register(
          socket, mode.With(Interest::kReadable | Interest::kHangup), recorder);
      Turn();
      Send(socket, "into the void");
      TurnUntilSeen(recorder, Events::kError);
      recorder.Take();
      EXPECT_OK(socket.TakeError());
      ExpectIdle();
      if (mode.persistence == Persistence::kOneShot) {
        ASSERT_OK(registration.Rearm());
      }
      Socket peer = Bound(peer_address);
      SendTo(peer, "here again", AddressOf(socket));
      TurnUntilSeen(recorder, Events::kReadable);
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
      EXPECT_EQ(Drain(socket), "here again");
    }
  }
}

TEST_P(Datagrams, R15_EveryUnreachableSendIsAnErrorOfItsOwn) {
  WEIR_SKIP_WHERE_DATAGRAM_ERRORS_STAY();
  for (const Trigger trigger : {Trigger::kLevel, Trigger::kEdge}) {
    Connection pair = DatagramPair();
    pair.server.Close();
    Recorder recorder;
    Register(pair.client,
             {.interest = Interest::kReadable, .trigger = trigger}, recorder);
    for (int i = 0; i < 3; ++i) {
      Send(pair.client, "into the void");
      TurnUntilSeen(recorder, Events::kError);
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kError));
    }
    EXPECT_EQ(recorder.errors().size(), 3u);
  }
}

// Survey trap 29.
TEST_P(Datagrams, R14_ASendToAClosedPortDoesNotDisturbAnUnconnectedSocket) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Socket socket = Bound();
    SocketAddress nobody;
    {
      Socket gone = Bound();
      nobody = AddressOf(gone);
    }
    Recorder recorder;
    Register(socket, mode.With(Interest::kReadable | Interest::kHangup),
             recorder);
    Turn();
    for (int i = 0; i < 3; ++i) SendTo(socket, "into the void", nobody);
    ExpectIdle();
    EXPECT_THAT(recorder.events(), IsEmpty());
    EXPECT_TRUE(ReceiveFrom(socket).would_block);
    Socket peer = Bound();
    SendTo(peer, "hello", AddressOf(socket));
    TurnUntilSeen(recorder, Events::kReadable);
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    EXPECT_EQ(ReceiveFrom(socket).source, AddressOf(peer));
  }
}

// Survey trap 29. Shut down, a datagram socket shows the kernel's marks of a
// closed stream.
TEST_P(Datagrams, R14_ADatagramSocketNeverReportsHangup) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection pair = DatagramPair();
    Recorder recorder;
    Register(pair.client,
             mode.With(Interest::kReadable | Interest::kHangup), recorder);
    Turn();
    pair.server.Close();
    ASSERT_OK(pair.client.Shutdown(ShutdownDirection::kBoth));
    Turn();
    TurnPastSentinel();
    EXPECT_EQ(recorder.count(Events::kHangup), 0u);
    EXPECT_EQ(recorder.count(Events::kError), 0u);
  }
}

TEST_P(Datagrams, R14_HangupInterestAloneIsSilent) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection pair = DatagramPair();
    Recorder recorder;
    Register(pair.client, mode.With(Interest::kHangup), recorder);
    Send(pair.server, "not asked for");
    pair.server.Close();
    ExpectIdle();
    EXPECT_THAT(recorder.events(), IsEmpty());
  }
}

// Survey trap 57.
TEST_P(Datagrams, R04_WaitingConsumesNothing) {
  Socket socket = Bound();
  Socket peer = Bound();
  Recorder recorder;
  Register(socket, {.interest = Interest::kReadable}, recorder);
  const std::string longer_than_any_buffer(1000, 'x');
  for (const std::string& text : {std::string(), longer_than_any_buffer}) {
    SendTo(peer, text, AddressOf(socket));
    TurnUntilSeen(recorder, Events::kReadable);
    for (int turn = 0; turn < 3; ++turn) {
      recorder.Take();
      Turn();
      EXPECT_THAT(recorder.events(), ElementsAre(Events::kReadable));
    }
    const Datagram datagram = ReceiveFrom(socket);
    EXPECT_FALSE(datagram.would_block);
    EXPECT_EQ(datagram.bytes, std::min<std::size_t>(text.size(), 16));
    EXPECT_EQ(datagram.truncated, text.size() > 16);
    EXPECT_EQ(datagram.source, AddressOf(peer));
    EXPECT_TRUE(ReceiveFrom(socket).would_block);
    recorder.Take();
    ExpectIdle();
    EXPECT_THAT(recorder.events(), IsEmpty());
  }
}

// A datagram of length zero is no end of a stream, and ends no drain.
TEST_P(Datagrams, R05_AnEdgeIsDrainedPastAnEmptyDatagram) {
  Socket socket = Bound();
  Socket peer = Bound();
  Recorder recorder;
  Register(socket,
           {.interest = Interest::kReadable, .trigger = Trigger::kEdge},
           recorder);
  for (const std::string_view text : {"a", "", "b"}) {
    SendTo(peer, text, AddressOf(socket));
  }
  TurnUntilSeen(recorder, Events::kReadable);
  std::vector<std::size_t> sizes;
  while (true) {
    const Datagram datagram = ReceiveFrom(socket);
    if (datagram.would_block) break;
    sizes.push_back(datagram.bytes);
  }
  EXPECT_THAT(sizes, ElementsAre(1u, 0u, 1u));
  recorder.Take();
  SendTo(peer, "c", AddressOf(socket));
  TurnUntilSeen(recorder, Events::kReadable);
  EXPECT_THAT(recorder.events(), Each(Events::kReadable));
}

TEST_P(Datagrams, R03_ADatagramSocketIsWritableFromTheStart) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Socket socket =
        Must(Socket::Open(AddressFamily::kIpv4, SocketType::kDatagram));
    Recorder recorder;
    Register(socket, mode.With(Interest::kReadable | Interest::kWritable),
             recorder);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
  }
}

}  // namespace
}  // namespace weir::conformance
