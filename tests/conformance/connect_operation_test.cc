// Connecting by operations (O01, O10).

#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/failure.h"
#include "tests/conformance/operations.h"
#include "weir/status.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;

class ConnectOperation : public OperationsTest {};
WEIR_CONFORMANCE_SUITE(ConnectOperation);

TEST_P(ConnectOperation, O01_AConnectedStreamIsUsable) {
  for (const AddressFamily family :
       {AddressFamily::kIpv4, AddressFamily::kIpv6}) {
    Socket listening = weir::conformance::Listener(family);
    Stream stream = Must(Stream::Open(loop(), family));
    Indications told;
    Room room(8);
    ASSERT_OK(stream.Connect(AddressOf(listening), told.Handler("c")));
    EXPECT_EQ(told.count(), 0u);
    TurnUntilCount(told, 1);
    EXPECT_THAT(told.Take(), ElementsAre("c OK 0"));
    EXPECT_EQ(Must(stream.PeerAddress()), AddressOf(listening));
    AwaitReadable(listening);
    auto accepted = Must(listening.Accept());
    ASSERT_TRUE(accepted.has_value());
    EXPECT_EQ(Must(stream.LocalAddress()), accepted->peer);
    ASSERT_OK(stream.Receive(room, told.Handler("r")));
    ASSERT_OK(stream.Send(BytesOf("x"), told.Handler("s")));
    Send(accepted->socket, "abc");
    TurnUntilCount(told, 2);
    AwaitReadable(accepted->socket);
    EXPECT_EQ(Receive(accepted->socket), "x");
    EXPECT_EQ(room.text(3), "abc");
    // Once connected, always.
    EXPECT_CODE(stream.Connect(AddressOf(listening), told.Handler("x")),
                kFailedPrecondition);
  }
}

// In the handler it is connected already.
TEST_P(ConnectOperation, O07_TheHandlerCanUseTheStream) {
  Socket listening = weir::conformance::Listener();
  Stream stream = Must(Stream::Open(loop(), AddressFamily::kIpv4));
  Indications told;
  ASSERT_OK(stream.Connect(
      AddressOf(listening), told.Handler("c", [&](const Completion&) {
        EXPECT_OK(stream.Send(BytesOf("hello"), told.Handler("s")));
        EXPECT_OK(stream.Disconnect(told.Handler("d")));
      })));
  // Not before.
  EXPECT_CODE(stream.Send(BytesOf("x"), told.Handler("x")),
              kFailedPrecondition);
  EXPECT_CODE(stream.Connect(AddressOf(listening), told.Handler("x")),
              kFailedPrecondition);
  TurnUntilCount(told, 3);
  EXPECT_THAT(told.entries(), ElementsAre("c OK 0", "s OK 5", "d OK 0"));
  AwaitReadable(listening);
  auto accepted = Must(listening.Accept());
  ASSERT_TRUE(accepted.has_value());
  AwaitPeerClosed(accepted->socket);
  EXPECT_EQ(Drain(accepted->socket), "hello");
}

TEST_P(ConnectOperation, O01_ARefusalNamesTheAddress) {
  const SocketAddress nobody = RefusedAddress();
  Stream stream = Must(Stream::Open(loop(), AddressFamily::kIpv4));
  Indications told;
  ASSERT_OK(stream.Connect(nobody, told.Handler("c")));
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.Take(), ElementsAre("c UNAVAILABLE 0"));
  EXPECT_TRUE(IsFailure(told.last_status(), absl::StatusCode::kUnavailable,
                        ErrorCause::kConnectionRefused,
                        {"connect", nobody.ToString()}));
  // A failed stream can only be closed.
  EXPECT_CODE(stream.Connect(nobody, told.Handler("x")), kFailedPrecondition);
  EXPECT_CODE(stream.Send(BytesOf("x"), told.Handler("x")),
              kFailedPrecondition);
  EXPECT_CODE(stream.StartReceive(told.ForReceived("x")), kFailedPrecondition);
  EXPECT_TRUE(stream.is_open());
  ASSERT_OK(stream.Close(told.ForClose("closed")));
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.entries(), ElementsAre("closed"));
}

// What no connect can be made of: an error, at once or told.
TEST_P(ConnectOperation, O01_AddressesThatCannotBe) {
  const SocketAddress nowhere =
      Must(SocketAddress::UnixPath("/nonexistent/socket"));
  const std::vector<SocketAddress> addresses = {
      SocketAddress(), SocketAddress::Ipv6Loopback(1), nowhere};
  for (const SocketAddress& address : addresses) {
    Stream stream = Must(Stream::Open(loop(), AddressFamily::kIpv4));
    Indications told;
    const absl::Status started = stream.Connect(address, told.Handler("c"));
    if (started.ok()) {
      TurnUntilCount(told, 1);
      EXPECT_FALSE(told.last_status().ok()) << address.ToString();
      EXPECT_NE(told.last_status().code(), absl::StatusCode::kUnknown);
    }
    TurnPastSentinel();
    EXPECT_EQ(told.count(), started.ok() ? 1u : 0u);
    EXPECT_EQ(told.alive(), 0);
  }
  for (const AddressFamily family : test::Available({AddressFamily::kUnix})) {
    Stream local = Must(Stream::Open(loop(), family));
    Indications told;
    ASSERT_OK(local.Connect(nowhere, told.Handler("c")));
    TurnUntilCount(told, 1);
    EXPECT_THAT(told.entries(), ElementsAre("c NOT_FOUND 0"));
  }
}

// A connect that was not started can be tried again.
TEST_P(ConnectOperation, O02_AConnectThatIsNotStartedChangesNothing) {
  Socket listening = weir::conformance::Listener();
  Stream stream = Must(Stream::Open(loop(), AddressFamily::kIpv4));
  Indications told;
  EXPECT_CODE(stream.Connect(AddressOf(listening), told.Handler("x"),
                             {.timeout = absl::ZeroDuration()}),
              kInvalidArgument);
  ASSERT_OK(stream.Connect(AddressOf(listening), told.Handler("c")));
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.entries(), ElementsAre("c OK 0"));
}

// Options and a local address, set before.
TEST_P(ConnectOperation, O01_OptionsAndALocalAddressAreSetBefore) {
  Socket listening = weir::conformance::Listener();
  Stream stream = Must(Stream::Open(loop(), AddressFamily::kIpv4));
  ASSERT_OK(stream.SetOption(SocketOption::kNoDelay, 1));
  ASSERT_OK(stream.Bind(SocketAddress::Ipv4Loopback(0)));
  const SocketAddress local = Must(stream.LocalAddress());
  Indications told;
  ASSERT_OK(stream.Connect(AddressOf(listening), told.Handler("c")));
  TurnUntilCount(told, 1);
  EXPECT_EQ(Must(stream.LocalAddress()), local);
  EXPECT_EQ(Must(stream.GetOption(SocketOption::kNoDelay)), 1);
}

// Made and reset before anybody looked: connected, and the first transfer says
// what has become of it.
TEST_P(ConnectOperation, O01_AConnectionThatIsResetAtOnce) {
  Socket listening = weir::conformance::Listener();
  Stream stream = Must(Stream::Open(loop(), AddressFamily::kIpv4));
  Indications told;
  Room room(4);
  ASSERT_OK(stream.Connect(AddressOf(listening), told.Handler("c")));
  // Admitted by the first, under way with the second at the latest.
  Turn();
  Turn();
  AwaitReadable(listening);
  auto accepted = Must(listening.Accept());
  ASSERT_TRUE(accepted.has_value());
  Reset(accepted->socket);
  TurnUntilCount(told, 1);
  EXPECT_EQ(told.Take()[0], "c OK 0");
  const absl::Status started = stream.Receive(room, told.Handler("r"));
  ASSERT_OK(started);
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.entries(), ElementsAre("r UNAVAILABLE 0"));
}

// A Unix listener with no room for one more does not let a connect wait (unix(7)).
TEST_P(ConnectOperation, O01_AFullUnixListenerRefusesAtOnce) {
  WEIR_SKIP_WITHOUT_UNIX_SOCKETS();
  const SocketAddress name = Must(SocketAddress::UnixAbstract(
      absl::StrCat("weir-full-", GetParam(), "-", test::ProcessId())));
  Socket listening =
      Must(Socket::Open(AddressFamily::kUnix, SocketType::kStream));
  MustOk(listening.Bind(name));
  MustOk(listening.StartListening(/*backlog=*/0));
  Socket first = Must(Socket::Connect(name));
  Stream stream = Must(Stream::Open(loop(), AddressFamily::kUnix));
  Indications told;
  ASSERT_OK(stream.Connect(name, told.Handler("c")));
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.Take(), ElementsAre("c UNAVAILABLE 0"));
  EXPECT_EQ(CauseOf(told.last_status()), ErrorCause::kWouldBlock);
  ExpectIdle();
  // There is room now.
  Must(listening.Accept());
  Stream second = Must(Stream::Open(loop(), AddressFamily::kUnix));
  ASSERT_OK(second.Connect(name, told.Handler("c")));
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.Take(), ElementsAre("c OK 0"));
}

// To one listener of the same loop.
TEST_P(ConnectOperation, O01_ManyConnectAtOnce) {
  weir::Listener listener = Must(
      weir::Listener::Listen(loop(), SocketAddress::Ipv4Loopback(0)));
  const SocketAddress address = Must(listener.LocalAddress());
  Indications accepted, told;
  ASSERT_OK(listener.StartAccepting(accepted.ForAccept("a")));
  std::vector<Stream> streams;
  constexpr std::size_t kCount = 200;
  for (std::size_t i = 0; i < kCount; ++i) {
    streams.push_back(Must(Stream::Open(loop(), AddressFamily::kIpv4)));
    ASSERT_OK(streams.back().Connect(address, told.Handler("c")));
  }
  TurnUntilCount(told, kCount);
  TurnUntilCount(accepted, kCount);
  EXPECT_THAT(told.entries(), ::testing::Each("c OK 0"));
  EXPECT_THAT(accepted.entries(), ::testing::Each("a OK 0"));
}

}  // namespace
}  // namespace weir::conformance
