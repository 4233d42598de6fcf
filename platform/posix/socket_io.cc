#include "platform/socket_io.h"

#include <signal.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <limits>
#include <span>
#include <type_traits>

#include "platform/posix/accept_errors.h"
#include "platform/posix/file_descriptor.h"
#include "platform/posix/retry.h"
#include "platform/posix/sockaddr.h"
#include "weir/native_file.h"
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

// Keeps a call that has no MSG_NOSIGNAL from raising SIGPIPE in this thread:
// the signal of a broken pipe goes to the thread that wrote (signal(7)), so it
// is held back, and taken off again before it can be delivered.
class PipeSignalBlock {
 public:
  PipeSignalBlock() {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &previous_);
    // Only where it is blocked anyway can one be pending, that of another.
    if (::sigismember(&previous_, SIGPIPE) == 1) {
      sigset_t pending;
      ::sigpending(&pending);
      others_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
    }
  }
  PipeSignalBlock(const PipeSignalBlock&) = delete;
  PipeSignalBlock& operator=(const PipeSignalBlock&) = delete;
  ~PipeSignalBlock() { ::pthread_sigmask(SIG_SETMASK, &previous_, nullptr); }

  // Takes off what the call has raised, if it has.
  void TakeRaised() {
    if (others_pending_) return;
    const timespec now = {};
    RetryInterrupted([&] { return ::sigtimedwait(&pipe_, nullptr, &now); });
  }

 private:
  sigset_t pipe_;
  sigset_t previous_;
  bool others_pending_ = false;
};

}  // namespace

std::int64_t TryReceive(NativeSocket socket, std::span<std::byte> buffer) {
  return ::recv(ToDescriptor(socket), buffer.data(), buffer.size(),
                kReceiveFlags);
}

std::int64_t TrySend(NativeSocket socket, std::span<const std::byte> data) {
  return ::send(ToDescriptor(socket), data.data(), data.size(), kSendFlags);
}

IoOutcome AfterFailedTry(NativeSocket socket, std::span<std::byte> buffer) {
  if (errno != EINTR) return OutcomeOf(-1);
  return OutcomeOf(
      RetryInterrupted([&] { return TryReceive(socket, buffer); }));
}

IoOutcome AfterFailedTry(NativeSocket socket, std::span<const std::byte> data) {
  if (errno != EINTR) return OutcomeOf(-1);
  return OutcomeOf(RetryInterrupted([&] { return TrySend(socket, data); }));
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

IoOutcome SendFile(NativeSocket socket, NativeFile file, std::uint64_t offset,
                   std::uint64_t length) {
  if (offset > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) {
    return {.error = EOVERFLOW};
  }
  const auto count =
      static_cast<std::size_t>(std::min(length, kMaxSendFileBytes));
  PipeSignalBlock block;
  const IoOutcome outcome = OutcomeOf(RetryInterrupted([&] {
    auto position = static_cast<off_t>(offset);
    return ::sendfile(ToDescriptor(socket), ToFileDescriptor(file), &position,
                      count);
  }));
  // A call that is cut short by the error has raised the signal all the same.
  if (outcome.error == EPIPE || (outcome.ok() && outcome.bytes < count)) {
    block.TakeRaised();
  }
  return outcome;
}

void DiscardArrived(NativeSocket socket) {
  std::array<std::byte, 32 * 1024> scratch;
  static_assert(kMaxDiscardBytes % scratch.size() == 0);
  std::size_t discarded = 0;
  while (discarded < kMaxDiscardBytes) {
    // On TCP, MSG_TRUNC throws the bytes away without copying them (tcp(7)); on
    // other streams it has no effect.
    const ssize_t result = RetryInterrupted([&] {
      return ::recv(ToDescriptor(socket), scratch.data(), scratch.size(),
                    kReceiveFlags | MSG_TRUNC);
    });
    if (result <= 0) return;
    discarded += static_cast<std::size_t>(result);
  }
}

AcceptOutcome Accept(NativeSocket listener, SocketAddress* peer) {
  // More than wait with the longest backlog: then it is not of connections.
  constexpr int kMostPassedOver = 1 << 16;
  sockaddr_storage storage;
  AcceptOutcome outcome;
  int passed_over = 0;
  while (true) {
    socklen_t length = sizeof(storage);
    const int descriptor = ::accept4(
        ToDescriptor(listener),
        peer == nullptr ? nullptr : reinterpret_cast<sockaddr*>(&storage),
        peer == nullptr ? nullptr : &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor >= 0) [[likely]] {
      outcome.socket = FromDescriptor(descriptor);
      if (peer != nullptr) *peer = FromSockaddr(storage, length);
      return outcome;
    }
    const int error = errno;
    if (IsWouldBlock(error)) {
      outcome.would_block = true;
      return outcome;
    }
    if (error == EINTR) continue;
    if (!IsOfAcceptedConnection(error) || ++passed_over == kMostPassedOver) {
      outcome.error = error;
      return outcome;
    }
  }
}

}  // namespace weir::platform
