// WSAPoll is too poor a foundation for a backend: it has no word for a peer that
// has ended its side while data wait, and under Wine it keeps errors of datagram
// sockets to itself. What the core asks of a backend is seen to on POSIX.

#include <cstdio>

namespace weir::conformance {
namespace {

[[maybe_unused]] const bool kSaid = [] {
  std::printf(
      "[   NOTE   ] left out: the tests' own backend, which is poll(2)'s\n");
  return true;
}();

}  // namespace
}  // namespace weir::conformance
