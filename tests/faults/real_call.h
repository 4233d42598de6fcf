// Standing in front of a function by the linker's option --wrap: calls of
// `name` from this program's own objects, Weir's among them, come here, those
// of shared libraries do not. It works whether the function's library is shared
// or not.

#ifndef WEIR_TESTS_FAULTS_REAL_CALL_H_
#define WEIR_TESTS_FAULTS_REAL_CALL_H_

#include <cerrno>

#include "tests/faults/fault_points.h"

// WEIR_INTERPOSE(int, listen, (int socket, int backlog)) { ... }, in which
// real_listen is the function itself.
#define WEIR_INTERPOSE(result, name, parameters)            \
  result real_##name parameters asm("__real_" #name);       \
  result interposed_##name parameters asm("__wrap_" #name); \
  result interposed_##name parameters

namespace weir::faults {

inline int Fail(int error) {
  errno = error;
  return -1;
}

// Passes `result` on, and takes note if it says that the descriptor is not
// open.
template <typename Result>
Result Checked(Call call, int descriptor, Result result) {
  if (result < 0 && errno == EBADF) {
    NoteBadDescriptor(call, descriptor);
    errno = EBADF;
  }
  return result;
}

}  // namespace weir::faults

#endif  // WEIR_TESTS_FAULTS_REAL_CALL_H_
