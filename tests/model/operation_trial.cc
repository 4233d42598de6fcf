#include "tests/model/operation_trial.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/conformance/descriptors.h"
#include "tests/model/seeds.h"

namespace weir::operation_model {
namespace {

// While a script is made shorter, one that has to be waited for is not waited
// for so long.
constexpr absl::Duration kShortPatience = absl::Milliseconds(300);

// The report of what is wrong with `script` on one of `variants`; "" if nothing.
std::string Try(const Script& script, const std::vector<Variant>& variants,
                absl::Duration patience, const Variant** culprit = nullptr) {
  for (const Variant& variant : variants) {
    const std::size_t before = conformance::OpenDescriptors();
    Run run = World(script, variant, patience).Play();
    const std::size_t after = conformance::OpenDescriptors();
    if (run.failure.empty() && after != before) {
      run.failure = absl::StrCat(after, " descriptors are open, not ", before);
    }
    if (run.failure.empty()) continue;
    if (culprit != nullptr) *culprit = &variant;
    return absl::StrCat(run.failure, "\n--- ", variant.backend, ", for ",
                        variant.threads, " thread(s)",
                        variant.threaded ? " of its own" : "", ":\n", run.log,
                        "--- of the script\n", ToString(script));
  }
  return "";
}

}  // namespace

void TrySeeds(std::uint64_t usual, const std::vector<Variant>& variants,
              int tries) {
  // What is made once, by the first script that needs it.
  Script warm_up{.seed = 0, .ending = Ending::kDestroy, .steps = {}};
  warm_up.steps.push_back({.act = Act::kConnectStalled});
  warm_up.steps.push_back({.act = Act::kOpen});
  warm_up.steps.push_back({.act = Act::kSendFile, .size = 1});
  for (const Variant& variant : variants) {
    (void)World(warm_up, variant, kShortPatience).Play();
  }
  const model::Seeds seeds = model::SeedsToTry(usual);
  std::uint64_t left = model::FailuresToTell();
  for (std::uint64_t i = 0; i < seeds.count && left > 0; ++i) {
    Script script = MakeScript(seeds.first + i);
    const Variant* culprit = nullptr;
    const std::string report =
        Try(script, variants, conformance::kPatience, &culprit);
    if (report.empty()) continue;
    --left;
    const std::vector<Variant> again = {*culprit};
    std::string shrunk;
    script.steps = model::Shrink<Step>(
        script.steps, [&](const std::vector<Step>& steps) {
          Script shorter = script;
          shorter.steps = steps;
          for (int t = 0; t < tries; ++t) {
            std::string wrong = Try(shorter, again, kShortPatience);
            if (wrong.empty()) continue;
            shrunk = std::move(wrong);
            return true;
          }
          return false;
        });
    ADD_FAILURE() << "seed " << script.seed << ": " << report << "shrunk: "
                  << shrunk << "WEIR_MODEL_SEED=" << script.seed
                  << " replays it";
  }
}

}  // namespace weir::operation_model
