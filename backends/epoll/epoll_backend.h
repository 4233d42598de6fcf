// epoll(7): the persistent readiness model as the kernel has it. One
// descriptor, one system call for each wait and each change.

#ifndef WEIR_BACKENDS_EPOLL_EPOLL_BACKEND_H_
#define WEIR_BACKENDS_EPOLL_EPOLL_BACKEND_H_

#include <memory>

#include "absl/status/statusor.h"
#include "weir/backend.h"
#include "weir/backends.h"

namespace weir::internal {

// ResourceExhausted: no descriptors or no memory.
absl::StatusOr<std::unique_ptr<Backend>> CreateEpollBackend(
    const BackendOptions& options);

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_EPOLL_EPOLL_BACKEND_H_
