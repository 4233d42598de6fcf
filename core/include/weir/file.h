// A file to send from.

#ifndef WEIR_FILE_H_
#define WEIR_FILE_H_

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weir/native_file.h"

namespace weir {

// Owns one regular file open for reading, or none (default-constructed, moved
// from, closed): what send-file takes (O01). Movable, not copyable. Destroying
// it closes it.
//
// It has no position: a transfer names the offset it begins at, so any number
// of transfers may read one file at once, from any threads. Whoever starts one
// keeps the file open until it is complete.
//
// Threads: opening, moving and closing one at a time, any thread; the const
// calls any number at once.
class File {
 public:
  File() = default;
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  // Opens `path`, following symbolic links. The handle is close-on-exec.
  // Waits for nobody but the file system: a FIFO is refused rather than waited
  // for. A file system may be slow; a loop's handlers should know that.
  //
  // InvalidArgument: not a regular file (a directory, a device, a FIFO, a
  // socket), or the path has a zero byte, is too long, or goes through too many
  // links. NotFound: there is none, or part of the path is no directory.
  // PermissionDenied: the file may not be read, or a directory on the way not
  // be searched. ResourceExhausted: no descriptor or no memory is left. Others
  // as the system says (weir/status.h); messages name the path.
  static absl::StatusOr<File> Open(std::string_view path);

  // Closes at once; does nothing if not open. Nothing may be sending from it.
  void Close();

  bool is_open() const { return native_ != kInvalidFile; }
  explicit operator bool() const { return is_open(); }

  // In bytes, when it was opened; 0 if not open. A file that others write to
  // can be shorter or longer by the time it is sent.
  std::uint64_t size() const { return size_; }

  // When its contents last changed, as of opening it; the Unix epoch if not
  // open.
  absl::Time modified() const { return modified_; }

  // For the system's own calls; stays this object's. kInvalidFile if not open.
  NativeFile native() const { return native_; }

 private:
  NativeFile native_ = kInvalidFile;
  std::uint64_t size_ = 0;
  absl::Time modified_;
};

}  // namespace weir

#endif  // WEIR_FILE_H_
