// Winsock's headers, in the one order in which they can be included, and what
// every call of it needs: that it was started, and its error numbers.

#ifndef WEIR_PLATFORM_WINDOWS_WINSOCK_H_
#define WEIR_PLATFORM_WINDOWS_WINSOCK_H_

// The order matters: <windows.h> comes last.
// clang-format off
#include <winsock2.h>
#include <ws2tcpip.h>
#include <mswsock.h>
#include <windows.h>
// clang-format on

#include "weir/native_socket.h"

namespace weir::platform {

inline SOCKET ToSocket(NativeSocket socket) {
  return static_cast<SOCKET>(socket);
}
inline NativeSocket FromSocket(SOCKET socket) {
  return static_cast<NativeSocket>(socket);
}

// Starts Winsock, once in the life of the process, which is how long it stays.
// Returns 0 or its error number. What makes sockets or resolves names calls it
// first; a socket that exists shows that it was started. Any thread.
int StartWinsock();

// WSAGetLastError() of a call on `socket` that has just failed. Winsock says
// WSAENOTSOCK of what is no socket and of what is no handle at all; for the
// latter this is ERROR_INVALID_HANDLE.
int LastErrorOf(NativeSocket socket);

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_WINDOWS_WINSOCK_H_
