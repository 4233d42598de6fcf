// weir::File, and platform/file.h below it, on real files.

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/conformance/descriptors.h"
#include "tests/support/system.h"
#include "weir/file.h"
#include "weir/native_file.h"
#include "weir/status.h"

namespace weir {
namespace {

using conformance::OpenDescriptors;

class FileTest : public ::testing::Test {
 protected:
  FileTest()
      : directory_(absl::StrCat(::testing::TempDir(), "/weir_file_",
                                test::ProcessId())) {
    std::filesystem::create_directory(directory_);
  }
  ~FileTest() override {
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

  const std::string directory_;
};

absl::StatusCode CodeOfOpening(std::string_view path) {
  return File::Open(path).status().code();
}

TEST_F(FileTest, KnowsItsSizeAndItsTime) {
  // File systems count time in steps, some of two seconds.
  constexpr absl::Duration kStep = absl::Seconds(3);
  const absl::Time before = absl::Now();
  const std::string path = Write("a", "twelve bytes");
  const auto file = File::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(file->is_open());
  EXPECT_EQ(file->size(), 12u);
  EXPECT_GE(file->modified(), before - kStep);
  EXPECT_LE(file->modified(), absl::Now() + kStep);
}

TEST_F(FileTest, SizesAbove32Bits) {
  const std::string path = Write("sparse", "");
  std::filesystem::resize_file(path, std::uint64_t{5} << 30);
  const auto file = File::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->size(), std::uint64_t{5} << 30);
}

TEST_F(FileTest, OwnsItsHandle) {
  const std::string path = Write("a", "abc");
  const std::size_t none = OpenDescriptors();
  {
    auto opened = File::Open(path);
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ(OpenDescriptors(), none + 1);
    File first = *std::move(opened);
    const NativeFile native = first.native();
    File second(std::move(first));
    EXPECT_FALSE(first.is_open());  // NOLINT: a moved-from File is closed.
    EXPECT_EQ(first.native(), kInvalidFile);
    EXPECT_EQ(first.size(), 0u);
    EXPECT_EQ(first.modified(), absl::UnixEpoch());
    EXPECT_EQ(second.native(), native);
    EXPECT_EQ(second.size(), 3u);
    EXPECT_EQ(OpenDescriptors(), none + 1);
  }
  EXPECT_EQ(OpenDescriptors(), none);

  auto old_file = File::Open(path);
  auto new_file = File::Open(path);
  ASSERT_TRUE(old_file.ok() && new_file.ok());
  EXPECT_EQ(OpenDescriptors(), none + 2);
  const NativeFile kept = new_file->native();
  *old_file = *std::move(new_file);
  EXPECT_EQ(OpenDescriptors(), none + 1);
  EXPECT_EQ(old_file->native(), kept);
  old_file->Close();
  EXPECT_EQ(OpenDescriptors(), none);
  EXPECT_FALSE(*old_file);
  EXPECT_EQ(old_file->size(), 0u);
  old_file->Close();
  EXPECT_EQ(OpenDescriptors(), none);
}

TEST_F(FileTest, RefusesDirectories) {
  const std::size_t before = OpenDescriptors();
  const auto directory = File::Open(directory_);
  EXPECT_EQ(directory.status().code(), absl::StatusCode::kInvalidArgument)
      << directory.status();
  EXPECT_EQ(CauseOf(directory.status()), ErrorCause::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(directory.status().message(), directory_));
  EXPECT_EQ(OpenDescriptors(), before);
}

// Who reads a file keeps nobody from it.
TEST_F(FileTest, LeavesTheFileToOthers) {
  const std::string path = Write("a", "before");
  const auto file = File::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(std::ofstream(path, std::ios::binary | std::ios::app)
                  .write(" and after", 10)
                  .good());
  std::error_code error;
  std::filesystem::rename(path, PathOf("b"), error);
  EXPECT_FALSE(error) << error.message();
  EXPECT_TRUE(std::filesystem::remove(PathOf("b"), error)) << error.message();
}

TEST_F(FileTest, RefusesBadPaths) {
  const std::string path = Write("a", "x");
  EXPECT_EQ(CodeOfOpening(PathOf("none")), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOfOpening(PathOf("none/below")), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOfOpening(""), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOfOpening(path + "/below"), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOfOpening(PathOf(std::string(5000, 'x'))),
            absl::StatusCode::kInvalidArgument);
  // Not the file that the part before the zero byte names.
  EXPECT_EQ(CodeOfOpening(path + std::string(1, '\0') + "b"),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(FileTest, PathsAreUtf8) {
  const std::filesystem::path path =
      std::filesystem::path(directory_) / std::u8string(u8"gr\u00fc\u00dfe");
  std::ofstream(path, std::ios::binary) << "x";
  const std::u8string text = path.u8string();
  const auto file = File::Open(
      std::string_view(reinterpret_cast<const char*>(text.data()), text.size()));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->size(), 1u);
}

}  // namespace
}  // namespace weir
