// The descriptors of this process: how many are open, and how it is to have
// none left.

#ifndef WEIR_TESTS_CONFORMANCE_DESCRIPTORS_H_
#define WEIR_TESTS_CONFORMANCE_DESCRIPTORS_H_

#include <sys/resource.h>

#include <cstddef>

namespace weir::conformance {

// How many descriptors are open.
std::size_t OpenDescriptors();

// While one lives, opening any descriptor fails with EMFILE.
class NoDescriptorsLeft {
 public:
  NoDescriptorsLeft();
  ~NoDescriptorsLeft();
  NoDescriptorsLeft(const NoDescriptorsLeft&) = delete;
  NoDescriptorsLeft& operator=(const NoDescriptorsLeft&) = delete;

 private:
  rlimit before_{};
};

// While one lives, the process may have `count` descriptors open; a failure if
// the machine does not allow it.
class DescriptorRoom {
 public:
  explicit DescriptorRoom(std::size_t count);
  ~DescriptorRoom();
  DescriptorRoom(const DescriptorRoom&) = delete;
  DescriptorRoom& operator=(const DescriptorRoom&) = delete;

 private:
  rlimit before_{};
};

}  // namespace weir::conformance

#endif  // WEIR_TESTS_CONFORMANCE_DESCRIPTORS_H_
