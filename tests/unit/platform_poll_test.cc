#include "platform/poll.h"

#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "platform/socket_options.h"
#include "tests/unit/platform_test_util.h"
#include "weir/backend.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

constexpr PollBits kAllRequests =
    PollBits::kReadable | PollBits::kWritable | PollBits::kHangup;

static_assert(int(PollBits::kReadable) == int(Condition::kReadable));
static_assert(int(PollBits::kWritable) == int(Condition::kWritable));
static_assert(int(PollBits::kHangup) == int(Condition::kPeerClosed));
static_assert(int(PollBits::kBothClosed) == int(Condition::kClosed));
static_assert(int(PollBits::kError) == int(Condition::kError));

PollBits PollOne(NativeSocket socket, PollBits requested) {
  PollEntry entry{.socket = socket,
                  .requested = requested,
                  // Must be overwritten.
                  .returned = PollBits::kError};
  const absl::Status status = PollNow(std::span(&entry, 1));
  EXPECT_TRUE(status.ok()) << status;
  return entry.returned;
}

TEST(PollNow, NothingToAskIsFine) { EXPECT_TRUE(PollNow({}).ok()); }

TEST(PollNow, TellsEachConditionThatIsAskedFor) {
  TcpPair tcp;
  EXPECT_EQ(PollOne(tcp.server.get(), kAllRequests), PollBits::kWritable);
  EXPECT_EQ(PollOne(tcp.server.get(), PollBits::kReadable), PollBits::kNone);
  ASSERT_EQ(Send(tcp.client.get(), BytesOf("x")).bytes, 1u);
  ASSERT_TRUE(WaitFor(tcp.server, POLLIN));
  EXPECT_EQ(PollOne(tcp.server.get(), kAllRequests),
            PollBits::kReadable | PollBits::kWritable);
  EXPECT_EQ(PollOne(tcp.server.get(), PollBits::kReadable),
            PollBits::kReadable);

  ASSERT_TRUE(Shutdown(tcp.client.get(), ShutdownDirection::kSend).ok());
  ASSERT_TRUE(WaitFor(tcp.server, POLLRDHUP));
  EXPECT_EQ(PollOne(tcp.server.get(), PollBits::kHangup), PollBits::kHangup);
  EXPECT_EQ(PollOne(tcp.server.get(), PollBits::kWritable),
            PollBits::kWritable);

  ASSERT_TRUE(Shutdown(tcp.server.get(), ShutdownDirection::kSend).ok());
  EXPECT_EQ(PollOne(tcp.server.get(), PollBits::kNone), PollBits::kBothClosed);
}

TEST(PollNow, ErrorsComeUnasked) {
  TcpPair tcp;
  ASSERT_TRUE(SetOption(tcp.client.get(), SocketOption::kLinger, 0).ok());
  tcp.client.Reset();
  ASSERT_TRUE(WaitFor(tcp.server, POLLIN));
  EXPECT_EQ(PollOne(tcp.server.get(), PollBits::kNone),
            PollBits::kBothClosed | PollBits::kError);
  EXPECT_EQ(CauseOf(TakeError(tcp.server.get(), "receive")),
            ErrorCause::kConnectionReset);
}

TEST(PollNow, AHandleThatIsNotOpenIsAnError) {
  ScopedSocket socket = Open(AddressFamily::kIpv4, SocketType::kStream);
  const NativeSocket closed = socket.get();
  socket.Reset();
  EXPECT_EQ(PollOne(closed, PollBits::kReadable), PollBits::kError);
  EXPECT_EQ(PollOne(kInvalidSocket, PollBits::kReadable), PollBits::kError);
}

// One more than fits a small array, many more, and few again afterwards.
TEST(PollNow, AnyNumberOfEntries) {
  const auto pair = OpenPair(SocketType::kStream);
  ASSERT_TRUE(pair.ok()) << pair.status();
  const ScopedSocket first((*pair)[0]);
  const ScopedSocket second((*pair)[1]);
  ASSERT_EQ(Send(first.get(), BytesOf("x")).bytes, 1u);
  for (std::size_t count : {64u, 65u, 500u, 3u}) {
    std::vector<PollEntry> entries(count);
    for (std::size_t i = 0; i < count; ++i) {
      entries[i].socket = i % 2 == 0 ? first.get() : second.get();
      entries[i].requested = PollBits::kReadable;
    }
    ASSERT_TRUE(PollNow(entries).ok());
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_EQ(entries[i].returned,
                i % 2 == 0 ? PollBits::kNone : PollBits::kReadable)
          << i << " of " << count;
    }
  }
}

// poll(2) refuses more entries than the process may have descriptors.
TEST(PollNow, MoreEntriesThanTheDescriptorLimit) {
  const auto pair = OpenPair(SocketType::kStream);
  ASSERT_TRUE(pair.ok()) << pair.status();
  const ScopedSocket first((*pair)[0]);
  const ScopedSocket second((*pair)[1]);
  std::vector<PollEntry> entries(
      100, PollEntry{.socket = first.get(), .requested = PollBits::kWritable});
  rlimit previous;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &previous), 0);
  const rlimit few = {8, previous.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const absl::Status status = PollNow(entries);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &previous), 0);
  ASSERT_TRUE(status.ok()) << status;
  for (const PollEntry& entry : entries) {
    EXPECT_EQ(entry.returned, PollBits::kWritable);
  }
}

}  // namespace
}  // namespace weir::platform
