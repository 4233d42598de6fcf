// The text of IP addresses: RFC 4291 in, RFC 5952 out. Pure and total: any
// input gives an answer, and no system is asked.

#ifndef WEIR_CORE_IP_TEXT_H_
#define WEIR_CORE_IP_TEXT_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::internal {

// What is wrong with a text, as the end of a sentence ("an IPv4 part is above
// 255"); null if nothing is. Static.
using Problem = const char*;

// A decimal number without sign and leading zeros, at most `max`; nullopt for
// anything else.
std::optional<std::uint32_t> ParseDecimal(std::string_view text,
                                          std::uint32_t max);

// Four decimal numbers, 0 to 255, without leading zeros. `bytes` is unspecified
// after a problem.
Problem ParseIpv4(std::string_view text, std::array<std::uint8_t, 4>& bytes);

// Any form of RFC 4291, section 2.2, without scope; "::" stands for at least
// one group. `bytes` is unspecified after a problem.
Problem ParseIpv6(std::string_view text, std::array<std::uint8_t, 16>& bytes);

std::string FormatIpv4(const std::uint8_t* bytes);

// RFC 5952; IPv4-mapped addresses end in dotted decimal.
std::string FormatIpv6(const std::uint8_t* bytes);

// Whether 16 bytes are in ::ffff:0:0/96.
bool IsV4Mapped(const std::uint8_t* bytes);

}  // namespace weir::internal

#endif  // WEIR_CORE_IP_TEXT_H_
