#include "core/ip_text.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace weir::internal {
namespace {

constexpr std::size_t kGroups = 8;
constexpr std::size_t kMaxGroupDigits = 4;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

unsigned HexValue(char c) {
  if (IsDigit(c)) return static_cast<unsigned>(c - '0');
  return static_cast<unsigned>(
             absl::ascii_tolower(static_cast<unsigned char>(c)) - 'a') +
         10;
}

std::size_t CountHexDigits(std::string_view text) {
  const auto end = std::find_if_not(text.begin(), text.end(), [](char c) {
    return absl::ascii_isxdigit(static_cast<unsigned char>(c));
  });
  return static_cast<std::size_t>(end - text.begin());
}

}  // namespace

std::optional<std::uint32_t> ParseDecimal(std::string_view text,
                                          std::uint32_t max) {
  if (text.empty() || (text.front() == '0' && text.size() > 1)) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  for (char c : text) {
    if (!IsDigit(c)) return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
    if (value > max) return std::nullopt;
  }
  return static_cast<std::uint32_t>(value);
}

Problem ParseIpv4(std::string_view text, std::array<std::uint8_t, 4>& bytes) {
  for (std::size_t part = 0; part < bytes.size(); ++part) {
    const bool last = part + 1 == bytes.size();
    const std::size_t dot = text.find('.');
    if (last != (dot == std::string_view::npos)) {
      return "an IPv4 address has four parts";
    }
    const std::optional<std::uint32_t> value =
        ParseDecimal(text.substr(0, dot), 255);
    if (!value.has_value()) {
      return "an IPv4 part is a decimal number from 0 to 255 without leading "
             "zeros";
    }
    bytes[part] = static_cast<std::uint8_t>(*value);
    text.remove_prefix(last ? text.size() : dot + 1);
  }
  return nullptr;
}

Problem ParseIpv6(std::string_view text, std::array<std::uint8_t, 16>& bytes) {
  std::array<std::uint16_t, kGroups> groups{};
  std::size_t count = 0;
  // How many groups stand before "::", once it was met.
  std::optional<std::size_t> gap;

  if (text.substr(0, 2) == "::") {
    gap = 0;
    text.remove_prefix(2);
  }
  // What is left is empty or begins with a group.
  while (!text.empty()) {
    const std::size_t digits = CountHexDigits(text);
    if (digits < text.size() && text[digits] == '.') {
      std::array<std::uint8_t, 4> tail;
      if (Problem problem = ParseIpv4(text, tail)) return problem;
      if (count + 2 > kGroups) return "an IPv6 address has too many groups";
      groups[count++] = static_cast<std::uint16_t>(tail[0] << 8 | tail[1]);
      groups[count++] = static_cast<std::uint16_t>(tail[2] << 8 | tail[3]);
      break;
    }
    if (digits == 0 || digits > kMaxGroupDigits) {
      return "an IPv6 group has one to four hexadecimal digits";
    }
    if (count == kGroups) return "an IPv6 address has too many groups";
    unsigned value = 0;
    for (char c : text.substr(0, digits)) value = value << 4 | HexValue(c);
    groups[count++] = static_cast<std::uint16_t>(value);
    text.remove_prefix(digits);
    if (text.empty()) break;
    if (text.front() != ':') return "an IPv6 group is followed by ':'";
    text.remove_prefix(1);
    if (text.empty()) return "an IPv6 address does not end in a single ':'";
    if (text.front() == ':') {
      if (gap.has_value()) return "an IPv6 address has at most one \"::\"";
      gap = count;
      text.remove_prefix(1);
    }
  }
  if (gap.has_value()) {
    if (count == kGroups) return "\"::\" stands for at least one group";
    const auto first = groups.begin() + static_cast<std::ptrdiff_t>(*gap);
    std::rotate(first, groups.begin() + static_cast<std::ptrdiff_t>(count),
                groups.end());
  } else if (count != kGroups) {
    return "an IPv6 address without \"::\" has eight groups";
  }
  for (std::size_t i = 0; i < kGroups; ++i) {
    bytes[2 * i] = static_cast<std::uint8_t>(groups[i] >> 8);
    bytes[2 * i + 1] = static_cast<std::uint8_t>(groups[i] & 0xff);
  }
  return nullptr;
}

std::string FormatIpv4(const std::uint8_t* bytes) {
  return absl::StrCat(bytes[0], ".", bytes[1], ".", bytes[2], ".", bytes[3]);
}

std::string FormatIpv6(const std::uint8_t* bytes) {
  if (IsV4Mapped(bytes)) return absl::StrCat("::ffff:", FormatIpv4(bytes + 12));
  const auto group = [bytes](std::size_t i) {
    return static_cast<unsigned>(bytes[2 * i] << 8 | bytes[2 * i + 1]);
  };
  // The longest run of at least two zero groups, the first of equals (RFC 5952,
  // section 4.2).
  std::size_t run_start = kGroups;
  std::size_t run_length = 1;
  for (std::size_t i = 0; i < kGroups;) {
    std::size_t end = i;
    while (end < kGroups && group(end) == 0) ++end;
    if (end - i > run_length) {
      run_start = i;
      run_length = end - i;
    }
    i = end + 1;
  }
  std::string text;
  for (std::size_t i = 0; i < kGroups;) {
    if (i == run_start) {
      text += "::";
      i += run_length;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    absl::StrAppend(&text, absl::Hex(group(i)));
    ++i;
  }
  return text;
}

bool IsV4Mapped(const std::uint8_t* bytes) {
  return std::all_of(bytes, bytes + 10,
                     [](std::uint8_t byte) { return byte == 0; }) &&
         bytes[10] == 0xff && bytes[11] == 0xff;
}

}  // namespace weir::internal
