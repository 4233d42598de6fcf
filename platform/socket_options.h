// Setting and getting the socket options of weir/socket_options.h (P01).

#ifndef WEIR_PLATFORM_SOCKET_OPTIONS_H_
#define WEIR_PLATFORM_SOCKET_OPTIONS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weir/native_socket.h"
#include "weir/socket_address.h"
#include "weir/socket_options.h"

namespace weir::platform {

using weir::SocketOption;

// Sets an option. Any thread. InvalidArgument: the value is out of range, or
// the handle is bad. Unimplemented, kNotSupported: this kind of socket has no
// such option. FailedPrecondition (kAddressNotAvailable) or NotFound: no such
// interface.
absl::Status SetOption(NativeSocket socket, SocketOption option, int value);

// What is in force. Errors as for SetOption(); Unimplemented also for an option
// that the system lets one set but not ask for (Linux: kMulticastInterface of
// an IPv4 socket).
absl::StatusOr<int> GetOption(NativeSocket socket, SocketOption option);

// Receive what is sent to `group`, an IP multicast address of the socket's own
// family (its port is ignored), through the interface of that index; 0: the
// one the address's scope names, else the system chooses.
// InvalidArgument: not a multicast address. FailedPrecondition: joined already
// (kAddressInUse), or not joined (kAddressNotAvailable). NotFound: no such
// interface.
absl::Status JoinMulticast(NativeSocket socket, const SocketAddress& group,
                           std::uint32_t interface_index = 0);
absl::Status LeaveMulticast(NativeSocket socket, const SocketAddress& group,
                            std::uint32_t interface_index = 0);

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_SOCKET_OPTIONS_H_
