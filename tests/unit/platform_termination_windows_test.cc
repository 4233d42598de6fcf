#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "platform/termination.h"
#include "platform/windows/winsock.h"
#include "tests/support/system.h"

namespace weir::platform {
namespace {

std::unique_ptr<TerminationWatch> Watch(absl::AnyInvocable<void() const> wake =
                                            [] {}) {
  auto watch = TerminationWatch::Create(std::move(wake));
  EXPECT_TRUE(watch.ok()) << watch.status();
  return *std::move(watch);
}

// Requests, and waits until every watch has been told: the newest is the last.
void RequestAndWait() {
  absl::Notification told;
  const auto last = Watch([&] {
    if (!told.HasBeenNotified()) told.Notify();
  });
  test::RequestTermination();
  told.WaitForNotification();
}

class TerminationWatchTest : public ::testing::Test {
 protected:
  void SetUp() override { test::PrepareTermination(); }
};

TEST_F(TerminationWatchTest, P04_CtrlCIsTakenOnceAndWakes) {
  std::atomic<int> woken{0};
  const auto watch = Watch([&] { woken.fetch_add(1); });
  EXPECT_FALSE(watch->TakeRequested());
  for (int i = 1; i < 4; ++i) {
    RequestAndWait();
    EXPECT_EQ(woken.load(), i);
    EXPECT_TRUE(watch->TakeRequested());
    EXPECT_FALSE(watch->TakeRequested());
  }
}

TEST_F(TerminationWatchTest, P04_ReachesEveryWatch) {
  const auto first = Watch();
  const auto second = Watch();
  auto third = Watch();
  third = nullptr;
  RequestAndWait();
  EXPECT_TRUE(first->TakeRequested());
  EXPECT_TRUE(second->TakeRequested());
}

TEST_F(TerminationWatchTest, P04_ANewWatchKnowsNothingOfEarlierRequests) {
  const auto first = Watch();
  {
    const auto gone = Watch();
    RequestAndWait();
  }
  const auto in_its_place = Watch();
  EXPECT_FALSE(in_its_place->TakeRequested());
  EXPECT_TRUE(first->TakeRequested());
}

std::atomic<absl::Notification*> handled{nullptr};

BOOL WINAPI NotingHandler(DWORD) {
  if (absl::Notification* told = handled.exchange(nullptr)) told->Notify();
  return TRUE;
}

TEST_F(TerminationWatchTest, P04_WithoutAWatchOthersAreAsked) {
  // From here on, ours is in the list, whatever the earlier tests were.
  { const auto watch = Watch(); }
  absl::Notification told;
  handled.store(&told);
  ASSERT_NE(::SetConsoleCtrlHandler(&NotingHandler, TRUE), FALSE);
  test::RequestTermination();
  told.WaitForNotification();
  ASSERT_NE(::SetConsoleCtrlHandler(&NotingHandler, FALSE), FALSE);
}

TEST_F(TerminationWatchTest, P04_WithoutAWatchTheEventEndsTheProcess) {
  EXPECT_EXIT(
      {
        test::PrepareTermination();
        { const auto watch = Watch(); }
        test::RequestTermination();
        ::Sleep(INFINITE);
      },
      // That it ends is all: with what, differs.
      [](int) { return true; }, "");
}

// A watch is never called after its destructor returned.
TEST_F(TerminationWatchTest, P04_WatchesComeAndGoUnderRequests) {
  constexpr int kRounds = 2'000;
  const auto permanent = Watch();
  std::atomic<bool> done{false};
  std::thread requester([&] {
    while (!done.load()) RequestAndWait();
  });
  std::vector<std::thread> owners;
  std::atomic<int> called_late{0};
  for (int i = 0; i < 3; ++i) {
    owners.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        // Outlives the watch, so that a late call can be told.
        std::atomic<bool> alive{true};
        {
          const auto watch = Watch([&] {
            if (!alive.load()) called_late.fetch_add(1);
          });
        }
        alive.store(false);
      }
    });
  }
  for (std::thread& owner : owners) owner.join();
  done.store(true);
  requester.join();
  EXPECT_EQ(called_late.load(), 0);
  EXPECT_TRUE(permanent->TakeRequested());
}

}  // namespace
}  // namespace weir::platform
