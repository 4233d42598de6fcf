#include "platform/error.h"

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

struct ErrnoRow {
  int code;
  ErrorCause cause;
  std::string_view symbol;
};

#define WEIR_ERRNO(symbol, cause) \
  { symbol, ErrorCause::cause, #symbol }

// Where two symbols have one number on a system (ENOTSUP and EOPNOTSUPP), the
// first row names it.
constexpr ErrnoRow kErrnos[] = {
    WEIR_ERRNO(EINVAL, kInvalidArgument),
    WEIR_ERRNO(EFAULT, kInvalidArgument),
    WEIR_ERRNO(ENAMETOOLONG, kInvalidArgument),
    WEIR_ERRNO(ELOOP, kInvalidArgument),
    WEIR_ERRNO(EPROTOTYPE, kInvalidArgument),
    WEIR_ERRNO(ECONNREFUSED, kConnectionRefused),
    WEIR_ERRNO(ECONNRESET, kConnectionReset),
    WEIR_ERRNO(ENETRESET, kConnectionReset),
    WEIR_ERRNO(ECONNABORTED, kConnectionAborted),
    WEIR_ERRNO(ENOTCONN, kNotConnected),
    WEIR_ERRNO(EISCONN, kAlreadyConnected),
    WEIR_ERRNO(EHOSTUNREACH, kHostUnreachable),
    WEIR_ERRNO(EHOSTDOWN, kHostUnreachable),
    WEIR_ERRNO(ENETUNREACH, kNetworkUnreachable),
#ifdef ENONET
    WEIR_ERRNO(ENONET, kNetworkUnreachable),
#endif
    WEIR_ERRNO(ENETDOWN, kNetworkDown),
    WEIR_ERRNO(ETIMEDOUT, kTimedOut),
    WEIR_ERRNO(ETIME, kTimedOut),
    WEIR_ERRNO(EADDRINUSE, kAddressInUse),
    WEIR_ERRNO(EADDRNOTAVAIL, kAddressNotAvailable),
    WEIR_ERRNO(EDESTADDRREQ, kDestinationRequired),
    WEIR_ERRNO(EMSGSIZE, kMessageTooLong),
    WEIR_ERRNO(EPIPE, kBrokenPipe),
    WEIR_ERRNO(ESHUTDOWN, kBrokenPipe),
    WEIR_ERRNO(EACCES, kPermissionDenied),
    WEIR_ERRNO(EPERM, kPermissionDenied),
    WEIR_ERRNO(EROFS, kPermissionDenied),
    WEIR_ERRNO(EMFILE, kTooManyDescriptors),
    WEIR_ERRNO(ENFILE, kTooManyDescriptors),
    WEIR_ERRNO(ENOBUFS, kNoBuffers),
    WEIR_ERRNO(ENOMEM, kNoMemory),
    WEIR_ERRNO(ENOSPC, kNoSpace),
    WEIR_ERRNO(EDQUOT, kNoSpace),
    WEIR_ERRNO(ENOTSOCK, kNotASocket),
    WEIR_ERRNO(EBADF, kBadDescriptor),
    WEIR_ERRNO(ENOSYS, kNotSupported),
    WEIR_ERRNO(EOPNOTSUPP, kNotSupported),
    WEIR_ERRNO(ENOTSUP, kNotSupported),
    WEIR_ERRNO(EAFNOSUPPORT, kNotSupported),
    WEIR_ERRNO(EPFNOSUPPORT, kNotSupported),
    WEIR_ERRNO(EPROTONOSUPPORT, kNotSupported),
    WEIR_ERRNO(ESOCKTNOSUPPORT, kNotSupported),
    WEIR_ERRNO(ENOPROTOOPT, kNotSupported),
    WEIR_ERRNO(ENOENT, kNotFound),
    WEIR_ERRNO(ENOTDIR, kNotFound),
    WEIR_ERRNO(ENODEV, kNotFound),
    WEIR_ERRNO(ENXIO, kNotFound),
    WEIR_ERRNO(EEXIST, kAlreadyExists),
    WEIR_ERRNO(EBUSY, kBusy),
    WEIR_ERRNO(EALREADY, kInProgress),
    WEIR_ERRNO(EINPROGRESS, kInProgress),
    WEIR_ERRNO(EPROTO, kProtocolError),
    WEIR_ERRNO(EAGAIN, kWouldBlock),
    WEIR_ERRNO(EWOULDBLOCK, kWouldBlock),
    WEIR_ERRNO(EINTR, kInterrupted),
    WEIR_ERRNO(ECANCELED, kCancelled),
};

#undef WEIR_ERRNO

const ErrnoRow* FindRow(int code) {
  for (const ErrnoRow& row : kErrnos) {
    if (row.code == code) return &row;
  }
  return nullptr;
}

// strerror_r(3) comes in two kinds: XSI's writes to the buffer and returns 0,
// GNU's returns the text, which need not be in the buffer.
[[maybe_unused]] const char* TextOf(int result, const char* buffer) {
  return result == 0 ? buffer : "Unknown error";
}
[[maybe_unused]] const char* TextOf(const char* result, const char*) {
  return result;
}

}  // namespace

absl::Status SystemError(int code, std::string_view operation,
                         std::string_view subject) {
  if (code == 0) return absl::OkStatus();
  const ErrnoRow* row = FindRow(code);
  const ErrorCause cause = row ? row->cause : ErrorCause::kUnknown;
  const std::string_view symbol = row ? row->symbol : std::string_view();
  char buffer[256] = "";
  const char* words =
      TextOf(::strerror_r(code, buffer, sizeof(buffer)), buffer);
  const std::string message =
      absl::StrCat(absl::string_view(operation.data(), operation.size()),
                   subject.empty() ? "" : " ",
                   absl::string_view(subject.data(), subject.size()), ": ",
                   words, " (", absl::string_view(symbol.data(), symbol.size()),
                   symbol.empty() ? "" : " ", code, ")");
  return StatusWithCause(CanonicalCodeOf(cause), cause, message, code);
}

const int kBrokenPipeCode = EPIPE;
const int kCancelledCode = ECANCELED;
const int kConnectionResetCode = ECONNRESET;
const int kConnectionRefusedCode = ECONNREFUSED;

ErrorCause CauseOfSystemCode(int code) {
  if (code == 0) return ErrorCause::kNone;
  const ErrnoRow* row = FindRow(code);
  return row ? row->cause : ErrorCause::kUnknown;
}

}  // namespace weir::platform
