// One run of everything: listening, accepting, connecting, echoes by
// completion, by stream and by readiness, datagrams, a file, timers, closing,
// and the end of a loop with something left open. With rules set
// (fault_points.h) it may fail half-way; what must hold in any case is checked.

#ifndef WEIR_TESTS_FAULTS_SCENARIO_H_
#define WEIR_TESTS_FAULTS_SCENARIO_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace weir::faults {

struct ScenarioOptions {
  std::string backend;
  // What the loop is made for; one thread runs it.
  int threads = 1;
};

struct ScenarioResult {
  // All that was to arrive has arrived.
  bool through = false;
  // What handlers and callers were told, in that order.
  std::vector<absl::Status> failures;
  // What must not be: something started and not ended, or ended twice, or
  // called after its close; a wait in vain; a loop that turns and turns; data
  // that arrived otherwise; a descriptor that is still open, or was used after
  // its close.
  std::vector<std::string> wrong;
};

// Rules and counts are in force while it runs.
ScenarioResult RunScenario(const ScenarioOptions& options);

}  // namespace weir::faults

#endif  // WEIR_TESTS_FAULTS_SCENARIO_H_
