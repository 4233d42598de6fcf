#include "platform/poll.h"

#include <array>
#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "platform/socket_options.h"
#include "tests/support/system.h"
#include "tests/unit/platform_test_util.h"
#include "weir/backend.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

#ifdef _WIN32
constexpr bool kTellsBothClosed = false;
#else
constexpr bool kTellsBothClosed = true;
#endif

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
  ASSERT_TRUE(WaitFor(tcp.server, PollBits::kReadable));
  EXPECT_EQ(PollOne(tcp.server.get(), kAllRequests),
            PollBits::kReadable | PollBits::kWritable);
  EXPECT_EQ(PollOne(tcp.server.get(), PollBits::kReadable),
            PollBits::kReadable);

  std::array<std::byte, 4> buffer;
  ASSERT_EQ(Receive(tcp.server.get(), buffer).bytes, 1u);
  ASSERT_TRUE(Shutdown(tcp.client.get(), ShutdownDirection::kSend).ok());
  ASSERT_TRUE(WaitFor(tcp.server, PollBits::kHangup));
  EXPECT_EQ(PollOne(tcp.server.get(), PollBits::kReadable),
            PollBits::kReadable);
  EXPECT_EQ(PollOne(tcp.server.get(), PollBits::kHangup), PollBits::kHangup);
  EXPECT_EQ(PollOne(tcp.server.get(), PollBits::kWritable),
            PollBits::kWritable);

  // Some systems do not tell of both sides' end by itself.
  ASSERT_TRUE(Shutdown(tcp.server.get(), ShutdownDirection::kSend).ok());
  const PollBits both = PollOne(tcp.server.get(), PollBits::kNone);
  EXPECT_EQ(both, kTellsBothClosed ? PollBits::kBothClosed : PollBits::kNone);
}

// Trap 22.
TEST(PollNow, TellsOfTheHangupBehindData) {
  if (!test::HangupOvertakesData()) {
    GTEST_SKIP() << "a hang-up shows only once the data is read here";
  }
  const TcpPair tcp;
  ASSERT_EQ(Send(tcp.client.get(), BytesOf("x")).bytes, 1u);
  ASSERT_TRUE(Shutdown(tcp.client.get(), ShutdownDirection::kSend).ok());
  ASSERT_TRUE(WaitFor(tcp.server, PollBits::kHangup));
  EXPECT_EQ(PollOne(tcp.server.get(), kAllRequests),
            PollBits::kReadable | PollBits::kWritable | PollBits::kHangup);
}

TEST(PollNow, ErrorsComeUnasked) {
  TcpPair tcp;
  ASSERT_TRUE(SetOption(tcp.client.get(), SocketOption::kLinger, 0).ok());
  tcp.client.Reset();
  ASSERT_TRUE(WaitFor(tcp.server, PollBits::kReadable));
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
  const TcpPair pair;
  const ScopedSocket& first = pair.client;
  const ScopedSocket& second = pair.server;
  ASSERT_EQ(Send(first.get(), BytesOf("x")).bytes, 1u);
  ASSERT_TRUE(WaitFor(second, PollBits::kReadable));
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

}  // namespace
}  // namespace weir::platform
