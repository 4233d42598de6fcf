// What is known of one registration for socket notifications, what is wanted of
// it, and how that is written in the contract's words.

#ifndef WEIR_BACKENDS_IOCP_NOTIFICATION_SLOT_H_
#define WEIR_BACKENDS_IOCP_NOTIFICATION_SLOT_H_

#include <cstdint>

#include "backends/iocp/socket_notifications.h"
#include "weir/backend.h"

namespace weir::internal {

struct NotificationSlot {
  enum class Phase : std::uint8_t {
    kFree,
    // A record of the core uses it.
    kLive,
    // REMOVE is to be called.
    kLeaving,
    // REMOVE was called; its packet is to come.
    kAwaitsRemove,
    // REMOVE is to be called once, and the slot is free whatever comes of it.
    kClosing,
  };
  // What the system has, as far as can be known.
  enum class Belief : std::uint8_t {
    kUnregistered,
    kDisabled,
    kEnabled,
    // Registered, and one of the two.
    kUnsure,
  };
  // After ENABLE was refused although the registration exists.
  enum class Repair : std::uint8_t { kNone, kDisable, kEnableAgain };

  Phase phase = Phase::kFree;
  Belief belief = Belief::kUnregistered;
  Repair repair = Repair::kNone;
  // On the list of those with a change to make.
  bool noted = false;
  // To be enabled even if it is, for the same: so that the system looks.
  bool look_again = false;
  // Not to be enabled before an earlier registration of the handle has gone.
  bool held = false;
  // HANGUP has come: on a stream it holds for ever.
  bool hangup_seen = false;
  bool armed = false;
  bool quiet = false;
  Condition asked = Condition::kNone;
  // Of the last ENABLE.
  std::uint16_t filter = 0;
  // How often ENABLE was refused while an earlier registration was going.
  std::uint16_t attempts = 0;
  std::uint32_t refusal = 0;
  // The slot that waits for this one to go.
  std::uint32_t successor = 0xffffffff;
  NativeSocket handle = kInvalidSocket;
  WatchedSocket* socket = nullptr;
  std::uintptr_t generation = 0;
  // Until the dequeuing call of this number has found the port empty, a packet
  // may be of an earlier watch; of a slot that leaves, its REMOVE may be queued.
  std::uint64_t doubt = 0;
};

// WatchedSocket::backend_data: the slot's index plus 1, 0 without one; and above
// it, of a socket with overlapped calls, how it stands to completion ports.
inline constexpr std::uint32_t kSlotOfRecord = (1u << 29) - 1;
inline constexpr std::uint32_t kSkipsPackets = 1u << 29;
inline constexpr std::uint32_t kOthersPort = 1u << 30;
inline constexpr std::uint32_t kAssociated = 1u << 31;

// An odd number: the slot's index, and which of its lives it is.
inline constexpr int kSlotIndexBits = sizeof(std::uintptr_t) == 8 ? 28 : 20;
constexpr std::uintptr_t NotificationKey(std::uint32_t index,
                                         std::uintptr_t generation) {
  return (((generation << kSlotIndexBits) | index) << 1) | 1;
}
constexpr std::uint32_t SlotIndexOfKey(std::uintptr_t key) {
  return static_cast<std::uint32_t>(
      (key >> 1) & ((std::uintptr_t{1} << kSlotIndexBits) - 1));
}

//   asked for      filter
//   kReadable      IN, HANGUP: an end may be told as either
//   kWritable      OUT
//   kPeerClosed    HANGUP
//   nothing        HANGUP, until it has come: a filter of nothing may be silent
//                  about errors, and a reset is a hang-up too
//   quiet          NONE
constexpr std::uint16_t NotificationFilter(const NotificationSlot& slot) {
  NotifyEvents filter = kNotifyNone;
  if (Has(slot.asked, Condition::kReadable)) {
    filter |= kNotifyIn | kNotifyHangup;
  }
  if (Has(slot.asked, Condition::kWritable)) filter |= kNotifyOut;
  if (Has(slot.asked, Condition::kPeerClosed)) filter |= kNotifyHangup;
  if (filter == kNotifyNone && !slot.quiet && !slot.hangup_seen) {
    filter = kNotifyHangup;
  }
  return static_cast<std::uint16_t>(filter);
}

//   IN       kReadable
//   OUT      kWritable
//   HANGUP   kPeerClosed
//   ERR      kError, and kClosed: nothing goes either way any more
constexpr Condition ConditionsFromNotification(NotifyEvents events) {
  Condition conditions = Condition::kNone;
  if ((events & kNotifyIn) != 0) conditions |= Condition::kReadable;
  if ((events & kNotifyOut) != 0) conditions |= Condition::kWritable;
  if ((events & kNotifyHangup) != 0) conditions |= Condition::kPeerClosed;
  if ((events & kNotifyError) != 0) {
    conditions |= Condition::kError | Condition::kClosed;
  }
  return conditions;
}

// What of a packet is news to whoever asked for `asked`.
constexpr Condition WorthReporting(Condition asked) {
  Condition worth = asked | Condition::kError | Condition::kClosed;
  // A receive returns the end at once.
  if (Has(asked, Condition::kReadable)) worth |= Condition::kPeerClosed;
  return worth;
}

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_IOCP_NOTIFICATION_SLOT_H_
