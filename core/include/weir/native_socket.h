// The operating system's handle of a socket, without its headers.

#ifndef WEIR_NATIVE_SOCKET_H_
#define WEIR_NATIVE_SOCKET_H_

#include <cstdint>

namespace weir {

// A POSIX descriptor or a Windows SOCKET. A plain value: it owns nothing.
enum class NativeSocket : std::uintptr_t {};

// No socket. INVALID_SOCKET on Windows, descriptor -1 elsewhere.
inline constexpr NativeSocket kInvalidSocket{~std::uintptr_t{0}};

}  // namespace weir

#endif  // WEIR_NATIVE_SOCKET_H_
