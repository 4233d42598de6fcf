// Backend::Wake, directly on each compiled-in backend (R18, survey trap 61),
// made for one thread and for several.

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/conformance/loop_threads.h"

namespace weir::conformance {
namespace {

class BackendWake
    : public ::testing::TestWithParam<std::tuple<std::string, int>> {
 protected:
  void SetUp() override {
    const auto& [name, threads] = GetParam();
    backend_ = Must(CreateBackend(name, {.threads = threads}));
  }
  // As the core does it: with several threads, Submit comes before Wait.
  void Wait(std::int64_t timeout_ns) {
    if (std::get<1>(GetParam()) > 1) {
      ASSERT_OK(backend_->Submit());
    }
    ASSERT_OK(backend_->Wait(timeout_ns));
    backend_->Collect(ready_);
    // A wake-up is not a report.
    EXPECT_TRUE(ready_.empty());
    EXPECT_FALSE(ready_.TakeLoss());
  }
  // How long a Wait for `timeout` takes.
  absl::Duration Waited(absl::Duration timeout) {
    const auto begin = std::chrono::steady_clock::now();
    Wait(absl::ToInt64Nanoseconds(timeout));
    return absl::FromChrono(std::chrono::steady_clock::now() - begin);
  }
  // Swallows what earlier wake-ups may have left, and waits in vain. Some waits
  // may end early: the kernel interrupts system calls of a thread to clean up
  // after a ring that an earlier test has closed.
  void Settle(absl::Duration timeout = absl::Milliseconds(2)) {
    for (int i = 0; i < 10; ++i) {
      if (Waited(timeout) >= timeout) return;
    }
    ADD_FAILURE() << "the backend goes on waking up";
  }

  std::unique_ptr<Backend> backend_;
  ReadyList ready_;
};
INSTANTIATE_TEST_SUITE_P(, BackendWake,
                         ::testing::Combine(
                             ::testing::ValuesIn(BackendsUnderTest()),
                             ::testing::Values(1, 2)),
                         [](const auto& parameter) {
                           return conformance::TestNameOf(
                                      std::get<0>(parameter.param)) +
                                  "_" +
                                  std::to_string(std::get<1>(parameter.param));
                         });

// These waits are for ever: a wake-up that is lost hangs the test.

TEST_P(BackendWake, R18_BeforeTheFirstWait) {
  backend_->Wake();
  Wait(Backend::kForever);
}

TEST_P(BackendWake, R18_BeforeALaterWait) {
  Wait(0);
  for (int i = 0; i < 100; ++i) {
    backend_->Wake();
    Wait(Backend::kForever);
  }
}

TEST_P(BackendWake, R18_DuringAWait) {
  for (int i = 0; i < 200; ++i) {
    std::thread waker([&] { backend_->Wake(); });
    Wait(Backend::kForever);
    waker.join();
    Settle();
  }
}

// Many may merge, and then the backend is quiet again.
TEST_P(BackendWake, R18_ManyMergeAndNoneStays) {
  Wait(0);
  for (int i = 0; i < 10'000; ++i) backend_->Wake();
  Wait(Backend::kForever);
  Settle();
  backend_->Wake();
  Wait(Backend::kForever);
}

// Without one, a wait lasts as long as it should, to the microsecond; zero does
// not block.
TEST_P(BackendWake, P02_WithoutAWakeUpAWaitLasts) {
  Wait(0);
  Settle(absl::Microseconds(5300));
}

TEST_P(BackendWake, R18_FromSeveralThreadsAtOnce) {
  Tally woken;
  std::atomic<bool> done{false};
  std::vector<std::thread> wakers;
  for (int i = 0; i < 3; ++i) {
    wakers.emplace_back([&] {
      while (!done.load()) backend_->Wake();
    });
  }
  for (int i = 0; i < 500; ++i) Wait(Backend::kForever);
  done.store(true);
  for (std::thread& waker : wakers) waker.join();
  Settle();
}

// "Async-signal-safe": from inside a signal handler, on the waiting thread.
TEST_P(BackendWake, R18_FromASignalHandler) {
  static Backend* woken_by_signal = nullptr;
  woken_by_signal = backend_.get();
  for (int i = 0; i < 50; ++i) {
    // Some systems take the handler away once it was called.
    ASSERT_NE(std::signal(SIGTERM, [](int) { woken_by_signal->Wake(); }),
              SIG_ERR);
    ASSERT_EQ(std::raise(SIGTERM), 0);
    Wait(Backend::kForever);
  }
  std::signal(SIGTERM, SIG_DFL);
}

}  // namespace
}  // namespace weir::conformance
