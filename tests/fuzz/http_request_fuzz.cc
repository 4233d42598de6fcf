// What the HTTP server makes of bytes from the network, before it opens
// anything: requests, their paths, conditions and ranges.
//
// The first byte says in what pieces the others arrive. However they are cut,
// the requests must be the same: what reads a stream differently from one time
// to the next can be made to read it differently from somebody else.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "examples/http_conditions.h"
#include "examples/http_request.h"
#include "examples/http_target.h"

namespace {

using examples::HttpRequest;

#define WEIR_FUZZ_CHECK(condition)                              \
  do {                                                          \
    if (!(condition)) {                                         \
      std::cerr << __LINE__ << ": not so: " #condition << '\n'; \
      std::abort();                                             \
    }                                                           \
  } while (false)

std::vector<HttpRequest> Parse(std::string_view bytes, std::size_t piece) {
  examples::HttpRequestParser parser;
  std::vector<HttpRequest> requests;
  const auto take = [&] {
    while (std::optional<HttpRequest> request = parser.Next()) {
      requests.push_back(*std::move(request));
    }
  };
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    parser.Append(bytes.substr(at, piece));
    take();
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const HttpRequest& request = requests[i];
    const bool last = request.refusal != 0 || !request.keep_alive;
    WEIR_FUZZ_CHECK(!last || i + 1 == requests.size());
    WEIR_FUZZ_CHECK(request.refusal == 0 ||
                    (request.refusal >= 400 && request.refusal < 600));
  }
  return requests;
}

bool IsSame(const HttpRequest& a, const HttpRequest& b) {
  if (a.refusal != 0 || b.refusal != 0) {
    return (a.refusal != 0) == (b.refusal != 0);
  }
  return a.method == b.method && a.target == b.target &&
         a.is_http_1_0 == b.is_http_1_0 && a.keep_alive == b.keep_alive &&
         a.range == b.range && a.if_range == b.if_range &&
         a.if_match == b.if_match && a.if_none_match == b.if_none_match &&
         a.if_modified_since == b.if_modified_since &&
         a.if_unmodified_since == b.if_unmodified_since;
}

void CheckPath(std::string_view target) {
  const std::optional<std::string> path = examples::PathOfTarget(target);
  if (!path.has_value()) return;
  WEIR_FUZZ_CHECK(path->starts_with('/'));
  WEIR_FUZZ_CHECK(path->find("//") == path->npos);
  WEIR_FUZZ_CHECK(path->find('\0') == path->npos);
  const std::string ended = *path + "/";
  WEIR_FUZZ_CHECK(ended.find("/./") == ended.npos);
  WEIR_FUZZ_CHECK(ended.find("/../") == ended.npos);
  WEIR_FUZZ_CHECK(examples::PathOfTarget(examples::EncodePath(*path)) == path);
}

void CheckAnswer(const HttpRequest& request) {
  for (const std::uint64_t size :
       {std::uint64_t{0}, std::uint64_t{10}, ~std::uint64_t{0}}) {
    const auto file =
        examples::HttpVersionOfFile::Of(size, absl::FromUnixSeconds(784111777));
    const int status = examples::EvaluateConditions(request, file);
    WEIR_FUZZ_CHECK(status == 200 || status == 304 || status == 412);
    const examples::HttpRange range =
        examples::SelectRange(request, size, file);
    WEIR_FUZZ_CHECK(range.offset <= size &&
                    range.length <= size - range.offset);
    WEIR_FUZZ_CHECK((range.status == 206 && range.length > 0) ||
                    (range.status == 200 && range.length == size) ||
                    (range.status == 416 && range.length == 0));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1,
                               size - 1);
  const std::vector<HttpRequest> whole = Parse(bytes, size);
  const std::vector<HttpRequest> pieces = Parse(bytes, data[0] % 64u + 1);
  WEIR_FUZZ_CHECK(std::equal(whole.begin(), whole.end(), pieces.begin(),
                             pieces.end(), IsSame));
  for (const HttpRequest& request : whole) {
    if (request.refusal != 0) continue;
    CheckPath(request.target);
    CheckAnswer(request);
  }
  CheckPath(bytes);
  return 0;
}
