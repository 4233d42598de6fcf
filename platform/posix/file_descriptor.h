// The bridge between weir::NativeFile and the system's descriptors.

#ifndef WEIR_PLATFORM_POSIX_FILE_DESCRIPTOR_H_
#define WEIR_PLATFORM_POSIX_FILE_DESCRIPTOR_H_

#include <cstdint>

#include "weir/native_file.h"

namespace weir::platform {

inline int ToFileDescriptor(NativeFile file) { return static_cast<int>(file); }
inline NativeFile FromFileDescriptor(int descriptor) {
  return static_cast<NativeFile>(static_cast<std::intptr_t>(descriptor));
}

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_POSIX_FILE_DESCRIPTOR_H_
