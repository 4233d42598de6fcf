// What another process has used, as the system accounts for it.

#ifndef WEIR_BENCHMARKS_LOAD_SERVER_USAGE_H_
#define WEIR_BENCHMARKS_LOAD_SERVER_USAGE_H_

#include <cstdint>

namespace benchmarks {

// Nanoseconds that the threads of process `pid` have run, in user space and in
// the kernel. 0 for a `pid` of 0.
std::int64_t CpuNanoseconds(int pid);

// Bytes of memory that process `pid` has of its own, in pages. 0 for a `pid` of
// 0.
std::int64_t OwnBytes(int pid);

}  // namespace benchmarks

#endif  // WEIR_BENCHMARKS_LOAD_SERVER_USAGE_H_
