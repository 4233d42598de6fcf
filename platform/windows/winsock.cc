#include "platform/windows/winsock.h"

namespace weir::platform {
namespace {

// Not the numbers that stand for the process and the thread: those are handles
// only to calls that take them for such.
bool IsHandle(HANDLE handle) {
  DWORD flags = 0;
  return handle != INVALID_HANDLE_VALUE && handle != GetCurrentThread() &&
         ::GetHandleInformation(handle, &flags) != FALSE;
}

}  // namespace

int StartWinsock() {
  static const int error = [] {
    WSADATA data;
    return ::WSAStartup(MAKEWORD(2, 2), &data);
  }();
  return error;
}

int LastErrorOf(NativeSocket socket) {
  const int error = ::WSAGetLastError();
  if (error != WSAENOTSOCK ||
      IsHandle(reinterpret_cast<HANDLE>(ToSocket(socket)))) {
    return error;
  }
  return ERROR_INVALID_HANDLE;
}

}  // namespace weir::platform
