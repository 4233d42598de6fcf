// The backends of this build: which there are, which is the default, and how
// to make one by name. An application may choose when it creates its loop;
// without a choice it gets the build's default (the option WEIR_BACKEND).

#ifndef WEIR_BACKENDS_H_
#define WEIR_BACKENDS_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "weir/backend.h"

namespace weir {

struct BackendOptions {
  // How many threads will run the loop at a time; more than one costs some
  // mechanisms an optimisation.
  int threads = 1;
  // Most events taken from the kernel at a time; the others come with the next
  // turn.
  int max_events = 256;
  // Backend::native_handle() will be waited for, which also costs some an
  // optimisation.
  bool embedded = false;
};

// The names compiled in, best first: a subset of "io_uring", "epoll".
std::vector<std::string_view> CompiledBackends();

// What an empty name stands for: one of CompiledBackends(), or "auto".
std::string_view DefaultBackend();

// Makes the backend called `name`. "auto" takes io_uring where the kernel has
// everything it needs and epoll otherwise; `reason`, if not null, is set to a
// sentence that says which and why.
//
// Errors: InvalidArgument, no such backend in this build (the message names
// those there are) or options out of range; Unavailable, the kernel refuses
// the mechanism (no io_uring by sysctl, seccomp filter or age);
// ResourceExhausted, no descriptors or no memory for it.
absl::StatusOr<std::unique_ptr<Backend>> CreateBackend(
    std::string_view name, const BackendOptions& options,
    std::string* reason = nullptr);

}  // namespace weir

#endif  // WEIR_BACKENDS_H_
