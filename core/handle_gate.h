// Keeps handles from being closed while other threads use them.

#ifndef WEIR_CORE_HANDLE_GATE_H_
#define WEIR_CORE_HANDLE_GATE_H_

#include <atomic>
#include <cstdint>

#include "absl/synchronization/mutex.h"
#include "core/mutex.h"

namespace weir::internal {

// Of any number of handles, each with a flag that it is closed. Whoever closes
// one takes the mutex only if somebody is inside: either the visitor sees the
// flag, or the one who sets it sees the visitor.
class HandleGate {
 public:
  // A stay for one call that does not wait. The last lock that is taken.
  class Visit {
   public:
    Visit(HandleGate& gate, const std::atomic<bool>& closed)
        : gate_(Enter(gate)), lock_(&gate.mu_), closed_(closed) {}
    ~Visit() { gate_.visitors_.fetch_sub(1, std::memory_order_release); }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

    // The handle is open, and stays so until the end of the visit.
    explicit operator bool() const {
      return !closed_.load(std::memory_order_seq_cst);
    }

   private:
    static HandleGate& Enter(HandleGate& gate) {
      gate.visitors_.fetch_add(1, std::memory_order_seq_cst);
      return gate;
    }

    HandleGate& gate_;
    absl::MutexLock lock_;
    const std::atomic<bool>& closed_;
  };

  // Sets the flag. Nobody uses the handle from here on.
  void Close(std::atomic<bool>& closed) {
    closed.store(true, std::memory_order_seq_cst);
    if (visitors_.load(std::memory_order_seq_cst) == 0) return;
    absl::MutexLock until_they_have_left(&mu_);
  }

 private:
  Mutex mu_;
  std::atomic<std::uint32_t> visitors_{0};
};

}  // namespace weir::internal

#endif  // WEIR_CORE_HANDLE_GATE_H_
