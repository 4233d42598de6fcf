#include "core/ip_text.h"

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
  }
}

}  // namespace
}  // namespace weir::internal
