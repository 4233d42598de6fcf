#include "platform/windows/socket_info.h"

#include "platform/windows/winsock.h"

namespace weir::platform {

int QueryInfo(NativeSocket socket, SocketInfo& info) {
  WSAPROTOCOL_INFOW protocol;
  int length = sizeof(protocol);
  if (::getsockopt(ToSocket(socket), SOL_SOCKET, SO_PROTOCOL_INFOW,
                   reinterpret_cast<char*>(&protocol), &length) != 0) {
    return LastErrorOf(socket);
  }
  info.family = protocol.iAddressFamily;
  info.type = protocol.iSocketType;
  info.protocol = protocol.iProtocol;
  return 0;
}

int SendErrorOf(NativeSocket socket, int error) {
  if (error != WSAENOTCONN && error != WSAEINVAL && error != WSAECONNRESET) {
    return error;
  }
  SocketInfo info;
  if (QueryInfo(socket, info) != 0) return error;
  if (info.type == SOCK_DGRAM) {
    sockaddr_storage peer;
    int length = sizeof(peer);
    return ::getpeername(ToSocket(socket), reinterpret_cast<sockaddr*>(&peer),
                         &length) != 0
               ? WSAEDESTADDRREQ
               : error;
  }
  // -1: never connected, which Wine calls a reset.
  int seconds = 0;
  return QuerySocketInt(socket, SO_CONNECT_TIME, seconds) == 0 && seconds == -1
             ? WSAENOTCONN
             : error;
}

bool WasReset(NativeSocket socket) {
  WSAPOLLFD poll = {.fd = ToSocket(socket), .events = 0, .revents = 0};
  return ::WSAPoll(&poll, 1, 0) > 0 && (poll.revents & POLLHUP) != 0 &&
         (poll.revents & POLLERR) != 0;
}

int QuerySocketInt(NativeSocket socket, int name, int& value) {
  // Of a BOOL, some providers write one byte.
  value = 0;
  int length = sizeof(value);
  return ::getsockopt(ToSocket(socket), SOL_SOCKET, name,
                      reinterpret_cast<char*>(&value), &length) == 0
             ? 0
             : LastErrorOf(socket);
}

}  // namespace weir::platform
