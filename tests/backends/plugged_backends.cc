// Linked into a conformance program, this makes the whole suite run on backends
// from outside the library: one written from scratch, and Weir's own with every
// batch shuffled (survey trap 66).

#include "tests/backends/poll_backend.h"
#include "tests/backends/shuffling_backend.h"
#include "tests/conformance/conformance.h"

namespace weir::conformance {
namespace {

[[maybe_unused]] const bool kPluggedIn = [] {
  PlugIn("poll", [](const BackendOptions& options) -> std::unique_ptr<Backend> {
    return std::make_unique<test::PollBackend>(options.max_events);
  });
  for (const std::string_view real : CompiledBackends()) {
    PlugIn("shuffled_" + std::string(real),
           [real](const BackendOptions& options) -> std::unique_ptr<Backend> {
             // A fixed seed, so that a failure can be had again.
             return std::make_unique<test::ShufflingBackend>(
                 Must(CreateBackend(real, options)), 20240229u);
           });
  }
  return true;
}();

}  // namespace
}  // namespace weir::conformance
