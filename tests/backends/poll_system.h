// The two system calls of PollBackend.

#ifndef WEIR_TESTS_BACKENDS_POLL_SYSTEM_H_
#define WEIR_TESTS_BACKENDS_POLL_SYSTEM_H_

#include <cstdint>
#include <memory>
#include <span>

#include "weir/backend.h"

namespace weir::test {

struct PollRequest {
  NativeSocket socket = kInvalidSocket;
  Condition conditions = Condition::kNone;
  // What holds.
  Condition found = Condition::kNone;
};

// poll(2). False if it failed for good.
bool PollFor(std::span<PollRequest> requests, std::int64_t timeout_ns);

// Something that becomes readable: a pipe.
class PollWakeUp {
 public:
  PollWakeUp();
  ~PollWakeUp();

  // Async-signal-safe.
  void Signal();
  void Drain();
  NativeSocket handle() const;

 private:
  struct Ends;
  std::unique_ptr<Ends> ends_;
};

}  // namespace weir::test

#endif  // WEIR_TESTS_BACKENDS_POLL_SYSTEM_H_
