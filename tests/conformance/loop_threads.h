// For tests whose loop runs on threads of its own: the threads, and things to
// wait for without sleeping.

#ifndef WEIR_TESTS_CONFORMANCE_LOOP_THREADS_H_
#define WEIR_TESTS_CONFORMANCE_LOOP_THREADS_H_

#include <atomic>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "tests/conformance/conformance.h"
#include "weir/event_loop.h"

namespace weir::conformance {

// Runs `loop` on `count` threads until it is stopped; the destructor stops it.
// Every Run is expected to return OK, unless it came too late.
class LoopThreads {
 public:
  LoopThreads(EventLoop& loop, int count) : loop_(loop) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this] {
        const absl::Status status = loop_.Run();
        if (!stopping_.load()) {
          EXPECT_OK(status);
        } else if (!status.ok()) {
          EXPECT_CODE(status, kFailedPrecondition);
        }
      });
    }
  }
  ~LoopThreads() { StopAndJoin(); }
  LoopThreads(const LoopThreads&) = delete;
  LoopThreads& operator=(const LoopThreads&) = delete;

  void StopAndJoin() {
    stopping_.store(true);
    loop_.Stop();
    Join();
  }
  // For a loop that something else stops.
  void Join() {
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

 private:
  EventLoop& loop_;
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

// A number that one thread raises and another waits for.
class Tally {
 public:
  void Add(int amount = 1) {
    absl::MutexLock lock(&mu_);
    value_ += amount;
  }
  int value() const {
    absl::MutexLock lock(&mu_);
    return value_;
  }
  // False, and a failure, if it does not come to that.
  bool AwaitAtLeast(int wanted) const {
    absl::MutexLock lock(&mu_);
    const auto reached = [this, wanted]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return value_ >= wanted;
    };
    if (mu_.AwaitWithTimeout(absl::Condition(&reached), kPatience)) return true;
    ADD_FAILURE() << "waited in vain for " << wanted << ", it is " << value_;
    return false;
  }

 private:
  mutable absl::Mutex mu_;
  int value_ ABSL_GUARDED_BY(mu_) = 0;
};

// False, and a failure, if it does not come.
inline bool Await(absl::Notification& notification) {
  if (notification.WaitForNotificationWithTimeout(kPatience)) return true;
  ADD_FAILURE() << "waited in vain for a notification";
  return false;
}

// Tells whether a piece of code is ever inside itself on two threads.
class Exclusive {
 public:
  class Visit {
   public:
    explicit Visit(Exclusive& exclusive) : exclusive_(exclusive) {
      if (exclusive_.inside_.exchange(true)) exclusive_.violated_.store(true);
    }
    ~Visit() { exclusive_.inside_.store(false); }

   private:
    Exclusive& exclusive_;
  };
  bool violated() const { return violated_.load(); }

 private:
  std::atomic<bool> inside_{false};
  std::atomic<bool> violated_{false};
};

// Makes `loop`, which other threads run, deliver one socket event, and waits
// for it: what the loop had collected before this call has been dispatched.
// With several threads a handler may still be running.
void DeliverSentinel(EventLoop& loop);

// Until `loop`, which other threads run, has nothing left to do and waits: what
// comes next has to interrupt a wait.
void LetItWait(EventLoop& loop);

}  // namespace weir::conformance

#endif  // WEIR_TESTS_CONFORMANCE_LOOP_THREADS_H_
