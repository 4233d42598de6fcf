#include "examples/http_conditions.h"

#include <algorithm>
#include <cstddef>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace examples {
namespace {

constexpr char kFormat[] = "%a, %d %b %Y %H:%M:%S GMT";
// RFC 9110, 5.6.7: the form of today, that of RFC 850 and that of asctime().
constexpr const char* kFormats[] = {kFormat, "%A, %d-%b-%y %H:%M:%S GMT",
                                    "%a %b %e %H:%M:%S %Y"};

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
    text.remove_prefix(1);
  }
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) {
    text.remove_suffix(1);
  }
  return text;
}

// Whether `list` of entity tags names `tag`, which is strong. A weak one
// matches where `weak_too`.
bool Matches(std::string_view list, std::string_view tag, bool weak_too) {
  list = Trim(list);
  if (list == "*") return true;
  while (!list.empty()) {
    const bool weak = list.starts_with("W/");
    if (weak) list.remove_prefix(2);
    if (!list.starts_with('"')) return false;
    const std::size_t end = list.find('"', 1);
    if (end == list.npos) return false;
    if (list.substr(0, end + 1) == tag && (!weak || weak_too)) return true;
    list = Trim(list.substr(end + 1));
    if (!list.empty() && list.front() != ',') return false;
    while (list.starts_with(',')) list = Trim(list.substr(1));
  }
  return false;
}

// A number of digits alone; the largest there is if it is larger.
std::optional<std::uint64_t> ParseNumber(std::string_view text) {
  constexpr std::uint64_t kLargest = std::numeric_limits<std::uint64_t>::max();
  if (text.empty()) return std::nullopt;
  std::uint64_t number = 0;
  for (const char digit : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(digit))) {
      return std::nullopt;
    }
    const auto value = static_cast<std::uint64_t>(digit - '0');
    number = number > (kLargest - value) / 10 ? kLargest : number * 10 + value;
  }
  return number;
}

// Of If-Range: whether what the client has is part of this very file.
bool IsSame(std::string_view validator, const HttpVersionOfFile& file) {
  if (validator.starts_with('"')) return validator == file.entity_tag;
  return ParseHttpDate(validator) == file.modified;
}

}  // namespace

std::string HttpDate(absl::Time time) {
  return absl::FormatTime(kFormat, time, absl::UTCTimeZone());
}

std::optional<absl::Time> ParseHttpDate(std::string_view text) {
  for (const char* format : kFormats) {
    absl::Time time;
    if (absl::ParseTime(format, absl::string_view(text.data(), text.size()),
                        &time, nullptr)) {
      return time;
    }
  }
  return std::nullopt;
}

HttpVersionOfFile HttpVersionOfFile::Of(std::uint64_t size,
                                        absl::Time modified) {
  return {.entity_tag =
              absl::StrFormat("\"%x-%x\"", size, absl::ToUnixNanos(modified)),
          .modified = absl::FromUnixSeconds(absl::ToUnixSeconds(modified))};
}

int EvaluateConditions(const HttpRequest& request,
                       const HttpVersionOfFile& file) {
  if (!request.if_match.empty()) {
    if (!Matches(request.if_match, file.entity_tag, false)) return 412;
  } else if (!request.if_unmodified_since.empty()) {
    const auto date = ParseHttpDate(request.if_unmodified_since);
    if (date.has_value() && file.modified > *date) return 412;
  }
  if (!request.if_none_match.empty()) {
    return Matches(request.if_none_match, file.entity_tag, true) ? 304 : 200;
  }
  if (!request.if_modified_since.empty()) {
    const auto date = ParseHttpDate(request.if_modified_since);
    if (date.has_value() && file.modified <= *date) return 304;
  }
  return 200;
}

HttpRange SelectRange(const HttpRequest& request, std::uint64_t size,
                      const HttpVersionOfFile& file) {
  const HttpRange all = {.status = 200, .offset = 0, .length = size};
  const HttpRange outside = {.status = 416, .offset = 0, .length = 0};
  constexpr absl::string_view kUnit = "bytes=";
  if (request.method != HttpMethod::kGet ||
      !absl::StartsWithIgnoreCase(request.range, kUnit)) {
    return all;
  }
  if (!request.if_range.empty() && !IsSame(request.if_range, file)) return all;
  const std::string_view range =
      Trim(std::string_view(request.range).substr(kUnit.size()));
  const std::size_t dash = range.find('-');
  if (dash == range.npos) return all;
  const auto first = ParseNumber(range.substr(0, dash));
  const auto last = ParseNumber(range.substr(dash + 1));
  if (!first.has_value()) {
    // "-N": the last N bytes.
    if (dash != 0 || !last.has_value()) return all;
    if (*last == 0 || size == 0) return outside;
    const std::uint64_t length = std::min(*last, size);
    return {.status = 206, .offset = size - length, .length = length};
  }
  if (!last.has_value() && dash + 1 != range.size()) return all;
  if (last.has_value() && *last < *first) return all;
  if (*first >= size) return outside;
  const std::uint64_t end =
      last.has_value() ? std::min(*last, size - 1) + 1 : size;
  return {.status = 206, .offset = *first, .length = end - *first};
}

}  // namespace examples
