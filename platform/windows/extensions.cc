#include "platform/windows/extensions.h"

namespace weir::platform {

int FindExtension(SOCKET socket, GUID id, void** function) {
  DWORD written = 0;
  if (::WSAIoctl(socket, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof(id),
                 function, sizeof(*function), &written, nullptr,
                 nullptr) == 0) {
    return 0;
  }
  *function = nullptr;
  return ::WSAGetLastError();
}

}  // namespace weir::platform
