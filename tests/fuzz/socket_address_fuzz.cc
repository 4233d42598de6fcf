// Addresses out of any text: what is taken is written so that it is taken again
// for the same address.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "weir/socket_address.h"

namespace {

using weir::SocketAddress;

#define WEIR_FUZZ_CHECK(condition)                              \
  do {                                                          \
    if (!(condition)) {                                         \
      std::cerr << __LINE__ << ": not so: " #condition << '\n'; \
      std::abort();                                             \
    }                                                           \
  } while (false)

bool IsOfBadText(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsNotFound(status);
}

void CheckParse(std::string_view text) {
  const auto address = SocketAddress::Parse(text);
  if (!address.ok()) {
    WEIR_FUZZ_CHECK(IsOfBadText(address.status()));
    WEIR_FUZZ_CHECK(!address.status().message().empty());
    return;
  }
  WEIR_FUZZ_CHECK(!address->is_unspecified());
  const std::string written = address->ToString();
  const auto again = SocketAddress::Parse(written);
  WEIR_FUZZ_CHECK(again.ok());
  WEIR_FUZZ_CHECK(*again == *address);
  WEIR_FUZZ_CHECK(again->ToString() == written);
  if (address->is_unix()) {
    WEIR_FUZZ_CHECK(address->path().empty() !=
                    address->abstract_name().empty());
    WEIR_FUZZ_CHECK(SocketAddress::FromUnixNameBytes(
                        address->unix_name_bytes()) == *address);
    return;
  }
  WEIR_FUZZ_CHECK(address->ip_bytes().size() ==
                  (address->is_ipv4() ? 4u : 16u));
  const auto of_ip = SocketAddress::FromIp(address->ip(), address->port());
  WEIR_FUZZ_CHECK(of_ip.ok());
  WEIR_FUZZ_CHECK(*of_ip == *address);
}

void CheckFromIp(std::string_view text) {
  const auto address = SocketAddress::FromIp(text, 80);
  if (!address.ok()) {
    WEIR_FUZZ_CHECK(IsOfBadText(address.status()));
    return;
  }
  CheckParse(address->ToString());
  WEIR_FUZZ_CHECK(address->port() == 80);
  WEIR_FUZZ_CHECK(address->unmapped().port() == 80);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  CheckParse(text);
  CheckFromIp(text);
  if (const auto path = SocketAddress::UnixPath(text); path.ok()) {
    CheckParse(path->ToString());
  }
  if (const auto name = SocketAddress::UnixAbstract(text); name.ok()) {
    WEIR_FUZZ_CHECK(name->abstract_name() == text);
  }
  const SocketAddress of_bytes = SocketAddress::FromUnixNameBytes(text);
  WEIR_FUZZ_CHECK(of_bytes.unix_name_bytes().size() <= 108);
  return 0;
}
