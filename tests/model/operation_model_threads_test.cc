// The same with the loop run by threads of its own, while another thread, which
// does not run it, works on the script: its calls are handed over, or race with
// the handlers' (O09).

#include "tests/model/operation_trial.h"

#include <cstdint>

namespace weir::operation_model {
namespace {

TEST(OperationModelThreads, RandomOperationsEndAsTheContractSays) {
  constexpr std::uint64_t kSeeds = 50;
  std::vector<Variant> variants;
  for (const std::string& backend : conformance::BackendsUnderTest()) {
    for (const int threads : {1, 3}) {
      variants.push_back(
          {.backend = backend, .threads = threads, .threaded = true});
    }
  }
  TrySeeds(kSeeds, variants, /*tries=*/20);
}

}  // namespace
}  // namespace weir::operation_model
