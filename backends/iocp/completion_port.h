// An I/O completion port: the one queue to which everything comes.

#ifndef WEIR_BACKENDS_IOCP_COMPLETION_PORT_H_
#define WEIR_BACKENDS_IOCP_COMPLETION_PORT_H_

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weir/native_socket.h"

namespace weir::internal {

// What a packet is, by its completion key. Odd keys are registrations for socket
// notifications (notification_slot.h).
enum class PortKey : std::uintptr_t {
  // Nothing but an end to waiting.
  kWake = 2,
  // An overlapped call on a socket has ended.
  kOverlapped = 4,
  // An AFD poll has ended: seen by AfdNotifications alone.
  kAfdPoll = 6,
};

class CompletionPort {
 public:
  // ResourceExhausted: no memory for it.
  static absl::StatusOr<CompletionPort> Create();

  CompletionPort(CompletionPort&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)) {}
  CompletionPort& operator=(CompletionPort&&) = delete;
  // Whoever waits on it goes on waiting, on Wine at least: nobody may.
  ~CompletionPort();

  // The HANDLE.
  void* handle() const { return handle_; }

  // Makes the packets of the handle's overlapped calls come here, for the rest of
  // its life. False with GetLastError(): ERROR_INVALID_PARAMETER, it belongs to a
  // port already.
  bool Associate(void* handle, PortKey key) const;

  // Queues a packet of its own. Any thread; does not fail: want of memory is
  // waited out.
  void Post(PortKey key) const;

 private:
  explicit CompletionPort(void* handle) : handle_(handle) {}

  void* handle_;
};

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_IOCP_COMPLETION_PORT_H_
