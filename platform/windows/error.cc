// Winsock and Win32 share one space of numbers: 10000 and up is Winsock's. An
// NTSTATUS comes here as what CodeOfNtStatus() (nt_status.h) made of it.

#include "platform/error.h"

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "platform/windows/utf.h"
#include "platform/windows/winsock.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

struct CodeRow {
  int code;
  ErrorCause cause;
  std::string_view symbol;
};

#define WEIR_CODE(symbol, cause) \
  { symbol, ErrorCause::cause, #symbol }

constexpr CodeRow kCodes[] = {
    // Winsock.
    WEIR_CODE(WSAEINVAL, kInvalidArgument),
    WEIR_CODE(WSAEFAULT, kInvalidArgument),
    WEIR_CODE(WSAENAMETOOLONG, kInvalidArgument),
    WEIR_CODE(WSAELOOP, kInvalidArgument),
    WEIR_CODE(WSAEPROTOTYPE, kInvalidArgument),
    WEIR_CODE(WSAECONNREFUSED, kConnectionRefused),
    WEIR_CODE(WSAECONNRESET, kConnectionReset),
    WEIR_CODE(WSAENETRESET, kConnectionReset),
    WEIR_CODE(WSAECONNABORTED, kConnectionAborted),
    WEIR_CODE(WSAENOTCONN, kNotConnected),
    WEIR_CODE(WSAEISCONN, kAlreadyConnected),
    WEIR_CODE(WSAEHOSTUNREACH, kHostUnreachable),
    WEIR_CODE(WSAEHOSTDOWN, kHostUnreachable),
    WEIR_CODE(WSAENETUNREACH, kNetworkUnreachable),
    WEIR_CODE(WSAENETDOWN, kNetworkDown),
    WEIR_CODE(WSAETIMEDOUT, kTimedOut),
    WEIR_CODE(WSAEADDRINUSE, kAddressInUse),
    WEIR_CODE(WSAEADDRNOTAVAIL, kAddressNotAvailable),
    WEIR_CODE(WSAEDESTADDRREQ, kDestinationRequired),
    WEIR_CODE(WSAEMSGSIZE, kMessageTooLong),
    WEIR_CODE(WSAESHUTDOWN, kBrokenPipe),
    WEIR_CODE(WSAEDISCON, kBrokenPipe),
    WEIR_CODE(WSAEACCES, kPermissionDenied),
    WEIR_CODE(WSAEMFILE, kTooManyDescriptors),
    WEIR_CODE(WSAENOBUFS, kNoBuffers),
    WEIR_CODE(WSAEPROCLIM, kNoBuffers),
    WEIR_CODE(WSAEUSERS, kNoBuffers),
    WEIR_CODE(WSAEDQUOT, kNoSpace),
    WEIR_CODE(WSAENOTSOCK, kNotASocket),
    WEIR_CODE(WSAEBADF, kBadDescriptor),
    WEIR_CODE(WSAEOPNOTSUPP, kNotSupported),
    WEIR_CODE(WSAEAFNOSUPPORT, kNotSupported),
    WEIR_CODE(WSAEPFNOSUPPORT, kNotSupported),
    WEIR_CODE(WSAEPROTONOSUPPORT, kNotSupported),
    WEIR_CODE(WSAESOCKTNOSUPPORT, kNotSupported),
    WEIR_CODE(WSAENOPROTOOPT, kNotSupported),
    WEIR_CODE(WSASYSNOTREADY, kNotSupported),
    WEIR_CODE(WSAVERNOTSUPPORTED, kNotSupported),
    WEIR_CODE(WSAEALREADY, kInProgress),
    WEIR_CODE(WSAEINPROGRESS, kInProgress),
    WEIR_CODE(WSAEWOULDBLOCK, kWouldBlock),
    WEIR_CODE(WSAEINTR, kInterrupted),
    WEIR_CODE(WSAECANCELLED, kCancelled),
    WEIR_CODE(WSA_E_CANCELLED, kCancelled),
    // Names. Why a name server did not answer is not told.
    WEIR_CODE(WSAHOST_NOT_FOUND, kNotFound),
    WEIR_CODE(WSANO_DATA, kNotFound),
    WEIR_CODE(WSATRY_AGAIN, kUnknown),
    WEIR_CODE(WSANO_RECOVERY, kProtocolError),
    WEIR_CODE(WSATYPE_NOT_FOUND, kInvalidArgument),

    // Win32: files, handles, and what sockets say through a completion port.
    WEIR_CODE(ERROR_INVALID_PARAMETER, kInvalidArgument),
    WEIR_CODE(ERROR_INVALID_NAME, kInvalidArgument),
    WEIR_CODE(ERROR_BAD_PATHNAME, kInvalidArgument),
    WEIR_CODE(ERROR_FILENAME_EXCED_RANGE, kInvalidArgument),
    WEIR_CODE(ERROR_CANT_RESOLVE_FILENAME, kInvalidArgument),
    WEIR_CODE(ERROR_NO_UNICODE_TRANSLATION, kInvalidArgument),
    WEIR_CODE(ERROR_NOACCESS, kInvalidArgument),
    WEIR_CODE(ERROR_INVALID_USER_BUFFER, kInvalidArgument),
    WEIR_CODE(ERROR_CONNECTION_REFUSED, kConnectionRefused),
    WEIR_CODE(ERROR_PORT_UNREACHABLE, kConnectionRefused),
    WEIR_CODE(ERROR_NETNAME_DELETED, kConnectionReset),
    WEIR_CODE(ERROR_CONNECTION_ABORTED, kConnectionAborted),
    WEIR_CODE(ERROR_CONNECTION_INVALID, kNotConnected),
    WEIR_CODE(ERROR_NOT_CONNECTED, kNotConnected),
    WEIR_CODE(ERROR_CONNECTION_ACTIVE, kAlreadyConnected),
    WEIR_CODE(ERROR_HOST_UNREACHABLE, kHostUnreachable),
    WEIR_CODE(ERROR_HOST_DOWN, kHostUnreachable),
    WEIR_CODE(ERROR_NETWORK_UNREACHABLE, kNetworkUnreachable),
    WEIR_CODE(ERROR_SEM_TIMEOUT, kTimedOut),
    WEIR_CODE(WAIT_TIMEOUT, kTimedOut),
    WEIR_CODE(ERROR_TIMEOUT, kTimedOut),
    WEIR_CODE(ERROR_BROKEN_PIPE, kBrokenPipe),
    WEIR_CODE(ERROR_GRACEFUL_DISCONNECT, kBrokenPipe),
    WEIR_CODE(ERROR_ACCESS_DENIED, kPermissionDenied),
    WEIR_CODE(ERROR_PRIVILEGE_NOT_HELD, kPermissionDenied),
    WEIR_CODE(ERROR_WRITE_PROTECT, kPermissionDenied),
    WEIR_CODE(ERROR_TOO_MANY_OPEN_FILES, kTooManyDescriptors),
    WEIR_CODE(ERROR_NO_MORE_FILES, kNotFound),
    WEIR_CODE(ERROR_NO_SYSTEM_RESOURCES, kNoBuffers),
    WEIR_CODE(ERROR_WORKING_SET_QUOTA, kNoBuffers),
    WEIR_CODE(ERROR_NONPAGED_SYSTEM_RESOURCES, kNoBuffers),
    WEIR_CODE(ERROR_PAGED_SYSTEM_RESOURCES, kNoBuffers),
    WEIR_CODE(ERROR_NOT_ENOUGH_QUOTA, kNoMemory),
    WEIR_CODE(ERROR_NOT_ENOUGH_MEMORY, kNoMemory),
    WEIR_CODE(ERROR_OUTOFMEMORY, kNoMemory),
    WEIR_CODE(ERROR_COMMITMENT_LIMIT, kNoMemory),
    WEIR_CODE(ERROR_DISK_FULL, kNoSpace),
    WEIR_CODE(ERROR_HANDLE_DISK_FULL, kNoSpace),
    WEIR_CODE(ERROR_INVALID_HANDLE, kBadDescriptor),
    WEIR_CODE(ERROR_INVALID_FUNCTION, kNotSupported),
    WEIR_CODE(ERROR_NOT_SUPPORTED, kNotSupported),
    WEIR_CODE(ERROR_CALL_NOT_IMPLEMENTED, kNotSupported),
    WEIR_CODE(ERROR_PROC_NOT_FOUND, kNotSupported),
    WEIR_CODE(ERROR_FILE_NOT_FOUND, kNotFound),
    WEIR_CODE(ERROR_PATH_NOT_FOUND, kNotFound),
    WEIR_CODE(ERROR_INVALID_DRIVE, kNotFound),
    WEIR_CODE(ERROR_BAD_NETPATH, kNotFound),
    WEIR_CODE(ERROR_BAD_NET_NAME, kNotFound),
    WEIR_CODE(ERROR_DIRECTORY, kNotFound),
    WEIR_CODE(ERROR_NOT_FOUND, kNotFound),
    WEIR_CODE(ERROR_DEV_NOT_EXIST, kNotFound),
    WEIR_CODE(ERROR_FILE_EXISTS, kAlreadyExists),
    WEIR_CODE(ERROR_ALREADY_EXISTS, kAlreadyExists),
    WEIR_CODE(ERROR_SHARING_VIOLATION, kBusy),
    WEIR_CODE(ERROR_LOCK_VIOLATION, kBusy),
    WEIR_CODE(ERROR_BUSY, kBusy),
    WEIR_CODE(ERROR_IO_INCOMPLETE, kInProgress),
    WEIR_CODE(ERROR_IO_PENDING, kInProgress),
    WEIR_CODE(ERROR_OPERATION_ABORTED, kCancelled),
    WEIR_CODE(ERROR_CANCELLED, kCancelled),
    WEIR_CODE(ERROR_REQUEST_ABORTED, kCancelled),
};

#undef WEIR_CODE

const CodeRow* FindRow(int code) {
  for (const CodeRow& row : kCodes) {
    if (row.code == code) return &row;
  }
  return nullptr;
}

// The system's words, without the full stop and the line break that it ends
// them with.
std::string WordsOf(int code) {
  wchar_t buffer[512];
  const DWORD length = ::FormatMessageW(
      FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS |
          FORMAT_MESSAGE_MAX_WIDTH_MASK,
      nullptr, static_cast<DWORD>(code), 0, buffer,
      static_cast<DWORD>(std::size(buffer)), nullptr);
  std::string words = ToUtf8(std::wstring_view(buffer, length));
  const std::size_t end = words.find_last_not_of(" .\r\n");
  words.resize(end == std::string::npos ? 0 : end + 1);
  return words.empty() ? "Unknown error" : words;
}

}  // namespace

absl::Status SystemError(int code, std::string_view operation,
                         std::string_view subject) {
  if (code == 0) return absl::OkStatus();
  const CodeRow* row = FindRow(code);
  const ErrorCause cause = row ? row->cause : ErrorCause::kUnknown;
  const std::string_view symbol = row ? row->symbol : std::string_view();
  const std::string message =
      absl::StrCat(absl::string_view(operation.data(), operation.size()),
                   subject.empty() ? "" : " ",
                   absl::string_view(subject.data(), subject.size()), ": ",
                   WordsOf(code), " (",
                   absl::string_view(symbol.data(), symbol.size()),
                   symbol.empty() ? "" : " ", code, ")");
  return StatusWithCause(CanonicalCodeOf(cause), cause, message, code);
}

const int kBrokenPipeCode = WSAESHUTDOWN;
const int kCancelledCode = ERROR_OPERATION_ABORTED;
const int kConnectionResetCode = WSAECONNRESET;
const int kConnectionRefusedCode = WSAECONNREFUSED;

ErrorCause CauseOfSystemCode(int code) {
  if (code == 0) return ErrorCause::kNone;
  const CodeRow* row = FindRow(code);
  return row ? row->cause : ErrorCause::kUnknown;
}

}  // namespace weir::platform
