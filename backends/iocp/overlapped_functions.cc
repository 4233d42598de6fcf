#include "backends/iocp/overlapped_functions.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "platform/sockets.h"
#include "platform/windows/extensions.h"
#include "platform/windows/file_handle.h"
#include "platform/windows/sockaddr.h"
#include "platform/windows/socket_buffers.h"
#include "platform/windows/socket_info.h"
#include "platform/windows/winsock.h"

namespace weir::internal {
namespace {

using platform::ToSocket;

template <typename Option>
bool SetSocketOption(NativeSocket socket, int name, const Option& value) {
  return ::setsockopt(ToSocket(socket), SOL_SOCKET, name,
                      reinterpret_cast<const char*>(&value),
                      sizeof(value)) == 0;
}

bool IsBound(NativeSocket socket) {
  sockaddr_storage address;
  int length = sizeof(address);
  return ::getsockname(ToSocket(socket), reinterpret_cast<sockaddr*>(&address),
                       &length) == 0;
}

}  // namespace

bool SkipPacketsOnSuccess(NativeSocket socket) {
  WSAPROTOCOL_INFOW protocol;
  int length = sizeof(protocol);
  return ::getsockopt(ToSocket(socket), SOL_SOCKET, SO_PROTOCOL_INFOW,
                      reinterpret_cast<char*>(&protocol), &length) == 0 &&
         (protocol.dwServiceFlags1 & XP1_IFS_HANDLES) != 0 &&
         protocol.iSocketType == SOCK_STREAM &&
         SetFileCompletionNotificationModes(
             reinterpret_cast<HANDLE>(socket),
             FILE_SKIP_COMPLETION_PORT_ON_SUCCESS |
                 FILE_SKIP_SET_EVENT_ON_HANDLE) != FALSE;
}

// --- connecting

StartedCall StartConnect(OverlappedCall& call, const SocketAddress& address,
                         bool skips_packets) {
  // Asked for each time: the function belongs to the socket's provider.
  const auto connect_ex = platform::FindExtension<LPFN_CONNECTEX>(
      ToSocket(call.socket), WSAID_CONNECTEX);
  if (connect_ex == nullptr) return -std::int64_t{WSAEOPNOTSUPP};
  sockaddr_storage storage;
  const int length = platform::ToSockaddr(address, storage);
  // It has no address of the system's choice to be bound to.
  if (storage.ss_family == AF_UNIX) return -std::int64_t{WSAEOPNOTSUPP};
  if (!IsBound(call.socket)) {
    sockaddr_storage any{};
    any.ss_family = storage.ss_family;
    if (::bind(ToSocket(call.socket), reinterpret_cast<sockaddr*>(&any),
               length) != 0) {
      return -std::int64_t{WSAGetLastError()};
    }
  }
  const BOOL succeeded = connect_ex(
      ToSocket(call.socket), reinterpret_cast<sockaddr*>(&storage), length,
      nullptr, 0, nullptr, &call.overlapped);
  return Started(succeeded != FALSE, call, skips_packets);
}

void FinishConnect(OverlappedCall& call) {
  (void)::setsockopt(ToSocket(call.socket), SOL_SOCKET,
                     SO_UPDATE_CONNECT_CONTEXT, nullptr, 0);
}

// --- accepting

StartedCall StartAccept(OverlappedCall& call, bool skips_packets) {
  platform::SocketInfo info;
  if (const int error = platform::QueryInfo(call.socket, info)) {
    return -std::int64_t{error};
  }
  const auto accept_ex = platform::FindExtension<LPFN_ACCEPTEX>(
      ToSocket(call.socket), WSAID_ACCEPTEX);
  if (accept_ex == nullptr) return -std::int64_t{WSAEOPNOTSUPP};
  const SOCKET made =
      ::WSASocketW(info.family, info.type, info.protocol, nullptr, 0,
                   WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
  if (made == INVALID_SOCKET) return -std::int64_t{WSAGetLastError()};
  call.accepted = platform::FromSocket(made);
  constexpr DWORD kBytes = OverlappedCall::kAddressBytes;
  DWORD received = 0;
  const BOOL succeeded =
      accept_ex(ToSocket(call.socket), made, call.OwnAddresses(), 0, kBytes,
                kBytes, &received, &call.overlapped);
  return Started(succeeded != FALSE, call, skips_packets);
}

namespace {

SocketAddress AddressAt(const void* at, int length) {
  sockaddr_storage storage{};
  if (at == nullptr || length <= 0 ||
      static_cast<std::size_t>(length) > sizeof(storage)) {
    return SocketAddress();
  }
  std::memcpy(&storage, at, static_cast<std::size_t>(length));
  return platform::FromSockaddr(storage, length);
}

// Who AcceptEx says it is: of a connection that was reset while it waited,
// getpeername() knows nothing any more.
SocketAddress WrittenPeer(const OverlappedCall& call) {
  const auto read = platform::FindExtension<LPFN_GETACCEPTEXSOCKADDRS>(
      ToSocket(call.socket), WSAID_GETACCEPTEXSOCKADDRS);
  if (read == nullptr) return SocketAddress();
  constexpr DWORD kBytes = OverlappedCall::kAddressBytes;
  sockaddr* local = nullptr;
  sockaddr* remote = nullptr;
  int local_length = 0;
  int remote_length = 0;
  read(call.addresses->data(), 0, kBytes, kBytes, &local, &local_length,
       &remote, &remote_length);
  return AddressAt(remote, remote_length);
}

}  // namespace

NativeSocket FinishAccept(OverlappedCall& call, SocketAddress* peer) {
  const NativeSocket accepted = std::exchange(call.accepted, kInvalidSocket);
  const SOCKET listener = ToSocket(call.socket);
  (void)SetSocketOption(accepted, SO_UPDATE_ACCEPT_CONTEXT, listener);
  u_long on = 1;
  ::ioctlsocket(ToSocket(accepted), static_cast<long>(FIONBIO), &on);
  if (peer != nullptr) *peer = WrittenPeer(call);
  return accepted;
}

void CloseUnaccepted(OverlappedCall& call) {
  if (call.accepted == kInvalidSocket) return;
  (void)platform::Close(std::exchange(call.accepted, kInvalidSocket));
}

// --- datagrams

StartedCall StartReceiveFrom(OverlappedCall& call,
                             std::span<const std::span<std::byte>> buffers,
                             bool skips_packets) {
  platform::SocketBuffers given(buffers);
  call.flags = 0;
  call.address_length = sizeof(sockaddr_storage);
  const bool succeeded =
      ::WSARecvFrom(ToSocket(call.socket), given.data(), given.count(), nullptr,
                    &call.flags,
                    reinterpret_cast<sockaddr*>(call.OwnAddresses()),
                    &call.address_length, &call.overlapped, nullptr) == 0;
  return Started(succeeded, call, skips_packets);
}

std::int64_t FinishReceiveFrom(const OverlappedCall& call, std::int64_t result) {
  Submission& submission = *call.submission;
  submission.truncated = result == -std::int64_t{WSAEMSGSIZE};
  if (result < 0 && !submission.truncated) return result;
  *submission.address = AddressAt(call.addresses->data(), call.address_length);
  return call.bytes();
}

StartedCall StartWait(OverlappedCall& call, DWORD flags, bool skips_packets) {
  WSABUF nothing{};
  call.flags = flags;
  const bool succeeded =
      ::WSARecv(ToSocket(call.socket), &nothing, 1, nullptr, &call.flags,
                &call.overlapped, nullptr) == 0;
  return Started(succeeded, call, skips_packets);
}

StartedCall StartSendTo(OverlappedCall& call,
                        std::span<const std::span<std::byte>> buffers,
                        bool skips_packets) {
  platform::SocketBuffers given(buffers);
  sockaddr_storage storage;
  const int length =
      platform::ToSockaddr(*call.submission->address, storage);
  const bool succeeded =
      ::WSASendTo(ToSocket(call.socket), given.data(), given.count(), nullptr,
                  0, reinterpret_cast<sockaddr*>(&storage), length,
                  &call.overlapped, nullptr) == 0;
  return Started(succeeded, call, skips_packets);
}

// --- files

StartedCall StartSendFile(OverlappedCall& call, const FilePart& part,
                          bool skips_packets) {
  const auto transmit_file = platform::FindExtension<LPFN_TRANSMITFILE>(
      ToSocket(call.socket), WSAID_TRANSMITFILE);
  if (transmit_file == nullptr) return -std::int64_t{WSAEOPNOTSUPP};
  const HANDLE file = platform::ToFileHandle(part.file);
  LARGE_INTEGER size;
  if (GetFileSizeEx(file, &size) == FALSE) {
    return -static_cast<std::int64_t>(GetLastError());
  }
  const auto end = static_cast<std::uint64_t>(size.QuadPart);
  // Asked for nothing, it sends the whole file.
  if (part.offset >= end) return 0;
  const auto length =
      static_cast<DWORD>(std::min(part.length, end - part.offset));
  call.overlapped.Offset = static_cast<DWORD>(part.offset);
  call.overlapped.OffsetHigh = static_cast<DWORD>(part.offset >> 32);
  const BOOL succeeded = transmit_file(ToSocket(call.socket), file, length, 0,
                                       &call.overlapped, nullptr, 0);
  return Started(succeeded != FALSE, call, skips_packets);
}

bool DiedWaiting(std::int64_t result) {
  switch (-result) {
    case WSAECONNRESET:
    case WSAECONNABORTED:
    case WSAENOTCONN:
    case ERROR_NETNAME_DELETED:
      return true;
    default:
      return false;
  }
}

}  // namespace weir::internal
