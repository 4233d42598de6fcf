// The descriptors of this process: how many are open, and how it is to have
// none left.

#ifndef WEIR_TESTS_CONFORMANCE_DESCRIPTORS_H_
#define WEIR_TESTS_CONFORMANCE_DESCRIPTORS_H_

#include <cstddef>
#include <memory>

namespace weir::conformance {

// How many descriptors are open; on Windows, how many handles of sockets, files
// and completion ports: threads and locks have handles there, which come and go.
std::size_t OpenDescriptors();

// Whether there is a limit to how many there may be, that a process can set for
// itself; Windows has none.
bool HasDescriptorLimit();
#define WEIR_SKIP_WITHOUT_DESCRIPTOR_LIMIT()                      \
  do {                                                            \
    if (!::weir::conformance::HasDescriptorLimit()) {                    \
      GTEST_SKIP() << "no limit of descriptors here";             \
    }                                                             \
  } while (false)

// While one lives, opening any descriptor fails for want of a free one. Only
// where there is a limit.
class NoDescriptorsLeft {
 public:
  NoDescriptorsLeft();
  ~NoDescriptorsLeft();
  NoDescriptorsLeft(const NoDescriptorsLeft&) = delete;
  NoDescriptorsLeft& operator=(const NoDescriptorsLeft&) = delete;

 private:
  struct Limit;
  std::unique_ptr<Limit> before_;
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
  struct Limit;
  std::unique_ptr<Limit> before_;
};

}  // namespace weir::conformance

#endif  // WEIR_TESTS_CONFORMANCE_DESCRIPTORS_H_
