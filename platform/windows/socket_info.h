// What kind of socket a handle is.

#ifndef WEIR_PLATFORM_WINDOWS_SOCKET_INFO_H_
#define WEIR_PLATFORM_WINDOWS_SOCKET_INFO_H_

#include "weir/native_socket.h"

namespace weir::platform {

struct SocketInfo {
  // AF_INET, SOCK_STREAM, IPPROTO_TCP, ...
  int family = 0;
  int type = 0;
  int protocol = 0;
};

// SO_PROTOCOL_INFO. Returns 0 or an error number.
int QueryInfo(NativeSocket socket, SocketInfo& info);

// What it means that a send without a destination has failed with `error`: that
// there is no peer is told as something else, by each version of its own.
int SendErrorOf(NativeSocket socket, int error);

// Whether the peer, or this side, has aborted the connection: no pending error
// to Winsock, but to poll.
bool WasReset(NativeSocket socket);

// An int, or a BOOL, of level SOL_SOCKET. Returns 0 or an error number.
int QuerySocketInt(NativeSocket socket, int name, int& value);

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_WINDOWS_SOCKET_INFO_H_
