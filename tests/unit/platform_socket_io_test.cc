#include "platform/socket_io.h"

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "platform/error.h"
#include "platform/socket_options.h"
#include "tests/conformance/descriptors.h"
#include "tests/support/system.h"
#include "tests/unit/platform_test_util.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

TEST(SocketIo, StreamsCarryBytesThenWouldBlockThenEnd) {
  TcpPair tcp;
  std::array<std::byte, 64> buffer;
  IoOutcome outcome = Receive(tcp.server.get(), buffer);
  EXPECT_TRUE(outcome.would_block);
  EXPECT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error, 0);
  EXPECT_EQ(Send(tcp.client.get(), BytesOf("hello")).bytes, 5u);
  ASSERT_TRUE(WaitFor(tcp.server, PollBits::kReadable));
  outcome = Receive(tcp.server.get(), buffer);
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(TextOf(std::span(buffer).first(outcome.bytes)), "hello");
  tcp.client.Reset();
  ASSERT_TRUE(WaitFor(tcp.server, PollBits::kReadable));
  outcome = Receive(tcp.server.get(), buffer);
  EXPECT_TRUE(outcome.ok());
  EXPECT_EQ(outcome.bytes, 0u);
}

TEST(SocketIo, NeverBlocks) {
  const TcpPair tcp;
  std::vector<std::byte> buffer(1 << 16);
  const std::span<std::byte> parts[] = {buffer};
  EXPECT_TRUE(Receive(tcp.server.get(), buffer).would_block);
  EXPECT_TRUE(ReceiveVector(tcp.server.get(), parts).would_block);
  EXPECT_TRUE(ReceiveFrom(tcp.server.get(), buffer, nullptr).would_block);
  IoOutcome outcome;
  std::size_t sent = 0;
  do {
    outcome = Send(tcp.client.get(), buffer);
    sent += outcome.bytes;
  } while (outcome.ok());
  EXPECT_TRUE(outcome.would_block);
  EXPECT_EQ(outcome.error, 0);
  EXPECT_GT(sent, 0u);
}

// A direction that this side has ended: no more to send is an error, no more
// to receive the end.
TEST(SocketIo, AfterItsOwnShutdown) {
  const TcpPair tcp;
  ASSERT_TRUE(Shutdown(tcp.client.get(), ShutdownDirection::kBoth).ok());
  const std::span<const std::byte> parts[] = {BytesOf("a"), BytesOf("b")};
  for (const IoOutcome& outcome : {Send(tcp.client.get(), BytesOf("x")),
                                   SendVector(tcp.client.get(), parts)}) {
    EXPECT_EQ(CauseOfSystemCode(outcome.error), ErrorCause::kBrokenPipe);
  }
  std::array<std::byte, 4> buffer;
  const std::span<std::byte> in[] = {buffer};
  for (const IoOutcome& outcome :
       {Receive(tcp.client.get(), buffer), ReceiveVector(tcp.client.get(), in),
        IoOutcome(ReceiveFrom(tcp.client.get(), buffer, nullptr))}) {
    EXPECT_TRUE(outcome.ok()) << outcome.error;
    EXPECT_EQ(outcome.bytes, 0u);
  }
}

TEST(SocketIo, VectorsGatherAndScatterInOrder) {
  const TcpPair tcp;
  const std::span<const std::byte> out[] = {BytesOf("one"), BytesOf(""),
                                            BytesOf("two"), BytesOf("three")};
  EXPECT_EQ(SendVector(tcp.client.get(), out).bytes, 11u);
  ASSERT_TRUE(WaitFor(tcp.server, PollBits::kReadable));
  std::array<std::byte, 4> first;
  std::array<std::byte, 100> second;
  const std::span<std::byte> in[] = {first, second};
  EXPECT_EQ(ReceiveVector(tcp.server.get(), in).bytes, 11u);
  EXPECT_EQ(TextOf(first), "onet");
  EXPECT_EQ(TextOf(std::span(second).first(7)), "wothree");
}

TEST(SocketIo, LongVectorsAreAShortTransfer) {
  const TcpPair tcp;
  const std::string text(kMaxVectorBuffers + 10, 'x');
  std::vector<std::span<const std::byte>> out;
  for (char const& c : text) out.push_back(std::as_bytes(std::span(&c, 1)));
  EXPECT_EQ(SendVector(tcp.client.get(), out).bytes, kMaxVectorBuffers);
  ASSERT_TRUE(WaitFor(tcp.server, PollBits::kReadable));
  std::vector<std::byte> bytes(text.size());
  std::vector<std::span<std::byte>> in;
  for (std::byte& byte : bytes) in.push_back(std::span(&byte, 1));
  EXPECT_EQ(ReceiveVector(tcp.server.get(), in).bytes, kMaxVectorBuffers);
}

TEST(SocketIo, DatagramsKeepTheirBoundsAndSource) {
  for (const SocketAddress& loopback :
       {SocketAddress::Ipv4Loopback(0), SocketAddress::Ipv6Loopback(0)}) {
    const ScopedSocket receiver = OpenBound(loopback, SocketType::kDatagram);
    const ScopedSocket sender = OpenBound(loopback, SocketType::kDatagram);
    std::array<std::byte, 8> buffer;
    SocketAddress peer = SocketAddress::UnixUnnamed();
    EXPECT_TRUE(ReceiveFrom(receiver.get(), buffer, &peer).would_block);
    // Untouched without a datagram.
    EXPECT_EQ(peer, SocketAddress::UnixUnnamed());
    const SocketAddress to = AddressOf(receiver);
    EXPECT_EQ(SendTo(sender.get(), BytesOf("exactly8"), to).bytes, 8u);
    EXPECT_EQ(SendTo(sender.get(), BytesOf("far too long"), to).bytes, 12u);
    EXPECT_TRUE(SendTo(sender.get(), BytesOf(""), to).ok());
    ASSERT_TRUE(WaitFor(receiver, PollBits::kReadable));
    ReceiveFromOutcome outcome = ReceiveFrom(receiver.get(), buffer, &peer);
    EXPECT_EQ(outcome.bytes, 8u);
    EXPECT_FALSE(outcome.truncated);
    EXPECT_EQ(peer, AddressOf(sender));
    ASSERT_TRUE(WaitFor(receiver, PollBits::kReadable));
    outcome = ReceiveFrom(receiver.get(), buffer, nullptr);
    EXPECT_EQ(outcome.bytes, 8u);
    EXPECT_TRUE(outcome.truncated);
    EXPECT_EQ(TextOf(buffer), "far too ");
    ASSERT_TRUE(WaitFor(receiver, PollBits::kReadable));
    outcome = ReceiveFrom(receiver.get(), buffer, &peer);
    EXPECT_TRUE(outcome.ok());
    EXPECT_EQ(outcome.bytes, 0u);
  }
}

TEST(SocketIo, DatagramErrors) {
  const ScopedSocket socket = Open(AddressFamily::kIpv4, SocketType::kDatagram);
  EXPECT_EQ(SendTo(socket.get(), BytesOf("x"), SocketAddress()).error,
            test::CodeFor(ErrorCause::kDestinationRequired));
  EXPECT_EQ(CauseOfSystemCode(Send(socket.get(), BytesOf("x")).error),
            ErrorCause::kDestinationRequired);
  const std::vector<std::byte> huge(70'000);
  EXPECT_EQ(
      CauseOfSystemCode(
          SendTo(socket.get(), huge, SocketAddress::Ipv4Loopback(9)).error),
      ErrorCause::kMessageTooLong);
}

// tcp(7): MSG_TRUNC would throw the data of a stream away.
TEST(SocketIo, ReceiveFromOnAStreamLosesNothing) {
  const TcpPair tcp;
  EXPECT_EQ(Send(tcp.client.get(), BytesOf("abcdef")).bytes, 6u);
  ASSERT_TRUE(WaitFor(tcp.server, PollBits::kReadable));
  std::array<std::byte, 4> buffer;
  SocketAddress peer = SocketAddress::Ipv4Any(0);
  ReceiveFromOutcome outcome = ReceiveFrom(tcp.server.get(), buffer, &peer);
  EXPECT_EQ(outcome.bytes, 4u);
  EXPECT_FALSE(outcome.truncated);
  EXPECT_TRUE(peer.is_unspecified());
  EXPECT_EQ(TextOf(buffer), "abcd");
  EXPECT_EQ(Receive(tcp.server.get(), buffer).bytes, 2u);
}

// Trap 29: a port that nobody listens on does no harm to a socket that is not
// tied to it, nor, where receives do not tell, to one that is.
TEST(SocketIo, R15_AnUnreachablePortFailsNoOtherReceive) {
  SocketAddress nobody;
  {
    const ScopedSocket closed =
        OpenBound(SocketAddress::Ipv4Loopback(0), SocketType::kDatagram);
    nobody = AddressOf(closed);
  }
  const ScopedSocket socket =
      OpenBound(SocketAddress::Ipv4Loopback(0), SocketType::kDatagram);
  const ScopedSocket peer =
      OpenBound(SocketAddress::Ipv4Loopback(0), SocketType::kDatagram);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(SendTo(socket.get(), BytesOf("x"), nobody).ok());
    EXPECT_TRUE(SendTo(peer.get(), BytesOf("hello"), AddressOf(socket)).ok());
    ASSERT_TRUE(WaitFor(socket, PollBits::kReadable));
    std::array<std::byte, 8> buffer;
    EXPECT_EQ(ReceiveFrom(socket.get(), buffer, nullptr).bytes, 5u);
    EXPECT_TRUE(ReceiveFrom(socket.get(), buffer, nullptr).would_block);
  }
}

// Trap 28: the error of an earlier send, and the socket lives on.
TEST(SocketIo, R15_AnUnreachablePortIsAnErrorOfTheNextReceive) {
  if (!test::ReceivesTellOfUnreachablePorts()) {
    GTEST_SKIP() << "receives do not tell of unreachable ports here";
  }
  const ScopedSocket socket =
      OpenBound(SocketAddress::Ipv4Loopback(0), SocketType::kDatagram);
  SocketAddress nobody;
  {
    const ScopedSocket closed =
        OpenBound(SocketAddress::Ipv4Loopback(0), SocketType::kDatagram);
    nobody = AddressOf(closed);
  }
  ASSERT_TRUE(Connect(socket.get(), nobody).ok());
  EXPECT_TRUE(Send(socket.get(), BytesOf("x")).ok());
  ASSERT_TRUE(WaitFor(socket, PollBits::kReadable));
  std::array<std::byte, 4> buffer;
  EXPECT_EQ(CauseOfSystemCode(Receive(socket.get(), buffer).error),
            ErrorCause::kConnectionRefused);
  EXPECT_TRUE(Receive(socket.get(), buffer).would_block);
}

TEST(SocketIo, AcceptWouldBlock) {
  const ScopedSocket listener = OpenListener();
  const AcceptOutcome outcome = Accept(listener.get(), nullptr);
  EXPECT_TRUE(outcome.would_block);
  EXPECT_EQ(outcome.socket, kInvalidSocket);
  const ScopedSocket idle = Open(AddressFamily::kIpv4, SocketType::kStream);
  EXPECT_EQ(CauseOfSystemCode(Accept(idle.get(), nullptr).error),
            ErrorCause::kInvalidArgument);
}

// Trap 60: the connection waits on until there is a descriptor.
TEST(SocketIo, R21_AcceptWithoutDescriptorsLosesNothing) {
  WEIR_SKIP_WITHOUT_DESCRIPTOR_LIMIT();
  const ScopedSocket listener = OpenListener();
  const ScopedSocket client = Open(AddressFamily::kIpv4, SocketType::kStream);
  ASSERT_TRUE(Connect(client.get(), AddressOf(listener)).ok());
  ASSERT_TRUE(WaitFor(listener, PollBits::kReadable));
  AcceptOutcome refused;
  {
    const conformance::NoDescriptorsLeft none;
    refused = Accept(listener.get(), nullptr);
  }
  EXPECT_EQ(CauseOfSystemCode(refused.error), ErrorCause::kTooManyDescriptors);
  EXPECT_EQ(refused.socket, kInvalidSocket);
  SocketAddress peer;
  const AcceptOutcome accepted = Accept(listener.get(), &peer);
  ASSERT_TRUE(accepted.ok()) << accepted.error;
  const ScopedSocket server(accepted.socket);
  EXPECT_EQ(peer, AddressOf(client));
}

}  // namespace
}  // namespace weir::platform
