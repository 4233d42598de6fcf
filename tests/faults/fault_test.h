// What tests with faults start from: the suite's fixture, rules that are gone
// when the test ends, and the books of descriptors.

#ifndef WEIR_TESTS_FAULTS_FAULT_TEST_H_
#define WEIR_TESTS_FAULTS_FAULT_TEST_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/conformance/descriptors.h"
#include "tests/conformance/operations.h"
#include "tests/faults/documented_errors.h"
#include "tests/faults/expected_status.h"
#include "tests/faults/fault_points.h"
#include "tests/faults/request_kinds.h"

namespace weir::faults {

class FaultTest : public conformance::OperationsTest {
 protected:
  void SetUp() override {
    descriptors_ = conformance::OpenDescriptors();
    OperationsTest::SetUp();
    Clear();
    armed_.emplace();
  }
  void TearDown() override {
    DestroyLoop();
    armed_.reset();
    EXPECT_THAT(BadDescriptors(), ::testing::IsEmpty());
    EXPECT_EQ(conformance::OpenDescriptors(), descriptors_);
    Clear();
  }

  bool on_io_uring() const { return GetParam() == "io_uring"; }
  // Of an operation of a stream or listener: the request where the mechanism
  // carries it out, else the call.
  Fault FaultOf(Call call, int request) const {
    if (!on_io_uring()) return {.call = call};
    return {.call = Call::k_ring_entry, .detail = request};
  }
  static int Descriptor(const Socket& socket) {
    return static_cast<int>(socket.native());
  }

 private:
  std::size_t descriptors_ = 0;
  std::optional<Armed> armed_;
};

// The errors that are documented for `call`; of several kinds of it, of all.
inline std::vector<int> ErrorsOf(Call call) {
  std::vector<int> errors;
  for (const CallErrors& row : DocumentedErrors()) {
    if (row.call != call) continue;
    errors.insert(errors.end(), row.errors.begin(), row.errors.end());
  }
  return errors;
}

}  // namespace weir::faults

#endif  // WEIR_TESTS_FAULTS_FAULT_TEST_H_
