// The one loop around interrupted system calls.

#ifndef WEIR_PLATFORM_POSIX_RETRY_H_
#define WEIR_PLATFORM_POSIX_RETRY_H_

#include <cerrno>

namespace weir::platform {

// Makes `call` until a signal does not interrupt it, and returns what it
// returned. Not for close(2), which must not be made twice, and not for
// connect(2), which goes on by itself.
template <typename Call>
inline auto RetryInterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) [[unlikely]] {
      result = call();
    }
  return result;
}

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_POSIX_RETRY_H_
