// The suite on a backend from outside the library, written from scratch.

#include <memory>

#include "tests/backends/poll_backend.h"
#include "tests/conformance/conformance.h"

namespace weir::conformance {
namespace {

[[maybe_unused]] const bool kPluggedIn = [] {
  PlugIn("poll", [](const BackendOptions& options) -> std::unique_ptr<Backend> {
    return std::make_unique<test::PollBackend>(options.max_events);
  });
  return true;
}();

}  // namespace
}  // namespace weir::conformance
