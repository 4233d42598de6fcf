// Linked into a conformance program, this makes the whole suite run on Weir's own
// backends with every batch shuffled (survey trap 66).

#include "tests/backends/shuffling_backend.h"
#include "tests/conformance/conformance.h"

namespace weir::conformance {
namespace {

[[maybe_unused]] const bool kPluggedIn = [] {
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
