// Trying scripts of operations on several kinds of loop.

#ifndef WEIR_TESTS_MODEL_OPERATION_TRIAL_H_
#define WEIR_TESTS_MODEL_OPERATION_TRIAL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/conformance/conformance.h"
#include "tests/model/operation_world.h"

namespace weir::operation_model {

// Tries each seed on every variant; a failure names the seed and shows what
// happened, and again with as little of the script as fails in one of `tries`.
// `usual`: how many seeds if the environment names no others.
void TrySeeds(std::uint64_t usual, const std::vector<Variant>& variants,
              int tries);

}  // namespace weir::operation_model

#endif  // WEIR_TESTS_MODEL_OPERATION_TRIAL_H_
