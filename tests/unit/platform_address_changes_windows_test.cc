// What tells of a change, and how it ends. That it tells needs the right to
// change addresses.

#include <memory>
#include <span>
#include <utility>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "platform/address_changes.h"
#include "platform/poll.h"
#include "platform/sockets.h"
#include "tests/conformance/descriptors.h"
#include "tests/support/addresses.h"
#include "tests/support/system.h"

namespace weir::platform {
namespace {

using conformance::OpenDescriptors;

bool IsReadable(NativeSocket socket, absl::Duration patience) {
  PollEntry entry{.socket = socket, .requested = PollBits::kReadable};
  return test::Poll(std::span(&entry, 1), patience);
}

TEST(AddressChanges, NothingChangesUnasked) {
  auto changes = AddressChanges::Open();
  ASSERT_TRUE(changes.ok()) << changes.status();
  for (int i = 0; i < 2; ++i) {
    const auto changed = changes->TakeChanged();
    ASSERT_TRUE(changed.ok()) << changed.status();
    EXPECT_FALSE(*changed);
  }
  EXPECT_FALSE(IsReadable(changes->native(), absl::ZeroDuration()));
}

TEST(AddressChanges, TellsOfAdditionAndRemoval) {
  if (!test::CanChangeAddresses()) {
    GTEST_SKIP() << "addresses cannot be changed here";
  }
  auto changes = AddressChanges::Open();
  ASSERT_TRUE(changes.ok()) << changes.status();
  for (const char* address : {"127.0.0.53", "fd00::53"}) {
    SCOPED_TRACE(address);
    const int added = test::AddAddress(address);
    if (test::IsWantOfFamily(added)) continue;
    ASSERT_EQ(added, 0);
    ASSERT_TRUE(IsReadable(changes->native(), absl::Seconds(20)));
    EXPECT_TRUE(*changes->TakeChanged());
    ASSERT_EQ(test::RemoveAddress(address), 0);
    ASSERT_TRUE(IsReadable(changes->native(), absl::Seconds(20)));
    EXPECT_TRUE(*changes->TakeChanged());
  }
}

TEST(AddressChanges, GivesEverythingBack) {
  // The system's pool keeps what it has once made.
  ASSERT_TRUE(AddressChanges::Open().ok());
  const std::size_t before = OpenDescriptors();
  for (int i = 0; i < 4; ++i) {
    auto changes = AddressChanges::Open();
    ASSERT_TRUE(changes.ok()) << changes.status();
    EXPECT_GT(OpenDescriptors(), before);
    if (i % 2 == 0) continue;
    std::shared_ptr<void> source;
    const NativeSocket socket = changes->Release(&source);
    EXPECT_EQ(changes->native(), kInvalidSocket);
    source = nullptr;
    EXPECT_TRUE(Close(socket).ok());
  }
  EXPECT_EQ(OpenDescriptors(), before);
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
