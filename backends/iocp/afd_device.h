// The AFD poll request, which waits for the state of a socket: undocumented, the
// same since Windows 2000, and what select() and WSAPoll() are made of. Here is
// the request alone; what it stands for is afd_notifications.h.

#ifndef WEIR_BACKENDS_IOCP_AFD_DEVICE_H_
#define WEIR_BACKENDS_IOCP_AFD_DEVICE_H_

#include <winsock2.h>
#include <windows.h>
#include <winternl.h>

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "backends/iocp/completion_port.h"
#include "weir/native_socket.h"

namespace weir::internal {

// AFD_POLL_*
using AfdEvents = std::uint32_t;
inline constexpr AfdEvents kAfdReceive = 0x01;
inline constexpr AfdEvents kAfdReceiveExpedited = 0x02;
inline constexpr AfdEvents kAfdSend = 0x04;
// The peer will send no more.
inline constexpr AfdEvents kAfdDisconnect = 0x08;
// The connection was reset, or given up.
inline constexpr AfdEvents kAfdAbort = 0x10;
// The handle was closed; told unasked.
inline constexpr AfdEvents kAfdLocalClose = 0x20;
inline constexpr AfdEvents kAfdAccept = 0x80;
inline constexpr AfdEvents kAfdConnectFail = 0x100;

// One request, and what the kernel writes to until its packet has come.
struct AfdPoll {
  // First: the address of the whole is that of the packet's `overlapped`.
  IO_STATUS_BLOCK status;
  // Not the request's own: a cancellation would write over it.
  IO_STATUS_BLOCK cancel_status;
  struct {
    LARGE_INTEGER timeout;
    ULONG handle_count;
    ULONG exclusive;
    struct {
      HANDLE handle;
      ULONG events;
      LONG status;
    } handles[1];
  } info;

  bool failed() const { return static_cast<LONG>(status.Status) < 0; }
  bool cancelled_by_anyone() const {
    constexpr LONG kStatusCancelled = static_cast<LONG>(0xC0000120);
    return static_cast<LONG>(status.Status) == kStatusCancelled;
  }
  // What has happened; nothing if it was cancelled, has failed, or has been
  // written by nobody (nt_status.cc).
  AfdEvents events() const {
    constexpr LONG kStatusSuccess = 0;
    return static_cast<LONG>(status.Status) != kStatusSuccess ||
                   info.handle_count == 0
               ? 0
               : info.handles[0].events;
  }
};

// A handle of \Device\Afd that is nobody's socket, through which any socket can
// be polled. Never to be polled itself: that ends Wine's server.
class AfdDevice {
 public:
  // Its requests end in packets of `port`, with PortKey::kAfdPoll.
  static absl::StatusOr<std::unique_ptr<AfdDevice>> Open(
      const CompletionPort& port);
  // Ends the requests that are under way: their packets come.
  ~AfdDevice();
  AfdDevice(const AfdDevice&) = delete;
  AfdDevice& operator=(const AfdDevice&) = delete;

  // The socket's own handle below what service providers put around it, into
  // `*base`. Returns 0 or an error number.
  static std::uint32_t FindBase(NativeSocket socket, SOCKET* base);

  // Asks for one of `events` on a base handle: looks at the present state, and
  // then waits. Returns 0, a packet will come; or an error number.
  std::uint32_t Start(AfdPoll& poll, SOCKET base, AfdEvents events) const;
  // A packet comes in any case.
  void Cancel(AfdPoll& poll) const;

 private:
  explicit AfdDevice(HANDLE handle) : handle_(handle) {}

  const HANDLE handle_;
};

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_IOCP_AFD_DEVICE_H_
