// What a failed call says besides its canonical code (P05): a cause that is the
// same on every system, and the system's own number.
//
// Every status that Weir makes of a system error reads
//
//   connect 127.0.0.1:80: Connection refused (ECONNREFUSED 111)
//
// that is: operation, address or other subject where there is one, the system's
// words, symbol and number. Its canonical code follows from its cause, unless a
// function's contract says otherwise:
//
//   InvalidArgument     kInvalidArgument, kMessageTooLong, kNotASocket,
//                       kBadDescriptor, kDestinationRequired
//   DeadlineExceeded    kTimedOut
//   NotFound            kNotFound
//   AlreadyExists       kAlreadyExists
//   PermissionDenied    kPermissionDenied
//   ResourceExhausted   kTooManyDescriptors, kNoMemory, kNoBuffers, kNoSpace
//   FailedPrecondition  kAddressInUse, kAddressNotAvailable, kBrokenPipe,
//                       kNotConnected, kAlreadyConnected, kInProgress, kBusy
//   Unavailable         kConnectionRefused, kConnectionReset,
//                       kConnectionAborted, kHostUnreachable,
//                       kNetworkUnreachable, kNetworkDown, kProtocolError,
//                       kWouldBlock, kInterrupted
//   Unimplemented       kNotSupported
//   Cancelled           kCancelled
//   Unknown             kUnknown

#ifndef WEIR_STATUS_H_
#define WEIR_STATUS_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"

namespace weir {

enum class ErrorCause : std::uint8_t {
  // The status is OK.
  kNone,
  // No cause is known: the system's number is in none of Weir's tables, or the
  // status was made by somebody else.
  kUnknown,
  kInvalidArgument,
  // Nobody listens at that address.
  kConnectionRefused,
  // The peer aborted the connection.
  kConnectionReset,
  // This side, or something in between, aborted the connection.
  kConnectionAborted,
  kNotConnected,
  kAlreadyConnected,
  kHostUnreachable,
  kNetworkUnreachable,
  // This machine's own interface is down.
  kNetworkDown,
  // The peer did not answer in time.
  kTimedOut,
  kAddressInUse,
  // Not an address of this machine, or no local port is left to connect from.
  kAddressNotAvailable,
  // A datagram send needs an address.
  kDestinationRequired,
  // More than one datagram can hold.
  kMessageTooLong,
  // Sending on a stream that can no longer send.
  kBrokenPipe,
  kPermissionDenied,
  // The limit of open descriptors of the process or of the system.
  kTooManyDescriptors,
  kNoBuffers,
  kNoMemory,
  kNoSpace,
  // An open descriptor of something that is not a socket.
  kNotASocket,
  // Not an open descriptor.
  kBadDescriptor,
  kNotSupported,
  // No such file, directory or network interface.
  kNotFound,
  kAlreadyExists,
  kBusy,
  // The like of it is already under way on this socket.
  kInProgress,
  kProtocolError,
  // It would have to wait, and was not to.
  kWouldBlock,
  kInterrupted,
  kCancelled,
};

// The cause of `status`: kNone if it is OK, kUnknown if it carries none.
// Any thread.
ErrorCause CauseOf(const absl::Status& status);

// The system's number behind `status` (an errno value, or a Windows error
// code), if there is one. Numbers differ between systems: for logs.
// Any thread.
std::optional<int> SystemCodeOf(const absl::Status& status);

// "connection refused". The string is static.
std::string_view ErrorCauseName(ErrorCause cause);

// The canonical code that belongs to `cause`, by the table above; kOk for
// kNone.
absl::StatusCode CanonicalCodeOf(ErrorCause cause);

// A status with `cause`, and `system_code` if given. For those who write
// backends; kNone means that no cause is attached. A `code` of kOk gives OK.
absl::Status StatusWithCause(absl::StatusCode code, ErrorCause cause,
                             std::string_view message,
                             std::optional<int> system_code = std::nullopt);

}  // namespace weir

#endif  // WEIR_STATUS_H_
