// A ring: its set-up, its two queues, and every system call on it.

#ifndef WEIR_BACKENDS_IO_URING_RING_H_
#define WEIR_BACKENDS_IO_URING_RING_H_

#include <liburing.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weir::internal {

// Threads. For one thread: created by any, then used by the one that first
// called Enable() (IORING_SETUP_SINGLE_ISSUER; that is also what allows the
// kernel to run completions only when it waits, DEFER_TASKRUN). For any thread:
// MakeRoom, NextEntry, Submit and the completions one at a time; WaitOnly may
// run at the same time as these.
class Ring {
 public:
  struct Options {
    // And for poll(2) of the descriptor: work that the kernel holds back for one
    // thread wakes nobody who waits for that (io_req_local_work_add() in Linux).
    bool any_thread = false;
    unsigned submission_entries = 1024;
    unsigned completion_entries = 8192;
  };

  // Errors as CreateIoUringBackend.
  static absl::StatusOr<std::unique_ptr<Ring>> Create(const Options& options);
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  bool for_any_thread() const {
    return (ring_.flags & IORING_SETUP_SINGLE_ISSUER) == 0;
  }
  bool enabled() const { return enabled_; }
  // Gives the ring to the calling thread. No effect if it is enabled.
  absl::Status Enable();

  // Sees to it that the submission queue has room for `entries` more. A full
  // queue is handed to the kernel; Unavailable if the kernel takes nothing, and
  // nothing is lost (survey trap 52).
  absl::Status MakeRoom(unsigned entries);
  // An empty submission entry, of those there is room for.
  io_uring_sqe* NextEntry() { return io_uring_get_sqe(&ring_); }

  // Asks for the end of the request with `user_data`; there is room for it. Its
  // own completion, which comes only if it fails, has `ignored`.
  void PrepareCancel(std::uint64_t user_data, std::uint64_t ignored) {
    io_uring_sqe* entry = NextEntry();
    io_uring_prep_cancel64(entry, user_data, 0);
    io_uring_sqe_set_data64(entry, ignored);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
  }

  // Hands the submission queue over, all of it, and lets what it completed take
  // effect, without waiting. Unavailable: for want of memory some of it is still
  // queued.
  absl::Status Submit();

  // The same, then waits for a completion, or, without waiting, for `most`; one
  // system call. The kernel may keep some back: since Linux 6.13 it runs no
  // more than max(20, wanted) deferred completions in a call. They come with
  // the next one, in their order: to ask for them at once would keep those
  // waiting who are to be answered, and peers that sleep cost more to wake than
  // a call. The forms of a timeout are Backend::Wait's. OK also when the time
  // is over or a signal came.
  absl::Status SubmitAndWait(std::int64_t timeout_ns, int most);
  // Waits without touching the submission queue.
  absl::Status WaitOnly(std::int64_t timeout_ns);

  // Calls `consume(const io_uring_cqe&)` for completions, which are gone then,
  // until it has returned true (meaning: that was an event) `most` times. Returns
  // how many it was called for.
  template <typename Consume>
  int Reap(int most, Consume&& consume) {
    unsigned head = 0;
    io_uring_cqe* cqe = nullptr;
    int count = 0;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      if (most == 0) break;
      if (consume(*cqe)) --most;
      ++count;
    }
    if (count > 0) io_uring_cq_advance(&ring_, static_cast<unsigned>(count));
    return count;
  }

  // No completion waits to be reaped.
  bool empty() const { return io_uring_cq_ready(&ring_) == 0; }

  // A moment's, for what mends by itself and would be tried again at once.
  static void Pause();

  // True once after the kernel had no memory to keep completions for which the
  // queue had no room (io_uring_setup(2), EBADR): some are lost.
  bool TakeLostCompletions() { return std::exchange(lost_, false); }
  void NoteLostCompletions() { lost_ = true; }

  // Hands the queue over, asks for the end of all requests, and lets what that has
  // completed take effect; returns how many there were. Unavailable as Submit.
  absl::StatusOr<int> EndAll(int most);

  // io_uring_register_buf_ring(3): 0, or the system's number, negative.
  int RegisterBuffers(io_uring_buf_reg& request) {
    CountSystemCall();
    return io_uring_register_buf_ring(&ring_, &request, 0);
  }

  // Whether the kernel knows the operation (io_uring_get_probe(3)); of those that
  // were asked for at creation.
  bool sends_without_copy() const { return sends_without_copy_; }

  // Readable while there are completions.
  int descriptor() const { return ring_.ring_fd; }

  std::uint64_t system_calls() const {
    return system_calls_.load(std::memory_order_relaxed);
  }

 private:
  Ring() = default;
  void CountSystemCall() {
    system_calls_.fetch_add(1, std::memory_order_relaxed);
  }
  // Unavailable for what mends by itself.
  static absl::Status Refusal(int error);
  absl::Status FromWait(int result);

  io_uring ring_{};
  bool initialised_ = false;
  bool enabled_ = false;
  bool lost_ = false;
  bool sends_without_copy_ = false;
  std::atomic<std::uint64_t> system_calls_{0};
};

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_IO_URING_RING_H_
