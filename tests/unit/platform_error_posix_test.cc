#include "platform/error.h"

#include <cerrno>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

TEST(PlatformError, P05_TheMessageHasOperationSubjectWordsSymbolAndNumber) {
  const absl::Status status =
      SystemError(ECONNREFUSED, "connect", "127.0.0.1:80");
  EXPECT_EQ(status.message(),
            "connect 127.0.0.1:80: Connection refused (ECONNREFUSED 111)");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CauseOf(status), ErrorCause::kConnectionRefused);
  EXPECT_EQ(SystemCodeOf(status), ECONNREFUSED);
}

TEST(PlatformError, P05_WithoutSubject) {
  EXPECT_EQ(SystemError(EMFILE, "socket").message(),
            "socket: Too many open files (EMFILE 24)");
}

TEST(PlatformError, P05_AnUnknownNumberKeepsItsNumber) {
  const absl::Status status = SystemError(98765, "accept");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(CauseOf(status), ErrorCause::kUnknown);
  EXPECT_EQ(SystemCodeOf(status), 98765);
  EXPECT_EQ(status.message(), "accept: Unknown error 98765 (98765)");
}

TEST(PlatformError, P05_ZeroIsNoError) {
  EXPECT_TRUE(SystemError(0, "connect").ok());
  EXPECT_EQ(CauseOfSystemCode(0), ErrorCause::kNone);
}

// What portable programs tell apart.
TEST(PlatformError, P05_CodesAndCauses) {
  const struct {
    int code;
    absl::StatusCode canonical;
    ErrorCause cause;
  } kCases[] = {
      {ECONNREFUSED, absl::StatusCode::kUnavailable,
       ErrorCause::kConnectionRefused},
      {ECONNRESET, absl::StatusCode::kUnavailable,
       ErrorCause::kConnectionReset},
      {ECONNABORTED, absl::StatusCode::kUnavailable,
       ErrorCause::kConnectionAborted},
      {EPIPE, absl::StatusCode::kFailedPrecondition, ErrorCause::kBrokenPipe},
      {ENOTCONN, absl::StatusCode::kFailedPrecondition,
       ErrorCause::kNotConnected},
      {EHOSTUNREACH, absl::StatusCode::kUnavailable,
       ErrorCause::kHostUnreachable},
      {ENETUNREACH, absl::StatusCode::kUnavailable,
       ErrorCause::kNetworkUnreachable},
      {ETIMEDOUT, absl::StatusCode::kDeadlineExceeded, ErrorCause::kTimedOut},
      {EADDRINUSE, absl::StatusCode::kFailedPrecondition,
       ErrorCause::kAddressInUse},
      {EADDRNOTAVAIL, absl::StatusCode::kFailedPrecondition,
       ErrorCause::kAddressNotAvailable},
      {EMSGSIZE, absl::StatusCode::kInvalidArgument,
       ErrorCause::kMessageTooLong},
      {EMFILE, absl::StatusCode::kResourceExhausted,
       ErrorCause::kTooManyDescriptors},
      {ENFILE, absl::StatusCode::kResourceExhausted,
       ErrorCause::kTooManyDescriptors},
      {ENOMEM, absl::StatusCode::kResourceExhausted, ErrorCause::kNoMemory},
      {ENOBUFS, absl::StatusCode::kResourceExhausted, ErrorCause::kNoBuffers},
      {ENOSPC, absl::StatusCode::kResourceExhausted, ErrorCause::kNoSpace},
      {EBADF, absl::StatusCode::kInvalidArgument, ErrorCause::kBadDescriptor},
      {ENOTSOCK, absl::StatusCode::kInvalidArgument, ErrorCause::kNotASocket},
      {EINVAL, absl::StatusCode::kInvalidArgument,
       ErrorCause::kInvalidArgument},
      {EACCES, absl::StatusCode::kPermissionDenied,
       ErrorCause::kPermissionDenied},
      {EPERM, absl::StatusCode::kPermissionDenied,
       ErrorCause::kPermissionDenied},
      {ENOSYS, absl::StatusCode::kUnimplemented, ErrorCause::kNotSupported},
      {EOPNOTSUPP, absl::StatusCode::kUnimplemented, ErrorCause::kNotSupported},
      {EEXIST, absl::StatusCode::kAlreadyExists, ErrorCause::kAlreadyExists},
      {ENOENT, absl::StatusCode::kNotFound, ErrorCause::kNotFound},
      {ECANCELED, absl::StatusCode::kCancelled, ErrorCause::kCancelled},
      {EAGAIN, absl::StatusCode::kUnavailable, ErrorCause::kWouldBlock},
  };
  for (const auto& row : kCases) {
    const absl::Status status = SystemError(row.code, "call");
    EXPECT_EQ(status.code(), row.canonical) << status;
    EXPECT_EQ(CauseOf(status), row.cause) << status;
    EXPECT_EQ(CauseOfSystemCode(row.code), row.cause) << status;
    EXPECT_EQ(SystemCodeOf(status), row.code);
  }
}

// The canonical code is Abseil's own choice for the number, but for the ones
// where a portable program is better served by another.
TEST(PlatformError, P05_AgreesWithAbseilButForListedExceptions) {
  const int kExceptions[] = {
      EADDRNOTAVAIL,  // "already exists": not for an address of nobody
      EALREADY,       // "already exists": a connect is under way
      EBADF,          // "failed precondition": a bad handle is misuse
      ENOPROTOOPT,    // "invalid argument": the option is not supported
      ENOTDIR,        // "failed precondition": the path does not exist
  };
  for (int code = 1; code < 134; ++code) {
    if (CauseOfSystemCode(code) == ErrorCause::kUnknown) continue;
    const absl::StatusCode abseil = absl::ErrnoToStatusCode(code);
    // Abseil has no opinion on some.
    if (abseil == absl::StatusCode::kUnknown) continue;
    bool excepted = false;
    for (int exception : kExceptions) excepted |= exception == code;
    EXPECT_EQ(SystemError(code, "call").code() != abseil, excepted)
        << SystemError(code, "call") << " " << abseil;
  }
}

}  // namespace
}  // namespace weir::platform
