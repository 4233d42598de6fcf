// Stands in front of liburing's functions, each of which makes one system call.
// They return the error, negative, and leave errno alone.

#include <liburing.h>

#include <cerrno>

#include "tests/faults/fault_points.h"
#include "tests/faults/real_call.h"
#include "tests/faults/ring_faults.h"

int real_io_uring_submit_and_get_events(io_uring* ring) asm(
    "__real_io_uring_submit_and_get_events");

namespace weir::faults {
namespace {

// What has completed meanwhile is lost: the kernel says so when there is
// nothing else to say.
int Lose(io_uring& ring) {
  LoseCompletions(ring);
  return -EBADR;
}

// Hands over the queue, or its first entries, as `submit` does.
template <typename Submit>
int SubmitSome(io_uring& ring, const Verdict& verdict, Submit submit) {
  const bool loses = verdict.error == EBADR;
  // The kernel has taken none: they stay in the queue.
  if (verdict.error != 0 && !loses) return -verdict.error;
  EditEntries(ring);
  int result = 0;
  if (verdict.most < io_uring_sq_ready(&ring)) {
    // As when it runs out of requests half-way (io_submit_sqes() in Linux): it
    // does not wait then.
    const unsigned tail = ring.sq.sqe_tail;
    ring.sq.sqe_tail = __atomic_load_n(ring.sq.khead, __ATOMIC_ACQUIRE) +
                       static_cast<unsigned>(verdict.most);
    result = real_io_uring_submit_and_get_events(&ring);
    ring.sq.sqe_tail = tail;
  } else {
    result = submit();
  }
  RewriteResults(ring);
  return loses ? Lose(ring) : result;
}

}  // namespace
}  // namespace weir::faults

using ::weir::faults::Call;
using ::weir::faults::Decide;
using ::weir::faults::Verdict;

WEIR_INTERPOSE(int, io_uring_queue_init_params,
               (unsigned entries, io_uring* ring, io_uring_params* params)) {
  const Verdict verdict = Decide(Call::k_io_uring_queue_init_params);
  if (verdict.error != 0) return -verdict.error;
  ::weir::faults::ForgetRing(*ring);
  return real_io_uring_queue_init_params(
      ::weir::faults::SubmissionEntriesFor(entries), ring, params);
}

WEIR_INTERPOSE(io_uring_probe*, io_uring_get_probe_ring, (io_uring * ring)) {
  const Verdict verdict = Decide(Call::k_io_uring_get_probe_ring);
  if (verdict.error != 0) return nullptr;
  return real_io_uring_get_probe_ring(ring);
}

WEIR_INTERPOSE(int, io_uring_register,
               (unsigned ring, unsigned operation, const void* argument,
                unsigned count)) {
  const Verdict verdict =
      Decide(Call::k_io_uring_register, ::weir::faults::Fault::kAny,
             static_cast<int>(operation));
  if (verdict.error != 0) return -verdict.error;
  return real_io_uring_register(ring, operation, argument, count);
}

WEIR_INTERPOSE(int, io_uring_register_buf_ring,
               (io_uring * ring, io_uring_buf_reg* request, unsigned flags)) {
  const Verdict verdict = Decide(Call::k_io_uring_register_buf_ring);
  if (verdict.error != 0) return -verdict.error;
  return real_io_uring_register_buf_ring(ring, request, flags);
}

WEIR_INTERPOSE(int, io_uring_register_sync_cancel,
               (io_uring * ring, io_uring_sync_cancel_reg* request)) {
  const Verdict verdict = Decide(Call::k_io_uring_register_sync_cancel);
  if (verdict.error != 0) return -verdict.error;
  return real_io_uring_register_sync_cancel(ring, request);
}

WEIR_INTERPOSE(int, io_uring_submit_and_get_events, (io_uring * ring)) {
  return ::weir::faults::SubmitSome(
      *ring, Decide(Call::k_io_uring_submit_and_get_events),
      [&] { return real_io_uring_submit_and_get_events(ring); });
}

WEIR_INTERPOSE(int, io_uring_submit_and_wait_timeout,
               (io_uring * ring, io_uring_cqe** first, unsigned count,
                __kernel_timespec* timeout, sigset_t* mask)) {
  return ::weir::faults::SubmitSome(
      *ring, Decide(Call::k_io_uring_submit_and_wait_timeout), [&] {
        return real_io_uring_submit_and_wait_timeout(ring, first, count,
                                                     timeout, mask);
      });
}

WEIR_INTERPOSE(int, io_uring_wait_cqes,
               (io_uring * ring, io_uring_cqe** first, unsigned count,
                __kernel_timespec* timeout, sigset_t* mask)) {
  const Verdict verdict = Decide(Call::k_io_uring_wait_cqes);
  const bool loses = verdict.error == EBADR;
  if (verdict.error != 0 && !loses) return -verdict.error;
  const int result = real_io_uring_wait_cqes(ring, first, count, timeout, mask);
  ::weir::faults::RewriteResults(*ring);
  return loses ? ::weir::faults::Lose(*ring) : result;
}
