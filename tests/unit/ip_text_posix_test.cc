// Weir's own reading and writing of IP addresses against the C library's, which
// other systems' differ from in what they accept.

#include <arpa/inet.h>

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "core/ip_text.h"
#include "gtest/gtest.h"

namespace weir::internal {
namespace {

// The C library's parser is the judge of random text: near-addresses made of
// the characters of addresses.
TEST(IpText, P01_AgreesWithInetPton) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  constexpr std::string_view kPieces[] = {
      ":",   "::", ":",       ".",     "0",  "1",  "ff",    "2001", "255",
      "256", "g",  "1.2.3.4", "abcd:", "0:", "00", "12345", "F"};
  int accepted = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text;
    const std::size_t pieces = random() % 12;
    for (std::size_t j = 0; j < pieces; ++j) {
      text += kPieces[random() % std::size(kPieces)];
    }
    std::array<std::uint8_t, 16> ours;
    std::array<std::uint8_t, 16> theirs;
    const bool is_v6 = ::inet_pton(AF_INET6, text.c_str(), theirs.data()) == 1;
    ASSERT_EQ(ParseIpv6(text, ours) == nullptr, is_v6) << text;
    if (is_v6) {
      ASSERT_EQ(ours, theirs) << text;
    }
    accepted += is_v6;
    std::array<std::uint8_t, 4> our_v4;
    std::array<std::uint8_t, 4> their_v4;
    const bool is_v4 = ::inet_pton(AF_INET, text.c_str(), their_v4.data()) == 1;
    ASSERT_EQ(ParseIpv4(text, our_v4) == nullptr, is_v4) << text;
    if (is_v4) {
      ASSERT_EQ(our_v4, their_v4) << text;
    }
  }
  EXPECT_GT(accepted, 100);
}

TEST(IpText, P01_AgreesWithInetNtop) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 100'000; ++i) {
    std::array<std::uint8_t, 16> bytes{};
    for (std::size_t group = 0; group < 8; ++group) {
      if (random() % 2 == 0) continue;
      bytes[2 * group] = static_cast<std::uint8_t>(random() % 3 ? random() : 0);
      bytes[2 * group + 1] = static_cast<std::uint8_t>(random());
    }
    const std::string text = FormatIpv6(bytes.data());
    char theirs[INET6_ADDRSTRLEN];
    ASSERT_NE(::inet_ntop(AF_INET6, bytes.data(), theirs, sizeof(theirs)),
              nullptr);
    // The C library writes "::a.b.c.d" for the obsolete compatible addresses.
    if (text.substr(0, 2) != "::") {
      ASSERT_EQ(text, theirs);
    }
  }
}

}  // namespace
}  // namespace weir::internal
