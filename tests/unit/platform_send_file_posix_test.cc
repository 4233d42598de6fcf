// SendFile() of platform/socket_io.h and SIGPIPE; and a bound that only Linux
// lets one reach.

#include <signal.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <vector>

#include "gtest/gtest.h"
#include "platform/posix/sockaddr.h"
#include "platform/socket_io.h"
#include "platform/sockets.h"
#include "tests/support/system.h"
#include "tests/unit/platform_test_util.h"
#include "weir/file.h"

namespace weir::platform {
namespace {

std::atomic<int> signals{0};
void CountSignal(int) { signals.fetch_add(1); }

class SendFileSignals : public ::testing::Test {
 protected:
  SendFileSignals() {
    auto file = File::Open(test::ThisProgram());
    EXPECT_TRUE(file.ok()) << file.status();
    if (file.ok()) file_ = *std::move(file);
    signals = 0;
    struct sigaction action = {};
    action.sa_handler = CountSignal;
    EXPECT_EQ(::sigaction(SIGPIPE, &action, &previous_), 0);
    sigset_t pipe = Pipe();
    EXPECT_EQ(::pthread_sigmask(SIG_UNBLOCK, &pipe, &mask_), 0);
    pair_.second.Reset();
  }
  ~SendFileSignals() override {
    ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
    ::sigaction(SIGPIPE, &previous_, nullptr);
  }

  static sigset_t Pipe() {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGPIPE);
    return set;
  }
  static bool IsPending() {
    sigset_t pending;
    EXPECT_EQ(::sigpending(&pending), 0);
    return ::sigismember(&pending, SIGPIPE) == 1;
  }
  static bool IsBlocked() {
    sigset_t mask;
    EXPECT_EQ(::pthread_sigmask(SIG_SETMASK, nullptr, &mask), 0);
    return ::sigismember(&mask, SIGPIPE) == 1;
  }

  File file_;
  StreamPair pair_{AddressFamily::kUnix};

 private:
  struct sigaction previous_;
  sigset_t mask_;
};

TEST_F(SendFileSignals, NoneWhenThePeerIsGone) {
  EXPECT_EQ(SendFile(pair_.first.get(), file_.native(), 0, 1).error, EPIPE);
  const TcpPair tcp;
  ASSERT_TRUE(Shutdown(tcp.client.get(), ShutdownDirection::kSend).ok());
  EXPECT_EQ(SendFile(tcp.client.get(), file_.native(), 0, 1).error, EPIPE);
  EXPECT_EQ(signals, 0);
  EXPECT_FALSE(IsBlocked());
  EXPECT_FALSE(IsPending());
}

TEST_F(SendFileSignals, TheApplicationsOwnIsKept) {
  sigset_t pipe = Pipe();
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &pipe, nullptr), 0);
  EXPECT_EQ(SendFile(pair_.first.get(), file_.native(), 0, 1).error, EPIPE);
  EXPECT_FALSE(IsPending());
  EXPECT_TRUE(IsBlocked());
  ASSERT_EQ(::raise(SIGPIPE), 0);
  EXPECT_EQ(SendFile(pair_.first.get(), file_.native(), 0, 1).error, EPIPE);
  EXPECT_TRUE(IsPending());
  EXPECT_EQ(signals, 0);
  ASSERT_EQ(::pthread_sigmask(SIG_UNBLOCK, &pipe, nullptr), 0);
  EXPECT_EQ(signals, 1);
}

TEST(DiscardArrived, StopsAtItsBound) {
  const StreamPair local(AddressFamily::kUnix);
  const int size = 8 << 20;
  // Beyond what the system lets everybody have.
  if (::setsockopt(ToDescriptor(local.first.get()), SOL_SOCKET, SO_SNDBUFFORCE, &size,
                   sizeof(size)) != 0) {
    GTEST_SKIP() << "SO_SNDBUFFORCE is not permitted (CAP_NET_ADMIN)";
  }
  const std::vector<std::byte> data(std::size_t{64} << 10);
  std::size_t sent = 0;
  while (sent < kMaxDiscardBytes + data.size()) {
    const IoOutcome outcome = Send(local.first.get(), data);
    ASSERT_TRUE(outcome.ok()) << outcome.error << " after " << sent;
    sent += outcome.bytes;
  }
  DiscardArrived(local.second.get());
  EXPECT_EQ(test::ArrivedBytes(local.second.get()),
            sent - kMaxDiscardBytes);
}

}  // namespace
}  // namespace weir::platform
