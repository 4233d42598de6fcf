#include "platform/name_lookup.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "platform/error.h"
#include "platform/windows/sockaddr.h"
#include "platform/windows/utf.h"
#include "platform/windows/winsock.h"
#include "weir/socket_address.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

// RFC 6761, section 6.3.
bool IsLocalhost(absl::string_view host) {
  if (absl::EndsWith(host, ".")) host.remove_suffix(1);
  return absl::EqualsIgnoreCase(host, "localhost") ||
         absl::EndsWithIgnoreCase(host, ".localhost");
}

}  // namespace

absl::StatusOr<std::vector<SocketAddress>> LookUpName(const std::string& host,
                                                      AddressFamily family) {
  if (const int error = StartWinsock()) {
    return SystemError(error, "WSAStartup");
  }
  // An address needs no asking; what the system says of one of the wrong family
  // depends on its version.
  if (const auto literal = SocketAddress::FromIp(host, 0); literal.ok()) {
    if (family != AddressFamily::kUnspecified && family != literal->family()) {
      return NameLookupError(WSAHOST_NOT_FOUND, 0, host);
    }
    return std::vector<SocketAddress>{*literal};
  }
  const std::optional<std::wstring> name = ToUtf16(host);
  // An empty name would mean this machine.
  if (!name.has_value() || name->empty()) {
    return NameLookupError(WSAHOST_NOT_FOUND, 0, host);
  }
  ADDRINFOW hints = {};
  hints.ai_family = ToSystemFamily(family);
  // Else each address comes once for every type.
  hints.ai_socktype = SOCK_STREAM;
  // It does not count loopback addresses: with it, localhost would have no IPv6
  // address on a machine whose other addresses are IPv4, and a family that was
  // asked for by name might be refused.
  if (family == AddressFamily::kUnspecified && !IsLocalhost(host)) {
    hints.ai_flags |= AI_ADDRCONFIG;
  }
  ADDRINFOW* found = nullptr;
  const int code = ::GetAddrInfoW(name->c_str(), nullptr, &hints, &found);
  if (code != 0) return NameLookupError(code, 0, host);
  const std::unique_ptr<ADDRINFOW, void(WSAAPI*)(ADDRINFOW*)> owner(
      found, &::FreeAddrInfoW);
  std::vector<SocketAddress> addresses;
  for (const ADDRINFOW* info = found; info != nullptr; info = info->ai_next) {
    sockaddr_storage storage = {};
    if (info->ai_addrlen > sizeof(storage)) continue;
    std::memcpy(&storage, info->ai_addr, info->ai_addrlen);
    const SocketAddress address =
        FromSockaddr(storage, static_cast<int>(info->ai_addrlen));
    // A hosts file that lists a name twice gives the address twice.
    if (!address.is_unspecified() &&
        std::find(addresses.begin(), addresses.end(), address) ==
            addresses.end()) {
      addresses.push_back(address);
    }
  }
  return addresses;
}

absl::Status NameLookupError(int code, int, std::string_view host) {
  const absl::Status status = SystemError(code, "resolve", host);
  if (code != WSATRY_AGAIN) return status;
  return StatusWithCause(
      absl::StatusCode::kUnavailable, CauseOf(status),
      std::string_view(status.message().data(), status.message().size()), code);
}

}  // namespace weir::platform
