// What a call that fails with an error number is to say (weir/status.h),
// written down anew: not the library's own table.

#ifndef WEIR_TESTS_FAULTS_EXPECTED_STATUS_H_
#define WEIR_TESTS_FAULTS_EXPECTED_STATUS_H_

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "weir/status.h"

namespace weir::faults {

struct ExpectedStatus {
  absl::StatusCode code;
  ErrorCause cause;
};
ExpectedStatus ExpectedOf(int error);

// Whether `status` is what `error` is to be told as, with its number.
::testing::AssertionResult TellsError(const absl::Status& status, int error);

}  // namespace weir::faults

#endif  // WEIR_TESTS_FAULTS_EXPECTED_STATUS_H_
