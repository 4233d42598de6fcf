// Random operations on every backend, each run held against a model of the
// contract; by one thread, which runs the loop as well. The environment says
// which seeds are tried: seeds.h.

#include "tests/model/operation_trial.h"

#include <cstdint>

namespace weir::operation_model {
namespace {

// The loop for one thread, and the one for several, which locks.
TEST(OperationModel, RandomOperationsEndAsTheContractSays) {
  constexpr std::uint64_t kSeeds = 120;
  std::vector<Variant> variants;
  for (const std::string& backend : conformance::BackendsUnderTest()) {
    for (const int threads : {1, 2}) {
      variants.push_back({.backend = backend, .threads = threads});
    }
  }
  TrySeeds(kSeeds, variants, /*tries=*/1);
}

}  // namespace
}  // namespace weir::operation_model
