// What POSIX would do to a process that moves data.

#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <span>
#include <vector>

#include "gtest/gtest.h"
#include "platform/posix/sockaddr.h"
#include "platform/socket_io.h"
#include "platform/sockets.h"
#include "tests/unit/platform_test_util.h"

namespace weir::platform {
namespace {

TEST(SocketIo, NeverBlocksWhateverTheDescriptorsMode) {
  int descriptors[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, descriptors), 0);
  const ScopedSocket first(FromDescriptor(descriptors[0]));
  const ScopedSocket second(FromDescriptor(descriptors[1]));
  std::vector<std::byte> buffer(1 << 16);
  const std::span<std::byte> parts[] = {buffer};
  EXPECT_TRUE(Receive(first.get(), buffer).would_block);
  EXPECT_TRUE(ReceiveVector(first.get(), parts).would_block);
  EXPECT_TRUE(ReceiveFrom(first.get(), buffer, nullptr).would_block);
  IoOutcome outcome;
  std::size_t sent = 0;
  do {
    outcome = Send(first.get(), buffer);
    sent += outcome.bytes;
  } while (outcome.ok());
  EXPECT_TRUE(outcome.would_block);
  EXPECT_GT(sent, 0u);
}

TEST(SocketIo, NoSignalWhenThePeerIsGone) {
  const auto pair = OpenPair(SocketType::kStream);
  ASSERT_TRUE(pair.ok()) << pair.status();
  const ScopedSocket socket((*pair)[0]);
  ASSERT_TRUE(Close((*pair)[1]).ok());
  const std::span<const std::byte> parts[] = {BytesOf("a"), BytesOf("b")};
  EXPECT_EQ(Send(socket.get(), BytesOf("x")).error, EPIPE);
  EXPECT_EQ(SendVector(socket.get(), parts).error, EPIPE);
}

}  // namespace
}  // namespace weir::platform
