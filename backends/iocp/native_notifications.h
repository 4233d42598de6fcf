// The system's own socket notifications: Windows 11, Server 2022 (build 20348).

#ifndef WEIR_BACKENDS_IOCP_NATIVE_NOTIFICATIONS_H_
#define WEIR_BACKENDS_IOCP_NATIVE_NOTIFICATIONS_H_

#include <memory>

#include "backends/iocp/socket_notifications.h"

namespace weir::internal {

// Null if this system has none. `port` is the HANDLE of a completion port that
// outlives the result.
std::unique_ptr<SocketNotifications> CreateNativeNotifications(void* port);

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_IOCP_NATIVE_NOTIFICATIONS_H_
