// What POSIX has for files besides: descriptors, and what is no regular file.

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "platform/posix/file_descriptor.h"
#include "weir/file.h"
#include "weir/native_file.h"
#include "weir/status.h"

namespace weir {
namespace {

class FilePosixTest : public ::testing::Test {
 protected:
  FilePosixTest() {
    std::string name = ::testing::TempDir() + "/weir_file_XXXXXX";
    directory_ = ::mkdtemp(name.data());
  }
  ~FilePosixTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  std::string PathOf(std::string_view name) const {
    return directory_ + "/" + std::string(name);
  }
  std::string Write(std::string_view name, std::string_view text) const {
    std::ofstream(PathOf(name), std::ios::binary) << text;
    return PathOf(name);
  }

  std::string directory_;
};

bool IsOpenDescriptor(NativeFile file) {
  return ::fcntl(platform::ToFileDescriptor(file), F_GETFD) >= 0;
}

absl::StatusCode CodeOfOpening(std::string_view path) {
  return File::Open(path).status().code();
}

TEST_F(FilePosixTest, KnowsItsTimeExactly) {
  const std::string path = Write("a", "twelve bytes");
  const absl::Time time = absl::UnixEpoch() + absl::Seconds(1'000'000'000) +
                          absl::Nanoseconds(5'000);
  const timespec stamp = absl::ToTimespec(time);
  const timespec stamps[] = {stamp, stamp};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), stamps, 0), 0);
  const auto file = File::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->modified(), time);
  char buffer[16];
  EXPECT_EQ(::pread(platform::ToFileDescriptor(file->native()), buffer,
                    sizeof(buffer), 7),
            5);
  EXPECT_EQ(std::string_view(buffer, 5), "bytes");
}

TEST_F(FilePosixTest, IsCloseOnExecAndBlocking) {
  const auto file = File::Open(Write("a", "x"));
  ASSERT_TRUE(file.ok()) << file.status();
  const int descriptor = platform::ToFileDescriptor(file->native());
  EXPECT_EQ(::fcntl(descriptor, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(::fcntl(descriptor, F_GETFL) & (O_NONBLOCK | O_ACCMODE), O_RDONLY);
}

TEST_F(FilePosixTest, ClosesItsDescriptorOnce) {
  auto file = File::Open(Write("a", "abc"));
  ASSERT_TRUE(file.ok()) << file.status();
  const NativeFile native = file->native();
  file->Close();
  EXPECT_FALSE(IsOpenDescriptor(native));
  // Closing again must not close what has the number by now.
  const int number = platform::ToFileDescriptor(native);
  ASSERT_EQ(::dup2(STDERR_FILENO, number), number);
  file->Close();
  EXPECT_TRUE(IsOpenDescriptor(native));
  ::close(number);
}

TEST_F(FilePosixTest, RefusesSpecialFiles) {
  EXPECT_EQ(CodeOfOpening("/dev/null"), absl::StatusCode::kInvalidArgument);
  // One that nobody writes to: opening it must not wait.
  ASSERT_EQ(::mkfifo(PathOf("fifo").c_str(), 0600), 0);
  EXPECT_EQ(CodeOfOpening(PathOf("fifo")), absl::StatusCode::kInvalidArgument);
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  std::snprintf(name.sun_path, sizeof(name.sun_path), "%s/s",
                directory_.c_str());
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&name), sizeof(name)),
            0);
  EXPECT_EQ(CodeOfOpening(PathOf("s")), absl::StatusCode::kInvalidArgument);
  ::close(socket);
}

TEST_F(FilePosixTest, RefusalsGiveTheDescriptorBack) {
  const int before = ::dup(STDERR_FILENO);
  ::close(before);
  EXPECT_FALSE(File::Open(directory_).ok());
  const int after = ::dup(STDERR_FILENO);
  ::close(after);
  EXPECT_EQ(after, before);
}

TEST_F(FilePosixTest, FollowsLinks) {
  Write("a", "x");
  ASSERT_EQ(::symlink("loop", PathOf("loop").c_str()), 0);
  EXPECT_EQ(CodeOfOpening(PathOf("loop")), absl::StatusCode::kInvalidArgument);
  ASSERT_EQ(::symlink("a", PathOf("link").c_str()), 0);
  EXPECT_TRUE(File::Open(PathOf("link")).ok());
}

// Root may read everything, so the effective user changes for the call.
TEST_F(FilePosixTest, RefusesWhatMayNotBeRead) {
  const std::string path = Write("secret", "x");
  ASSERT_EQ(::chmod(path.c_str(), 0), 0);
  ASSERT_EQ(::chmod(directory_.c_str(), 0755), 0);
  const uid_t self = ::geteuid();
  constexpr uid_t kNobody = 65534;
  if (self == 0) {
    ASSERT_EQ(::seteuid(kNobody), 0);
  }
  const absl::Status status = File::Open(path).status();
  if (self == 0) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
}

}  // namespace
}  // namespace weir
