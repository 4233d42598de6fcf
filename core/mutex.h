// The mutex of everything in here that takes a second one while it holds it.

#ifndef WEIR_CORE_MUTEX_H_
#define WEIR_CORE_MUTEX_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace weir::internal {

// An Abseil that was built with its checks on, as Debian's is, remembers by
// address in which order mutexes were taken, and ends the program at a cycle. In
// a program that was built without, absl::Mutex's inline destructor does not
// make it forget; another mutex at the same address would then inherit an order
// that was never its own.
class ABSL_LOCKABLE Mutex : public absl::Mutex {
 public:
  Mutex() = default;
  ~Mutex() { ForgetDeadlockInfo(); }
};

}  // namespace weir::internal

#endif  // WEIR_CORE_MUTEX_H_
