#include "platform/file.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "platform/error.h"
#include "platform/windows/file_handle.h"
#include "platform/windows/utf.h"
#include "platform/windows/winsock.h"
#include "weir/native_file.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

// As on POSIX, who reads a file keeps nobody from writing, renaming or deleting
// it.
constexpr DWORD kShareAll =
    FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

absl::Status Refuse(const std::string& path, const char* reason) {
  return StatusWithCause(absl::StatusCode::kInvalidArgument,
                         ErrorCause::kInvalidArgument,
                         absl::StrCat("open ", path, ": ", reason));
}

absl::Status NotRegular(const std::string& path) {
  return Refuse(path, "not a regular file");
}

// What no file system takes; said of it is now this, now that.
bool IsTooLong(std::wstring_view path) {
  constexpr std::size_t kMostOfAName = 255;
  constexpr std::size_t kMostOfAPath = 32767;
  if (path.size() > kMostOfAPath) return true;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find_first_of(L"/\\"), path.size());
    if (end > kMostOfAName) return true;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return false;
}

bool IsDirectory(const std::wstring& path) {
  const DWORD attributes = ::GetFileAttributesW(path.c_str());
  return attributes != INVALID_FILE_ATTRIBUTES &&
         (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

// FILETIME counts 100 ns since 1601.
absl::Time TimeOf(const FILETIME& time) {
  constexpr std::int64_t kTicksTo1970 = 116'444'736'000'000'000;
  const auto ticks = static_cast<std::int64_t>(
      (std::uint64_t{time.dwHighDateTime} << 32) | time.dwLowDateTime);
  return absl::UnixEpoch() + (ticks - kTicksTo1970) * absl::Nanoseconds(100);
}

}  // namespace

absl::StatusOr<OpenedFile> OpenFile(std::string_view path) {
  const std::string name(path);
  if (name.find('\0') != std::string::npos) {
    return Refuse(name, "the path has a zero byte");
  }
  const std::optional<std::wstring> wide = ToUtf16(path);
  if (!wide.has_value()) return Refuse(name, "the path is not UTF-8");
  if (IsTooLong(*wide)) {
    return SystemError(ERROR_FILENAME_EXCED_RANGE, "open", name);
  }
  // Overlapped: reads name their offset, there is no file position, and reads of
  // several threads do not wait for each other.
  HANDLE handle = ::CreateFileW(wide->c_str(), GENERIC_READ, kShareAll, nullptr,
                                OPEN_EXISTING, FILE_FLAG_OVERLAPPED, nullptr);
  if (handle == INVALID_HANDLE_VALUE) {
    const auto error = static_cast<int>(::GetLastError());
    if (error == ERROR_ACCESS_DENIED && IsDirectory(*wide)) {
      return NotRegular(name);
    }
    return SystemError(error, "open", name);
  }
  absl::Cleanup close = [&handle] {
    if (handle != INVALID_HANDLE_VALUE) ::CloseHandle(handle);
  };
  if (::GetFileType(handle) != FILE_TYPE_DISK) return NotRegular(name);
  BY_HANDLE_FILE_INFORMATION info;
  if (::GetFileInformationByHandle(handle, &info) == FALSE) {
    return SystemError(static_cast<int>(::GetLastError()),
                       "GetFileInformationByHandle", name);
  }
  if ((info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
    return NotRegular(name);
  }
  return OpenedFile{
      .file = FromFileHandle(std::exchange(handle, INVALID_HANDLE_VALUE)),
      .size = (std::uint64_t{info.nFileSizeHigh} << 32) | info.nFileSizeLow,
      .modified = TimeOf(info.ftLastWriteTime)};
}

void CloseFile(NativeFile file) { ::CloseHandle(ToFileHandle(file)); }

}  // namespace weir::platform
