// weir::SocketAddress as the system's own structures, and back.

#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "platform/windows/sockaddr.h"
#include "weir/socket_address.h"

namespace weir {
namespace {

SocketAddress Parsed(std::string_view text) {
  const auto address = SocketAddress::Parse(text);
  EXPECT_TRUE(address.ok()) << address.status();
  return address.ok() ? *address : SocketAddress();
}

TEST(SocketAddress, P01_TheSystemsStructuresAndBack) {
  const std::string longest(SocketAddress::kMaxUnixNameBytes, 'x');
  for (const SocketAddress& address :
       {SocketAddress(), Parsed("1.2.3.4:5"), Parsed("[fe80::1%2]:3"),
        Parsed("unix:/run/x"), Parsed("unix:" + longest),
        SocketAddress::UnixUnnamed(),
        // As long as the system's own field: no room for a final zero.
        SocketAddress::FromUnixNameBytes(std::string(108, 'y'))}) {
    sockaddr_storage storage;
    const int length = platform::ToSockaddr(address, storage);
    EXPECT_EQ(platform::FromSockaddr(storage, length), address)
        << address.ToString();
  }
}

TEST(SocketAddress, P01_ShortOrForeignStructuresAreUnspecified) {
  sockaddr_storage storage;
  for (std::string_view text : {"1.2.3.4:5", "[::1]:3"}) {
    const int length = platform::ToSockaddr(Parsed(text), storage);
    EXPECT_TRUE(platform::FromSockaddr(storage, length - 1).is_unspecified());
    EXPECT_TRUE(platform::FromSockaddr(storage, 0).is_unspecified());
  }
  storage.ss_family = AF_IPX;
  EXPECT_TRUE(
      platform::FromSockaddr(storage, sizeof(storage)).is_unspecified());
}

}  // namespace
}  // namespace weir
