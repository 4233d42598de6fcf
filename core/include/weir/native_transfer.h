// The two calls of the system that most data goes through, without its headers:
// what Socket's transfers compile to in the application. Not for its own use;
// Socket::Receive and Socket::Send say what happened.

#ifndef WEIR_NATIVE_TRANSFER_H_
#define WEIR_NATIVE_TRANSFER_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "weir/native_socket.h"

namespace weir::platform {

// One system call and nothing around it: how many bytes it has moved, or
// negative if it has failed, and then the system's error is still this thread's
// last one (platform/socket_io.h). Any thread; they never block.
std::int64_t TryReceive(NativeSocket socket, std::span<std::byte> buffer);
std::int64_t TrySend(NativeSocket socket, std::span<const std::byte> data);

}  // namespace weir::platform

#endif  // WEIR_NATIVE_TRANSFER_H_
