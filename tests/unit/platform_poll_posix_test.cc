#include <sys/resource.h>

#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "platform/poll.h"
#include "platform/sockets.h"
#include "tests/unit/platform_test_util.h"

namespace weir::platform {
namespace {

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
