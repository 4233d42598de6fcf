#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "gtest/gtest.h"
#include "tests/conformance/descriptors.h"

namespace weir::conformance {

std::size_t OpenDescriptors() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) {
    ADD_FAILURE() << "no /proc/self/fd";
    return 0;
  }
  std::size_t count = 0;
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  // Without ".", ".." and the directory itself.
  return count - 3;
}

bool HasDescriptorLimit() { return true; }

struct NoDescriptorsLeft::Limit {
  rlimit value;
};

// The lowest free number becomes the limit: there is none below it, and none
// may be taken from it on.
NoDescriptorsLeft::NoDescriptorsLeft() : before_(std::make_unique<Limit>()) {
  EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before_->value), 0);
  const int lowest_free = dup(STDERR_FILENO);
  EXPECT_GE(lowest_free, 0);
  close(lowest_free);
  rlimit none = before_->value;
  none.rlim_cur = static_cast<rlim_t>(lowest_free);
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
}

NoDescriptorsLeft::~NoDescriptorsLeft() {
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before_->value), 0);
}

struct DescriptorRoom::Limit {
  rlimit value;
};

DescriptorRoom::DescriptorRoom(std::size_t count)
    : before_(std::make_unique<Limit>()) {
  EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before_->value), 0);
  rlimit room = before_->value;
  room.rlim_cur = std::max(room.rlim_cur, static_cast<rlim_t>(count));
  EXPECT_LE(room.rlim_cur, room.rlim_max)
      << "this test needs " << count << " descriptors: raise ulimit -Hn";
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &room), 0);
}

DescriptorRoom::~DescriptorRoom() {
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before_->value), 0);
}

}  // namespace weir::conformance
