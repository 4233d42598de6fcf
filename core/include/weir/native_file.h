// The operating system's handle of a file, without its headers.

#ifndef WEIR_NATIVE_FILE_H_
#define WEIR_NATIVE_FILE_H_

#include <cstdint>

namespace weir {

// A POSIX descriptor or a Windows HANDLE. A plain value: it owns nothing.
enum class NativeFile : std::uintptr_t {};

// No file. INVALID_HANDLE_VALUE on Windows, descriptor -1 elsewhere.
inline constexpr NativeFile kInvalidFile{~std::uintptr_t{0}};

}  // namespace weir

#endif  // WEIR_NATIVE_FILE_H_
