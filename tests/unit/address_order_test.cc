#include "weir/address_order.h"

#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "weir/socket_address.h"

namespace weir {
namespace {

std::string Interleaved(const std::vector<std::string_view>& texts) {
  std::vector<SocketAddress> addresses;
  for (std::string_view text : texts) {
    addresses.push_back(SocketAddress::Parse(text).value());
  }
  std::string result;
  for (const SocketAddress& address : InterleaveFamilies(addresses)) {
    result += address.ToString() + " ";
  }
  return result;
}

// RFC 8305, section 4: "the list should be interleaved by address family".
TEST(AddressOrder, P03_FamiliesTakeTurns) {
  EXPECT_EQ(Interleaved({"[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1",
                         "2.2.2.2:1", "3.3.3.3:1"}),
            "[::1]:1 1.1.1.1:1 [::2]:1 2.2.2.2:1 [::3]:1 3.3.3.3:1 ");
}

TEST(AddressOrder, P03_TheFamilyOfTheFirstBegins) {
  EXPECT_EQ(Interleaved({"2.2.2.2:1", "1.1.1.1:1", "[::2]:1", "[::1]:1"}),
            "2.2.2.2:1 [::2]:1 1.1.1.1:1 [::1]:1 ");
}

TEST(AddressOrder, P03_AFamilyThatRunsOutLeavesTheTurnsToTheOther) {
  EXPECT_EQ(Interleaved({"[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"}),
            "[::1]:1 1.1.1.1:1 [::2]:1 [::3]:1 ");
  EXPECT_EQ(Interleaved({"[::1]:1", "1.1.1.1:1", "2.2.2.2:1", "3.3.3.3:1"}),
            "[::1]:1 1.1.1.1:1 2.2.2.2:1 3.3.3.3:1 ");
}

TEST(AddressOrder, P03_OneFamilyKeepsItsOrder) {
  EXPECT_EQ(Interleaved({"3.3.3.3:1", "1.1.1.1:1", "2.2.2.2:1"}),
            "3.3.3.3:1 1.1.1.1:1 2.2.2.2:1 ");
  EXPECT_EQ(Interleaved({}), "");
}

// The first of each stays; another port or scope is another address.
TEST(AddressOrder, P03_DuplicatesAreDropped) {
  EXPECT_EQ(Interleaved({"1.1.1.1:1", "1.1.1.1:1", "[fe80::1%1]:1", "1.1.1.1:2",
                         "[fe80::1%2]:1", "[fe80::1%1]:1", "1.1.1.1:1"}),
            "1.1.1.1:1 [fe80::1%1]:1 1.1.1.1:2 [fe80::1%2]:1 ");
}

}  // namespace
}  // namespace weir
