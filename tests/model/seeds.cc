#include "tests/model/seeds.h"

#include <cstdlib>

#include "absl/strings/numbers.h"

namespace weir::model {

std::uint64_t FromEnvironment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  std::uint64_t value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : otherwise;
}

Seeds SeedsToTry(std::uint64_t usual) {
  if (std::getenv("WEIR_MODEL_SEED") != nullptr) {
    return {FromEnvironment("WEIR_MODEL_SEED", 0), 1};
  }
  return {FromEnvironment("WEIR_MODEL_FIRST_SEED", 1),
          FromEnvironment("WEIR_MODEL_SEEDS", usual)};
}

std::uint64_t FailuresToTell() {
  return FromEnvironment("WEIR_MODEL_FAILURES", 1);
}

}  // namespace weir::model
