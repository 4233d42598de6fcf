#include "weir/status.h"

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace weir {
namespace {

constexpr absl::string_view kCauseUrl = "weir/cause";
constexpr absl::string_view kSystemCodeUrl = "weir/system-code";

struct CauseRow {
  ErrorCause cause;
  absl::StatusCode code;
  std::string_view name;
};

constexpr CauseRow kCauses[] = {
    {ErrorCause::kNone, absl::StatusCode::kOk, "none"},
    {ErrorCause::kUnknown, absl::StatusCode::kUnknown, "unknown"},
    {ErrorCause::kInvalidArgument, absl::StatusCode::kInvalidArgument,
     "invalid argument"},
    {ErrorCause::kConnectionRefused, absl::StatusCode::kUnavailable,
     "connection refused"},
    {ErrorCause::kConnectionReset, absl::StatusCode::kUnavailable,
     "connection reset"},
    {ErrorCause::kConnectionAborted, absl::StatusCode::kUnavailable,
     "connection aborted"},
    {ErrorCause::kNotConnected, absl::StatusCode::kFailedPrecondition,
     "not connected"},
    {ErrorCause::kAlreadyConnected, absl::StatusCode::kFailedPrecondition,
     "already connected"},
    {ErrorCause::kHostUnreachable, absl::StatusCode::kUnavailable,
     "host unreachable"},
    {ErrorCause::kNetworkUnreachable, absl::StatusCode::kUnavailable,
     "network unreachable"},
    {ErrorCause::kNetworkDown, absl::StatusCode::kUnavailable, "network down"},
    {ErrorCause::kTimedOut, absl::StatusCode::kDeadlineExceeded, "timed out"},
    {ErrorCause::kAddressInUse, absl::StatusCode::kFailedPrecondition,
     "address in use"},
    {ErrorCause::kAddressNotAvailable, absl::StatusCode::kFailedPrecondition,
     "address not available"},
    {ErrorCause::kDestinationRequired, absl::StatusCode::kInvalidArgument,
     "destination required"},
    {ErrorCause::kMessageTooLong, absl::StatusCode::kInvalidArgument,
     "message too long"},
    {ErrorCause::kBrokenPipe, absl::StatusCode::kFailedPrecondition,
     "broken pipe"},
    {ErrorCause::kPermissionDenied, absl::StatusCode::kPermissionDenied,
     "permission denied"},
    {ErrorCause::kTooManyDescriptors, absl::StatusCode::kResourceExhausted,
     "too many descriptors"},
    {ErrorCause::kNoBuffers, absl::StatusCode::kResourceExhausted,
     "no buffers"},
    {ErrorCause::kNoMemory, absl::StatusCode::kResourceExhausted, "no memory"},
    {ErrorCause::kNoSpace, absl::StatusCode::kResourceExhausted, "no space"},
    {ErrorCause::kNotASocket, absl::StatusCode::kInvalidArgument,
     "not a socket"},
    {ErrorCause::kBadDescriptor, absl::StatusCode::kInvalidArgument,
     "bad descriptor"},
    {ErrorCause::kNotSupported, absl::StatusCode::kUnimplemented,
     "not supported"},
    {ErrorCause::kNotFound, absl::StatusCode::kNotFound, "not found"},
    {ErrorCause::kAlreadyExists, absl::StatusCode::kAlreadyExists,
     "already exists"},
    {ErrorCause::kBusy, absl::StatusCode::kFailedPrecondition, "busy"},
    {ErrorCause::kInProgress, absl::StatusCode::kFailedPrecondition,
     "in progress"},
    {ErrorCause::kProtocolError, absl::StatusCode::kUnavailable,
     "protocol error"},
    {ErrorCause::kWouldBlock, absl::StatusCode::kUnavailable, "would block"},
    {ErrorCause::kInterrupted, absl::StatusCode::kUnavailable, "interrupted"},
    {ErrorCause::kCancelled, absl::StatusCode::kCancelled, "cancelled"},
};

// What a value that is in no row is taken for.
constexpr const CauseRow& kUnknownRow = kCauses[1];
static_assert(kUnknownRow.cause == ErrorCause::kUnknown);

const CauseRow& RowOf(ErrorCause cause) {
  for (const CauseRow& row : kCauses) {
    if (row.cause == cause) return row;
  }
  return kUnknownRow;
}

std::optional<std::string> PayloadOf(const absl::Status& status,
                                     absl::string_view url) {
  const auto payload = status.GetPayload(url);
  if (!payload.has_value()) return std::nullopt;
  return std::string(*payload);
}

}  // namespace

ErrorCause CauseOf(const absl::Status& status) {
  if (status.ok()) return ErrorCause::kNone;
  // The payload holds the name and not the enumerator's value: it is part of
  // what absl::Status::ToString() prints.
  const std::optional<std::string> name = PayloadOf(status, kCauseUrl);
  if (!name.has_value()) return ErrorCause::kUnknown;
  for (const CauseRow& row : kCauses) {
    if (row.name == *name) return row.cause;
  }
  return ErrorCause::kUnknown;
}

std::optional<int> SystemCodeOf(const absl::Status& status) {
  const std::optional<std::string> text = PayloadOf(status, kSystemCodeUrl);
  int code = 0;
  if (!text.has_value() || !absl::SimpleAtoi(*text, &code)) {
    return std::nullopt;
  }
  return code;
}

std::string_view ErrorCauseName(ErrorCause cause) { return RowOf(cause).name; }

absl::StatusCode CanonicalCodeOf(ErrorCause cause) { return RowOf(cause).code; }

absl::Status StatusWithCause(absl::StatusCode code, ErrorCause cause,
                             std::string_view message,
                             std::optional<int> system_code) {
  absl::Status status(code, absl::string_view(message.data(), message.size()));
  if (cause != ErrorCause::kNone) {
    const std::string_view name = ErrorCauseName(cause);
    status.SetPayload(kCauseUrl,
                      absl::Cord(absl::string_view(name.data(), name.size())));
  }
  if (system_code.has_value()) {
    // Not Cord's constructor from std::string, a template: Clang 18 and GCC name
    // it differently, and Debian's Abseil is built with GCC.
    const std::string number = absl::StrCat(*system_code);
    status.SetPayload(kSystemCodeUrl, absl::Cord(absl::string_view(number)));
  }
  return status;
}

}  // namespace weir
