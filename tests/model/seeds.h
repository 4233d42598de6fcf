// Which seeds a test of random scripts tries, and how a script that fails is
// made shorter.
//
// WEIR_MODEL_SEED=n replays one seed, WEIR_MODEL_SEEDS=count sets how many are
// tried, WEIR_MODEL_FIRST_SEED=n where they begin, WEIR_MODEL_FAILURES=n how
// many failing ones are told.

#ifndef WEIR_TESTS_MODEL_SEEDS_H_
#define WEIR_TESTS_MODEL_SEEDS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace weir::model {

// A number from the environment.
std::uint64_t FromEnvironment(const char* name, std::uint64_t otherwise);

struct Seeds {
  std::uint64_t first;
  std::uint64_t count;
};
// `usual`: how many if nobody asks for others.
Seeds SeedsToTry(std::uint64_t usual);

// How many failing ones are told: one is enough to begin with, a hunt wants
// more.
std::uint64_t FailuresToTell();

// Leaves out of `steps` what is not needed for failing, as far as it gets in a
// while. A step has `reactions`, which go last.
template <typename Step>
std::vector<Step> Shrink(
    std::vector<Step> steps,
    const std::function<bool(const std::vector<Step>&)>& still_fails) {
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  const auto try_shorter = [&](std::vector<Step> shorter) {
    if (!still_fails(shorter)) return false;
    steps = std::move(shorter);
    return true;
  };
  for (std::size_t i = steps.size(); i-- > 0;) {
    if (absl::Now() > deadline) break;
    std::vector<Step> fewer = steps;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    if (try_shorter(std::move(fewer))) continue;
    std::vector<Step> calmer = steps;
    if (calmer[i].reactions.empty()) continue;
    calmer[i].reactions.clear();
    try_shorter(std::move(calmer));
  }
  return steps;
}

}  // namespace weir::model

#endif  // WEIR_TESTS_MODEL_SEEDS_H_
