// Random operations on every backend, each run held against a model of the
// contract, and the runs of one script against each other.
// The environment says which seeds are tried: seeds.h.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/conformance/conformance.h"
#include "tests/model/script.h"
#include "tests/model/seeds.h"
#include "tests/model/world.h"

namespace weir::model {
namespace {

constexpr std::uint64_t kSeeds = WEIR_USUAL_MODEL_SEEDS;

// What two runs of one script were told, where the contract left the backends
// the same choice. Returns the first difference.
std::string Difference(const Run& a, const Run& b) {
  if (a.turns.size() != b.turns.size()) return "not the same turns";
  for (std::size_t turn = 0; turn < a.turns.size(); ++turn) {
    if (a.turns[turn].size() != b.turns[turn].size()) {
      return absl::StrCat("turn ", turn + 1, ": not the same registrations");
    }
    for (std::size_t id = 0; id < a.turns[turn].size(); ++id) {
      const Told& one = a.turns[turn][id];
      const Told& other = b.turns[turn][id];
      if (one.at_first != other.at_first || one.at_last != other.at_last ||
          one.at_first != one.at_last) {
        continue;
      }
      const Events exact = ~one.at_last.racy;
      // Removal may be told in this turn or in the next.
      if (Has(one.events | other.events, Events::kRemoved)) continue;
      if ((one.events & exact) != (other.events & exact)) {
        return absl::StrCat("turn ", turn + 1, ", registration ", id, ": ",
                            weir::ToString(one.events), " and ",
                            weir::ToString(other.events));
      }
    }
  }
  return "";
}

// The report of what is wrong with `script`; "" if nothing is.
std::string Try(const Script& script, const std::vector<Variant>& variants) {
  std::vector<Run> runs;
  for (const Variant& variant : variants) {
    runs.push_back(World(script, variant).Play());
    const auto described = [](const Variant& which, const Run& run) {
      return absl::StrCat("--- ", which.backend, ", for ", which.threads,
                          " thread(s):\n", run.log);
    };
    if (!runs.back().failure.empty()) {
      return absl::StrCat(runs.back().failure, "\n",
                          described(variant, runs.back()));
    }
    if (!script.orderly) continue;
    const std::string difference = Difference(runs.front(), runs.back());
    if (!difference.empty()) {
      return absl::StrCat(difference, "\n",
                          described(variants.front(), runs.front()),
                          described(variant, runs.back()));
    }
  }
  return "";
}

Script Shrink(Script script, const std::vector<Variant>& variants) {
  script.operations = model::Shrink<Operation>(
      script.operations, [&](const std::vector<Operation>& operations) {
        Script shorter = script;
        shorter.operations = operations;
        return !Try(shorter, variants).empty();
      });
  return script;
}

TEST(Model, RandomOperationsAreToldAsTheContractSays) {
  std::vector<Variant> variants;
  for (const std::string& backend : conformance::BackendsUnderTest()) {
    for (const int threads : {1, 2}) variants.push_back({backend, threads});
  }
  const Seeds seeds = SeedsToTry(kSeeds);
  std::uint64_t left = FailuresToTell();
  for (std::uint64_t i = 0; i < seeds.count && left > 0; ++i) {
    const Script script = MakeScript(seeds.first + i);
    const std::string report = Try(script, variants);
    if (report.empty()) continue;
    --left;
    ADD_FAILURE() << "seed " << script.seed << ": " << report
                  << "shrunk: " << Try(Shrink(script, variants), variants)
                  << "WEIR_MODEL_SEED=" << script.seed << " replays it";
  }
}

}  // namespace
}  // namespace weir::model
