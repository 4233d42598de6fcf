#include "platform/name_lookup.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "platform/error.h"
#include "platform/posix/sockaddr.h"
#include "weir/socket_address.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

struct LookupErrorRow {
  int code;
  absl::StatusCode canonical;
  ErrorCause cause;
  std::string_view symbol;
};

#define WEIR_EAI(symbol, canonical, cause) \
  { symbol, absl::StatusCode::canonical, ErrorCause::cause, #symbol }

// getaddrinfo(3). Where two symbols have one number on a system, the first row
// names it.
constexpr LookupErrorRow kLookupErrors[] = {
    WEIR_EAI(EAI_NONAME, kNotFound, kNotFound),
#ifdef EAI_NODATA
    WEIR_EAI(EAI_NODATA, kNotFound, kNotFound),
#endif
#ifdef EAI_ADDRFAMILY
    WEIR_EAI(EAI_ADDRFAMILY, kNotFound, kNotFound),
#endif
    // Why a name server did not answer is not told.
    WEIR_EAI(EAI_AGAIN, kUnavailable, kUnknown),
    WEIR_EAI(EAI_FAIL, kUnavailable, kProtocolError),
    WEIR_EAI(EAI_MEMORY, kResourceExhausted, kNoMemory),
    WEIR_EAI(EAI_FAMILY, kUnimplemented, kNotSupported),
    WEIR_EAI(EAI_BADFLAGS, kInvalidArgument, kInvalidArgument),
    WEIR_EAI(EAI_SERVICE, kInvalidArgument, kInvalidArgument),
    WEIR_EAI(EAI_SOCKTYPE, kInvalidArgument, kInvalidArgument),
#ifdef EAI_OVERFLOW
    WEIR_EAI(EAI_OVERFLOW, kInvalidArgument, kInvalidArgument),
#endif
#ifdef EAI_IDN_ENCODE
    WEIR_EAI(EAI_IDN_ENCODE, kInvalidArgument, kInvalidArgument),
#endif
};

#undef WEIR_EAI

// RFC 6761, section 6.3.
bool IsLocalhost(absl::string_view host) {
  if (absl::EndsWith(host, ".")) host.remove_suffix(1);
  return absl::EqualsIgnoreCase(host, "localhost") ||
         absl::EndsWithIgnoreCase(host, ".localhost");
}

}  // namespace

absl::StatusOr<std::vector<SocketAddress>> LookUpName(const std::string& host,
                                                      AddressFamily family) {
  addrinfo hints = {};
  hints.ai_family = ToSystemFamily(family);
  // Else each address comes once for every type.
  hints.ai_socktype = SOCK_STREAM;
  // It does not count loopback addresses: with it, localhost would have no IPv6
  // address on a machine whose other addresses are IPv4, and a family that was
  // asked for by name might be refused.
  if (family == AddressFamily::kUnspecified && !IsLocalhost(host)) {
    hints.ai_flags |= AI_ADDRCONFIG;
  }
  addrinfo* found = nullptr;
  int code;
  do {
    errno = 0;
    code = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  } while (code == EAI_SYSTEM && errno == EINTR);
  if (code != 0) return NameLookupError(code, errno, host);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found,
                                                             &::freeaddrinfo);
  std::vector<SocketAddress> addresses;
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    sockaddr_storage storage = {};
    if (info->ai_addrlen > sizeof(storage)) continue;
    std::memcpy(&storage, info->ai_addr, info->ai_addrlen);
    const SocketAddress address = FromSockaddr(storage, info->ai_addrlen);
    // A hosts file that lists a name twice gives the address twice.
    if (!address.is_unspecified() &&
        std::find(addresses.begin(), addresses.end(), address) ==
            addresses.end()) {
      addresses.push_back(address);
    }
  }
  return addresses;
}

absl::Status NameLookupError(int code, int system_code, std::string_view host) {
  if (code == 0) return absl::OkStatus();
  if (code == EAI_SYSTEM && system_code != 0) {
    return SystemError(system_code, "resolve", host);
  }
  const LookupErrorRow unknown = {code, absl::StatusCode::kUnknown,
                                  ErrorCause::kUnknown, ""};
  const LookupErrorRow* row = &unknown;
  for (const LookupErrorRow& known : kLookupErrors) {
    if (known.code == code) {
      row = &known;
      break;
    }
  }
  return StatusWithCause(
      row->canonical, row->cause,
      absl::StrCat("resolve ", absl::string_view(host.data(), host.size()),
                   ": ", ::gai_strerror(code), " (",
                   absl::string_view(row->symbol.data(), row->symbol.size()),
                   row->symbol.empty() ? "" : " ", code, ")"),
      code);
}

}  // namespace weir::platform
