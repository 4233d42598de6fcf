// What the result of a submission says.

#ifndef WEIR_CORE_SUBMISSION_RESULT_H_
#define WEIR_CORE_SUBMISSION_RESULT_H_

#include <cstdint>

#include "platform/error.h"
#include "weir/status.h"

namespace weir::internal {

inline ErrorCause CauseOfResult(std::int64_t result) {
  return result >= 0 ? ErrorCause::kNone
                     : platform::CauseOfSystemCode(static_cast<int>(-result));
}

// It was ended before it did anything: by us, or because the thread that had
// submitted it has ended. One that a thread of the kernel was busy with is told
// as interrupted (io-wq in Linux).
inline bool IsUndone(ErrorCause cause) {
  return cause == ErrorCause::kCancelled || cause == ErrorCause::kInterrupted;
}

}  // namespace weir::internal

#endif  // WEIR_CORE_SUBMISSION_RESULT_H_
