// The calls of Winsock that a program asks each provider for.

#ifndef WEIR_PLATFORM_WINDOWS_EXTENSIONS_H_
#define WEIR_PLATFORM_WINDOWS_EXTENSIONS_H_

#include "platform/windows/winsock.h"

namespace weir::platform {

// What `id` names on sockets like this one (SIO_GET_EXTENSION_FUNCTION_POINTER).
// Returns 0 or an error number; what comes back is null then.
int FindExtension(SOCKET socket, GUID id, void** function);

// The same with the type that belongs to `id`; null if there is none.
template <typename Function>
Function FindExtension(SOCKET socket, const GUID& id) {
  void* function = nullptr;
  FindExtension(socket, id, &function);
  return reinterpret_cast<Function>(function);
}

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_WINDOWS_EXTENSIONS_H_
