// Dates, entity tags, ranges and conditional requests (RFC 9110). Pure.

#ifndef WEIR_EXAMPLES_HTTP_CONDITIONS_H_
#define WEIR_EXAMPLES_HTTP_CONDITIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "examples/http_request.h"

namespace examples {

// "Sun, 06 Nov 1994 08:49:37 GMT".
std::string HttpDate(absl::Time time);
// Of that form, or one of the two older ones. Nothing: it is no date.
std::optional<absl::Time> ParseHttpDate(std::string_view text);

// What a file is compared by.
struct HttpVersionOfFile {
  std::string entity_tag;  // strong, with its quotes
  absl::Time modified;     // whole seconds, as dates are

  static HttpVersionOfFile Of(std::uint64_t size, absl::Time modified);
};

// 200, 304 (Not Modified) or 412 (Precondition Failed), by the conditions of
// `request`, in the order of RFC 9110, 13.2.2.
int EvaluateConditions(const HttpRequest& request,
                       const HttpVersionOfFile& file);

// Part of a file, or all of it.
struct HttpRange {
  int status = 200;  // 206: part; 416: what was asked for lies outside
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// What of a file of `size` bytes `request` asks for. Several ranges, a unit
// other than bytes and what is no range at all are read as asking for all of
// it, as RFC 9110, 14.2 allows.
HttpRange SelectRange(const HttpRequest& request, std::uint64_t size,
                      const HttpVersionOfFile& file);

}  // namespace examples

#endif  // WEIR_EXAMPLES_HTTP_CONDITIONS_H_
