// Real sockets for the tests of platform/.

#ifndef WEIR_TESTS_UNIT_PLATFORM_TEST_UTIL_H_
#define WEIR_TESTS_UNIT_PLATFORM_TEST_UTIL_H_

#include <poll.h>

#include <cerrno>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "gtest/gtest.h"
#include "platform/posix/sockaddr.h"
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
  int descriptor() const { return ToDescriptor(socket_); }

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

// Waits until poll(2) reports one of `events`, an error or a hang-up.
inline ::testing::AssertionResult WaitFor(const ScopedSocket& socket,
                                          short events) {
  pollfd entry = {socket.descriptor(), events, 0};
  int result;
  do {
    result = ::poll(&entry, 1, 10'000);
  } while (result < 0 && errno == EINTR);
  if (result == 1) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "poll returned " << result;
}

// A connected TCP connection over loopback.
struct TcpPair {
  TcpPair() {
    const ScopedSocket listener = OpenListener();
    client = Open(AddressFamily::kIpv4, SocketType::kStream);
    const auto result = Connect(client.get(), AddressOf(listener));
    EXPECT_TRUE(result.ok()) << result.status();
    EXPECT_TRUE(WaitFor(listener, POLLIN));
    server = ScopedSocket(Accept(listener.get()).socket);
    EXPECT_NE(server.get(), kInvalidSocket);
    EXPECT_TRUE(WaitFor(client, POLLOUT));
  }

  ScopedSocket client;
  ScopedSocket server;
};

inline std::span<const std::byte> BytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string TextOf(std::span<const std::byte> bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace weir::platform

#endif  // WEIR_TESTS_UNIT_PLATFORM_TEST_UTIL_H_
