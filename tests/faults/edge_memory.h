// Which descriptors epoll(7) watches for edges, and how.

#ifndef WEIR_TESTS_FAULTS_EDGE_MEMORY_H_
#define WEIR_TESTS_FAULTS_EDGE_MEMORY_H_

#include <sys/epoll.h>

namespace weir::faults {

// A transfer that moves less than it could tells whoever waits for edges that
// there is nothing more to move (epoll(7), Q&A 9), which is not so where it was
// a rule that cut it short. RaiseEdges has the system look at the descriptor
// again: as if the rest had come, or room had been made, right after the call.

// epoll_ctl(2), remembered if it succeeds.
int ChangeWatch(int epoll, int operation, int descriptor, epoll_event* event);
void ForgetWatches(int descriptor);
void RaiseEdges(int descriptor);

}  // namespace weir::faults

#endif  // WEIR_TESTS_FAULTS_EDGE_MEMORY_H_
