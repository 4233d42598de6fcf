// Faults of single requests of an io_uring, whose results come as completions.

#ifndef WEIR_TESTS_FAULTS_RING_FAULTS_H_
#define WEIR_TESTS_FAULTS_RING_FAULTS_H_

#include <liburing.h>

namespace weir::faults {

// Before the queue is handed over: each entry that has not been looked at is
// asked for (Call::ring_entry, its operation code as detail). One that is to
// fail becomes a NOP, which does nothing and whose completion RewriteResults
// gives the error; one that is to be short asks for less.
void EditEntries(io_uring& ring);

// After the kernel may have completed something: the results of what
// EditEntries has put in the place of requests.
void RewriteResults(io_uring& ring);

// All completions that are there are lost, as when the kernel has no memory for
// those that the queue has no room for (io_uring_setup(2), EBADR). Connections
// that nobody knows of then are closed, for the sake of who counts descriptors.
void LoseCompletions(io_uring& ring);

// Forgets what it knows of a ring that is gone.
void ForgetRing(io_uring& ring);

}  // namespace weir::faults

#endif  // WEIR_TESTS_FAULTS_RING_FAULTS_H_
