// A timing wheel: the set of pending timers of one event loop (P02).
//
// A pure data structure. It reads no clock, takes no lock and allocates only
// in its constructor; the owner serialises all calls on one wheel and on the
// lists it fills. Times are int64 nanoseconds of one monotonic clock, and every
// int64 value is valid.

#ifndef WEIR_CORE_TIMER_WHEEL_H_
#define WEIR_CORE_TIMER_WHEEL_H_

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>

namespace weir {
namespace internal {

// One timer, embedded in or a base of what the owner keeps for it. The owner
// owns the node and keeps its address stable. A node may be destroyed only
// while idle: Cancel() it first.
class TimerNode {
 public:
  // What an expired node is a part of.
  enum class Owner : uint8_t { kTimer, kOperation };

  explicit TimerNode(Owner owner = Owner::kTimer) : owner_(owner) {}
  TimerNode(const TimerNode&) = delete;
  TimerNode& operator=(const TimerNode&) = delete;
  ~TimerNode() { assert(idle()); }

  // In no wheel and no list.
  bool idle() const { return place_ == kIdle; }
  // In a wheel, waiting for its deadline.
  bool pending() const { return place_ >= 0; }
  // In a TimerList, waiting to be popped.
  bool expired() const { return place_ == kExpired; }

  // The deadline of the last Insert(), in every state.
  int64_t deadline_ns() const { return deadline_ns_; }

  Owner owner() const { return owner_; }

 private:
  friend class TimerList;
  friend class TimerWheel;

  static constexpr int32_t kIdle = -1;
  static constexpr int32_t kExpired = -2;

  // Takes the node out of whatever chain it is in, without knowing which.
  void Unlink() {
    *pprev_ = next_;
    if (next_ != nullptr) next_->pprev_ = pprev_;
    place_ = kIdle;
  }
  // Order of firing: by deadline, and in the order set where that is equal.
  bool Before(const TimerNode& other) const {
    return deadline_ns_ != other.deadline_ns_
               ? deadline_ns_ < other.deadline_ns_
               : sequence_ < other.sequence_;
  }

  TimerNode* next_ = nullptr;
  TimerNode** pprev_ = nullptr;  // What points here: a head or a next_.
  int64_t deadline_ns_ = 0;
  uint64_t sequence_ = 0;  // Larger for each later Insert().
  int32_t place_ = kIdle;  // Index of the wheel's bucket, or a constant above.
  const Owner owner_;
};

// Expired timers of one wheel in the order of (deadline, order of Insert()).
//
// The owner takes them one at a time with PopFront(), which leaves each one
// idle before its handler runs. A handler may therefore do anything: destroy or
// insert its own node again, and Cancel(), insert again or (once cancelled)
// destroy any other node, one further down this list included, which then is no
// longer in it. What a handler inserts with a deadline in the past enters a
// list at the next Advance() and so never prolongs the walk.
class TimerList {
 public:
  TimerList() { end_.pprev_ = &head_; }
  TimerList(const TimerList&) = delete;
  TimerList& operator=(const TimerList&) = delete;
  // Requires that the list is empty.
  ~TimerList() { assert(empty()); }

  bool empty() const { return head_ == &end_; }

  // The earliest, which becomes idle, or null if the list is empty. O(1).
  TimerNode* PopFront();

 private:
  friend class TimerWheel;

  // Adds a sorted chain (linked by next_ alone, ended by null): O(its length)
  // if nothing in the list comes after its first node, else also O(the list's).
  void Merge(TimerNode* chain);

  // Sorts such a chain; O(n) for one that is in order or in reverse order.
  static TimerNode* SortChain(TimerNode* chain);
  static TimerNode* MergeChains(TimerNode* a, TimerNode* b);

  // Stands after the last node, so that removing the last one needs no access
  // to the list: its pprev_ is where the next node is appended.
  TimerNode end_;
  TimerNode* head_ = &end_;
  // Of the last node appended, which may have left since.
  int64_t last_deadline_ns_ = 0;
};

// A hierarchy of kLevels circular arrays of buckets. A bucket of level l spans
// 2^(kTickShift + l * kLevelShift) ns; a timer goes to the finest level whose
// window reaches its deadline. A level's window is 2^(kSlotBits - kLevelShift)
// spans of the level above, so that the span of a bucket is less than a
// hundredth of the distance of what was put there, and emptying one bucket into
// the finer levels stays short even with a million timers pending. Timers
// beyond every window (six days) share one bucket more.
//
// A bucket is an unordered chain with a lower bound of its deadlines, which
// compare exactly: the spans limit no precision, and no timer expires early.
class TimerWheel {
 public:
  static constexpr int64_t kNoDeadline = std::numeric_limits<int64_t>::max();

  // Starts at time `now_ns`. Allocates about 200 kB.
  explicit TimerWheel(int64_t now_ns);
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  // Requires that no timer is pending; see Advance() for how to get there.
  ~TimerWheel();

  // Sets the timer, which expires at the first Advance() to `deadline_ns` or
  // later (for a deadline in the past: the next one). A node that is pending or
  // in a list is first taken out, exactly as by Cancel(). O(1).
  void Insert(TimerNode* node, int64_t deadline_ns);

  // Makes the node idle, taking it out of this wheel or of the TimerList it
  // expired into. False, and no effect, if it was idle. O(1).
  bool Cancel(TimerNode* node);

  // A time no later than the earliest pending deadline; kNoDeadline if nothing
  // is pending. It is that deadline exactly, except after the earliest timer
  // was cancelled or set again and left many in its bucket: then it may be the
  // deadline that timer had, and the Advance() to that time, which may expire
  // nothing, corrects it. So there is at most one wake-up in vain for a timer
  // that was cancelled or set again, and none for one that is merely far away.
  // The cost does not depend on how many timers are pending.
  int64_t NextDeadline();

  // Moves every timer with a deadline <= `now_ns` to `expired`, which need not
  // be empty and is in order afterwards, and returns how many. O(1) when
  // nothing is due. Time does not run backwards: a `now_ns` before an earlier
  // one counts as that earlier one. Advance(kNoDeadline) takes out every timer;
  // it is the way to empty a wheel that will not be used again.
  size_t Advance(int64_t now_ns, TimerList* expired);

  // How many timers are pending; those in a TimerList no longer are.
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  static constexpr int kTickShift = 18;  // 0.26 ms
  static constexpr int kLevelShift = 4;
  static constexpr int kLevels = 6;
  static constexpr int kSlotBits = 11;
  static constexpr int kSlots = 1 << kSlotBits;
  static constexpr int kWords = kSlots / 64;
  static constexpr int kFarBucket = kLevels * kSlots;
  static constexpr int kBuckets = kFarBucket + 1;

  struct Bucket {
    TimerNode* head = nullptr;
    // While not empty: no deadline in this bucket is earlier.
    int64_t earliest_ns = 0;
  };
  // Which slots of a level hold timers, and which words of `slots` are not 0.
  struct Occupancy {
    std::array<uint64_t, kWords> slots = {};
    uint64_t words = 0;
  };

  static constexpr int Shift(int level) {
    return kTickShift + level * kLevelShift;
  }
  static constexpr int SlotOf(int64_t time_ns, int level) {
    return static_cast<int>((time_ns >> Shift(level)) & (kSlots - 1));
  }

  Bucket& At(int bucket) const { return buckets_[static_cast<size_t>(bucket)]; }
  int BucketFor(int64_t deadline_ns) const;
  void Link(TimerNode* node, int bucket);
  void MarkEmpty(int bucket);
  // The first occupied bucket of a level in the order of time from `from_ns`,
  // or -1.
  int FirstBucket(int level, int64_t from_ns) const;
  int EarliestBucket() const;
  // Returns what is due as a chain, unsorted, and puts the rest where it
  // belongs.
  TimerNode* Empty(int bucket);

  // The time advanced to. Invariants, for every pending node whose deadline is
  // after now_ns_: its bucket lies in the window of its level, which starts
  // with the slot of now_ns_. The others are in that slot of level 0.
  int64_t now_ns_;
  // Never later than the earliest_ns of any occupied bucket.
  int64_t next_ns_ = kNoDeadline;
  // The timer that next_ns_ came from may have left.
  bool next_stale_ = false;
  uint64_t next_sequence_ = 1;
  size_t size_ = 0;
  std::array<Occupancy, kLevels> occupancy_;
  std::unique_ptr<Bucket[]> buckets_;
};

}  // namespace internal
}  // namespace weir

#endif  // WEIR_CORE_TIMER_WHEEL_H_
