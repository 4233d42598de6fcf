// Moving data through Socket: would-block and the end of a stream are states,
// everything else that goes wrong is a status (P05, C03).

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/conformance/failure.h"

namespace weir::conformance {
namespace {

using ConstBytes = std::span<const std::byte>;
using Bytes = std::span<std::byte>;

ConstBytes BytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
Bytes BytesOf(std::string& text) {
  return std::as_writable_bytes(std::span(text.data(), text.size()));
}

TEST(SocketIo, P05_WouldBlockAndTheEndAreNoErrors) {
  Connection connection = Connected();
  std::string buffer(8, '\0');
  Transfer got = Must(connection.server.Receive(BytesOf(buffer)));
  EXPECT_TRUE(got.would_block);
  EXPECT_EQ(got.bytes, 0u);
  EXPECT_FALSE(got.end_of_stream);

  Send(connection.client, "abc");
  ASSERT_OK(connection.client.Shutdown(ShutdownDirection::kSend));
  AwaitPeerClosed(connection.server);
  // A receive into nothing is not the end.
  got = Must(connection.server.Receive({}));
  EXPECT_EQ(got.bytes, 0u);
  EXPECT_FALSE(got.end_of_stream);
  got = Must(connection.server.Receive(BytesOf(buffer)));
  EXPECT_EQ(got.bytes, 3u);
  EXPECT_FALSE(got.end_of_stream);
  for (int i = 0; i < 2; ++i) {
    got = Must(connection.server.Receive(BytesOf(buffer)));
    EXPECT_EQ(got.bytes, 0u);
    EXPECT_TRUE(got.end_of_stream);
    EXPECT_FALSE(got.would_block);
  }

  EXPECT_GT(Fill(connection.server), 0u);
  const Transfer sent = Must(connection.server.Send(BytesOf("more")));
  EXPECT_TRUE(sent.would_block);
  EXPECT_EQ(sent.bytes, 0u);
}

TEST(SocketIo, P01_VectorsGatherAndScatterInOrder) {
  Connection connection = Connected();
  const std::array<ConstBytes, 4> pieces = {BytesOf("ab"), BytesOf(""),
                                            BytesOf("cde"), BytesOf("f")};
  EXPECT_EQ(Must(connection.client.SendVector(pieces)).bytes, 6u);
  AwaitReadable(connection.server);
  std::string first(1, '\0');
  std::string second(4, '\0');
  std::string third(8, '\0');
  const std::array<Bytes, 3> into = {BytesOf(first), BytesOf(second),
                                     BytesOf(third)};
  EXPECT_EQ(Must(connection.server.ReceiveVector(into)).bytes, 6u);
  EXPECT_EQ(first + second + third.substr(0, 1), "abcdef");
}

// The contract of the vector calls: of more than 64 buffers the first are used.
TEST(SocketIo, P01_LongVectorsAreShortTransfers) {
  Connection connection = Connected();
  const std::vector<ConstBytes> pieces(100, BytesOf("ab"));
  EXPECT_EQ(Must(connection.client.SendVector(pieces)).bytes, 128u);
  AwaitReadable(connection.server);
  std::vector<std::string> texts(100, std::string(1, '\0'));
  std::vector<Bytes> into;
  for (std::string& text : texts) into.push_back(BytesOf(text));
  EXPECT_EQ(Must(connection.server.ReceiveVector(into)).bytes, 64u);
  EXPECT_EQ(Drain(connection.server).size(), 64u);
  // A datagram would lose what is left out.
  Connection pair = DatagramPair();
  EXPECT_TRUE(IsFailure(pair.client.SendVector(pieces).status(),
                        absl::StatusCode::kInvalidArgument,
                        ErrorCause::kUnknown, {"send: ", "64", "100"}));
}

TEST(SocketIo, P05_AfterAResetReceivingSaysSoOnce) {
  Connection connection = Connected();
  Reset(connection.client);
  AwaitPeerClosed(connection.server);
  std::string buffer(8, '\0');
  EXPECT_TRUE(IsFailure(connection.server.Receive(BytesOf(buffer)).status(),
                        absl::StatusCode::kUnavailable,
                        ErrorCause::kConnectionReset,
                        {"receive", test::WordsFor(ErrorCause::kConnectionReset)}));
  EXPECT_TRUE(Must(connection.server.Receive(BytesOf(buffer))).end_of_stream);
  // SIGPIPE would end the test.
  EXPECT_TRUE(IsFailure(connection.server.Send(BytesOf("abc")).status(),
                        absl::StatusCode::kFailedPrecondition,
                        ErrorCause::kBrokenPipe,
                        {"send", test::WordsFor(ErrorCause::kBrokenPipe)}));
}

TEST(SocketIo, P05_UnconnectedStreamsNeitherReceiveNorSend) {
  Socket socket =
      Must(Socket::Open(AddressFamily::kIpv4, SocketType::kStream));
  std::string buffer(8, '\0');
  EXPECT_TRUE(IsFailure(socket.Receive(BytesOf(buffer)).status(),
                        absl::StatusCode::kFailedPrecondition,
                        ErrorCause::kNotConnected,
                        {"receive", test::WordsFor(ErrorCause::kNotConnected)}));
  // To some systems it is a pipe that broke.
  const absl::Status sent = socket.Send(BytesOf("abc")).status();
  const ErrorCause cause = CauseOf(sent) == ErrorCause::kBrokenPipe
                               ? ErrorCause::kBrokenPipe
                               : ErrorCause::kNotConnected;
  EXPECT_TRUE(IsFailure(sent, absl::StatusCode::kFailedPrecondition, cause,
                        {"send", test::WordsFor(cause)}));
}

TEST(SocketIo, P05_DatagramsThatCannotBeSent) {
  Socket socket = Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0)));
  EXPECT_TRUE(IsFailure(socket.Send(BytesOf("abc")).status(),
                        absl::StatusCode::kInvalidArgument,
                        ErrorCause::kDestinationRequired,
                        {"send", test::WordsFor(ErrorCause::kDestinationRequired)}));
  EXPECT_TRUE(IsFailure(
      socket.SendTo(BytesOf("abc"), SocketAddress()).status(),
      absl::StatusCode::kInvalidArgument, ErrorCause::kDestinationRequired,
      {"send to", test::WordsFor(ErrorCause::kDestinationRequired)}));
  const std::string too_long(70000, 'x');
  const SocketAddress self = AddressOf(socket);
  EXPECT_TRUE(IsFailure(
      socket.SendTo(BytesOf(std::string_view(too_long)), self).status(),
      absl::StatusCode::kInvalidArgument, ErrorCause::kMessageTooLong,
      {"send to", self.ToString(), test::WordsFor(ErrorCause::kMessageTooLong)}));
  // None of them went out.
  std::string buffer(8, '\0');
  EXPECT_TRUE(Must(socket.ReceiveFrom(BytesOf(buffer))).would_block);
}

// C03: what was sent goes out, also behind a close.
TEST(SocketIo, C03_ClosingDeliversWhatWasSent) {
  Connection connection = Connected();
  const std::size_t sent = Fill(connection.client);
  connection.client.Close();
  std::size_t received = 0;
  std::string buffer(65536, '\0');
  while (true) {
    AwaitReadable(connection.server);
    const Transfer got = Must(connection.server.Receive(BytesOf(buffer)));
    if (got.end_of_stream) break;
    received += got.bytes;
  }
  EXPECT_EQ(received, sent);
}

TEST(SocketIo, C03_ShutdownEndsOneDirection) {
  for (const AddressFamily family : test::Available({AddressFamily::kIpv4, AddressFamily::kUnix})) {
    Connection connection = Connected(family);
    Send(connection.client, "abc");
    ASSERT_OK(connection.client.Shutdown(ShutdownDirection::kSend));
    AwaitPeerClosed(connection.server);
    EXPECT_EQ(Drain(connection.server), "abc");
    EXPECT_TRUE(IsFailure(connection.client.Send(BytesOf("more")).status(),
                          absl::StatusCode::kFailedPrecondition,
                          ErrorCause::kBrokenPipe,
                          {"send", test::WordsFor(ErrorCause::kBrokenPipe)}));
    Send(connection.server, "def");
    AwaitReadable(connection.client);
    EXPECT_EQ(Receive(connection.client), "def");
  }
}

}  // namespace
}  // namespace weir::conformance
