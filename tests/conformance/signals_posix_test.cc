// Signals of POSIX: a storm of them during a wait (P02), and what a process does
// on SIGINT and SIGTERM before and after Weir (P04).

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include "tests/conformance/conformance.h"
#include "weir/timer.h"

namespace weir::conformance {
namespace {

absl::Time Monotonic() {
  return absl::UnixEpoch() +
         absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

// A loaded machine may be this late.
constexpr absl::Duration kGross = absl::Seconds(5);

class Signals : public Conformance {
 protected:
  void SetUp() override {
    Conformance::SetUp();
    test::PrepareTermination();
  }
};
WEIR_CONFORMANCE_SUITE(Signals);

// Survey trap 62: signals during a wait, without SA_RESTART.
TEST_P(Signals, P02_ASignalStormNeitherShortensNorLengthensAWait) {
  static std::atomic<int> signals{0};
  signals = 0;
  struct sigaction action = {};
  struct sigaction before = {};
  action.sa_handler = [](int) { signals.fetch_add(1); };
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  const pthread_t waiter = pthread_self();
  std::atomic<bool> done{false};
  std::thread storm([&] {
    while (!done.load()) {
      pthread_kill(waiter, SIGUSR1);
      std::this_thread::yield();
    }
  });
  const absl::Duration timeout = absl::Milliseconds(60);
  const absl::Time begin = Monotonic();
  const auto delivered = loop().RunOnce(timeout);
  const absl::Duration took = Monotonic() - begin;
  std::optional<absl::Time> fired;
  Timer timer = Must(loop().CreateTimer([&] { fired = Monotonic(); }));
  const absl::Time set = Monotonic();
  ASSERT_OK(timer.Set(timeout));
  TurnUntil([&] { return fired.has_value(); });
  done.store(true);
  storm.join();
  ASSERT_EQ(sigaction(SIGUSR1, &before, nullptr), 0);
  EXPECT_EQ(Must(delivered), 0);
  EXPECT_GE(took, timeout);
  EXPECT_LE(took, timeout + kGross);
  EXPECT_GE(*fired - set, timeout);
  EXPECT_LE(*fired - set, timeout + kGross);
  EXPECT_GT(signals.load(), 0);
}

bool HasDefaultDisposition(int number) {
  struct sigaction action = {};
  EXPECT_EQ(sigaction(number, nullptr, &action), 0);
  return action.sa_handler == SIG_DFL;
}

TEST_P(Signals, P04_TheLastLoopRestoresTheDisposition) {
  auto second = NewLoop();
  ASSERT_TRUE(HasDefaultDisposition(SIGTERM));
  ASSERT_OK(loop().OnTermination());
  ASSERT_OK(second->OnTermination());
  DestroyLoop();
  EXPECT_FALSE(HasDefaultDisposition(SIGINT));
  EXPECT_FALSE(HasDefaultDisposition(SIGTERM));
  second.reset();
  EXPECT_TRUE(HasDefaultDisposition(SIGINT));
  EXPECT_TRUE(HasDefaultDisposition(SIGTERM));
}

}  // namespace
}  // namespace weir::conformance
