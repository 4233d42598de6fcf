// What a failed call has to say (P05, weir/status.h).

#ifndef WEIR_TESTS_CONFORMANCE_FAILURE_H_
#define WEIR_TESTS_CONFORMANCE_FAILURE_H_

#include <initializer_list>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "weir/status.h"

namespace weir::conformance {

// Whether `status` has this code and this cause, and a message with each of
// `parts`: the operation, the address where there is one, and, for an error of
// the system, its own words.
inline ::testing::AssertionResult IsFailure(
    const absl::Status& status, absl::StatusCode code, ErrorCause cause,
    std::initializer_list<std::string> parts) {
  if (status.code() != code || CauseOf(status) != cause) {
    return ::testing::AssertionFailure()
           << status << " with cause " << ErrorCauseName(CauseOf(status))
           << " instead of " << absl::StatusCodeToString(code)
           << " with cause " << ErrorCauseName(cause);
  }
  const std::string_view message(status.message().data(),
                                 status.message().size());
  for (const std::string& part : parts) {
    if (message.find(part) == std::string_view::npos) {
      return ::testing::AssertionFailure()
             << "no \"" << part << "\" in \"" << message << "\"";
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace weir::conformance

#endif  // WEIR_TESTS_CONFORMANCE_FAILURE_H_
