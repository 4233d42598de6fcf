// An I/O completion port, in either of its modes: socket notifications and
// non-blocking calls, or overlapped calls.

#ifndef WEIR_BACKENDS_IOCP_IOCP_BACKEND_H_
#define WEIR_BACKENDS_IOCP_IOCP_BACKEND_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "weir/backend.h"
#include "weir/backends.h"

namespace weir::internal {

// Where notifications come from (R23).
enum class NotificationSource : std::uint8_t {
  // The system, if it has them, else AFD polls.
  kBest,
  kAfdPoll,
};

enum class IocpMode : std::uint8_t {
  // Notifications say when, and the core makes the calls (a reactor).
  kNotifications,
  // Overlapped calls (a proactor); registrations by notifications.
  kOverlapped,
};

// "iocp-psn" and "iocp-overlapped". ResourceExhausted: no memory or no handles.
absl::StatusOr<std::unique_ptr<Backend>> CreateIocpPsnBackend(
    const BackendOptions& options);
absl::StatusOr<std::unique_ptr<Backend>> CreateIocpOverlappedBackend(
    const BackendOptions& options);
// The same from a source of one's choice, for tests.
absl::StatusOr<std::unique_ptr<Backend>> CreateIocpBackend(
    IocpMode mode, NotificationSource source, const BackendOptions& options);

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_IOCP_IOCP_BACKEND_H_
