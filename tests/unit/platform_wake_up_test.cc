#include "platform/posix/wake_up.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace weir::platform {
namespace {

bool IsReadable(const WakeUp& wake_up, int timeout_ms) {
  pollfd entry = {wake_up.descriptor(), POLLIN, 0};
  return ::poll(&entry, 1, timeout_ms) == 1;
}

TEST(WakeUp, R18_ASignalIsSeenUntilItIsDrained) {
  const auto wake_up = WakeUp::Create();
  ASSERT_TRUE(wake_up.ok()) << wake_up.status();
  EXPECT_FALSE(IsReadable(*wake_up, 0));
  EXPECT_FALSE(wake_up->Drain());
  wake_up->Signal();
  EXPECT_TRUE(IsReadable(*wake_up, 0));
  EXPECT_TRUE(wake_up->Drain());
  EXPECT_FALSE(IsReadable(*wake_up, 0));
  EXPECT_FALSE(wake_up->Drain());
}

TEST(WakeUp, R18_SignalsMerge) {
  const auto wake_up = WakeUp::Create();
  ASSERT_TRUE(wake_up.ok()) << wake_up.status();
  for (int i = 0; i < 1000; ++i) wake_up->Signal();
  EXPECT_TRUE(wake_up->Drain());
  EXPECT_FALSE(wake_up->Drain());
}

TEST(WakeUp, R18_AFullCounterNeitherBlocksNorChangesErrno) {
  const auto wake_up = WakeUp::Create();
  ASSERT_TRUE(wake_up.ok()) << wake_up.status();
  const std::uint64_t full = UINT64_MAX - 1;
  ASSERT_EQ(::write(wake_up->descriptor(), &full, sizeof(full)),
            static_cast<ssize_t>(sizeof(full)));
  errno = 1234;
  wake_up->Signal();
  EXPECT_EQ(errno, 1234);
  EXPECT_TRUE(IsReadable(*wake_up, 0));
  EXPECT_TRUE(wake_up->Drain());
}

TEST(WakeUp, R18_EveryThreadsSignalEndsAWait) {
  const auto wake_up = WakeUp::Create();
  ASSERT_TRUE(wake_up.ok()) << wake_up.status();
  for (int round = 0; round < 200; ++round) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] { wake_up->Signal(); });
    }
    EXPECT_TRUE(IsReadable(*wake_up, 10'000));
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(wake_up->Drain());
  }
}

TEST(WakeUp, IsNonBlockingAndCloseOnExecAndMoves) {
  auto created = WakeUp::Create();
  ASSERT_TRUE(created.ok()) << created.status();
  const int descriptor = created->descriptor();
  EXPECT_NE(::fcntl(descriptor, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(descriptor, F_GETFD) & FD_CLOEXEC, 0);
  {
    const WakeUp moved = *std::move(created);
    EXPECT_EQ(moved.descriptor(), descriptor);
    moved.Signal();
    EXPECT_TRUE(moved.Drain());
  }
  EXPECT_EQ(::fcntl(descriptor, F_GETFD), -1);
}

}  // namespace
}  // namespace weir::platform
