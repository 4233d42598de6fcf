// The Socket class by itself: what it is when it is not open, how it is made,
// and what failed calls say (P01, P05, P07). Moving data is in
// socket_io_test.cc.

#include "weir/socket.h"

#include <functional>
#include <string>
#include <utility>

#include "tests/conformance/conformance.h"
#include "tests/conformance/descriptors.h"
#include "tests/conformance/failure.h"

namespace weir::conformance {
namespace {

using ::testing::StartsWith;

constexpr auto kFailedPrecondition = absl::StatusCode::kFailedPrecondition;
constexpr auto kResourceExhausted = absl::StatusCode::kResourceExhausted;
constexpr auto kInvalidArgument = absl::StatusCode::kInvalidArgument;

Socket OpenStream() {
  return Must(Socket::Open(AddressFamily::kIpv4, SocketType::kStream));
}

// Every call that needs an open socket, with the operation that it names.
const struct {
  const char* operation;
  std::function<absl::Status(Socket&)> call;
} kCalls[] = {
    {"release: ", [](Socket& s) { return s.Release().status(); }},
    {"bind: ", [](Socket& s) { return s.Bind(SocketAddress::Ipv4Any(0)); }},
    {"listen: ", [](Socket& s) { return s.StartListening(); }},
    {"connect: ",
     [](Socket& s) {
       return s.StartConnecting(SocketAddress::Ipv4Loopback(1)).status();
     }},
    {"accept: ", [](Socket& s) { return s.Accept().status(); }},
    {"receive: ", [](Socket& s) { return s.Receive({}).status(); }},
    {"receive: ", [](Socket& s) { return s.ReceiveVector({}).status(); }},
    {"send: ", [](Socket& s) { return s.Send({}).status(); }},
    {"send: ", [](Socket& s) { return s.SendVector({}).status(); }},
    {"receive from: ", [](Socket& s) { return s.ReceiveFrom({}).status(); }},
    {"send to: ",
     [](Socket& s) {
       return s.SendTo({}, SocketAddress::Ipv4Loopback(1)).status();
     }},
    {"shut down: ",
     [](Socket& s) { return s.Shutdown(ShutdownDirection::kBoth); }},
    {"take error: ", [](Socket& s) { return s.TakeError(); }},
    {"local address: ", [](Socket& s) { return s.LocalAddress().status(); }},
    {"peer address: ", [](Socket& s) { return s.PeerAddress().status(); }},
    {"set option: ",
     [](Socket& s) { return s.SetOption(SocketOption::kNoDelay, 1); }},
    {"get option: ",
     [](Socket& s) { return s.GetOption(SocketOption::kNoDelay).status(); }},
    {"join multicast: ",
     [](Socket& s) {
       return s.JoinMulticast(Must(SocketAddress::Parse("224.0.0.251:0")));
     }},
    {"leave multicast: ",
     [](Socket& s) {
       return s.LeaveMulticast(Must(SocketAddress::Parse("224.0.0.251:0")));
     }},
};

TEST(Socket, P05_EveryCallOnASocketThatIsNotOpenSaysSo) {
  Socket empty;
  Socket closed = OpenStream();
  closed.Close();
  Socket moved_from = OpenStream();
  Socket moved_to = std::move(moved_from);
  Socket released = OpenStream();
  Socket again = Must(Socket::Adopt(Must(released.Release())));
  // NOLINTNEXTLINE(bugprone-use-after-move)
  for (Socket* socket : {&empty, &closed, &moved_from, &released}) {
    EXPECT_FALSE(socket->is_open());
    EXPECT_FALSE(static_cast<bool>(*socket));
    EXPECT_EQ(socket->native(), kInvalidSocket);
    EXPECT_EQ(socket->family(), AddressFamily::kUnspecified);
    for (const auto& [operation, call] : kCalls) {
      const absl::Status status = call(*socket);
      EXPECT_TRUE(IsFailure(status, kFailedPrecondition, ErrorCause::kUnknown,
                            {"not open"}))
          << operation;
      EXPECT_THAT(std::string(status.message()), StartsWith(operation));
    }
    socket->Close();  // does nothing
    socket->Close();
  }
  EXPECT_TRUE(moved_to.is_open());
  EXPECT_TRUE(again.is_open());
}

TEST(Socket, P05_ClosingTwiceClosesNobodyElsesDescriptor) {
  Socket socket = OpenStream();
  const NativeSocket number = socket.native();
  socket.Close();
  Socket other = OpenStream();
  ASSERT_EQ(other.native(), number);
  socket.Close();
  EXPECT_OK(other.LocalAddress());
}

TEST(Socket, P01_ASocketMayBeAssignedToItself) {
  Socket socket = OpenStream();
  Socket& same = socket;
  socket = std::move(same);
  EXPECT_TRUE(socket.is_open());
  EXPECT_OK(socket.LocalAddress());
}

TEST(Socket, P01_EveryHandleIsNonBlockingAndCloseOnExec) {
  Connection tcp = Connected();
  Connection pair = Connected(test::LocalFamily());
  Socket listener = Listener(AddressFamily::kIpv6);
  Socket datagram =
      Must(Socket::BindDatagram(SocketAddress::Ipv6Loopback(0)));
  for (const Socket* socket : {&tcp.client, &tcp.server, &pair.client,
                               &pair.server, &listener, &datagram}) {
    if (test::ModeIsKnown()) {
      EXPECT_TRUE(test::IsNonBlocking(socket->native()));
    }
    EXPECT_FALSE(test::IsInherited(socket->native()));
  }
}

TEST(Socket, P07_AnAdoptedSocketKeepsItsKindAndBecomesNonBlocking) {
  const struct {
    AddressFamily family;
    SocketType type;
  } kinds[] = {{AddressFamily::kIpv4, SocketType::kStream},
               {AddressFamily::kIpv6, SocketType::kDatagram},
               {test::LocalFamily(), SocketType::kStream}};
  for (const auto& kind : kinds) {
    const NativeSocket native =
        Must(Must(Socket::Open(kind.family, kind.type)).Release());
    test::MakeBlocking(native);
    const Socket adopted = Must(Socket::Adopt(native));
    EXPECT_EQ(adopted.native(), native);
    EXPECT_EQ(adopted.family(), kind.family);
    EXPECT_EQ(adopted.type(), kind.type);
    if (test::ModeIsKnown()) {
      EXPECT_TRUE(test::IsNonBlocking(native));
    }
  }
}

TEST(Socket, P05_AnAddressInUseIsNamed) {
  for (const AddressFamily family :
       {AddressFamily::kIpv4, AddressFamily::kIpv6}) {
    Socket listener = Listener(family);
    const std::size_t before = OpenDescriptors();
    EXPECT_TRUE(IsFailure(
        Socket::Listen(AddressOf(listener)).status(), kFailedPrecondition,
        ErrorCause::kAddressInUse,
        {"bind", AddressOf(listener).ToString(), test::WordsFor(ErrorCause::kAddressInUse)}));
    EXPECT_EQ(OpenDescriptors(), before);
  }
  Socket datagram =
      Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0)));
  EXPECT_TRUE(IsFailure(
      Socket::BindDatagram(AddressOf(datagram)).status(), kFailedPrecondition,
      ErrorCause::kAddressInUse,
      {"bind", AddressOf(datagram).ToString(), test::WordsFor(ErrorCause::kAddressInUse)}));
}

TEST(Socket, P05_AddressesThatCannotBeBoundOrReached) {
  // TEST-NET-1 (RFC 5737): nobody has it.
  const SocketAddress foreign = Must(SocketAddress::Parse("192.0.2.1:80"));
  EXPECT_TRUE(IsFailure(Socket::Listen(foreign).status(), kFailedPrecondition,
                        ErrorCause::kAddressNotAvailable,
                        {"bind", "192.0.2.1:80",
                         test::WordsFor(ErrorCause::kAddressNotAvailable)}));
  if (test::HasUnixSockets()) {
    const SocketAddress missing =
        Must(SocketAddress::UnixPath("/nonexistent/weir.sock"));
    const std::string words = test::WordsFor(ErrorCause::kNotFound);
    EXPECT_TRUE(IsFailure(Socket::Connect(missing).status(),
                          absl::StatusCode::kNotFound, ErrorCause::kNotFound,
                          {"connect", "unix:/nonexistent/weir.sock", words}));
    EXPECT_TRUE(IsFailure(Socket::Listen(missing).status(),
                          absl::StatusCode::kNotFound, ErrorCause::kNotFound,
                          {"bind", "unix:/nonexistent/weir.sock", words}));
  }
  for (const auto& call :
       {Socket::Listen(SocketAddress()).status(),
        Socket::Connect(SocketAddress()).status(),
        Socket::BindDatagram(SocketAddress()).status()}) {
    EXPECT_TRUE(IsFailure(call, kInvalidArgument, ErrorCause::kInvalidArgument,
                          {"unspecified", test::WordsFor(ErrorCause::kInvalidArgument)}));
  }
}

// A Unix name whose listener is gone refuses at once, without an event.
TEST(Socket, P05_ARefusalThatIsKnownAtOnceIsReturned) {
  WEIR_SKIP_WITHOUT_UNIX_SOCKETS();
  Socket listener = Must(Socket::Listen(SocketAddress::UnixUnnamed()));
  const SocketAddress address = AddressOf(listener);
  listener.Close();
  EXPECT_TRUE(IsFailure(Socket::Connect(address).status(),
                        absl::StatusCode::kUnavailable,
                        ErrorCause::kConnectionRefused,
                        {"connect", address.ToString(),
                         test::WordsFor(ErrorCause::kConnectionRefused)}));
}

TEST(Socket, P05_NoDescriptorsLeft) {
  WEIR_SKIP_WITHOUT_DESCRIPTOR_LIMIT();
  Socket listener = Listener();
  const SocketAddress address = AddressOf(listener);
  NoDescriptorsLeft none;
  const absl::Status failures[] = {
      Socket::Open(AddressFamily::kIpv4, SocketType::kStream).status(),
      Socket::Listen(SocketAddress::Ipv4Loopback(0)).status(),
      Socket::Connect(address).status(),
      Socket::BindDatagram(SocketAddress::Ipv4Loopback(0)).status(),
      Socket::Pair().status()};
  for (const absl::Status& failure : failures) {
    EXPECT_TRUE(IsFailure(failure, kResourceExhausted,
                          ErrorCause::kTooManyDescriptors,
                          {"socket", test::WordsFor(ErrorCause::kTooManyDescriptors)}));
  }
}

// R21: the connection goes on waiting.
TEST(Socket, R21_AcceptWithoutDescriptorsLosesNoConnection) {
  WEIR_SKIP_WITHOUT_DESCRIPTOR_LIMIT();
  Socket listener = Listener();
  Socket client = Must(Socket::Connect(AddressOf(listener)));
  AwaitReadable(listener);
  {
    NoDescriptorsLeft none;
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(IsFailure(listener.Accept().status(), kResourceExhausted,
                            ErrorCause::kTooManyDescriptors,
                            {"accept", test::WordsFor(ErrorCause::kTooManyDescriptors)}));
    }
  }
  const auto accepted = Must(listener.Accept());
  ASSERT_TRUE(accepted.has_value());
  EXPECT_EQ(accepted->peer, AddressOf(client));
  EXPECT_EQ(Must(accepted->socket.PeerAddress()), AddressOf(client));
  EXPECT_FALSE(Must(listener.Accept()).has_value());
}

TEST(Socket, P05_CallsThatDoNotFitTheSocket) {
  Socket stream = OpenStream();
  Connection connection = Connected();
  Socket datagram =
      Must(Socket::Open(AddressFamily::kIpv4, SocketType::kDatagram));
  Socket listener = Listener();
  EXPECT_TRUE(IsFailure(stream.Accept().status(), kInvalidArgument,
                        ErrorCause::kInvalidArgument,
                        {"accept", test::WordsFor(ErrorCause::kInvalidArgument)}));
  EXPECT_TRUE(IsFailure(datagram.Accept().status(),
                        absl::StatusCode::kUnimplemented,
                        ErrorCause::kNotSupported,
                        {"accept", test::WordsFor(ErrorCause::kNotSupported)}));
  EXPECT_TRUE(IsFailure(datagram.StartListening(),
                        absl::StatusCode::kUnimplemented,
                        ErrorCause::kNotSupported,
                        {"listen", test::WordsFor(ErrorCause::kNotSupported)}));
  EXPECT_TRUE(IsFailure(stream.PeerAddress().status(), kFailedPrecondition,
                        ErrorCause::kNotConnected,
                        {test::WordsFor(ErrorCause::kNotConnected)}));
  EXPECT_TRUE(IsFailure(stream.Shutdown(ShutdownDirection::kSend),
                        kFailedPrecondition, ErrorCause::kNotConnected,
                        {"shutdown", test::WordsFor(ErrorCause::kNotConnected)}));
  EXPECT_TRUE(IsFailure(listener.Shutdown(ShutdownDirection::kBoth),
                        kFailedPrecondition, ErrorCause::kUnknown,
                        {"shut down", "listens"}));
  EXPECT_TRUE(IsFailure(
      connection.server.StartConnecting(AddressOf(listener)).status(),
      kFailedPrecondition, ErrorCause::kAlreadyConnected,
      {"connect", AddressOf(listener).ToString(), test::WordsFor(ErrorCause::kAlreadyConnected)}));
  EXPECT_TRUE(IsFailure(datagram.SetOption(SocketOption::kNoDelay, 1),
                        absl::StatusCode::kUnimplemented,
                        ErrorCause::kNotSupported, {"TCP_NODELAY"}));
  EXPECT_TRUE(IsFailure(stream.SetOption(SocketOption::kNoDelay, 2),
                        kInvalidArgument, ErrorCause::kInvalidArgument,
                        {"TCP_NODELAY = 2", test::WordsFor(ErrorCause::kInvalidArgument)}));
  EXPECT_TRUE(IsFailure(
      datagram.JoinMulticast(SocketAddress::Ipv4Loopback(0)),
      kInvalidArgument, ErrorCause::kInvalidArgument,
      {"join multicast", "127.0.0.1", test::WordsFor(ErrorCause::kInvalidArgument)}));
  EXPECT_TRUE(
      IsFailure(Socket::Open(AddressFamily::kUnix, SocketType::kDatagram)
                    .status(),
                absl::StatusCode::kUnimplemented, ErrorCause::kUnknown,
                {"Unix", "datagram"}));
  // None of these did any harm.
  EXPECT_OK(stream.Bind(SocketAddress::Ipv4Loopback(0)));
  EXPECT_OK(stream.StartListening());
  Send(connection.client, "abc");
  AwaitReadable(connection.server);
  EXPECT_EQ(Receive(connection.server), "abc");
}

TEST(Socket, P01_OptionsAreKept) {
  Connection connection = Connected();
  EXPECT_OK(connection.client.SetOption(SocketOption::kNoDelay, 1));
  EXPECT_EQ(Must(connection.client.GetOption(SocketOption::kNoDelay)), 1);
  EXPECT_EQ(Must(connection.server.GetOption(SocketOption::kNoDelay)), 0);
  EXPECT_OK(connection.client.TakeError());
}

}  // namespace
}  // namespace weir::conformance
