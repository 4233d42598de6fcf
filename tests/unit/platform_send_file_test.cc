// SendFile() and DiscardArrived() of platform/socket_io.h.

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "platform/error.h"
#include "platform/posix/file_descriptor.h"
#include "platform/socket_io.h"
#include "platform/sockets.h"
#include "tests/unit/platform_test_util.h"
#include "weir/native_file.h"

namespace weir::platform {
namespace {

// An unnamed file with `text` in it.
class TextFile {
 public:
  explicit TextFile(std::string_view text) {
    std::string name = ::testing::TempDir() + "/weir_send_file_XXXXXX";
    descriptor_ = ::mkstemp(name.data());
    EXPECT_GE(descriptor_, 0);
    EXPECT_EQ(::unlink(name.c_str()), 0);
    EXPECT_EQ(::pwrite(descriptor_, text.data(), text.size(), 0),
              static_cast<ssize_t>(text.size()));
  }
  ~TextFile() { ::close(descriptor_); }

  NativeFile get() const { return FromFileDescriptor(descriptor_); }

 private:
  int descriptor_;
};

std::string ReceiveText(const ScopedSocket& socket, std::size_t length) {
  std::string text;
  std::vector<std::byte> buffer(1 << 16);
  while (text.size() < length) {
    EXPECT_TRUE(WaitFor(socket, POLLIN));
    const IoOutcome outcome = Receive(socket.get(), buffer);
    if (!outcome.ok() || outcome.bytes == 0) break;
    text += TextOf(std::span(buffer).first(outcome.bytes));
  }
  return text;
}

int ArrivedBytes(const ScopedSocket& socket) {
  int bytes = -1;
  EXPECT_EQ(::ioctl(socket.descriptor(), FIONREAD, &bytes), 0);
  return bytes;
}

struct UnixPair {
  UnixPair() {
    const auto pair = OpenPair(SocketType::kStream);
    EXPECT_TRUE(pair.ok()) << pair.status();
    first = ScopedSocket((*pair)[0]);
    second = ScopedSocket((*pair)[1]);
  }

  ScopedSocket first;
  ScopedSocket second;
};

TEST(SendFile, SendsAPartOfTheFile) {
  const TextFile file("0123456789");
  const TcpPair tcp;
  EXPECT_EQ(SendFile(tcp.client.get(), file.get(), 2, 5).bytes, 5u);
  // The position of the file plays no part, so the same again is the same.
  EXPECT_EQ(SendFile(tcp.client.get(), file.get(), 2, 5).bytes, 5u);
  EXPECT_EQ(ReceiveText(tcp.server, 10), "2345623456");
  const UnixPair local;
  EXPECT_EQ(SendFile(local.first.get(), file.get(), 9, 1).bytes, 1u);
  EXPECT_EQ(ReceiveText(local.second, 1), "9");
}

TEST(SendFile, TheEndOfTheFileIsShortThenNothing) {
  const TextFile file("0123456789");
  const TcpPair tcp;
  EXPECT_EQ(SendFile(tcp.client.get(), file.get(), 7, 100).bytes, 3u);
  EXPECT_EQ(ReceiveText(tcp.server, 3), "789");
  for (const std::uint64_t offset : {std::uint64_t{10}, std::uint64_t{5000}}) {
    const IoOutcome end = SendFile(tcp.client.get(), file.get(), offset, 100);
    EXPECT_TRUE(end.ok()) << end.error;
    EXPECT_EQ(end.bytes, 0u);
  }
  const IoOutcome none = SendFile(tcp.client.get(), file.get(), 0, 0);
  EXPECT_TRUE(none.ok()) << none.error;
  EXPECT_EQ(none.bytes, 0u);
}

TEST(SendFile, AFullSocketWouldBlockAndGoesOnWhereItStopped) {
  std::string text(8 << 20, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) {
    text[i] = static_cast<char>('a' + i * i % 23);
  }
  const TextFile file(text);
  const TcpPair tcp;
  std::string received;
  std::uint64_t sent = 0;
  bool blocked = false;
  while (sent < text.size()) {
    const IoOutcome outcome =
        SendFile(tcp.client.get(), file.get(), sent, text.size() - sent);
    ASSERT_EQ(outcome.error, 0);
    sent += outcome.bytes;
    if (!outcome.would_block) continue;
    EXPECT_EQ(outcome.bytes, 0u);
    blocked = true;
    const std::string part = ReceiveText(tcp.server, 1);
    ASSERT_FALSE(part.empty());
    received += part;
  }
  EXPECT_TRUE(blocked);
  received += ReceiveText(tcp.server, text.size() - received.size());
  EXPECT_TRUE(received == text);
}

TEST(SendFile, TakesLengthsAndOffsetsOf64Bits) {
  const TextFile file("0123456789");
  const TcpPair tcp;
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(SendFile(tcp.client.get(), file.get(), 8, kMax).bytes, 2u);
  EXPECT_EQ(SendFile(tcp.client.get(), file.get(), kMax, 1).error, EOVERFLOW);
  const IoOutcome beyond =
      SendFile(tcp.client.get(), file.get(), std::uint64_t{5} << 30, 1);
  EXPECT_TRUE(beyond.ok()) << beyond.error;
  EXPECT_EQ(beyond.bytes, 0u);
}

TEST(SendFile, Errors) {
  const TextFile file("0123456789");
  const ScopedSocket idle = Open(AddressFamily::kIpv4, SocketType::kStream);
  const TcpPair tcp;
  // Linux calls a stream that was never connected a broken pipe.
  EXPECT_FALSE(SendFile(idle.get(), file.get(), 0, 1).ok());
  EXPECT_EQ(SendFile(kInvalidSocket, file.get(), 0, 1).error, EBADF);
  EXPECT_EQ(SendFile(tcp.client.get(), kInvalidFile, 0, 1).error, EBADF);
}

std::atomic<int> signals{0};
void CountSignal(int) { signals.fetch_add(1); }

class SendFileSignals : public ::testing::Test {
 protected:
  SendFileSignals() : file_("0123456789") {
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

  const TextFile file_;
  UnixPair pair_;

 private:
  struct sigaction previous_;
  sigset_t mask_;
};

TEST_F(SendFileSignals, NoneWhenThePeerIsGone) {
  EXPECT_EQ(SendFile(pair_.first.get(), file_.get(), 0, 1).error, EPIPE);
  const TcpPair tcp;
  ASSERT_TRUE(Shutdown(tcp.client.get(), ShutdownDirection::kSend).ok());
  EXPECT_EQ(SendFile(tcp.client.get(), file_.get(), 0, 1).error, EPIPE);
  EXPECT_EQ(signals, 0);
  EXPECT_FALSE(IsBlocked());
  EXPECT_FALSE(IsPending());
}

TEST_F(SendFileSignals, TheApplicationsOwnIsKept) {
  sigset_t pipe = Pipe();
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &pipe, nullptr), 0);
  EXPECT_EQ(SendFile(pair_.first.get(), file_.get(), 0, 1).error, EPIPE);
  EXPECT_FALSE(IsPending());
  EXPECT_TRUE(IsBlocked());
  ASSERT_EQ(::raise(SIGPIPE), 0);
  EXPECT_EQ(SendFile(pair_.first.get(), file_.get(), 0, 1).error, EPIPE);
  EXPECT_TRUE(IsPending());
  EXPECT_EQ(signals, 0);
  ASSERT_EQ(::pthread_sigmask(SIG_UNBLOCK, &pipe, nullptr), 0);
  EXPECT_EQ(signals, 1);
}

TEST(DiscardArrived, ThrowsAwayWhatIsThere) {
  const TcpPair tcp;
  const UnixPair local;
  const std::vector<std::byte> data(100'000);
  const struct {
    const ScopedSocket& sender;
    const ScopedSocket& receiver;
  } streams[] = {{tcp.client, tcp.server}, {local.first, local.second}};
  for (const auto& [sender, receiver] : streams) {
    const IoOutcome sent = Send(sender.get(), data);
    ASSERT_TRUE(sent.ok()) << sent.error;
    ASSERT_TRUE(WaitFor(receiver, POLLIN));
    DiscardArrived(receiver.get());
    EXPECT_EQ(ArrivedBytes(receiver), 0);
    // What comes after is still received.
    ASSERT_TRUE(Send(sender.get(), BytesOf("next")).ok());
    EXPECT_EQ(ReceiveText(receiver, 4), "next");
  }
}

TEST(DiscardArrived, ReturnsAtOnceWithNothingOrAtTheEnd) {
  UnixPair local;
  DiscardArrived(local.first.get());
  local.second.Reset();
  DiscardArrived(local.first.get());
  std::array<std::byte, 1> buffer;
  const IoOutcome end = Receive(local.first.get(), buffer);
  EXPECT_TRUE(end.ok()) << end.error;
  EXPECT_EQ(end.bytes, 0u);
  DiscardArrived(kInvalidSocket);
}

TEST(DiscardArrived, StopsAtItsBound) {
  const UnixPair local;
  const int size = 8 << 20;
  // Beyond what the system lets everybody have.
  if (::setsockopt(local.first.descriptor(), SOL_SOCKET, SO_SNDBUFFORCE, &size,
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
  EXPECT_EQ(ArrivedBytes(local.second),
            static_cast<int>(sent - kMaxDiscardBytes));
}

// What it is for: closing with unread bytes resets a connection (RFC 1122,
// 4.2.2.13), and the peer may lose what was sent before.
TEST(DiscardArrived, LetsACloseBeGraceful) {
  TcpPair tcp;
  ASSERT_TRUE(Send(tcp.client.get(), BytesOf("unread")).ok());
  ASSERT_TRUE(WaitFor(tcp.server, POLLIN));
  ASSERT_TRUE(Send(tcp.server.get(), BytesOf("answer")).ok());
  DiscardArrived(tcp.server.get());
  tcp.server.Reset();
  EXPECT_EQ(ReceiveText(tcp.client, 6), "answer");
  ASSERT_TRUE(WaitFor(tcp.client, POLLIN));
  std::array<std::byte, 8> buffer;
  const IoOutcome end = Receive(tcp.client.get(), buffer);
  EXPECT_TRUE(end.ok()) << end.error;
  EXPECT_EQ(end.bytes, 0u);
}

}  // namespace
}  // namespace weir::platform
