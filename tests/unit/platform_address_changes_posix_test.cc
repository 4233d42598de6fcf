// Addresses are added and removed in a network namespace of its own.

#include "platform/address_changes.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "gtest/gtest.h"
#include "platform/posix/sockaddr.h"
#include "tests/unit/own_network.h"

namespace weir::platform {
namespace {

bool IsReadable(const AddressChanges& changes, int milliseconds) {
  pollfd entry = {ToDescriptor(changes.native()), POLLIN, 0};
  int result;
  do {
    result = ::poll(&entry, 1, milliseconds);
  } while (result < 0 && errno == EINTR);
  return result == 1;
}

void ExpectChanged(AddressChanges& changes) {
  EXPECT_TRUE(IsReadable(changes, 10'000));
  const auto changed = changes.TakeChanged();
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_TRUE(*changed);
}

void ExpectUnchanged(AddressChanges& changes) {
  const auto changed = changes.TakeChanged();
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_FALSE(*changed);
  EXPECT_FALSE(IsReadable(changes, 0));
}

TEST(AddressChanges, NothingChangesUnasked) {
  InNewNetwork([] {
    auto changes = AddressChanges::Open();
    ASSERT_TRUE(changes.ok()) << changes.status();
    ExpectUnchanged(*changes);
    ExpectUnchanged(*changes);
  });
}

TEST(AddressChanges, TellsOfAdditionAndRemoval) {
  InNewNetwork([] {
    auto changes = AddressChanges::Open();
    ASSERT_TRUE(changes.ok()) << changes.status();
    const struct {
      int family;
      const char* text;
    } addresses[] = {{AF_INET, "127.0.0.53"}, {AF_INET6, "fd00::53"}};
    for (const auto& [family, text] : addresses) {
      SCOPED_TRACE(text);
      const int added = ChangeAddress(RTM_NEWADDR, family, text);
      if (family == AF_INET6 && (added == EOPNOTSUPP || added == EACCES)) {
        continue;  // A machine without IPv6.
      }
      ASSERT_EQ(added, 0);
      ExpectChanged(*changes);
      // An IPv6 address may be told again when it has settled (RFC 4862, 5.4).
      if (family == AF_INET) ExpectUnchanged(*changes);
      ASSERT_EQ(ChangeAddress(RTM_DELADDR, family, text), 0);
      ExpectChanged(*changes);
      if (family == AF_INET) ExpectUnchanged(*changes);
    }
  });
}

TEST(AddressChanges, WhatWasRefusedIsNoChange) {
  InNewNetwork([] {
    auto changes = AddressChanges::Open();
    ASSERT_TRUE(changes.ok()) << changes.status();
    ASSERT_EQ(ChangeAddress(RTM_DELADDR, AF_INET, "127.0.0.53"), EADDRNOTAVAIL);
    ExpectUnchanged(*changes);
  });
}

TEST(AddressChanges, SeveralAreOne) {
  InNewNetwork([] {
    auto changes = AddressChanges::Open();
    ASSERT_TRUE(changes.ok()) << changes.status();
    ASSERT_EQ(ChangeAddress(RTM_NEWADDR, AF_INET, "127.0.0.53"), 0);
    ASSERT_EQ(ChangeAddress(RTM_NEWADDR, AF_INET, "127.0.0.54"), 0);
    ASSERT_EQ(ChangeAddress(RTM_DELADDR, AF_INET, "127.0.0.54"), 0);
    ExpectChanged(*changes);
    ExpectUnchanged(*changes);
  });
}

TEST(AddressChanges, WhatWasLostIsAChange) {
  InNewNetwork([] {
    auto changes = AddressChanges::Open();
    ASSERT_TRUE(changes.ok()) << changes.status();
    const int descriptor = ToDescriptor(changes->native());
    // The system's smallest, which a few messages fill.
    const int smallest = 1;
    ASSERT_EQ(::setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &smallest,
                           sizeof(smallest)),
              0);
    for (int i = 1; i < 100; ++i) {
      char text[32];
      std::snprintf(text, sizeof(text), "127.0.1.%d", i);
      ASSERT_EQ(ChangeAddress(RTM_NEWADDR, AF_INET, text), 0);
    }
    // So many do overflow it, and that is an error of the next call.
    char message[8192];
    errno = 0;
    EXPECT_EQ(::recv(descriptor, message, sizeof(message), MSG_DONTWAIT), -1);
    EXPECT_EQ(errno, ENOBUFS);
    while (::recv(descriptor, message, sizeof(message), MSG_DONTWAIT) > 0) {
    }
    ExpectUnchanged(*changes);
    // From the last: the first of a network takes the others with it.
    for (int i = 99; i > 0; --i) {
      char text[32];
      std::snprintf(text, sizeof(text), "127.0.1.%d", i);
      ASSERT_EQ(ChangeAddress(RTM_DELADDR, AF_INET, text), 0);
    }
    ExpectChanged(*changes);
    ExpectUnchanged(*changes);
  });
}

TEST(AddressChanges, AnInterfaceComingUpBringsItsAddresses) {
  InNewNetwork([] {
    auto changes = AddressChanges::Open();
    ASSERT_TRUE(changes.ok()) << changes.status();
    const int descriptor = ::socket(AF_INET, SOCK_DGRAM, 0);
    ifreq request = {};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP;
    ASSERT_EQ(::ioctl(descriptor, SIOCSIFFLAGS, &request), 0);
    ::close(descriptor);
    ExpectChanged(*changes);
  });
}

TEST(AddressChanges, MovesItsSocket) {
  auto opened = AddressChanges::Open();
  ASSERT_TRUE(opened.ok()) << opened.status();
  const NativeSocket socket = opened->native();
  AddressChanges moved(*std::move(opened));
  EXPECT_EQ(moved.native(), socket);
  EXPECT_EQ(opened->native(), kInvalidSocket);  // NOLINT: as documented.
  EXPECT_TRUE(moved.TakeChanged().ok());
  // What was moved from has no socket to ask.
  EXPECT_FALSE(opened->TakeChanged().ok());
}

}  // namespace
}  // namespace weir::platform
