// io_uring(7): changes are submitted and readiness reaped through one ring,
// with one system call for each turn however many registrations changed.

#ifndef WEIR_BACKENDS_IO_URING_IO_URING_BACKEND_H_
#define WEIR_BACKENDS_IO_URING_IO_URING_BACKEND_H_

#include <memory>

#include "absl/status/statusor.h"
#include "weir/backend.h"
#include "weir/backends.h"

namespace weir::internal {

// Unavailable: the kernel refuses io_uring (sysctl kernel.io_uring_disabled, a
// seccomp filter) or is older than Linux 6.1. ResourceExhausted: no descriptors
// or no memory for a ring.
absl::StatusOr<std::unique_ptr<Backend>> CreateIoUringBackend(
    const BackendOptions& options);

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_IO_URING_IO_URING_BACKEND_H_
