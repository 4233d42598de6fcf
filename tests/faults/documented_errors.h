// Which errors each call can fail with, as its manual page says.

#ifndef WEIR_TESTS_FAULTS_DOCUMENTED_ERRORS_H_
#define WEIR_TESTS_FAULTS_DOCUMENTED_ERRORS_H_

#include <span>
#include <vector>

#include "tests/faults/fault_points.h"

namespace weir::faults {

struct CallErrors {
  Call call;
  // Fault::detail.
  int detail = Fault::kAny;
  std::vector<int> errors;
};

// One row for each call, or for each of its kinds. Calls that have no row
// cannot fail, or not in the way that Weir makes them.
std::span<const CallErrors> DocumentedErrors();

}  // namespace weir::faults

#endif  // WEIR_TESTS_FAULTS_DOCUMENTED_ERRORS_H_
