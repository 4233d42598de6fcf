#include "core/ip_text.h"

#include <arpa/inet.h>

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "gtest/gtest.h"

namespace weir::internal {
namespace {

std::string Reformat(std::string_view text) {
  std::array<std::uint8_t, 16> bytes;
  if (Problem problem = ParseIpv6(text, bytes)) return problem;
  return FormatIpv6(bytes.data());
}

// RFC 5952, sections 4 and 5.
TEST(IpText, P01_Ipv6IsWrittenCanonically) {
  const struct {
    std::string_view text;
    std::string_view canonical;
  } kCases[] = {
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"0:0:0:0:0:0:0:0", "::"},
      {"2001:0db8::0001", "2001:db8::1"},
      {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
      {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
      {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
      {"2001:DB8:AbCd::F", "2001:db8:abcd::f"},
      {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
      {"::ffff:c000:201", "::ffff:192.0.2.1"},
      {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
      {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
  };
  for (const auto& row : kCases) EXPECT_EQ(Reformat(row.text), row.canonical);
}

TEST(IpText, P01_BadTextIsRefused) {
  std::array<std::uint8_t, 16> v6;
  for (std::string_view text : {"",
                                ":",
                                ":::",
                                "1",
                                "1:2:3:4:5:6:7",
                                "1:2:3:4:5:6:7:8:9",
                                "1:2:3:4::5:6:7:8",
                                "1::2::3",
                                "12345::",
                                "g::",
                                "1:",
                                "::1:",
                                ":1::",
                                "::1 ",
                                " ::1",
                                "::1%1",
                                "::1.2.3",
                                "::1.2.3.4.5",
                                "::1.2.3.4:5",
                                "1:2:3:4:5:6:7:1.2.3.4",
                                "::01.2.3.4",
                                "[::1]",
                                "::ffff:1.2.3.256",
                                "+1::",
                                "0x1::",
                                "1:::2"}) {
    EXPECT_NE(ParseIpv6(text, v6), nullptr) << text;
  }
  std::array<std::uint8_t, 4> v4;
  for (std::string_view text :
       {"", "1", "1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", "1.2.3.04",
        "1.2.3.4 ", " 1.2.3.4", "1..2.3", ".1.2.3", "1.2.3.", "0x1.2.3.4",
        "-1.2.3.4", "1.2.3.4a", "1,2,3,4", "99999999999999999999.1.1.1"}) {
    EXPECT_NE(ParseIpv4(text, v4), nullptr) << text;
  }
  EXPECT_NE(ParseIpv4(std::string_view("1.2.3.4\0", 8), v4), nullptr);
}

TEST(IpText, P01_DecimalNumbersAreStrict) {
  EXPECT_EQ(ParseDecimal("0", 9), 0u);
  EXPECT_EQ(ParseDecimal("65535", 65535), 65535u);
  EXPECT_EQ(ParseDecimal("4294967295", UINT32_MAX), UINT32_MAX);
  for (std::string_view text : {"", "00", "01", "+1", "-1", " 1", "1 ", "65536",
                                "1e3", "0x10", "18446744073709551617"}) {
    EXPECT_EQ(ParseDecimal(text, 65535), std::nullopt) << text;
  }
}

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

TEST(IpText, P01_WhatIsWrittenIsReadAgain) {
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
    std::array<std::uint8_t, 16> again;
    ASSERT_EQ(ParseIpv6(text, again), nullptr) << text;
    ASSERT_EQ(again, bytes) << text;
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
