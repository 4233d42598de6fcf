#include "platform/posix/wake_up.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "platform/error.h"
#include "platform/posix/retry.h"

namespace weir::platform {

absl::StatusOr<WakeUp> WakeUp::Create() {
  const int descriptor = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (descriptor < 0) return SystemError(errno, "eventfd");
  return WakeUp(descriptor);
}

WakeUp::WakeUp(WakeUp&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

WakeUp& WakeUp::operator=(WakeUp&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

WakeUp::~WakeUp() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void WakeUp::Signal() const {
  const int kept_errno = errno;
  const std::uint64_t one = 1;
  // The only failure of a live eventfd is EAGAIN: its counter is full, so it
  // is readable already (eventfd(2)).
  [[maybe_unused]] const ssize_t written =
      RetryInterrupted([&] { return ::write(descriptor_, &one, sizeof(one)); });
  errno = kept_errno;
}

bool WakeUp::Drain() const {
  std::uint64_t count = 0;
  return RetryInterrupted(
             [&] { return ::read(descriptor_, &count, sizeof(count)); }) > 0;
}

}  // namespace weir::platform
