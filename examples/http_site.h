// What the HTTP server says to a request: files of a folder, or a fixed text.

#ifndef WEIR_EXAMPLES_HTTP_SITE_H_
#define WEIR_EXAMPLES_HTTP_SITE_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "examples/http_request.h"
#include "weir/file.h"

namespace examples {

struct HttpAnswer {
  // The status line and the fields, and the body if it is not a file's.
  std::string text;
  // Sent after `text`, so much of it; not open if there is no such body.
  weir::File file;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// Threads: any number at once.
class HttpSite {
 public:
  // Serves a fixed text at "/".
  HttpSite() = default;
  // Serves the files in `folder`, and for a directory its "index.html". No
  // symbolic link leads out of it. The errors of finding it.
  static absl::StatusOr<HttpSite> OfFolder(std::string_view folder);

  // The whole answer. Waits for the file system.
  HttpAnswer Answer(const HttpRequest& request, absl::Time now) const;

 private:
  HttpAnswer AnswerFile(const HttpRequest& request, const std::string& path,
                        absl::Time now) const;

  std::filesystem::path root_;  // canonical; empty: there is none
};

}  // namespace examples

#endif  // WEIR_EXAMPLES_HTTP_SITE_H_
