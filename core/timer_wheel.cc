#include "core/timer_wheel.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace weir {
namespace internal {
namespace {

// How many nodes NextDeadline() looks at to make a bucket's bound exact. Each
// may be a cache miss, which together must stay cheaper than a wake-up in vain.
constexpr int kExactScanLimit = 8;

}  // namespace

TimerNode* TimerList::PopFront() {
  if (empty()) return nullptr;
  TimerNode* node = head_;
  node->Unlink();
  return node;
}

void TimerList::Merge(TimerNode* chain) {
  if (chain == nullptr) return;
  // Of equal deadlines, the one that expired later was also set later: had it
  // been pending at the earlier Advance(), it would have expired there too.
  const bool append = empty() || last_deadline_ns_ <= chain->deadline_ns_;
  if (!append) {
    *end_.pprev_ = nullptr;
    chain = MergeChains(head_, chain);
    end_.pprev_ = &head_;
  }
  TimerNode** link = end_.pprev_;
  TimerNode* last = nullptr;
  while (chain != nullptr) {
    last = chain;
    *link = last;
    last->pprev_ = link;
    last->place_ = TimerNode::kExpired;
    link = &last->next_;
    chain = last->next_;
  }
  *link = &end_;
  end_.pprev_ = link;
  last_deadline_ns_ = last->deadline_ns_;
}

TimerNode* TimerList::MergeChains(TimerNode* a, TimerNode* b) {
  TimerNode* head = nullptr;
  TimerNode** link = &head;
  while (a != nullptr && b != nullptr) {
    TimerNode*& first = a->Before(*b) ? a : b;
    *link = first;
    link = &first->next_;
    first = first->next_;
  }
  *link = a != nullptr ? a : b;
  return head;
}

TimerNode* TimerList::SortChain(TimerNode* chain) {
  // A merge sort of the runs that are there. runs[i] is empty or made of 2^i
  // runs; as a run is a node or more, 64 places are enough for any chain.
  std::array<TimerNode*, 64> runs = {};
  while (chain != nullptr) {
    TimerNode* run = chain;
    TimerNode* last = chain;
    chain = chain->next_;
    if (chain != nullptr && chain->Before(*run)) {
      while (chain != nullptr && chain->Before(*run)) {
        TimerNode* next = chain->next_;
        chain->next_ = run;
        run = chain;
        chain = next;
      }
    } else {
      while (chain != nullptr && last->Before(*chain)) {
        last = chain;
        chain = chain->next_;
      }
    }
    last->next_ = nullptr;
    size_t i = 0;
    for (; runs[i] != nullptr; ++i) {
      run = MergeChains(runs[i], run);
      runs[i] = nullptr;
    }
    runs[i] = run;
  }
  TimerNode* sorted = nullptr;
  for (TimerNode* run : runs) sorted = MergeChains(run, sorted);
  return sorted;
}

TimerWheel::TimerWheel(int64_t now_ns)
    : now_ns_(now_ns), buckets_(std::make_unique<Bucket[]>(kBuckets)) {}

TimerWheel::~TimerWheel() { assert(empty()); }

void TimerWheel::Insert(TimerNode* node, int64_t deadline_ns) {
  const int bucket = BucketFor(deadline_ns);
  if (node->place_ == bucket) {
    // Set again a little later, the usual fate of a timeout: it stays in its
    // chain, and no neighbour is touched.
    if (node->deadline_ns_ <= next_ns_) next_stale_ = true;
    node->deadline_ns_ = deadline_ns;
    Bucket& b = At(bucket);
    b.earliest_ns = std::min(b.earliest_ns, deadline_ns);
  } else {
    Cancel(node);
    node->deadline_ns_ = deadline_ns;
    Link(node, bucket);
    ++size_;
  }
  node->sequence_ = next_sequence_++;
  if (deadline_ns <= next_ns_) {
    next_ns_ = deadline_ns;
    next_stale_ = false;
  }
}

bool TimerWheel::Cancel(TimerNode* node) {
  if (node->idle()) return false;
  const int bucket = node->place_;
  node->Unlink();
  if (bucket < 0) return true;  // It was in a TimerList.
  --size_;
  if (node->deadline_ns_ <= next_ns_) next_stale_ = true;
  // Only the last of a chain can have been the only one; asking in this order
  // leaves the bucket itself untouched for all others.
  if (node->next_ == nullptr && At(bucket).head == nullptr) {
    MarkEmpty(bucket);
  }
  return true;
}

int64_t TimerWheel::NextDeadline() {
  while (next_stale_) {
    next_stale_ = false;
    const int first = EarliestBucket();
    if (first < 0) {
      next_ns_ = kNoDeadline;
      break;
    }
    Bucket& bucket = At(first);
    next_ns_ = bucket.earliest_ns;
    int64_t exact = kNoDeadline;
    const TimerNode* node = bucket.head;
    for (int i = 0; i < kExactScanLimit && node != nullptr; ++i) {
      exact = std::min(exact, node->deadline_ns_);
      node = node->next_;
    }
    if (node == nullptr && exact != bucket.earliest_ns) {
      bucket.earliest_ns = exact;
      next_stale_ = true;  // Another level may hold an earlier one.
    }
  }
  return next_ns_;
}

size_t TimerWheel::Advance(int64_t now_ns, TimerList* expired) {
  const int64_t before_ns = now_ns_;
  now_ns_ = std::max(now_ns_, now_ns);
  if (now_ns_ < next_ns_) return 0;
  const size_t size_before = size_;
  // Sorted bucket by bucket, while a bucket's nodes are in the cache; so there
  // are few runs left to merge in the end.
  TimerNode* due = nullptr;
  TimerNode** end = &due;
  const auto empty_bucket = [this, &end](int bucket) {
    *end = TimerList::SortChain(Empty(bucket));
    while (*end != nullptr) end = &(*end)->next_;
  };
  // From the finest level up: what is left in a bucket goes to a finer level
  // (in level 0: back to the same bucket), which by then holds nothing that is
  // due, so that its window may start at the slot of now_ns_.
  for (int level = 0; level < kLevels; ++level) {
    for (;;) {
      const int bucket = FirstBucket(level, before_ns);
      if (bucket < 0) break;
      if (At(bucket).earliest_ns > now_ns_) break;
      empty_bucket(bucket);
    }
  }
  const Bucket& far = At(kFarBucket);
  if (far.head != nullptr && far.earliest_ns <= now_ns_) {
    empty_bucket(kFarBucket);
  }
  next_stale_ = true;
  expired->Merge(TimerList::SortChain(due));
  return size_before - size_;
}

int TimerWheel::BucketFor(int64_t deadline_ns) const {
  const int64_t time_ns = std::max(deadline_ns, now_ns_);
  // Unsigned: the distance between two int64 values may not fit into one.
  const uint64_t distance =
      static_cast<uint64_t>(time_ns) - static_cast<uint64_t>(now_ns_);
  for (int level = 0; level < kLevels; ++level) {
    // One less than kSlots, as the current slot has partly passed.
    if (distance >> Shift(level) < kSlots - 1) {
      return level * kSlots + SlotOf(time_ns, level);
    }
  }
  return kFarBucket;
}

void TimerWheel::Link(TimerNode* node, int bucket) {
  Bucket& b = At(bucket);
  node->next_ = b.head;
  node->pprev_ = &b.head;
  node->place_ = bucket;
  if (b.head != nullptr) {
    b.head->pprev_ = &node->next_;
    b.earliest_ns = std::min(b.earliest_ns, node->deadline_ns_);
  } else {
    b.earliest_ns = node->deadline_ns_;
    if (bucket != kFarBucket) {
      Occupancy& o = occupancy_[static_cast<size_t>(bucket / kSlots)];
      const int slot = bucket % kSlots;
      o.slots[static_cast<size_t>(slot / 64)] |= uint64_t{1} << (slot % 64);
      o.words |= uint64_t{1} << (slot / 64);
    }
  }
  b.head = node;
}

void TimerWheel::MarkEmpty(int bucket) {
  if (bucket == kFarBucket) return;
  Occupancy& o = occupancy_[static_cast<size_t>(bucket / kSlots)];
  const int slot = bucket % kSlots;
  uint64_t& word = o.slots[static_cast<size_t>(slot / 64)];
  word &= ~(uint64_t{1} << (slot % 64));
  if (word == 0) o.words &= ~(uint64_t{1} << (slot / 64));
}

int TimerWheel::FirstBucket(int level, int64_t from_ns) const {
  const Occupancy& o = occupancy_[static_cast<size_t>(level)];
  if (o.words == 0) return -1;
  const int from = SlotOf(from_ns, level);
  int slot;
  if (const uint64_t here =
          o.slots[static_cast<size_t>(from / 64)] >> (from % 64);
      here != 0) {
    slot = from + std::countr_zero(here);
  } else {
    // The words after this one, then around from the first up to the lower
    // part of this one.
    const uint64_t after = o.words & ~((uint64_t{2} << (from / 64)) - 1);
    const int word = std::countr_zero(after != 0 ? after : o.words);
    slot = word * 64 + std::countr_zero(o.slots[static_cast<size_t>(word)]);
  }
  return level * kSlots + slot;
}

int TimerWheel::EarliestBucket() const {
  // Within a level the order of the slots is the order of time; the windows of
  // the levels overlap, so that each level must be asked.
  int earliest = At(kFarBucket).head != nullptr ? kFarBucket : -1;
  for (int level = 0; level < kLevels; ++level) {
    const int bucket = FirstBucket(level, now_ns_);
    if (bucket < 0) continue;
    if (earliest < 0 || At(bucket).earliest_ns < At(earliest).earliest_ns) {
      earliest = bucket;
    }
  }
  return earliest;
}

TimerNode* TimerWheel::Empty(int bucket) {
  Bucket& b = At(bucket);
  TimerNode* node = b.head;
  b.head = nullptr;
  MarkEmpty(bucket);
  TimerNode* due = nullptr;
  while (node != nullptr) {
    TimerNode* next = node->next_;
    if (node->deadline_ns_ <= now_ns_) {
      node->next_ = due;
      due = node;
      --size_;
    } else {
      Link(node, BucketFor(node->deadline_ns_));
    }
    node = next;
  }
  return due;
}

}  // namespace internal
}  // namespace weir
