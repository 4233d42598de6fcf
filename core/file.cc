#include "weir/file.h"

#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "platform/file.h"
#include "weir/native_file.h"

namespace weir {

File::File(File&& other) noexcept
    : native_(std::exchange(other.native_, kInvalidFile)),
      size_(std::exchange(other.size_, 0)),
      modified_(std::exchange(other.modified_, absl::Time())) {}

File& File::operator=(File&& other) noexcept {
  if (this == &other) return *this;
  Close();
  native_ = std::exchange(other.native_, kInvalidFile);
  size_ = std::exchange(other.size_, 0);
  modified_ = std::exchange(other.modified_, absl::Time());
  return *this;
}

File::~File() { Close(); }

absl::StatusOr<File> File::Open(std::string_view path) {
  const absl::StatusOr<platform::OpenedFile> opened = platform::OpenFile(path);
  if (!opened.ok()) return opened.status();
  File file;
  file.native_ = opened->file;
  file.size_ = opened->size;
  file.modified_ = opened->modified;
  return file;
}

void File::Close() {
  if (!is_open()) return;
  platform::CloseFile(std::exchange(native_, kInvalidFile));
  size_ = 0;
  modified_ = absl::Time();
}

}  // namespace weir
