#include "tests/faults/expected_status.h"

#include <cerrno>

namespace weir::faults {
namespace {

using absl::StatusCode;

struct Row {
  int error;
  StatusCode code;
  ErrorCause cause;
};

constexpr Row kRows[] = {
    {EACCES, StatusCode::kPermissionDenied, ErrorCause::kPermissionDenied},
    {EADDRINUSE, StatusCode::kFailedPrecondition, ErrorCause::kAddressInUse},
    {EADDRNOTAVAIL, StatusCode::kFailedPrecondition,
     ErrorCause::kAddressNotAvailable},
    {EAFNOSUPPORT, StatusCode::kUnimplemented, ErrorCause::kNotSupported},
    {EAGAIN, StatusCode::kUnavailable, ErrorCause::kWouldBlock},
    {EALREADY, StatusCode::kFailedPrecondition, ErrorCause::kInProgress},
    {EBADF, StatusCode::kInvalidArgument, ErrorCause::kBadDescriptor},
    {EBUSY, StatusCode::kFailedPrecondition, ErrorCause::kBusy},
    {ECONNABORTED, StatusCode::kUnavailable, ErrorCause::kConnectionAborted},
    {ECONNREFUSED, StatusCode::kUnavailable, ErrorCause::kConnectionRefused},
    {ECONNRESET, StatusCode::kUnavailable, ErrorCause::kConnectionReset},
    {EDESTADDRREQ, StatusCode::kInvalidArgument,
     ErrorCause::kDestinationRequired},
    {EEXIST, StatusCode::kAlreadyExists, ErrorCause::kAlreadyExists},
    {EFAULT, StatusCode::kInvalidArgument, ErrorCause::kInvalidArgument},
    {EHOSTDOWN, StatusCode::kUnavailable, ErrorCause::kHostUnreachable},
    {EHOSTUNREACH, StatusCode::kUnavailable, ErrorCause::kHostUnreachable},
    {EINVAL, StatusCode::kInvalidArgument, ErrorCause::kInvalidArgument},
    {EISCONN, StatusCode::kFailedPrecondition, ErrorCause::kAlreadyConnected},
    {ELOOP, StatusCode::kInvalidArgument, ErrorCause::kInvalidArgument},
    {EMFILE, StatusCode::kResourceExhausted, ErrorCause::kTooManyDescriptors},
    {EMSGSIZE, StatusCode::kInvalidArgument, ErrorCause::kMessageTooLong},
    {ENAMETOOLONG, StatusCode::kInvalidArgument, ErrorCause::kInvalidArgument},
    {ENETDOWN, StatusCode::kUnavailable, ErrorCause::kNetworkDown},
    {ENETUNREACH, StatusCode::kUnavailable, ErrorCause::kNetworkUnreachable},
    {ENFILE, StatusCode::kResourceExhausted, ErrorCause::kTooManyDescriptors},
    {ENOBUFS, StatusCode::kResourceExhausted, ErrorCause::kNoBuffers},
    {ENODEV, StatusCode::kNotFound, ErrorCause::kNotFound},
    {ENOENT, StatusCode::kNotFound, ErrorCause::kNotFound},
    {ENOMEM, StatusCode::kResourceExhausted, ErrorCause::kNoMemory},
    {ENOPROTOOPT, StatusCode::kUnimplemented, ErrorCause::kNotSupported},
    {ENOSPC, StatusCode::kResourceExhausted, ErrorCause::kNoSpace},
    {ENOSYS, StatusCode::kUnimplemented, ErrorCause::kNotSupported},
    {ENOTCONN, StatusCode::kFailedPrecondition, ErrorCause::kNotConnected},
    {ENOTDIR, StatusCode::kNotFound, ErrorCause::kNotFound},
    {ENOTSOCK, StatusCode::kInvalidArgument, ErrorCause::kNotASocket},
    {ENXIO, StatusCode::kNotFound, ErrorCause::kNotFound},
    {EOPNOTSUPP, StatusCode::kUnimplemented, ErrorCause::kNotSupported},
    {EPERM, StatusCode::kPermissionDenied, ErrorCause::kPermissionDenied},
    {EPIPE, StatusCode::kFailedPrecondition, ErrorCause::kBrokenPipe},
    {EPROTO, StatusCode::kUnavailable, ErrorCause::kProtocolError},
    {EPROTONOSUPPORT, StatusCode::kUnimplemented, ErrorCause::kNotSupported},
    {EPROTOTYPE, StatusCode::kInvalidArgument, ErrorCause::kInvalidArgument},
    {EROFS, StatusCode::kPermissionDenied, ErrorCause::kPermissionDenied},
    {ETIMEDOUT, StatusCode::kDeadlineExceeded, ErrorCause::kTimedOut},
};

}  // namespace

// What is in no table keeps its words and its number.
ExpectedStatus ExpectedOf(int error) {
  for (const Row& row : kRows) {
    if (row.error == error) return {row.code, row.cause};
  }
  return {StatusCode::kUnknown, ErrorCause::kUnknown};
}

::testing::AssertionResult TellsError(const absl::Status& status, int error) {
  const ExpectedStatus expected = ExpectedOf(error);
  if (status.code() == expected.code && CauseOf(status) == expected.cause &&
      SystemCodeOf(status) == error) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure()
         << status << " with cause " << ErrorCauseName(CauseOf(status))
         << " instead of " << absl::StatusCodeToString(expected.code)
         << " with cause " << ErrorCauseName(expected.cause) << " and number "
         << error;
}

}  // namespace weir::faults
