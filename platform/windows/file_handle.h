// The bridge between weir::NativeFile and the system's handles.

#ifndef WEIR_PLATFORM_WINDOWS_FILE_HANDLE_H_
#define WEIR_PLATFORM_WINDOWS_FILE_HANDLE_H_

#include <cstdint>

#include "platform/windows/winsock.h"
#include "weir/native_file.h"

namespace weir::platform {

inline HANDLE ToFileHandle(NativeFile file) {
  return reinterpret_cast<HANDLE>(static_cast<std::uintptr_t>(file));
}
inline NativeFile FromFileHandle(HANDLE handle) {
  return static_cast<NativeFile>(reinterpret_cast<std::uintptr_t>(handle));
}

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_WINDOWS_FILE_HANDLE_H_
