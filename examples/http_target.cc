#include "examples/http_target.h"

#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace examples {
namespace {

int HexDigit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(digit));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::optional<std::string> Decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char byte = text[i];
    if (byte == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = HexDigit(text[i + 1]), low = HexDigit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      byte = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (byte == '\0' || byte == '\\') return std::nullopt;
    decoded.push_back(byte);
  }
  return decoded;
}

}  // namespace

std::optional<std::string> PathOfTarget(std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  if (absl::StartsWithIgnoreCase(
          absl::string_view(target.data(), target.size()),
          absl::string_view(kScheme.data(), kScheme.size()))) {
    target.remove_prefix(kScheme.size());
    const std::size_t host_end = target.find_first_of("/?#");
    if (host_end == 0) return std::nullopt;
    target = host_end == target.npos || target[host_end] != '/'
                 ? "/"
                 : target.substr(host_end);
  }
  if (!target.starts_with('/')) return std::nullopt;
  const auto decoded = Decode(target.substr(0, target.find_first_of("?#")));
  if (!decoded.has_value()) return std::nullopt;
  std::string path = "/";
  std::string_view rest = *decoded;
  while (!rest.empty()) {
    rest.remove_prefix(1);  // the '/' before the segment
    const std::size_t end = rest.find('/');
    const std::string_view segment = rest.substr(0, end);
    rest = end == rest.npos ? std::string_view() : rest.substr(end);
    if (segment.empty() || segment == ".") continue;
    if (segment == "..") {
      if (path == "/") return std::nullopt;
      path.resize(path.rfind('/', path.size() - 2) + 1);
      continue;
    }
    path.append(segment);
    if (!rest.empty()) path.push_back('/');
  }
  return path;
}

std::string EncodePath(std::string_view path) {
  constexpr std::string_view kPlain = "/-._~!$&'()*+,;=:@";
  std::string encoded;
  for (const char byte : path) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(byte)) ||
        kPlain.find(byte) != kPlain.npos) {
      encoded.push_back(byte);
    } else {
      absl::StrAppendFormat(&encoded, "%%%02X",
                            static_cast<unsigned char>(byte));
    }
  }
  return encoded;
}

}  // namespace examples
