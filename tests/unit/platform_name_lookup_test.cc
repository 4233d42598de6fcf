#include "platform/name_lookup.h"

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "platform/interfaces.h"
#include "tests/support/system.h"
#include "weir/socket_address.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

// Once each, though there are three types of socket.
TEST(PlatformNameLookup, P03_LocalhostIsFoundInTheFamilyAskedFor) {
  const auto addresses = LookUpName("localhost", AddressFamily::kIpv4);
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_EQ(std::count(addresses->begin(), addresses->end(),
                       SocketAddress::Ipv4Loopback(0)),
            1);
  for (const SocketAddress& address : *addresses) {
    EXPECT_TRUE(address.is_ipv4()) << address.ToString();
  }
  const auto all = LookUpName("localhost", AddressFamily::kUnspecified);
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_GE(all->size(), addresses->size());
}

TEST(PlatformNameLookup, P03_AScopeIsKept) {
  const auto loopback = InterfaceIndex(test::LoopbackInterface());
  ASSERT_TRUE(loopback.ok()) << loopback.status();
  const auto addresses = LookUpName("fe80::1%" + test::LoopbackInterface(), AddressFamily::kIpv6);
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  ASSERT_EQ(addresses->size(), 1u);
  EXPECT_EQ(addresses->front().scope_id(), *loopback);
}

// The system says so without asking anybody.
TEST(PlatformNameLookup, P03_AnAddressOfTheOtherFamilyIsNotFound) {
  const auto addresses = LookUpName("127.0.0.1", AddressFamily::kIpv6);
  EXPECT_EQ(addresses.status().code(), absl::StatusCode::kNotFound)
      << addresses.status();
}

}  // namespace
}  // namespace weir::platform
