// The one place where a system's error numbers become statuses.

#ifndef WEIR_PLATFORM_ERROR_H_
#define WEIR_PLATFORM_ERROR_H_

#include <string_view>

#include "absl/status/status.h"
#include "weir/status.h"

namespace weir::platform {

// The status for the system's error number `code` (errno, or a Windows error
// code), as weir/status.h describes it: canonical code, cause, number, and a
// message of operation, subject (an address, a file; may be empty), words,
// symbol and number. A number that is in no table becomes Unknown and keeps
// its words. Zero, which is no error, gives OK.
// Any thread. Allocates: not for the hot path.
absl::Status SystemError(int code, std::string_view operation,
                         std::string_view subject = {});

// The cause alone; allocates nothing. Zero gives kNone.
ErrorCause CauseOfSystemCode(int code);

// The system's numbers for kBrokenPipe, kCancelled, kConnectionReset and
// kConnectionRefused.
extern const int kBrokenPipeCode;
extern const int kCancelledCode;
extern const int kConnectionResetCode;
extern const int kConnectionRefusedCode;

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_ERROR_H_
