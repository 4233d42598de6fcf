#include "platform/termination.h"

#include <signal.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "platform/posix/wake_up.h"

namespace weir::platform {
namespace {

std::atomic<int> handled_by_test{0};

void CountingHandler(int) { handled_by_test.fetch_add(1); }

// Sets a disposition for SIGTERM and puts back what was there.
class ScopedDisposition {
 public:
  explicit ScopedDisposition(void (*handler)(int)) {
    struct sigaction action = {};
    action.sa_handler = handler;
    EXPECT_EQ(::sigaction(SIGTERM, &action, &previous_), 0);
  }
  ~ScopedDisposition() {
    EXPECT_EQ(::sigaction(SIGTERM, &previous_, nullptr), 0);
  }

 private:
  struct sigaction previous_;
};

std::unique_ptr<TerminationWatch> Watch(absl::AnyInvocable<void() const> wake =
                                            [] {}) {
  auto watch = TerminationWatch::Create(std::move(wake));
  EXPECT_TRUE(watch.ok()) << watch.status();
  return *std::move(watch);
}

TEST(TerminationWatch, P04_BothSignalsAreTakenOnceAndWake) {
  const auto wake_up = WakeUp::Create();
  ASSERT_TRUE(wake_up.ok()) << wake_up.status();
  const auto watch = Watch([&] { wake_up->Signal(); });
  EXPECT_FALSE(watch->TakeRequested());
  for (int signal_number : {SIGINT, SIGTERM}) {
    ASSERT_EQ(::raise(signal_number), 0);
    EXPECT_TRUE(wake_up->Drain());
    EXPECT_TRUE(watch->TakeRequested());
    EXPECT_FALSE(watch->TakeRequested());
  }
}

TEST(TerminationWatch, P04_ReachesEveryWatch) {
  const auto first = Watch();
  const auto second = Watch();
  auto third = Watch();
  third = nullptr;
  ASSERT_EQ(::raise(SIGTERM), 0);
  EXPECT_TRUE(first->TakeRequested());
  EXPECT_TRUE(second->TakeRequested());
}

TEST(TerminationWatch, P04_ANewWatchKnowsNothingOfEarlierRequests) {
  const auto first = Watch();
  {
    const auto gone = Watch();
    ASSERT_EQ(::raise(SIGTERM), 0);
  }
  const auto in_its_place = Watch();
  EXPECT_FALSE(in_its_place->TakeRequested());
  EXPECT_TRUE(first->TakeRequested());
}

TEST(TerminationWatch, P04_TheLastWatchRestoresTheOldDisposition) {
  const ScopedDisposition disposition(&CountingHandler);
  const int before = handled_by_test.load();
  {
    const auto first = Watch();
    { const auto second = Watch(); }
    ASSERT_EQ(::raise(SIGTERM), 0);
    EXPECT_TRUE(first->TakeRequested());
    EXPECT_EQ(handled_by_test.load(), before);
  }
  ASSERT_EQ(::raise(SIGTERM), 0);
  EXPECT_EQ(handled_by_test.load(), before + 1);
}

TEST(TerminationWatch, P04_AHandlerSetMeanwhileStays) {
  const ScopedDisposition disposition(SIG_DFL);
  const int before = handled_by_test.load();
  {
    const auto watch = Watch();
    struct sigaction action = {};
    action.sa_handler = &CountingHandler;
    ASSERT_EQ(::sigaction(SIGTERM, &action, nullptr), 0);
  }
  ASSERT_EQ(::raise(SIGTERM), 0);
  EXPECT_EQ(handled_by_test.load(), before + 1);
}

TEST(TerminationWatch, P04_WithoutAWatchTheSignalEndsTheProcess) {
  EXPECT_EXIT(
      {
        ::signal(SIGTERM, SIG_DFL);
        { const auto watch = Watch(); }
        ::raise(SIGTERM);
      },
      ::testing::KilledBySignal(SIGTERM), "");
}

TEST(TerminationWatch, P04_TheHandlerKeepsErrno) {
  const auto watch = Watch([] { errno = EAGAIN; });
  errno = 1234;
  ASSERT_EQ(::raise(SIGTERM), 0);
  EXPECT_EQ(errno, 1234);
}

// A watch is never called after its destructor returned, whatever thread the
// signal comes to.
TEST(TerminationWatch, P04_WatchesComeAndGoUnderSignals) {
  constexpr int kRounds = 10'000;
  const auto permanent = Watch();
  std::atomic<bool> done{false};
  std::thread signaller([&] {
    while (!done.load()) ::raise(SIGTERM);
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
  signaller.join();
  EXPECT_EQ(called_late.load(), 0);
  EXPECT_TRUE(permanent->TakeRequested());
}

}  // namespace
}  // namespace weir::platform
