#include "backends/iocp/notification_registry.h"

#include <algorithm>
#include <utility>

namespace weir::internal {
namespace {

using Phase = NotificationSlot::Phase;
using Belief = NotificationSlot::Belief;

}  // namespace

// --- slots

std::uint32_t NotificationRegistry::FindSlot(std::uintptr_t key) const {
  const std::uint32_t index = SlotIndexOfKey(key);
  if (index >= slots_.size() ||
      NotificationKey(index, slots_[index].generation) != key ||
      slots_[index].phase == Phase::kFree) {
    return kNoSlot;
  }
  return index;
}

std::uint32_t NotificationRegistry::Allocate(WatchedSocket& socket) {
  std::uint32_t index = 0;
  if (free_.empty()) {
    index = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Slot& slot = slots_[index];
  // A slot that was freed when it was noted is still on the list.
  slot = Slot{.phase = Phase::kLive,
              .noted = slot.noted,
              .handle = socket.socket(),
              .socket = &socket,
              .generation = slot.generation};
  socket.backend_data |= index + 1;
  const auto leaving = leaving_.find(slot.handle);
  if (leaving != leaving_.end()) {
    // The key of what exists cannot be changed: it is to go first.
    slots_[leaving->second].successor = index;
    slot.held = true;
    held_.push_back(index);
  }
  return index;
}

void NotificationRegistry::LetGo(Slot& slot) {
  if (slot.socket == nullptr) return;
  slot.socket->backend_data &= ~kSlotOfRecord;
  if (slot.phase == Phase::kLeaving || slot.phase == Phase::kAwaitsRemove) {
    slot.socket->Unpin();
  }
  slot.socket = nullptr;
}

void NotificationRegistry::Free(std::uint32_t index) {
  Slot& slot = slots_[index];
  LetGo(slot);
  const auto leaving = leaving_.find(slot.handle);
  if (leaving != leaving_.end()) {
    if (leaving->second == index) {
      leaving_.erase(leaving);
    } else if (slots_[leaving->second].successor == index) {
      slots_[leaving->second].successor = kNoSlot;
    }
  }
  slot.phase = Phase::kFree;
  ++slot.generation;
  free_.push_back(index);
}

void NotificationRegistry::Note(std::uint32_t index) {
  if (slots_[index].noted) return;
  slots_[index].noted = true;
  noted_.push_back(index);
}

// --- what the core wants

void NotificationRegistry::Arm(WatchedSocket& socket, const Watch& to) {
  if (SlotOf(socket) == kNoSlot) {
    if (!to.present) return;
    Allocate(socket);
  }
  const std::uint32_t index = SlotOf(socket);
  Slot& slot = slots_[index];
  slot.armed = to.present;
  if (to.present) {
    slot.asked = to.conditions;
    slot.quiet = to == kQuietWatch;
    // What is in force, and may be left so, may have fired for an earlier watch.
    if (slot.belief == Belief::kEnabled || slot.belief == Belief::kUnsure) {
      slot.doubt = std::max(slot.doubt, DoubtFromNow());
    }
  }
  if (!slot.held) Note(index);
}

bool NotificationRegistry::Forget(WatchedSocket& socket, HandleFate fate) {
  const bool closes = fate == HandleFate::kCloses;
  if (closes) {
    const auto leaving = leaving_.find(socket.socket());
    if (leaving != leaving_.end() &&
        slots_[leaving->second].socket != &socket) {
      Free(leaving->second);
    }
  }
  const std::uint32_t index = SlotOf(socket);
  if (index == kNoSlot) return false;
  Slot& slot = slots_[index];
  slot.armed = false;
  switch (slot.phase) {
    case Phase::kLive:
      if (slot.belief == Belief::kUnregistered) {
        Free(index);
        return false;
      }
      break;
    case Phase::kLeaving:
      if (!closes) return true;
      break;
    default:
      if (closes) Free(index);
      return false;
  }
  if (closes) {
    LetGo(slot);
    slot.phase = Phase::kClosing;
  } else {
    socket.Pin();
    slot.phase = Phase::kLeaving;
    // That of an earlier life is overdue, or this one had not been registered.
    const auto [leaving, first] = leaving_.try_emplace(slot.handle, index);
    if (!first) Free(std::exchange(leaving->second, index));
  }
  Note(index);
  return true;
}

// --- the way up

void NotificationRegistry::Take(const PortPacket& packet, ReadyList& ready) {
  const std::uint32_t index = FindSlot(packet.key);
  if (index == kNoSlot) {
    ++dropped_;
    return;
  }
  Slot& slot = slots_[index];
  if ((packet.bytes & kNotifyRemove) != 0) {
    TakeRemoved(index);
    return;
  }
  if (slot.phase != Phase::kLive) {
    ++dropped_;
    return;
  }
  if ((packet.bytes & kNotifyHangup) != 0) slot.hangup_seen = true;
  const bool doubtful =
      IsDoubtful(slot) || slot.belief != Belief::kEnabled;
  if (slot.belief != Belief::kUnregistered) {
    slot.belief = doubtful ? Belief::kUnsure : Belief::kDisabled;
  }
  if (!slot.armed || slot.held) {
    ++dropped_;
    return;
  }
  const Condition worth = WorthReporting(slot.asked);
  const Condition conditions = ConditionsFromNotification(packet.bytes) &
                               (worth | Condition::kPeerClosed);
  if (!Has(conditions, worth)) {
    Note(index);
    return;
  }
  slot.armed = false;
  if (doubtful) {
    ready.ReportDoubtful(*slot.socket, conditions);
  } else {
    ready.Report(*slot.socket, conditions);
  }
}

void NotificationRegistry::TakeRemoved(std::uint32_t index) {
  Slot& slot = slots_[index];
  switch (slot.phase) {
    case Phase::kLeaving:
    case Phase::kAwaitsRemove:
      if (const std::uint32_t successor = slot.successor;
          successor != kNoSlot) {
        // If it was registered too early, it may have gone with this one.
        slots_[successor].look_again = true;
        slots_[successor].held = false;
        Note(successor);
        successors_noted_ = true;
      }
      Free(index);
      return;
    case Phase::kLive:
      // Nobody has asked for it.
      slot.belief = Belief::kUnregistered;
      Note(index);
      return;
    case Phase::kClosing:
    case Phase::kFree:
      return;
  }
}

// Those whose predecessor has gone, or whose REMOVE packet is overdue: the port
// has been found empty since it was asked for.
void NotificationRegistry::ReleaseHeld() {
  std::erase_if(held_, [this](std::uint32_t index) {
    Slot& slot = slots_[index];
    if (slot.phase != Phase::kLive || !slot.held) return true;
    const auto leaving = leaving_.find(slot.handle);
    if (leaving != leaving_.end()) {
      const Slot& earlier = slots_[leaving->second];
      if (earlier.phase == Phase::kLeaving || IsDoubtful(earlier)) {
        return false;
      }
    }
    slot.held = false;
    Note(index);
    successors_noted_ = true;
    return true;
  });
}

void NotificationRegistry::EndBatch(ReadyList& ready) {
  if (std::exchange(found_empty_, false)) {
    clean_dequeue_ = dequeues_.load(std::memory_order_relaxed);
  }
  for (const std::uint32_t index : refused_) {
    Slot& slot = slots_[index];
    if (const std::uint32_t code = std::exchange(slot.refusal, 0u);
        code != 0 && slot.phase == Phase::kLive) {
      ready.ReportRefusal(*slot.socket, static_cast<int>(code));
    }
  }
  refused_.clear();
  ReleaseHeld();
  UpdateLongestWait();
}

}  // namespace weir::internal
