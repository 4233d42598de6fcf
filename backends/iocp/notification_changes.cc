// The way down: what is noted about registrations for socket notifications
// becomes the changes of a call, and its answer becomes what is believed.

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "backends/iocp/notification_registry.h"
#include "platform/error.h"

namespace weir::internal {
namespace {

using Phase = NotificationSlot::Phase;
using Belief = NotificationSlot::Belief;
using Repair = NotificationSlot::Repair;

constexpr char kCall[] = "ProcessSocketNotifications";
// A call tells what has become of its elements when its wait is over: a wait
// with elements is not longer than this, so that one that has failed is not
// unknown for long.
constexpr std::uint32_t kWaitWithChangesMs = 20;
// When to come again if something has to be tried again.
constexpr std::uint32_t kRetryMs = 10;
// How often a registration is tried while the earlier one of the same handle
// has not gone, whose REMOVE packet may never come; and how often a removal is,
// while the call fails as a whole.
constexpr std::uint16_t kEnoughAttempts = 100;

absl::Status ShortOfMemory() {
  return absl::ResourceExhaustedError(
      absl::StrCat(kCall, ": the system is short of memory"));
}

}  // namespace

// What to do next about `slot`, one thing at a time.
NotifyOperation NotificationRegistry::NextOperation(const Slot& slot) const {
  switch (slot.phase) {
    case Phase::kFree:
    case Phase::kAwaitsRemove:
      return NotifyOperation::kNone;
    case Phase::kLeaving:
    case Phase::kClosing:
      return NotifyOperation::kRemove;
    case Phase::kLive:
      break;
  }
  if (slot.held) return NotifyOperation::kNone;
  const bool enabled = slot.belief == Belief::kEnabled;
  if (!slot.armed) {
    return enabled ? NotifyOperation::kDisable : NotifyOperation::kNone;
  }
  if (enabled && !slot.look_again && slot.filter == NotificationFilter(slot)) {
    return NotifyOperation::kNone;
  }
  const bool may_be_enabled = enabled || slot.belief == Belief::kUnsure;
  if (slot.repair == Repair::kDisable ||
      (never_overwrites_ && may_be_enabled &&
       slot.repair == Repair::kNone)) {
    return NotifyOperation::kDisable;
  }
  return NotifyOperation::kEnable;
}

// At most one element of a slot, since their order is open. Returns whether some
// slot needs another after that.
bool NotificationRegistry::GatherChanges() {
  changes_.clear();
  changing_.clear();
  successors_noted_ = false;
  bool more = false;
  for (const std::uint32_t index : noted_) {
    Slot& slot = slots_[index];
    slot.noted = false;
    const NotifyOperation operation = NextOperation(slot);
    if (operation == NotifyOperation::kNone) continue;
    more = more || (operation == NotifyOperation::kDisable && slot.armed);
    changes_.push_back(
        {.socket = slot.handle,
         .key = NotificationKey(index, slot.generation),
         .filter = operation == NotifyOperation::kEnable
                       ? NotificationFilter(slot)
                       : std::uint16_t{0},
         .operation = operation,
         .trigger = operation == NotifyOperation::kEnable
                        ? std::uint8_t{kTriggerLevel | kTriggerOneShot}
                        : std::uint8_t{0}});
    changing_.push_back(index);
  }
  noted_.clear();
  return more;
}

// Of a call with changes_. What has to be done again, or next, is noted.
absl::Status NotificationRegistry::Digest(std::uint32_t code,
                                          std::uint64_t doubt) {
  if (NotifyCallSucceeded(code)) {
    for (std::size_t i = 0; i < changes_.size(); ++i) {
      DigestResult(changing_[i], changes_[i], doubt);
    }
    return try_again_ ? ShortOfMemory() : absl::OkStatus();
  }
  if (!IsTransientNotifyError(code)) return TryEachAlone(doubt);
  // Nothing has changed.
  try_again_ = true;
  for (const std::uint32_t index : changing_) {
    if (slots_[index].phase == Phase::kClosing) {
      // The handle may be another's by the next call, and closing it does what
      // was to be done.
      Free(index);
    } else {
      Note(index);
    }
  }
  return ShortOfMemory();
}

// One of them may be why all were refused.
absl::Status NotificationRegistry::TryEachAlone(std::uint64_t doubt) {
  const std::vector<NotificationChange> changes = std::move(changes_);
  const std::vector<std::uint32_t> changing = std::move(changing_);
  for (std::size_t i = 0; i < changes.size(); ++i) {
    changes_.assign(1, changes[i]);
    changing_.assign(1, changing[i]);
    const std::uint32_t code = source_.Process(changes_, 0, {}, nullptr);
    if (NotifyCallSucceeded(code) || IsTransientNotifyError(code)) {
      (void)Digest(code, DoubtFromNow());
      continue;
    }
    Slot& slot = slots_[changing[i]];
    if (slot.phase == Phase::kLeaving && slot.attempts < kEnoughAttempts) {
      // "No changes occurred": it is still registered.
      ++slot.attempts;
      try_again_ = true;
      Note(changing[i]);
      continue;
    }
    changes_[0].result = code;
    DigestResult(changing[i], changes_[0], doubt);
  }
  return try_again_ ? ShortOfMemory() : absl::OkStatus();
}

void NotificationRegistry::DigestResult(std::uint32_t index,
                                        const NotificationChange& change,
                                        std::uint64_t doubt) {
  Slot& slot = slots_[index];
  const bool failed = change.result != kNotifySuccess;
  switch (change.operation) {
    case NotifyOperation::kNone:
      return;
    case NotifyOperation::kEnable:
      if (failed) {
        EnableFailed(index, change.result);
        return;
      }
      slot.belief = Belief::kEnabled;
      slot.filter = change.filter;
      slot.look_again = false;
      slot.repair = Repair::kNone;
      slot.attempts = 0;
      return;
    case NotifyOperation::kDisable:
      if (failed && IsTransientNotifyError(change.result)) {
        try_again_ = true;
        Note(index);
        return;
      }
      slot.belief =
          failed ? Belief::kUnsure : Belief::kDisabled;
      slot.doubt = std::max(slot.doubt, doubt);
      if (slot.repair == Repair::kDisable || failed) {
        slot.repair = Repair::kEnableAgain;
      }
      Note(index);
      return;
    case NotifyOperation::kRemove:
      if (failed) {
        RemoveFailed(index, change.result);
      } else if (slot.phase == Phase::kClosing) {
        Free(index);
      } else {
        slot.phase = Phase::kAwaitsRemove;
        slot.doubt = doubt;
      }
      return;
  }
}

void NotificationRegistry::EnableFailed(std::uint32_t index,
                                        std::uint32_t result) {
  Slot& slot = slots_[index];
  if (IsTransientNotifyError(result)) {
    try_again_ = true;
    Note(index);
  } else if (slot.belief == Belief::kUnregistered) {
    if (leaving_.contains(slot.handle) && slot.attempts < kEnoughAttempts) {
      ++slot.attempts;
      slot.held = true;
      held_.push_back(index);
    } else {
      Refuse(index, result);
    }
  } else if (slot.repair == Repair::kEnableAgain) {
    Refuse(index, result);
  } else {
    if (slot.belief == Belief::kEnabled) never_overwrites_ = true;
    slot.repair = Repair::kDisable;
    Note(index);
  }
}

void NotificationRegistry::RemoveFailed(std::uint32_t index,
                                        std::uint32_t result) {
  if (IsTransientNotifyError(result) &&
      slots_[index].phase == Phase::kLeaving) {
    try_again_ = true;
    Note(index);
    return;
  }
  // It was not registered, and no packet will come.
  const std::uint32_t successor = slots_[index].successor;
  Free(index);
  if (successor != kNoSlot) Note(successor);
}

void NotificationRegistry::Refuse(std::uint32_t index, std::uint32_t result) {
  Slot& slot = slots_[index];
  slot.armed = false;
  slot.repair = Repair::kNone;
  slot.refusal = result;
  refused_.push_back(index);
}

void NotificationRegistry::UpdateLongestWait() {
  const std::uint32_t longest = !refused_.empty() ? 0
                                : try_again_ || !held_.empty()
                                    ? kRetryMs
                                    : kNotifyForever;
  longest_wait_ms_.store(longest, std::memory_order_seq_cst);
}

absl::Status NotificationRegistry::Submit() {
  absl::Status status;
  try_again_ = false;
  while (status.ok()) {
    GatherChanges();
    if (changes_.empty()) break;
    const std::uint32_t code = source_.Process(changes_, 0, {}, nullptr);
    status = Digest(code, DoubtFromNow());
  }
  UpdateLongestWait();
  return status;
}

absl::Status NotificationRegistry::SubmitAndWait(
    std::uint32_t timeout_ms, std::span<PortPacket> packets,
    std::uint32_t* received) {
  *received = 0;
  try_again_ = false;
  bool more = GatherChanges();
  while (more) {
    const std::uint32_t code = source_.Process(changes_, 0, {}, nullptr);
    const bool done = Digest(code, DoubtFromNow()).ok();
    if (done) {
      more = GatherChanges();
    } else {
      changes_.clear();
      more = false;
    }
  }
  UpdateLongestWait();
  if (changes_.empty()) return Wait(timeout_ms, packets, received);
  timeout_ms = std::min({timeout_ms, kWaitWithChangesMs, LongestWaitMs()});
  const std::uint64_t dequeue = dequeues_.load(std::memory_order_relaxed) + 1;
  dequeues_.store(dequeue, std::memory_order_relaxed);
  const std::uint32_t code =
      source_.Process(changes_, timeout_ms, packets, received);
  (void)Digest(code, dequeue);
  UpdateLongestWait();
  if (!NotifyCallSucceeded(code)) return Wait(timeout_ms, packets, received);
  if (code != kNotifySuccess) *received = 0;
  found_empty_ = *received < packets.size();
  return absl::OkStatus();
}

absl::Status NotificationRegistry::Wait(std::uint32_t timeout_ms,
                                        std::span<PortPacket> packets,
                                        std::uint32_t* received) {
  *received = 0;
  dequeues_.fetch_add(1, std::memory_order_relaxed);
  const std::uint32_t code = source_.Process(
      {}, std::min(timeout_ms, LongestWaitMs()), packets, received);
  if (code != kNotifySuccess) *received = 0;
  found_empty_ = NotifyCallSucceeded(code) && *received < packets.size();
  if (NotifyCallSucceeded(code)) return absl::OkStatus();
  absl::Status status =
      platform::SystemError(static_cast<int>(code), kCall);
  if (!IsTransientNotifyError(code)) return status;
  return absl::ResourceExhaustedError(status.message());
}

}  // namespace weir::internal
