// Real sockets for the tests of platform/.

#ifndef WEIR_TESTS_UNIT_PLATFORM_TEST_UTIL_H_
#define WEIR_TESTS_UNIT_PLATFORM_TEST_UTIL_H_

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "gtest/gtest.h"
#include "platform/poll.h"
#include "platform/socket_io.h"
#include "platform/sockets.h"
#include "weir/native_socket.h"
#include "weir/socket_address.h"

namespace weir::platform {

// Closes its socket at the end.
class ScopedSocket {
 public:
  ScopedSocket() = default;
  explicit ScopedSocket(NativeSocket socket) : socket_(socket) {}
  ScopedSocket(ScopedSocket&& other) noexcept
      : socket_(std::exchange(other.socket_, kInvalidSocket)) {}
  ScopedSocket& operator=(ScopedSocket&& other) noexcept {
    std::swap(socket_, other.socket_);
    return *this;
  }
  ~ScopedSocket() { Reset(); }

  void Reset() {
    if (socket_ == kInvalidSocket) return;
    EXPECT_TRUE(Close(std::exchange(socket_, kInvalidSocket)).ok());
  }
  NativeSocket get() const { return socket_; }

 private:
  NativeSocket socket_ = kInvalidSocket;
};

inline ScopedSocket Open(AddressFamily family, SocketType type) {
  const auto socket = OpenSocket(family, type);
  EXPECT_TRUE(socket.ok()) << socket.status();
  return socket.ok() ? ScopedSocket(*socket) : ScopedSocket();
}

inline ScopedSocket OpenBound(const SocketAddress& address, SocketType type) {
  ScopedSocket socket = Open(address.family(), type);
  const absl::Status status = Bind(socket.get(), address);
  EXPECT_TRUE(status.ok()) << status;
  return socket;
}

inline ScopedSocket OpenListener(
    const SocketAddress& address = SocketAddress::Ipv4Loopback(0),
    int backlog = 16) {
  ScopedSocket socket = OpenBound(address, SocketType::kStream);
  const absl::Status status = Listen(socket.get(), backlog);
  EXPECT_TRUE(status.ok()) << status;
  return socket;
}

inline SocketAddress AddressOf(const ScopedSocket& socket) {
  const auto address = LocalAddress(socket.get());
  EXPECT_TRUE(address.ok()) << address.status();
  return address.ok() ? *address : SocketAddress();
}

// Waits until one of `bits`, an error or a hang-up holds.
inline ::testing::AssertionResult WaitFor(const ScopedSocket& socket,
                                          PollBits bits) {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(10);
  PollEntry entry{.socket = socket.get(), .requested = bits};
  do {
    const absl::Status status = PollNow(std::span(&entry, 1));
    if (!status.ok()) return ::testing::AssertionFailure() << status;
    if (entry.returned != PollBits::kNone) {
      return ::testing::AssertionSuccess();
    }
    std::this_thread::yield();
  } while (std::chrono::steady_clock::now() < deadline);
  return ::testing::AssertionFailure() << "waited in vain";
}

// A connected TCP connection over loopback.
struct TcpPair {
  TcpPair() {
    const ScopedSocket listener = OpenListener();
    client = Open(AddressFamily::kIpv4, SocketType::kStream);
    const auto result = Connect(client.get(), AddressOf(listener));
    EXPECT_TRUE(result.ok()) << result.status();
    EXPECT_TRUE(WaitFor(listener, PollBits::kReadable));
    server = ScopedSocket(Accept(listener.get(), nullptr).socket);
    EXPECT_NE(server.get(), kInvalidSocket);
    EXPECT_TRUE(WaitFor(client, PollBits::kWritable));
  }

  ScopedSocket client;
  ScopedSocket server;
};

// Two connected streams of that family.
struct StreamPair {
  explicit StreamPair(AddressFamily family) {
    if (family == AddressFamily::kUnix) {
      const auto pair = OpenPair(SocketType::kStream);
      EXPECT_TRUE(pair.ok()) << pair.status();
      first = ScopedSocket((*pair)[0]);
      second = ScopedSocket((*pair)[1]);
    } else {
      TcpPair tcp;
      first = std::move(tcp.client);
      second = std::move(tcp.server);
    }
  }

  ScopedSocket first;
  ScopedSocket second;
};

inline std::span<const std::byte> BytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string TextOf(std::span<const std::byte> bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace weir::platform

#endif  // WEIR_TESTS_UNIT_PLATFORM_TEST_UTIL_H_
