#include "platform/error.h"

#define WIN32_NO_STATUS
#include "platform/windows/winsock.h"
#undef WIN32_NO_STATUS
// It uses a type of <winternl.h>.
#include <winternl.h>

#include <ntstatus.h>

#include <cstdint>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/windows/nt_status.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// The words are the system's, in its language.
TEST(PlatformError, P05_TheMessageHasOperationSubjectWordsSymbolAndNumber) {
  const absl::Status status =
      SystemError(WSAECONNREFUSED, "connect", "127.0.0.1:80");
  const std::string message(status.message());
  EXPECT_THAT(message, StartsWith("connect 127.0.0.1:80: "));
  EXPECT_THAT(message, EndsWith(" (WSAECONNREFUSED 10061)"));
  EXPECT_THAT(message, Not(HasSubstr("Unknown error")));
  EXPECT_THAT(message, Not(HasSubstr("\r")));
  EXPECT_THAT(message, Not(HasSubstr(". (")));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(CauseOf(status), ErrorCause::kConnectionRefused);
  EXPECT_EQ(SystemCodeOf(status), WSAECONNREFUSED);
}

TEST(PlatformError, P05_WithoutSubject) {
  const std::string message(SystemError(WSAEMFILE, "socket").message());
  EXPECT_THAT(message, StartsWith("socket: "));
  EXPECT_THAT(message, EndsWith(" (WSAEMFILE 10024)"));
}

TEST(PlatformError, P05_AnUnknownNumberKeepsItsNumber) {
  const absl::Status status = SystemError(98765, "accept");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(CauseOf(status), ErrorCause::kUnknown);
  EXPECT_EQ(SystemCodeOf(status), 98765);
  EXPECT_EQ(status.message(), "accept: Unknown error (98765)");
}

TEST(PlatformError, P05_ZeroIsNoError) {
  EXPECT_TRUE(SystemError(0, "connect").ok());
  EXPECT_EQ(CauseOfSystemCode(0), ErrorCause::kNone);
}

// What portable programs tell apart: the causes are those that errno's numbers
// have on POSIX, the codes follow from them.
TEST(PlatformError, P05_CodesAndCauses) {
  const struct {
    int code;
    absl::StatusCode canonical;
    ErrorCause cause;
  } kCases[] = {
      {WSAECONNREFUSED, absl::StatusCode::kUnavailable,
       ErrorCause::kConnectionRefused},
      {WSAECONNRESET, absl::StatusCode::kUnavailable,
       ErrorCause::kConnectionReset},
      {WSAECONNABORTED, absl::StatusCode::kUnavailable,
       ErrorCause::kConnectionAborted},
      {WSAESHUTDOWN, absl::StatusCode::kFailedPrecondition,
       ErrorCause::kBrokenPipe},
      {WSAENOTCONN, absl::StatusCode::kFailedPrecondition,
       ErrorCause::kNotConnected},
      {WSAEHOSTUNREACH, absl::StatusCode::kUnavailable,
       ErrorCause::kHostUnreachable},
      {WSAENETUNREACH, absl::StatusCode::kUnavailable,
       ErrorCause::kNetworkUnreachable},
      {WSAETIMEDOUT, absl::StatusCode::kDeadlineExceeded,
       ErrorCause::kTimedOut},
      {WSAEADDRINUSE, absl::StatusCode::kFailedPrecondition,
       ErrorCause::kAddressInUse},
      {WSAEADDRNOTAVAIL, absl::StatusCode::kFailedPrecondition,
       ErrorCause::kAddressNotAvailable},
      {WSAEMSGSIZE, absl::StatusCode::kInvalidArgument,
       ErrorCause::kMessageTooLong},
      {WSAEMFILE, absl::StatusCode::kResourceExhausted,
       ErrorCause::kTooManyDescriptors},
      {ERROR_TOO_MANY_OPEN_FILES, absl::StatusCode::kResourceExhausted,
       ErrorCause::kTooManyDescriptors},
      {ERROR_NOT_ENOUGH_MEMORY, absl::StatusCode::kResourceExhausted,
       ErrorCause::kNoMemory},
      {WSAENOBUFS, absl::StatusCode::kResourceExhausted,
       ErrorCause::kNoBuffers},
      {ERROR_DISK_FULL, absl::StatusCode::kResourceExhausted,
       ErrorCause::kNoSpace},
      {ERROR_INVALID_HANDLE, absl::StatusCode::kInvalidArgument,
       ErrorCause::kBadDescriptor},
      {WSAENOTSOCK, absl::StatusCode::kInvalidArgument,
       ErrorCause::kNotASocket},
      {WSAEINVAL, absl::StatusCode::kInvalidArgument,
       ErrorCause::kInvalidArgument},
      {WSAEACCES, absl::StatusCode::kPermissionDenied,
       ErrorCause::kPermissionDenied},
      {ERROR_ACCESS_DENIED, absl::StatusCode::kPermissionDenied,
       ErrorCause::kPermissionDenied},
      {WSAEOPNOTSUPP, absl::StatusCode::kUnimplemented,
       ErrorCause::kNotSupported},
      {ERROR_FILE_EXISTS, absl::StatusCode::kAlreadyExists,
       ErrorCause::kAlreadyExists},
      {ERROR_FILE_NOT_FOUND, absl::StatusCode::kNotFound,
       ErrorCause::kNotFound},
      {ERROR_PATH_NOT_FOUND, absl::StatusCode::kNotFound,
       ErrorCause::kNotFound},
      {ERROR_OPERATION_ABORTED, absl::StatusCode::kCancelled,
       ErrorCause::kCancelled},
      {WSAEWOULDBLOCK, absl::StatusCode::kUnavailable,
       ErrorCause::kWouldBlock},
  };
  for (const auto& row : kCases) {
    const absl::Status status = SystemError(row.code, "call");
    EXPECT_EQ(status.code(), row.canonical) << status;
    EXPECT_EQ(CauseOf(status), row.cause) << status;
    EXPECT_EQ(CauseOfSystemCode(row.code), row.cause) << status;
    EXPECT_EQ(SystemCodeOf(status), row.code);
  }
  EXPECT_EQ(CauseOfSystemCode(kCancelledCode), ErrorCause::kCancelled);
}

// An operation's own number and the kernel's for the same mean the same.
TEST(PlatformError, P05_StatusesOfTheKernel) {
  const struct {
    std::uint32_t status;
    ErrorCause cause;
  } kCases[] = {
      {0, ErrorCause::kNone},
      {0x102 /* STATUS_TIMEOUT, a success */, ErrorCause::kNone},
      // Of what has ended, and nobody has said how.
      {0x103 /* STATUS_PENDING */, ErrorCause::kCancelled},
      {static_cast<std::uint32_t>(STATUS_CONNECTION_RESET),
       ErrorCause::kConnectionReset},
      {static_cast<std::uint32_t>(STATUS_CONNECTION_REFUSED),
       ErrorCause::kConnectionRefused},
      {static_cast<std::uint32_t>(STATUS_CANCELLED), ErrorCause::kCancelled},
      {static_cast<std::uint32_t>(STATUS_HANDLES_CLOSED),
       ErrorCause::kCancelled},
      {static_cast<std::uint32_t>(STATUS_BUFFER_OVERFLOW),
       ErrorCause::kMessageTooLong},
      {static_cast<std::uint32_t>(STATUS_INVALID_CONNECTION),
       ErrorCause::kNotConnected},
      {static_cast<std::uint32_t>(STATUS_INSUFFICIENT_RESOURCES),
       ErrorCause::kNoBuffers},
      {static_cast<std::uint32_t>(STATUS_IO_TIMEOUT), ErrorCause::kTimedOut},
      // By way of the system's own table.
      {static_cast<std::uint32_t>(STATUS_DISK_FULL), ErrorCause::kNoSpace},
  };
  for (const auto& row : kCases) {
    const int code = CodeOfNtStatus(static_cast<std::int32_t>(row.status));
    EXPECT_EQ(CauseOfSystemCode(code), row.cause)
        << std::hex << row.status << " " << std::dec << code;
  }
}

}  // namespace
}  // namespace weir::platform
