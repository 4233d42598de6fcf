// SendFile() and DiscardArrived() of platform/socket_io.h.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "platform/error.h"
#include "platform/socket_io.h"
#include "platform/sockets.h"
#include "tests/support/system.h"
#include "tests/unit/platform_test_util.h"
#include "weir/file.h"
#include "weir/native_file.h"
#include "weir/status.h"

namespace weir::platform {
namespace {

// A file with `text` in it, until it is destroyed.
class TextFile {
 public:
  explicit TextFile(std::string_view text) {
    static std::atomic<int> count{0};
    path_ = absl::StrCat(::testing::TempDir(), "/weir_send_file_",
                         test::ProcessId(), "_", count.fetch_add(1));
    std::ofstream(path_, std::ios::binary)
        .write(text.data(), static_cast<std::streamsize>(text.size()));
    auto opened = File::Open(path_);
    EXPECT_TRUE(opened.ok()) << opened.status();
    if (opened.ok()) file_ = *std::move(opened);
  }
  ~TextFile() {
    file_.Close();
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }

  NativeFile get() const { return file_.native(); }

 private:
  std::string path_;
  File file_;
};

std::string ReceiveText(const ScopedSocket& socket, std::size_t length) {
  std::string text;
  std::vector<std::byte> buffer(1 << 16);
  while (text.size() < length) {
    EXPECT_TRUE(WaitFor(socket, PollBits::kReadable));
    const IoOutcome outcome = Receive(socket.get(), buffer);
    if (!outcome.ok() || outcome.bytes == 0) break;
    text += TextOf(std::span(buffer).first(outcome.bytes));
  }
  return text;
}

TEST(SendFile, SendsAPartOfTheFile) {
  const TextFile file("0123456789");
  const TcpPair tcp;
  EXPECT_EQ(SendFile(tcp.client.get(), file.get(), 2, 5).bytes, 5u);
  // The position of the file plays no part, so the same again is the same.
  EXPECT_EQ(SendFile(tcp.client.get(), file.get(), 2, 5).bytes, 5u);
  EXPECT_EQ(ReceiveText(tcp.server, 10), "2345623456");
  for (const AddressFamily family : test::Available({AddressFamily::kUnix})) {
    const StreamPair local(family);
    EXPECT_EQ(SendFile(local.first.get(), file.get(), 9, 1).bytes, 1u);
    EXPECT_EQ(ReceiveText(local.second, 1), "9");
  }
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
  EXPECT_NE(SendFile(tcp.client.get(), file.get(), kMax, 1).error, 0);
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
  for (const IoOutcome& outcome :
       {SendFile(kInvalidSocket, file.get(), 0, 1),
        SendFile(tcp.client.get(), kInvalidFile, 0, 1)}) {
    EXPECT_EQ(CauseOfSystemCode(outcome.error), ErrorCause::kBadDescriptor)
        << outcome.error;
  }
  ASSERT_TRUE(Shutdown(tcp.client.get(), ShutdownDirection::kSend).ok());
  EXPECT_EQ(CauseOfSystemCode(
                SendFile(tcp.client.get(), file.get(), 0, 1).error),
            ErrorCause::kBrokenPipe);
}

TEST(DiscardArrived, ThrowsAwayWhatIsThere) {
  const std::vector<std::byte> data(100'000);
  for (const AddressFamily family :
       test::Available({AddressFamily::kIpv4, AddressFamily::kUnix})) {
    StreamPair pair(family);
    const IoOutcome sent = Send(pair.first.get(), data);
    ASSERT_TRUE(sent.ok()) << sent.error;
    ASSERT_TRUE(WaitFor(pair.second, PollBits::kReadable));
    DiscardArrived(pair.second.get());
    EXPECT_EQ(test::ArrivedBytes(pair.second.get()), 0u);
    // What comes after is still received.
    ASSERT_TRUE(Send(pair.first.get(), BytesOf("next")).ok());
    EXPECT_EQ(ReceiveText(pair.second, 4), "next");
  }
}

TEST(DiscardArrived, ReturnsAtOnceWithNothingOrAtTheEnd) {
  for (const AddressFamily family :
       test::Available({AddressFamily::kIpv4, AddressFamily::kUnix})) {
    StreamPair pair(family);
    DiscardArrived(pair.first.get());
    pair.second.Reset();
    ASSERT_TRUE(WaitFor(pair.first, PollBits::kReadable));
    DiscardArrived(pair.first.get());
    std::array<std::byte, 1> buffer;
    const IoOutcome end = Receive(pair.first.get(), buffer);
    EXPECT_TRUE(end.ok()) << end.error;
    EXPECT_EQ(end.bytes, 0u);
  }
  DiscardArrived(kInvalidSocket);
}

// What it is for: closing with unread bytes resets a connection (RFC 1122,
// 4.2.2.13), and the peer may lose what was sent before.
TEST(DiscardArrived, LetsACloseBeGraceful) {
  TcpPair tcp;
  ASSERT_TRUE(Send(tcp.client.get(), BytesOf("unread")).ok());
  ASSERT_TRUE(WaitFor(tcp.server, PollBits::kReadable));
  ASSERT_TRUE(Send(tcp.server.get(), BytesOf("answer")).ok());
  DiscardArrived(tcp.server.get());
  tcp.server.Reset();
  EXPECT_EQ(ReceiveText(tcp.client, 6), "answer");
  ASSERT_TRUE(WaitFor(tcp.client, PollBits::kReadable));
  std::array<std::byte, 8> buffer;
  const IoOutcome end = Receive(tcp.client.get(), buffer);
  EXPECT_TRUE(end.ok()) << end.error;
  EXPECT_EQ(end.bytes, 0u);
}

}  // namespace
}  // namespace weir::platform
