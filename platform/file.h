// Opening the files that data is sent from.

#ifndef WEIR_PLATFORM_FILE_H_
#define WEIR_PLATFORM_FILE_H_

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weir/native_file.h"

namespace weir::platform {

struct OpenedFile {
  // The caller's to close.
  NativeFile file = kInvalidFile;
  // In bytes; both as of opening.
  std::uint64_t size = 0;
  absl::Time modified;
};

// Opens a regular file for reading, close-on-exec. Contract and errors:
// File::Open() (weir/file.h). Any thread.
absl::StatusOr<OpenedFile> OpenFile(std::string_view path);

// Closes a file that was opened for reading, which has nothing left to fail.
// Any thread.
void CloseFile(NativeFile file);

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_FILE_H_
