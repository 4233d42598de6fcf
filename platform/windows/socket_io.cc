#include "platform/socket_io.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>

#include "platform/windows/file_handle.h"
#include "platform/windows/sockaddr.h"
#include "platform/windows/socket_buffers.h"
#include "platform/windows/socket_info.h"
#include "platform/windows/winsock.h"
#include "weir/native_file.h"
#include "weir/native_socket.h"
#include "weir/socket_address.h"

namespace weir::platform {
namespace {

// Returned in registers, or next to it.
static_assert(std::is_trivially_copyable_v<IoOutcome> &&
              sizeof(IoOutcome) == 16);

// What SendFile() reads at a time.
constexpr std::size_t kFileBlockBytes = 64 * 1024;

// How a call went that has failed.
IoOutcome FailedOutcome(NativeSocket socket) {
  const int error = LastErrorOf(socket);
  if (error == WSAEWOULDBLOCK) return {.would_block = true};
  return {.error = error};
}

// The same of a receive for which there was `room`.
IoOutcome FailedReceive(NativeSocket socket, std::size_t room) {
  IoOutcome outcome = FailedOutcome(socket);
  if (outcome.error == WSAEMSGSIZE) return {.bytes = room};
  // This side has ended receiving: elsewhere, that is the end of the stream.
  if (outcome.error == WSAESHUTDOWN) outcome.error = 0;
  return outcome;
}

IoOutcome FailedSend(NativeSocket socket) {
  IoOutcome outcome = FailedOutcome(socket);
  if (outcome.error != 0) outcome.error = SendErrorOf(socket, outcome.error);
  return outcome;
}

// Whether what looks like the end of a stream, nothing having come into `room`, is
// a reset: some versions do not say so.
bool IsHiddenReset(NativeSocket socket, DWORD moved, std::size_t room) {
  return moved == 0 && room > 0 && WasReset(socket);
}

IoOutcome FinishReceive(NativeSocket socket, int result, DWORD moved,
                        const SocketBuffers& buffers) {
  if (result != 0) return FailedReceive(socket, buffers.size());
  if (IsHiddenReset(socket, moved, buffers.size())) {
    return {.error = WSAECONNRESET};
  }
  return {.bytes = moved};
}

IoOutcome ReceiveInto(NativeSocket socket, SocketBuffers buffers) {
  DWORD moved = 0;
  DWORD flags = 0;
  const int result = ::WSARecv(ToSocket(socket), buffers.data(),
                               buffers.count(), &moved, &flags, nullptr,
                               nullptr);
  return FinishReceive(socket, result, moved, buffers);
}

// What a call is given at once. A socket that takes anything now takes all of it,
// whatever its send buffer's size (Microsoft's KB 214397, "Design issues: sending
// small data segments over TCP with Winsock"): in pieces it takes no more than one
// too much, and nobody takes for sent what will be in memory for long. No datagram
// is larger, so none is cut.
constexpr std::size_t kMostAtOnce = 64 * 1024;

// Sends piece by piece; returns how many bytes, or -1 as a socket call does.
// `buffers` is used up.
std::int64_t SendInPieces(NativeSocket socket, SocketBuffers& buffers) {
  std::span<WSABUF> left(buffers.data(), buffers.count());
  std::int64_t sent = 0;
  while (true) {
    std::size_t piece = 0;
    std::size_t count = 0;
    std::size_t cut_off = 0;
    while (count < left.size() && cut_off == 0 && piece < kMostAtOnce) {
      WSABUF& buffer = left[count++];
      const std::size_t most = kMostAtOnce - piece;
      if (buffer.len > most) {
        cut_off = buffer.len - most;
        buffer.len = static_cast<ULONG>(most);
      }
      piece += buffer.len;
    }
    DWORD moved = 0;
    if (::WSASend(ToSocket(socket), left.data(), static_cast<DWORD>(count),
                  &moved, 0, nullptr, nullptr) != 0) {
      // What is wrong will still be wrong at the next call.
      return sent > 0 ? sent : -1;
    }
    sent += moved;
    left = left.subspan(cut_off > 0 ? count - 1 : count);
    if (moved < piece || left.empty()) return sent;
    if (cut_off > 0) {
      left.front().buf += left.front().len;
      left.front().len = static_cast<ULONG>(cut_off);
    }
  }
}

IoOutcome SendFrom(NativeSocket socket, SocketBuffers buffers) {
  const std::int64_t sent = SendInPieces(socket, buffers);
  if (sent >= 0) [[likely]] return {.bytes = static_cast<std::size_t>(sent)};
  return FailedSend(socket);
}

// What an overlapped call of this thread waits with.
class ThreadEvent {
 public:
  ThreadEvent() : handle_(::CreateEventW(nullptr, TRUE, FALSE, nullptr)) {}
  ThreadEvent(const ThreadEvent&) = delete;
  ThreadEvent& operator=(const ThreadEvent&) = delete;
  ~ThreadEvent() {
    if (handle_ != nullptr) ::CloseHandle(handle_);
  }
  HANDLE handle() const { return handle_; }

 private:
  const HANDLE handle_;
};

// Reads from `offset` on; 0 bytes is the end. Returns 0 or an error number.
int ReadAt(HANDLE file, std::uint64_t offset, std::span<std::byte> buffer,
           std::size_t& bytes) {
  thread_local const ThreadEvent event;
  if (event.handle() == nullptr) return ERROR_NOT_ENOUGH_MEMORY;
  OVERLAPPED overlapped = {};
  overlapped.Offset = static_cast<DWORD>(offset);
  overlapped.OffsetHigh = static_cast<DWORD>(offset >> 32);
  overlapped.hEvent = event.handle();
  DWORD moved = 0;
  if (::ReadFile(file, buffer.data(), static_cast<DWORD>(buffer.size()),
                 &moved, &overlapped) == FALSE) {
    auto error = static_cast<int>(::GetLastError());
    if (error == ERROR_IO_PENDING) {
      error = ::GetOverlappedResult(file, &overlapped, &moved, TRUE) != FALSE
                  ? 0
                  : static_cast<int>(::GetLastError());
    }
    if (error == ERROR_HANDLE_EOF) moved = 0;
    if (error != 0 && error != ERROR_HANDLE_EOF) return error;
  }
  bytes = moved;
  return 0;
}

// An error of the connection that waited, or of the network on its way, and not
// of the listener.
bool DiedWaiting(int error) {
  switch (error) {
    case WSAECONNRESET:
    case WSAECONNABORTED:
    case WSAENOTCONN:
    case WSAENETDOWN:
    case WSAENETUNREACH:
    case WSAEHOSTDOWN:
    case WSAEHOSTUNREACH:
    case WSAETIMEDOUT:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::int64_t TryReceive(NativeSocket socket, std::span<std::byte> buffer) {
  SocketBuffers buffers(buffer);
  DWORD moved = 0;
  DWORD flags = 0;
  if (::WSARecv(ToSocket(socket), buffers.data(), buffers.count(), &moved,
                &flags, nullptr, nullptr) != 0) {
    return -1;
  }
  if (IsHiddenReset(socket, moved, buffers.size())) {
    ::WSASetLastError(WSAECONNRESET);
    return -1;
  }
  return moved;
}

std::int64_t TrySend(NativeSocket socket, std::span<const std::byte> data) {
  SocketBuffers buffers(data);
  return SendInPieces(socket, buffers);
}

IoOutcome AfterFailedTry(NativeSocket socket, std::span<std::byte> buffer) {
  return FailedReceive(socket, SocketBuffers(buffer).size());
}

IoOutcome AfterFailedTry(NativeSocket socket, std::span<const std::byte>) {
  return FailedSend(socket);
}

IoOutcome ReceiveVector(NativeSocket socket,
                        std::span<const std::span<std::byte>> buffers) {
  return ReceiveInto(socket, SocketBuffers(buffers));
}

IoOutcome SendVector(NativeSocket socket,
                     std::span<const std::span<const std::byte>> buffers) {
  return SendFrom(socket, SocketBuffers(buffers));
}

ReceiveFromOutcome ReceiveFrom(NativeSocket socket, std::span<std::byte> buffer,
                               SocketAddress* peer) {
  SocketBuffers buffers(buffer);
  sockaddr_storage storage = {};
  int length = sizeof(storage);
  DWORD moved = 0;
  DWORD flags = 0;
  const int result = ::WSARecvFrom(
      ToSocket(socket), buffers.data(), buffers.count(), &moved, &flags,
      reinterpret_cast<sockaddr*>(&storage), &length, nullptr, nullptr);
  const bool truncated = result != 0 && ::WSAGetLastError() == WSAEMSGSIZE;
  ReceiveFromOutcome outcome{FinishReceive(socket, result, moved, buffers)};
  outcome.truncated = truncated;
  if (outcome.ok() && peer != nullptr) *peer = FromSockaddr(storage, length);
  return outcome;
}

IoOutcome SendTo(NativeSocket socket, std::span<const std::byte> data,
                 const SocketAddress& peer) {
  // Some families would take it for "to the connected peer", others not.
  if (peer.is_unspecified()) return {.error = WSAEDESTADDRREQ};
  SocketBuffers buffers(data);
  sockaddr_storage storage;
  const int length = ToSockaddr(peer, storage);
  DWORD moved = 0;
  if (::WSASendTo(ToSocket(socket), buffers.data(), buffers.count(), &moved, 0,
                  reinterpret_cast<const sockaddr*>(&storage), length, nullptr,
                  nullptr) == 0) [[likely]] {
    return {.bytes = moved};
  }
  return FailedOutcome(socket);
}

// TransmitFile waits until all is sent, in any mode of the socket, unless it is
// overlapped; so this reads, and sends what the socket takes.
IoOutcome SendFile(NativeSocket socket, NativeFile file, std::uint64_t offset,
                   std::uint64_t length) {
  if (offset > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
    return {.error = ERROR_ARITHMETIC_OVERFLOW};
  }
  std::array<std::byte, kFileBlockBytes> block;
  const std::size_t wanted = static_cast<std::size_t>(
      std::min(length, std::uint64_t{block.size()}));
  std::size_t bytes = 0;
  if (const int error = ReadAt(ToFileHandle(file), offset,
                               std::span(block).first(wanted), bytes)) {
    return {.error = error};
  }
  if (bytes == 0) return {};
  return Send(socket, std::span(block).first(bytes));
}

void DiscardArrived(NativeSocket socket) {
  std::array<std::byte, 32 * 1024> scratch;
  static_assert(kMaxDiscardBytes % scratch.size() == 0);
  std::size_t discarded = 0;
  while (discarded < kMaxDiscardBytes) {
    const IoOutcome outcome = Receive(socket, scratch);
    if (!outcome.ok() || outcome.bytes == 0) return;
    discarded += outcome.bytes;
  }
}

AcceptOutcome Accept(NativeSocket listener, SocketAddress* peer) {
  // More than wait with the longest backlog: then it is not of connections.
  constexpr int kMostPassedOver = 1 << 16;
  AcceptOutcome outcome;
  int passed_over = 0;
  while (true) {
    sockaddr_storage storage = {};
    int length = sizeof(storage);
    const SOCKET accepted =
        ::accept(ToSocket(listener), reinterpret_cast<sockaddr*>(&storage),
                 &length);
    if (accepted != INVALID_SOCKET) [[likely]] {
      // It takes the listener's mode, but can be inherited whatever that is.
      ::SetHandleInformation(reinterpret_cast<HANDLE>(accepted),
                             HANDLE_FLAG_INHERIT, 0);
      u_long on = 1;
      ::ioctlsocket(accepted, static_cast<long>(FIONBIO), &on);
      outcome.socket = FromSocket(accepted);
      if (peer != nullptr) *peer = FromSockaddr(storage, length);
      return outcome;
    }
    const int error = LastErrorOf(listener);
    if (error == WSAEWOULDBLOCK) {
      outcome.would_block = true;
      return outcome;
    }
    if (!DiedWaiting(error) || ++passed_over == kMostPassedOver) {
      outcome.error = error;
      return outcome;
    }
  }
}

}  // namespace weir::platform
