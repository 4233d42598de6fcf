#include "weir/socket_address.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/ip_text.h"
#include "platform/interfaces.h"
#include "weir/status.h"

namespace weir {
namespace {

using internal::Problem;

constexpr std::string_view kUnixPrefix = "unix:";
constexpr const char kAcceptedAddresses[] =
    "127.0.0.1:80, [::1]:80, [fe80::1%2]:80, unix:/path and unix:@name";
constexpr const char kAcceptedIps[] = "127.0.0.1, ::1 and fe80::1%2";
constexpr const char kAcceptedUnixNames[] =
    "1 to 107 bytes, without a zero byte in a path";

// Quotes the input in a message, however long and whatever is in it.
std::string Quoted(std::string_view text) {
  constexpr std::size_t kMaxQuoted = 160;
  const std::string_view start = text.substr(0, kMaxQuoted);
  return absl::StrCat(
      "\"", absl::CHexEscape(absl::string_view(start.data(), start.size())),
      start.size() < text.size() ? "...\"" : "\"");
}

// `what`: "a socket address", ...
absl::Status BadText(std::string_view text, const char* what, Problem problem,
                     const char* accepted) {
  return StatusWithCause(absl::StatusCode::kInvalidArgument,
                         ErrorCause::kInvalidArgument,
                         absl::StrCat(Quoted(text), " is not ", what, ": ",
                                      problem, "; accepted are ", accepted));
}

// Takes the scope off `ip` ("fe80::1%2" leaves "fe80::1"). A problem is told
// in `problem`; a status is what the system said of an interface's name.
absl::StatusOr<std::uint32_t> TakeScope(std::string_view& ip,
                                        Problem& problem) {
  const std::size_t percent = ip.find('%');
  if (percent == std::string_view::npos) return 0u;
  const std::string_view scope = ip.substr(percent + 1);
  ip = ip.substr(0, percent);
  const bool decimal = std::all_of(scope.begin(), scope.end(),
                                   [](char c) { return c >= '0' && c <= '9'; });
  if (decimal) {
    const std::optional<std::uint32_t> index = internal::ParseDecimal(
        scope, std::numeric_limits<std::uint32_t>::max());
    if (index.has_value() && *index != 0) return *index;
    problem =
        "a scope is an interface's name or its index, from 1 to 4294967295 "
        "without leading zeros";
    return 0u;
  }
  const bool is_name = std::all_of(scope.begin(), scope.end(), [](char c) {
    return c > ' ' && c != 0x7f && c != '%' && c != '/';
  });
  if (!is_name) {
    problem = "the scope is not the name of an interface";
    return 0u;
  }
  return platform::InterfaceIndex(scope);
}

// `text` is the whole input, for the message.
absl::StatusOr<SocketAddress> ParseIpv6WithScope(std::string_view text,
                                                 const char* what,
                                                 const char* accepted,
                                                 std::string_view ip,
                                                 std::uint16_t port) {
  // The address is judged first, so that the system is only asked about the
  // interface of a text that is right otherwise.
  SocketAddress::Ipv6Bytes bytes;
  if (Problem problem =
          internal::ParseIpv6(ip.substr(0, ip.find('%')), bytes)) {
    return BadText(text, what, problem, accepted);
  }
  Problem problem = nullptr;
  const absl::StatusOr<std::uint32_t> scope = TakeScope(ip, problem);
  if (!scope.ok()) return scope.status();
  if (problem != nullptr) return BadText(text, what, problem, accepted);
  return SocketAddress::Ipv6(bytes, port, *scope);
}

bool IsAllZero(std::span<const std::uint8_t> bytes) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [](std::uint8_t byte) { return byte == 0; });
}

Problem UnixNameProblem(std::string_view name) {
  if (name.empty()) return "the name is empty";
  if (name.size() > SocketAddress::kMaxUnixNameBytes) {
    return "the name is longer than 107 bytes";
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<SocketAddress> SocketAddress::Parse(std::string_view text) {
  const auto bad = [text](Problem problem) {
    return BadText(text, "a socket address", problem, kAcceptedAddresses);
  };
  if (text.substr(0, kUnixPrefix.size()) == kUnixPrefix) {
    std::string_view name = text.substr(kUnixPrefix.size());
    const bool abstract = !name.empty() && name.front() == '@';
    if (abstract) name.remove_prefix(1);
    if (Problem problem = UnixNameProblem(name)) return bad(problem);
    if (abstract) return UnixAbstract(name);
    if (name.find('\0') != std::string_view::npos) {
      return bad("the path has a zero byte");
    }
    return UnixPath(name);
  }

  const bool brackets = !text.empty() && text.front() == '[';
  const std::size_t ip_end = brackets ? text.find(']') : text.find(':');
  if (brackets && ip_end == std::string_view::npos) {
    return bad("the ']' is missing");
  }
  const std::string_view ip =
      brackets ? text.substr(1, ip_end - 1) : text.substr(0, ip_end);
  const std::size_t colon = brackets ? ip_end + 1 : ip_end;
  if (colon >= text.size() || text[colon] != ':') {
    return bad("it has no port");
  }
  const std::string_view port_text = text.substr(colon + 1);
  if (!brackets && port_text.find(':') != std::string_view::npos) {
    return bad("an IPv6 address stands in brackets");
  }
  const std::optional<std::uint32_t> port =
      internal::ParseDecimal(port_text, 65535);
  if (!port.has_value()) {
    return bad(
        "a port is a decimal number from 0 to 65535 without leading zeros");
  }
  const std::uint16_t port_number = static_cast<std::uint16_t>(*port);
  if (brackets) {
    return ParseIpv6WithScope(text, "a socket address", kAcceptedAddresses, ip,
                              port_number);
  }
  Ipv4Bytes bytes;
  if (Problem problem = internal::ParseIpv4(ip, bytes)) return bad(problem);
  return Ipv4(bytes, port_number);
}

absl::StatusOr<SocketAddress> SocketAddress::FromIp(std::string_view ip,
                                                    std::uint16_t port) {
  if (ip.find(':') != std::string_view::npos) {
    return ParseIpv6WithScope(ip, "an IP address", kAcceptedIps, ip, port);
  }
  Ipv4Bytes bytes;
  if (Problem problem = internal::ParseIpv4(ip, bytes)) {
    return BadText(ip, "an IP address", problem, kAcceptedIps);
  }
  return Ipv4(bytes, port);
}

SocketAddress SocketAddress::Ipv4(const Ipv4Bytes& bytes, std::uint16_t port) {
  SocketAddress address;
  address.SetBytes(AddressFamily::kIpv4, bytes.data(), bytes.size());
  address.port_ = port;
  return address;
}

SocketAddress SocketAddress::Ipv6(const Ipv6Bytes& bytes, std::uint16_t port,
                                  std::uint32_t scope_id) {
  SocketAddress address;
  address.SetBytes(AddressFamily::kIpv6, bytes.data(), bytes.size());
  address.port_ = port;
  address.scope_id_ = scope_id;
  return address;
}

SocketAddress SocketAddress::Ipv4Any(std::uint16_t port) {
  return Ipv4(Ipv4Bytes{}, port);
}

SocketAddress SocketAddress::Ipv4Loopback(std::uint16_t port) {
  return Ipv4(Ipv4Bytes{127, 0, 0, 1}, port);
}

SocketAddress SocketAddress::Ipv6Any(std::uint16_t port) {
  return Ipv6(Ipv6Bytes{}, port);
}

SocketAddress SocketAddress::Ipv6Loopback(std::uint16_t port) {
  Ipv6Bytes bytes{};
  bytes.back() = 1;
  return Ipv6(bytes, port);
}

absl::StatusOr<SocketAddress> SocketAddress::UnixPath(std::string_view path) {
  const bool needs_prefix = !path.empty() && path.front() == '@';
  Problem problem = UnixNameProblem(path);
  if (needs_prefix && path.size() + 2 > kMaxUnixNameBytes) {
    problem = "with \"./\" before the '@', it is longer than 107 bytes";
  }
  if (path.find('\0') != std::string_view::npos) {
    problem = "the path has a zero byte";
  }
  if (problem != nullptr) {
    return BadText(path, "the path of a Unix socket", problem,
                   kAcceptedUnixNames);
  }
  return FromUnixNameBytes(path);
}

absl::StatusOr<SocketAddress> SocketAddress::UnixAbstract(
    std::string_view name) {
  if (Problem problem = UnixNameProblem(name)) {
    return BadText(name, "the abstract name of a Unix socket", problem,
                   kAcceptedUnixNames);
  }
  return FromUnixNameBytes(std::string(1, '\0').append(name));
}

SocketAddress SocketAddress::UnixUnnamed() { return FromUnixNameBytes({}); }

SocketAddress SocketAddress::FromUnixNameBytes(std::string_view bytes) {
  if (!bytes.empty() && bytes.front() == '@' && bytes.size() + 2 <= kMaxBytes) {
    return FromUnixNameBytes(std::string("./").append(bytes));
  }
  SocketAddress address;
  address.SetBytes(AddressFamily::kUnix, bytes.data(),
                   std::min(bytes.size(), kMaxBytes));
  return address;
}

void SocketAddress::SetBytes(AddressFamily family, const void* bytes,
                             std::size_t length) {
  family_ = family;
  length_ = static_cast<std::uint8_t>(length);
  if (length != 0) std::memcpy(bytes_.data(), bytes, length);
}

SocketAddress SocketAddress::with_port(std::uint16_t port) const {
  SocketAddress address = *this;
  if (is_ipv4() || is_ipv6()) address.port_ = port;
  return address;
}

std::span<const std::uint8_t> SocketAddress::ip_bytes() const {
  if (!is_ipv4() && !is_ipv6()) return {};
  return {bytes_.data(), length_};
}

std::string SocketAddress::ip() const {
  if (is_ipv4()) return internal::FormatIpv4(bytes_.data());
  if (!is_ipv6()) return {};
  std::string text = internal::FormatIpv6(bytes_.data());
  if (scope_id_ != 0) absl::StrAppend(&text, "%", scope_id_);
  return text;
}

std::string_view SocketAddress::unix_name_bytes() const {
  if (!is_unix()) return {};
  return {reinterpret_cast<const char*>(bytes_.data()), length_};
}

std::string_view SocketAddress::path() const {
  const std::string_view bytes = unix_name_bytes();
  return bytes.empty() || bytes.front() == '\0' ? std::string_view() : bytes;
}

std::string_view SocketAddress::abstract_name() const {
  const std::string_view bytes = unix_name_bytes();
  return bytes.empty() || bytes.front() != '\0' ? std::string_view()
                                                : bytes.substr(1);
}

bool SocketAddress::is_loopback() const {
  if (is_v4_mapped()) return unmapped().is_loopback();
  if (is_ipv4()) return bytes_[0] == 127;
  return is_ipv6() && IsAllZero(ip_bytes().first(15)) && bytes_[15] == 1;
}

bool SocketAddress::is_any() const {
  if (is_v4_mapped()) return unmapped().is_any();
  return (is_ipv4() || is_ipv6()) && IsAllZero(ip_bytes());
}

bool SocketAddress::is_multicast() const {
  if (is_ipv4()) return (bytes_[0] & 0xf0) == 0xe0;
  return is_ipv6() && bytes_[0] == 0xff;
}

bool SocketAddress::is_v4_mapped() const {
  return is_ipv6() && internal::IsV4Mapped(bytes_.data());
}

SocketAddress SocketAddress::unmapped() const {
  if (!is_v4_mapped()) return *this;
  return Ipv4({bytes_[12], bytes_[13], bytes_[14], bytes_[15]}, port_);
}

std::string SocketAddress::ToString() const {
  switch (family_) {
    case AddressFamily::kUnspecified:
      return "unspecified";
    case AddressFamily::kIpv4:
      return absl::StrCat(ip(), ":", port_);
    case AddressFamily::kIpv6:
      return absl::StrCat("[", ip(), "]:", port_);
    case AddressFamily::kUnix: {
      std::string text(unix_name_bytes());
      if (!text.empty() && text.front() == '\0') text.front() = '@';
      return text.insert(0, kUnixPrefix);
    }
  }
  return {};
}

bool operator==(const SocketAddress& a, const SocketAddress& b) {
  return a.family_ == b.family_ && a.length_ == b.length_ &&
         a.port_ == b.port_ && a.scope_id_ == b.scope_id_ &&
         std::memcmp(a.bytes_.data(), b.bytes_.data(), a.length_) == 0;
}

}  // namespace weir
