// What a program allocates, counted: whoever links counted_new.cc has operator new
// replaced, and so is a program of its own.

#ifndef WEIR_TESTS_SUPPORT_COUNTED_NEW_H_
#define WEIR_TESTS_SUPPORT_COUNTED_NEW_H_

#include <atomic>
#include <cstddef>

namespace weir::test {

// As asked for, of what was not deleted yet.
extern std::atomic<std::size_t> live_bytes;
extern std::atomic<std::size_t> allocations;

}  // namespace weir::test

#endif  // WEIR_TESTS_SUPPORT_COUNTED_NEW_H_
