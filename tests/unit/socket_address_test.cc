#include "weir/socket_address.h"

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/hash/hash_testing.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "platform/interfaces.h"
#include "tests/support/system.h"
#include "weir/status.h"

namespace weir {
namespace {

SocketAddress Parsed(std::string_view text) {
  const auto address = SocketAddress::Parse(text);
  EXPECT_TRUE(address.ok()) << address.status();
  return address.ok() ? *address : SocketAddress();
}

TEST(SocketAddress, P01_TextIsReadAndWritten) {
  for (std::string_view text :
       {"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:80",
        "[::]:0", "[fe80::1%2]:80", "[fe80::1%4294967295]:1",
        "[::ffff:192.0.2.1]:443", "[2001:db8::1:0:0:1]:8080",
        "unix:/run/x.sock", "unix:relative path", "unix:@name", "unix:@@",
        "unix:[::1]:80"}) {
    EXPECT_EQ(Parsed(text).ToString(), text);
  }
}

TEST(SocketAddress, P01_Ipv4) {
  const SocketAddress address = Parsed("192.0.2.7:8080");
  EXPECT_EQ(address.family(), AddressFamily::kIpv4);
  EXPECT_TRUE(address.is_ipv4());
  EXPECT_EQ(address.port(), 8080);
  EXPECT_EQ(address.ip(), "192.0.2.7");
  EXPECT_EQ(std::vector(address.ip_bytes().begin(), address.ip_bytes().end()),
            (std::vector<std::uint8_t>{192, 0, 2, 7}));
  EXPECT_EQ(address, SocketAddress::Ipv4({192, 0, 2, 7}, 8080));
  EXPECT_EQ(address.path(), "");
}

TEST(SocketAddress, P01_Ipv6WithScope) {
  const SocketAddress address = Parsed("[FE80::0001%7]:80");
  EXPECT_TRUE(address.is_ipv6());
  EXPECT_EQ(address.scope_id(), 7u);
  EXPECT_EQ(address.ip(), "fe80::1%7");
  EXPECT_FALSE(address == Parsed("[fe80::1%8]:80"));
  EXPECT_FALSE(address == Parsed("[fe80::1]:80"));
}

TEST(SocketAddress, P01_AScopeCanBeAnInterfacesName) {
  const std::string name = test::LoopbackInterface();
  const auto loopback = platform::InterfaceIndex(name);
  ASSERT_TRUE(loopback.ok()) << loopback.status();
  EXPECT_EQ(Parsed("[fe80::1%" + name + "]:80").scope_id(), *loopback);
  EXPECT_EQ(SocketAddress::FromIp("fe80::1%" + name, 5)->scope_id(), *loopback);
  const absl::Status status =
      SocketAddress::Parse("[fe80::1%nosuchif0]:80").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_EQ(CauseOf(status), ErrorCause::kNotFound);
  EXPECT_NE(status.message().find("nosuchif0"), std::string::npos);
}

TEST(SocketAddress, P01_Unix) {
  const SocketAddress path = Parsed("unix:/run/x.sock");
  EXPECT_TRUE(path.is_unix());
  EXPECT_EQ(path.path(), "/run/x.sock");
  EXPECT_EQ(path.abstract_name(), "");
  EXPECT_EQ(path.port(), 0);
  EXPECT_EQ(path, *SocketAddress::UnixPath("/run/x.sock"));
  const SocketAddress abstract = Parsed("unix:@name");
  EXPECT_EQ(abstract.abstract_name(), "name");
  EXPECT_EQ(abstract.path(), "");
  EXPECT_EQ(abstract, *SocketAddress::UnixAbstract("name"));
  EXPECT_FALSE(abstract == *SocketAddress::UnixPath("name"));
  EXPECT_EQ(SocketAddress::UnixUnnamed().ToString(), "unix:");
}

TEST(SocketAddress, P01_APathThatBeginsLikeAnAbstractNameIsToldApart) {
  const auto path = SocketAddress::UnixPath("@name");
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(path->path(), "./@name");
  EXPECT_EQ(Parsed(path->ToString()), *path);
  EXPECT_EQ(SocketAddress::FromUnixNameBytes("@name"), *path);
}

TEST(SocketAddress, P01_UnixNamesHaveALimit) {
  const std::string longest(SocketAddress::kMaxUnixNameBytes, 'x');
  EXPECT_EQ(Parsed(absl::StrCat("unix:", longest)).path(), longest);
  EXPECT_EQ(Parsed(absl::StrCat("unix:@", longest)).abstract_name(), longest);
  for (const std::string& text :
       {absl::StrCat("unix:", longest, "x"),
        absl::StrCat("unix:@", longest, "x"), std::string("unix:"),
        std::string("unix:@"), std::string("unix:a\0b", 8)}) {
    const absl::Status status = SocketAddress::Parse(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_FALSE(SocketAddress::UnixPath("").ok());
  EXPECT_FALSE(SocketAddress::UnixPath(longest + "x").ok());
  EXPECT_FALSE(SocketAddress::UnixPath("@" + longest.substr(1)).ok());
  EXPECT_FALSE(SocketAddress::UnixAbstract("").ok());
  EXPECT_FALSE(SocketAddress::UnixAbstract(longest + "x").ok());
}

TEST(SocketAddress, P01_BadTextIsRefusedWithASentence) {
  for (std::string_view text : {"",
                                ":",
                                "80",
                                ":80",
                                "127.0.0.1",
                                "127.0.0.1:",
                                "127.0.0.1:65536",
                                "127.0.0.1:080",
                                "127.0.0.1:+80",
                                "127.0.0.1:-1",
                                "127.0.0.1: 80",
                                "127.0.0.1:80 ",
                                " 127.0.0.1:80",
                                "127.0.0.1 :80",
                                "127.0.0.1:80x",
                                "127.0.0.1:0x50",
                                "127.0.0.01:80",
                                "127.1:80",
                                "2130706433:80",
                                "0177.0.0.1:80",
                                "localhost:80",
                                "::1",
                                "::1:80",
                                "[::1]",
                                "[::1]80",
                                "[::1]:",
                                "[::1]:99999",
                                "[::1:80",
                                "[]:80",
                                "[127.0.0.1]:80",
                                "[::1%]:80",
                                "[::1%0]:80",
                                "[::1%01]:80",
                                "[::1%4294967296]:80",
                                "[::1%a b]:80",
                                "[::1%1%2]:80",
                                "[::1%a/b]:80",
                                "[[::1]]:80",
                                "Unix:/x",
                                "unix",
                                "http://127.0.0.1:80",
                                "1.2.3.4:5:6"}) {
    const absl::Status status = SocketAddress::Parse(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_EQ(CauseOf(status), ErrorCause::kInvalidArgument) << text;
    const std::string message(status.message());
    EXPECT_EQ(message.find(absl::StrCat(
                  "\"", absl::string_view(text.data(), text.size()), "\"")),
              0u)
        << message;
    EXPECT_NE(message.find("; accepted are "), std::string::npos) << message;
  }
  EXPECT_EQ(SocketAddress::Parse("127.0.0.1").status().message(),
            "\"127.0.0.1\" is not a socket address: it has no port; accepted "
            "are 127.0.0.1:80, [::1]:80, [fe80::1%2]:80, unix:/path and "
            "unix:@name");
}

TEST(SocketAddress, P01_MessagesQuoteAnythingSafely) {
  const std::string odd = std::string("\0\n\xff", 3) + std::string(5000, 'y');
  const absl::Status status = SocketAddress::Parse(odd).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_LT(status.message().size(), 600u);
  EXPECT_EQ(status.message().find("\"\\x00\\n\\xffyyy"), 0u) << status;
}

TEST(SocketAddress, P01_FromIpTakesNoPortAndNoBrackets) {
  EXPECT_EQ(SocketAddress::FromIp("127.0.0.1", 80)->ToString(), "127.0.0.1:80");
  EXPECT_EQ(SocketAddress::FromIp("::1", 80)->ToString(), "[::1]:80");
  for (std::string_view text :
       {"", "127.0.0.1:80", "[::1]", "localhost", "::1 ", "unix:/x"}) {
    EXPECT_EQ(SocketAddress::FromIp(text, 80).status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
}

TEST(SocketAddress, P01_Predicates) {
  const struct {
    SocketAddress address;
    bool loopback, any, multicast, mapped;
  } kCases[] = {
      {SocketAddress::Ipv4Loopback(1), true, false, false, false},
      {SocketAddress::Ipv4Any(1), false, true, false, false},
      {SocketAddress::Ipv6Loopback(1), true, false, false, false},
      {SocketAddress::Ipv6Any(1), false, true, false, false},
      {Parsed("127.255.0.1:1"), true, false, false, false},
      {Parsed("128.0.0.1:1"), false, false, false, false},
      {Parsed("[::2]:1"), false, false, false, false},
      {Parsed("[::ffff:127.0.0.1]:1"), true, false, false, true},
      {Parsed("[::ffff:0.0.0.0]:1"), false, true, false, true},
      {Parsed("[::ffff:8.8.8.8]:1"), false, false, false, true},
      {Parsed("224.0.0.1:1"), false, false, true, false},
      {Parsed("239.255.255.255:1"), false, false, true, false},
      {Parsed("240.0.0.1:1"), false, false, false, false},
      {Parsed("[ff02::1]:1"), false, false, true, false},
      {Parsed("unix:/x"), false, false, false, false},
      {SocketAddress(), false, false, false, false},
  };
  for (const auto& row : kCases) {
    SCOPED_TRACE(row.address.ToString());
    EXPECT_EQ(row.address.is_loopback(), row.loopback);
    EXPECT_EQ(row.address.is_any(), row.any);
    EXPECT_EQ(row.address.is_multicast(), row.multicast);
    EXPECT_EQ(row.address.is_v4_mapped(), row.mapped);
  }
  EXPECT_EQ(Parsed("[::ffff:8.8.8.8]:53").unmapped(), Parsed("8.8.8.8:53"));
  EXPECT_EQ(Parsed("[::1]:53").unmapped(), Parsed("[::1]:53"));
}

TEST(SocketAddress, P01_WithPort) {
  EXPECT_EQ(Parsed("127.0.0.1:80").with_port(0), Parsed("127.0.0.1:0"));
  EXPECT_EQ(Parsed("[fe80::1%3]:80").with_port(443), Parsed("[fe80::1%3]:443"));
  EXPECT_EQ(Parsed("unix:/x").with_port(443), Parsed("unix:/x"));
  EXPECT_EQ(SocketAddress().with_port(443), SocketAddress());
}

TEST(SocketAddress, P01_EqualityAndHashAgree) {
  EXPECT_TRUE(absl::VerifyTypeImplementsAbslHashCorrectly(
      {SocketAddress(), SocketAddress::UnixUnnamed(), Parsed("127.0.0.1:80"),
       Parsed("127.0.0.1:81"), Parsed("127.0.0.2:80"), Parsed("[::1]:80"),
       Parsed("[::1%1]:80"), Parsed("unix:/x"), Parsed("unix:/xy"),
       Parsed("unix:@/x"), Parsed("[::ffff:127.0.0.1]:80")}));
}

// Total: any bytes give an address that can be written and read again, or a
// status.
TEST(SocketAddress, P01_RandomTextIsReadOrRefused) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  constexpr std::string_view kPieces[] = {
      "127.0.0.1", ":", "[", "]", "::1",    "80", "%",   "1",     "unix:",
      "@",         "x", "/", ".", "fe80::", "0",  "255", "65535", "\n"};
  int accepted = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string text;
    const std::size_t pieces = random() % 8;
    for (std::size_t j = 0; j < pieces; ++j) {
      text += random() % 50 == 0
                  ? std::string(1, static_cast<char>(random()))
                  : std::string(kPieces[random() % std::size(kPieces)]);
    }
    const auto address = SocketAddress::Parse(text);
    if (!address.ok()) continue;
    ++accepted;
    const auto again = SocketAddress::Parse(address->ToString());
    ASSERT_TRUE(again.ok()) << again.status();
    ASSERT_EQ(*again, *address) << text;
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace weir
