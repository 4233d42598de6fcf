// The kernel's own numbers: what a packet of a completion port, or an AFD
// request, says of an operation on a socket.

#ifndef WEIR_PLATFORM_WINDOWS_NT_STATUS_H_
#define WEIR_PLATFORM_WINDOWS_NT_STATUS_H_

#include <cstdint>

namespace weir::platform {

// The Winsock or Win32 code, for SystemError() (error.h), that stands for the
// NTSTATUS of what has ended; 0 for a success. Not RtlNtStatusToDosError(), which knows nothing of
// Winsock: it makes ERROR_NETNAME_DELETED of a reset. It is asked for what is in
// no table here.
int CodeOfNtStatus(std::int32_t status);

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_WINDOWS_NT_STATUS_H_
