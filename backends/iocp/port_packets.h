// PortPacket is OVERLAPPED_ENTRY: arrays of the one are passed as the other.

#ifndef WEIR_BACKENDS_IOCP_PORT_PACKETS_H_
#define WEIR_BACKENDS_IOCP_PORT_PACKETS_H_

#include <winsock2.h>
#include <windows.h>

#include <cstddef>

#include "backends/iocp/socket_notifications.h"

namespace weir::internal {

static_assert(sizeof(PortPacket) == sizeof(OVERLAPPED_ENTRY) &&
              offsetof(PortPacket, key) ==
                  offsetof(OVERLAPPED_ENTRY, lpCompletionKey) &&
              offsetof(PortPacket, overlapped) ==
                  offsetof(OVERLAPPED_ENTRY, lpOverlapped) &&
              offsetof(PortPacket, internal) ==
                  offsetof(OVERLAPPED_ENTRY, Internal) &&
              offsetof(PortPacket, bytes) ==
                  offsetof(OVERLAPPED_ENTRY, dwNumberOfBytesTransferred));

inline OVERLAPPED_ENTRY* AsOverlappedEntries(PortPacket* packets) {
  return reinterpret_cast<OVERLAPPED_ENTRY*>(packets);
}

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_IOCP_PORT_PACKETS_H_
