// The overlapped calls that take more than one: accepting and connecting.

#ifndef WEIR_BACKENDS_IOCP_OVERLAPPED_FUNCTIONS_H_
#define WEIR_BACKENDS_IOCP_OVERLAPPED_FUNCTIONS_H_

#include <cstdint>

#include "backends/iocp/overlapped_call.h"
#include "weir/native_socket.h"
#include "weir/socket_address.h"

namespace weir::internal {

// Has the handle send no packet for a call that succeeds at once. False: it does
// (one of a provider that is not the system's may not be asked,
// SetFileCompletionNotificationModes; nor may a datagram socket, on which that
// does not work, as libuv has found, src/win/udp.c).
bool SkipPacketsOnSuccess(NativeSocket socket);

// ConnectEx from an address of the system's choice, if the socket has none.
StartedCall StartConnect(OverlappedCall& call, const SocketAddress& address,
                         bool skips_packets);
// Makes the connected socket one like any other.
void FinishConnect(OverlappedCall& call);

// AcceptEx into a fresh socket, which is the call's.
StartedCall StartAccept(OverlappedCall& call, bool skips_packets);
// Makes the accepted socket one like any other; it is the caller's. `peer`, if
// not null, is set to who it is.
NativeSocket FinishAccept(OverlappedCall& call, SocketAddress* peer);
void CloseUnaccepted(OverlappedCall& call);
// WSARecvFrom into `buffers`, of which there is at least a byte.
StartedCall StartReceiveFrom(OverlappedCall& call,
                             std::span<const std::span<std::byte>> buffers,
                             bool skips_packets);
// The submission's result, and what it says besides.
std::int64_t FinishReceiveFrom(const OverlappedCall& call, std::int64_t result);
// WSARecv into nothing: ends when there is something to receive. Of datagrams with
// MSG_PEEK, which leaves it there, and mostly with WSAEMSGSIZE.
StartedCall StartWait(OverlappedCall& call, DWORD flags, bool skips_packets);
// WSASendTo where the submission's address says.
StartedCall StartSendTo(OverlappedCall& call,
                        std::span<const std::span<std::byte>> buffers,
                        bool skips_packets);
// TransmitFile of `part`, as far as the file goes.
StartedCall StartSendFile(OverlappedCall& call, const FilePart& part,
                          bool skips_packets);
// Whether an accept has failed with `result`, negative, because of a connection
// that died while it waited, and not because of the listener.
bool DiedWaiting(std::int64_t result);

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_IOCP_OVERLAPPED_FUNCTIONS_H_
