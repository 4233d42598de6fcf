#include "platform/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "platform/error.h"
#include "platform/posix/file_descriptor.h"
#include "platform/posix/retry.h"
#include "weir/native_file.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

// O_NONBLOCK: open(2) of a FIFO would wait for a writer, and of some devices
// for whatever they wait for. O_NOCTTY: a terminal must not become this
// process's by being refused.
constexpr int kOpenFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

absl::Status Refuse(const std::string& path, const char* reason) {
  return StatusWithCause(absl::StatusCode::kInvalidArgument,
                         ErrorCause::kInvalidArgument,
                         absl::StrCat("open ", path, ": ", reason));
}

absl::Status NotRegular(const std::string& path) {
  return Refuse(path, "not a regular file");
}

}  // namespace

absl::StatusOr<OpenedFile> OpenFile(std::string_view path) {
  const std::string name(path);
  if (name.find('\0') != std::string::npos) {
    return Refuse(name, "the path has a zero byte");
  }
  int descriptor =
      RetryInterrupted([&] { return ::open(name.c_str(), kOpenFlags); });
  if (descriptor < 0) {
    const int error = errno;
    // A socket, or a device that has no driver (open(2), ERRORS).
    if (error == ENXIO || error == ENODEV) return NotRegular(name);
    return SystemError(error, "open", name);
  }
  absl::Cleanup close = [&descriptor] {
    if (descriptor >= 0) ::close(descriptor);
  };
  struct stat info;
  if (::fstat(descriptor, &info) != 0) {
    return SystemError(errno, "fstat", name);
  }
  if (!S_ISREG(info.st_mode)) return NotRegular(name);
  // Reads of a regular file wait for the disk in either mode, but io_uring in
  // some kernels gives up on a non-blocking one whose pages are not cached.
  if (::fcntl(descriptor, F_SETFL, 0) != 0) {
    return SystemError(errno, "fcntl", name);
  }
  return OpenedFile{.file = FromFileDescriptor(std::exchange(descriptor, -1)),
                    .size = static_cast<std::uint64_t>(info.st_size),
                    .modified = absl::TimeFromTimespec(info.st_mtim)};
}

void CloseFile(NativeFile file) { ::close(ToFileDescriptor(file)); }

}  // namespace weir::platform
