#include "platform/socket_io.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <span>
#include <type_traits>

#include "platform/posix/retry.h"
#include "platform/posix/sockaddr.h"
#include "weir/native_socket.h"
#include "weir/socket_address.h"

namespace weir::platform {
namespace {

// Returned in registers.
static_assert(std::is_trivially_copyable_v<IoOutcome> &&
              sizeof(IoOutcome) == 16);

constexpr int kReceiveFlags = MSG_DONTWAIT;
constexpr int kSendFlags = MSG_DONTWAIT | MSG_NOSIGNAL;

bool IsWouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

// `result` is what a transfer returned; errno is its error.
IoOutcome OutcomeOf(ssize_t result) {
  if (result >= 0) [[likely]] {
    return {.bytes = static_cast<std::size_t>(result)};
  }
  const int error = errno;
  if (IsWouldBlock(error)) return {.would_block = true};
  return {.error = error};
}

// The first kMaxVectorBuffers buffers as the system wants them.
class IoVectors {
 public:
  template <typename Byte>
  explicit IoVectors(std::span<const std::span<Byte>> buffers)
      : count_(std::min(buffers.size(), kMaxVectorBuffers)) {
    for (std::size_t i = 0; i < count_; ++i) {
      // sendmsg(2) takes no pointer to const, but writes nothing.
      vectors_[i].iov_base = const_cast<std::byte*>(buffers[i].data());
      vectors_[i].iov_len = buffers[i].size();
    }
  }

  msghdr Message() {
    msghdr message = {};
    message.msg_iov = vectors_.data();
    message.msg_iovlen = count_;
    return message;
  }

 private:
  const std::size_t count_;
  // Only the first count_ are initialised.
  std::array<iovec, kMaxVectorBuffers> vectors_;
};

}  // namespace

IoOutcome Receive(NativeSocket socket, std::span<std::byte> buffer) {
  return OutcomeOf(RetryInterrupted([&] {
    return ::recv(ToDescriptor(socket), buffer.data(), buffer.size(),
                  kReceiveFlags);
  }));
}

IoOutcome Send(NativeSocket socket, std::span<const std::byte> data) {
  return OutcomeOf(RetryInterrupted([&] {
    return ::send(ToDescriptor(socket), data.data(), data.size(), kSendFlags);
  }));
}

IoOutcome ReceiveVector(NativeSocket socket,
                        std::span<const std::span<std::byte>> buffers) {
  IoVectors vectors(buffers);
  msghdr message = vectors.Message();
  return OutcomeOf(RetryInterrupted([&] {
    return ::recvmsg(ToDescriptor(socket), &message, kReceiveFlags);
  }));
}

IoOutcome SendVector(NativeSocket socket,
                     std::span<const std::span<const std::byte>> buffers) {
  IoVectors vectors(buffers);
  const msghdr message = vectors.Message();
  return OutcomeOf(RetryInterrupted(
      [&] { return ::sendmsg(ToDescriptor(socket), &message, kSendFlags); }));
}

ReceiveFromOutcome ReceiveFrom(NativeSocket socket, std::span<std::byte> buffer,
                               SocketAddress* peer) {
  sockaddr_storage storage;
  iovec vector = {.iov_base = buffer.data(), .iov_len = buffer.size()};
  msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  if (peer != nullptr) {
    message.msg_name = &storage;
    message.msg_namelen = sizeof(storage);
  }
  // recvmsg(2) tells of a truncation in its flags. recvfrom(2) only does when
  // asked with MSG_TRUNC, which on TCP throws the data away (tcp(7)).
  ReceiveFromOutcome outcome{OutcomeOf(RetryInterrupted([&] {
    return ::recvmsg(ToDescriptor(socket), &message, kReceiveFlags);
  }))};
  if (!outcome.ok()) return outcome;
  outcome.truncated = (message.msg_flags & MSG_TRUNC) != 0;
  if (peer != nullptr) *peer = FromSockaddr(storage, message.msg_namelen);
  return outcome;
}

IoOutcome SendTo(NativeSocket socket, std::span<const std::byte> data,
                 const SocketAddress& peer) {
  // Some families would take it for "to the connected peer", others not.
  if (peer.is_unspecified()) return {.error = EDESTADDRREQ};
  sockaddr_storage storage;
  const socklen_t length = ToSockaddr(peer, storage);
  return OutcomeOf(RetryInterrupted([&] {
    return ::sendto(ToDescriptor(socket), data.data(), data.size(), kSendFlags,
                    reinterpret_cast<const sockaddr*>(&storage), length);
  }));
}

AcceptOutcome Accept(NativeSocket listener) {
  sockaddr_storage storage;
  AcceptOutcome outcome;
  while (true) {
    socklen_t length = sizeof(storage);
    const int descriptor =
        ::accept4(ToDescriptor(listener), reinterpret_cast<sockaddr*>(&storage),
                  &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor >= 0) [[likely]] {
      outcome.socket = FromDescriptor(descriptor);
      outcome.peer = FromSockaddr(storage, length);
      return outcome;
    }
    const int error = errno;
    if (IsWouldBlock(error)) {
      outcome.would_block = true;
      return outcome;
    }
    // The last two are errors of the connection, not of the listener.
    if (error != EINTR && error != ECONNABORTED && error != EPROTO) {
      outcome.error = error;
      return outcome;
    }
  }
}

}  // namespace weir::platform
