#include "platform/datagram_io.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "platform/error.h"
#include "platform/socket_io.h"
#include "platform/sockets.h"
#include "tests/support/system.h"
#include "tests/unit/platform_datagram_util.h"
#include "tests/unit/platform_test_util.h"
#include "weir/socket_address.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

TEST(DatagramIo, ABatchKeepsOrderBoundsAndSource) {
  for (const SocketAddress& loopback :
       {SocketAddress::Ipv4Loopback(0), SocketAddress::Ipv6Loopback(0)}) {
    const ScopedSocket receiver = OpenUdp(loopback);
    const ScopedSocket sender = OpenUdp(loopback);
    const SocketAddress to = AddressOf(receiver);
    const Parts gathered = {BytesOf("on"), BytesOf(""), BytesOf("e")};
    const Parts exact = {BytesOf("exactly8")};
    const Parts large = {BytesOf("too large by far")};
    const OutgoingDatagram out[] = {{.data = gathered, .destination = &to},
                                    {.data = exact, .destination = &to},
                                    {.data = large, .destination = &to},
                                    {.data = {}, .destination = &to}};
    const BatchOutcome sent = SendDatagrams(sender.get(), out);
    ASSERT_TRUE(sent.ok()) << sent.error;
    EXPECT_EQ(sent.count, 4u);
    Inbox inbox(6, 8);
    // Whatever was there before is overwritten.
    inbox[0].destination.emplace();
    inbox[0].ecn = 3;
    inbox[0].segment_size = 7;
    inbox[0].truncated = true;
    inbox.Fill(receiver, 4);
    EXPECT_EQ(inbox.TextAt(0), "one");
    EXPECT_EQ(inbox.TextAt(1), "exactly8");
    EXPECT_EQ(inbox.TextAt(2), "too larg");
    EXPECT_EQ(inbox.TextAt(3), "");
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(inbox[i].truncated, i == 2) << i;
      EXPECT_EQ(inbox[i].source, AddressOf(sender)) << i;
      EXPECT_FALSE(inbox[i].destination.has_value()) << i;
      EXPECT_EQ(inbox[i].ecn, 0) << i;
      EXPECT_EQ(inbox[i].segment_size, 0u) << i;
    }
    // Those that nothing came for are as they were.
    EXPECT_TRUE(inbox[4].source.is_unspecified());
  }
}

// Where that is possible: on Windows it takes a non-blocking one.
TEST(DatagramIo, WouldBlockWhateverTheDescriptorsMode) {
  const ScopedSocket socket = OpenUdp(SocketAddress::Ipv4Loopback(0));
  if (test::ModeIsKnown()) test::MakeBlocking(socket.get());
  Inbox inbox(2, 8);
  const BatchOutcome outcome = ReceiveDatagrams(socket.get(), inbox.all());
  EXPECT_TRUE(outcome.would_block);
  EXPECT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error, 0);
  EXPECT_EQ(outcome.count, 0u);
}

TEST(DatagramIo, SendingWouldBlockToo) {
  WEIR_SKIP_WITHOUT_UNIX_SOCKETS();  // UDP drops what is too much.
  const auto pair = OpenPair(SocketType::kDatagram);
  ASSERT_TRUE(pair.ok()) << pair.status();
  const ScopedSocket first((*pair)[0]);
  const ScopedSocket second((*pair)[1]);
  const Parts parts = {BytesOf("x")};
  std::vector<OutgoingDatagram> out(kMaxDatagramBatch, {.data = parts});
  std::size_t sent = 0;
  BatchOutcome outcome;
  do {
    outcome = SendDatagrams(first.get(), out);
    sent += outcome.count;
  } while (outcome.ok());
  EXPECT_TRUE(outcome.would_block) << outcome.error;
  EXPECT_GT(sent, 0u);
  // All that was said to be sent is there.
  Inbox inbox(sent + 1, 4);
  std::size_t received = 0;
  while (true) {
    const BatchOutcome in =
        ReceiveDatagrams(second.get(), inbox.all().subspan(received));
    if (!in.ok()) break;
    received += in.count;
  }
  EXPECT_EQ(received, sent);
}

TEST(DatagramIo, EmptyBatchesDoNothing) {
  const ScopedSocket socket = OpenUdp(SocketAddress::Ipv4Loopback(0));
  BatchOutcome outcome = ReceiveDatagrams(socket.get(), {});
  EXPECT_TRUE(outcome.ok());
  EXPECT_EQ(outcome.count, 0u);
  outcome = SendDatagrams(socket.get(), {});
  EXPECT_TRUE(outcome.ok());
  EXPECT_EQ(outcome.count, 0u);
}

TEST(DatagramIo, LongBatchesAreShortOnes) {
  const ScopedSocket receiver = OpenUdp(SocketAddress::Ipv4Loopback(0));
  const ScopedSocket sender = OpenUdp(SocketAddress::Ipv4Loopback(0));
  ASSERT_TRUE(Connect(sender.get(), AddressOf(receiver)).ok());
  const Parts one = {BytesOf("x")};
  std::vector<OutgoingDatagram> out(kMaxDatagramBatch + 5, {.data = one});
  EXPECT_EQ(SendDatagrams(sender.get(), out).count, kMaxDatagramBatch);
  EXPECT_EQ(SendDatagrams(sender.get(), std::span(out).first(5)).count, 5u);
  Inbox inbox(out.size(), 4);
  ASSERT_TRUE(WaitFor(receiver, PollBits::kReadable));
  EXPECT_EQ(ReceiveDatagrams(receiver.get(), inbox.all()).count,
            kMaxDatagramBatch);
  inbox.Fill(receiver, 5);

  // Buffers run out before datagrams do.
  const Parts many(kMaxVectorBuffers, BytesOf("y"));
  const std::vector<OutgoingDatagram> wide(6, {.data = many});
  EXPECT_EQ(SendDatagrams(sender.get(), wide).count,
            kMaxBatchBuffers / kMaxVectorBuffers);
  Inbox wide_inbox(6, 2 * kMaxVectorBuffers);
  wide_inbox.Fill(receiver, kMaxBatchBuffers / kMaxVectorBuffers);
  EXPECT_EQ(wide_inbox.TextAt(3), std::string(kMaxVectorBuffers, 'y'));
}

TEST(DatagramIo, AnErrorEndsTheBatchAndIsToldWhenItComesFirst) {
  const ScopedSocket receiver = OpenUdp(SocketAddress::Ipv4Loopback(0));
  const ScopedSocket sender = OpenUdp(SocketAddress::Ipv4Loopback(0));
  const SocketAddress to = AddressOf(receiver);
  const SocketAddress nowhere;
  const std::vector<std::byte> huge_bytes(70'000);
  const Parts good = {BytesOf("x")};
  const Parts huge = {huge_bytes};
  const Parts crowded(kMaxVectorBuffers + 1, BytesOf("x"));
  const struct {
    OutgoingDatagram datagram;
    ErrorCause cause;
  } cases[] = {
      {{.data = good}, ErrorCause::kDestinationRequired},
      {{.data = good, .destination = &nowhere},
       ErrorCause::kDestinationRequired},
      {{.data = huge, .destination = &to}, ErrorCause::kMessageTooLong},
      {{.data = crowded, .destination = &to}, ErrorCause::kMessageTooLong},
      {{.data = good, .destination = &to, .segment_size = 65'536},
       ErrorCause::kInvalidArgument},
      {{.data = good, .destination = &to, .ecn = std::uint8_t{4}},
       ErrorCause::kInvalidArgument},
  };
  Inbox inbox(2, 8);
  for (const auto& [bad, cause] : cases) {
    const OutgoingDatagram fine = {.data = good, .destination = &to};
    const OutgoingDatagram out[] = {fine, bad, fine};
    BatchOutcome outcome = SendDatagrams(sender.get(), out);
    EXPECT_TRUE(outcome.ok()) << outcome.error;
    EXPECT_EQ(outcome.count, 1u);
    outcome = SendDatagrams(sender.get(), std::span(out).subspan(1));
    EXPECT_EQ(CauseOfSystemCode(outcome.error), cause) << outcome.error;
    EXPECT_EQ(outcome.count, 0u);
    EXPECT_FALSE(outcome.would_block);
    inbox.Fill(receiver, 1);
    EXPECT_TRUE(ReceiveDatagrams(receiver.get(), inbox.all()).would_block);
  }
}

// Trap 28: the error of an earlier send, and the socket lives on.
TEST(DatagramIo, R15_AnUnreachablePortIsAnErrorOfTheNextReceive) {
  if (!test::ReceivesTellOfUnreachablePorts()) {
    GTEST_SKIP() << "receives do not tell of unreachable ports here";
  }
  const ScopedSocket socket = OpenUdp(SocketAddress::Ipv4Loopback(0));
  SocketAddress nobody;
  {
    const ScopedSocket closed = OpenUdp(SocketAddress::Ipv4Loopback(0));
    nobody = AddressOf(closed);
  }
  ASSERT_TRUE(Connect(socket.get(), nobody).ok());
  const Parts parts = {BytesOf("x")};
  EXPECT_EQ(SendOne(socket, {.data = parts}).count, 1u);
  ASSERT_TRUE(WaitFor(socket, PollBits::kReadable));
  Inbox inbox(2, 8);
  EXPECT_EQ(
      CauseOfSystemCode(ReceiveDatagrams(socket.get(), inbox.all()).error),
      ErrorCause::kConnectionRefused);
  EXPECT_TRUE(ReceiveDatagrams(socket.get(), inbox.all()).would_block);
}

}  // namespace
}  // namespace weir::platform
