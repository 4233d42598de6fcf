// The life of registrations for socket notifications, on nothing but the contract
// of socket_notifications.h and whatever that leaves open.

#ifndef WEIR_BACKENDS_IOCP_NOTIFICATION_REGISTRY_H_
#define WEIR_BACKENDS_IOCP_NOTIFICATION_REGISTRY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "backends/iocp/notification_slot.h"
#include "backends/iocp/socket_notifications.h"
#include "weir/backend.h"

namespace weir::internal {

// Everything is registered level and one-shot: ReadinessModel::kSingleShot.
//
//   the core           what is noted   with the next call
//   Arm, present       wanted          ENABLE, unless that is in force already
//   Arm, absent        quiet           DISABLE, if it may be enabled
//   Forget, stays      leaving         REMOVE; the record is pinned until its
//                                      packet comes
//   Forget, closes     leaving         REMOVE; that is all: closing does the rest
//
// A packet is known by its key: the slot's index and its generation. One of a
// slot that has another life by now is dropped, and so is one that meets a slot
// that is quiet; nothing waits for a packet that may never come. Whether a packet
// is of the present watch or of an earlier one is in doubt from the moment that
// an enabled registration is made quiet or given another watch, until the port
// has been found empty: a call that dequeued less than it could has left nothing
// of before.
//
// All calls one at a time, but for Wait, which another thread may be in.
class NotificationRegistry {
 public:
  explicit NotificationRegistry(SocketNotifications& source)
      : source_(source) {}

  // Whether a packet with this key is for Take(). Others use even keys.
  static bool Owns(std::uintptr_t key) { return (key & 1) != 0; }

  // Backend::Arm and Backend::Forget.
  void Arm(WatchedSocket& socket, const Watch& to);
  bool Forget(WatchedSocket& socket, HandleFate fate);

  // Hands over what is noted. ResourceExhausted: it stays noted, all or a part.
  absl::Status Submit();

  // The same, and dequeues, waiting for at most `timeout_ms` and not always that
  // long. ResourceExhausted: not even waiting was possible.
  absl::Status SubmitAndWait(std::uint32_t timeout_ms,
                             std::span<PortPacket> packets,
                             std::uint32_t* received);

  // Dequeues alone.
  absl::Status Wait(std::uint32_t timeout_ms, std::span<PortPacket> packets,
                    std::uint32_t* received);

  // After a wait: each of its packets that is this registry's, in order; then
  // EndBatch().
  void Take(const PortPacket& packet, ReadyList& ready);
  void EndBatch(ReadyList& ready);

  // Whether the last batch has let those go ahead that had waited for an earlier
  // registration of their handle to go: they are noted now.
  bool has_successors() const { return successors_noted_; }

  // How long whoever waits may do so before EndBatch() has something to do.
  // Any thread.
  std::uint32_t LongestWaitMs() const {
    return longest_wait_ms_.load(std::memory_order_seq_cst);
  }

  // For tests: how many slots are not free, and how many packets were dropped.
  std::size_t slots_in_use() const { return slots_.size() - free_.size(); }
  std::uint64_t dropped() const { return dropped_; }

 private:
  using Slot = NotificationSlot;
  static constexpr std::uint32_t kNoSlot = 0xffffffff;

  static std::uint32_t SlotOf(const WatchedSocket& socket) {
    return (socket.backend_data & kSlotOfRecord) - 1;
  }
  std::uint32_t Allocate(WatchedSocket& socket);
  void Free(std::uint32_t index);
  void LetGo(Slot& slot);
  void Note(std::uint32_t index);
  std::uint32_t FindSlot(std::uintptr_t key) const;
  bool IsDoubtful(const Slot& slot) const {
    return slot.doubt > clean_dequeue_;
  }

  // --- the way down, and the calls: notification_changes.cc
  NotifyOperation NextOperation(const Slot& slot) const;
  bool GatherChanges();
  absl::Status Digest(std::uint32_t code, std::uint64_t doubt);
  absl::Status TryEachAlone(std::uint64_t doubt);
  void DigestResult(std::uint32_t index, const NotificationChange& change,
                    std::uint64_t doubt);
  void EnableFailed(std::uint32_t index, std::uint32_t result);
  void RemoveFailed(std::uint32_t index, std::uint32_t result);
  void Refuse(std::uint32_t index, std::uint32_t result);
  void UpdateLongestWait();
  // What a doubt lasts until, that begins with a call that has just ended.
  std::uint64_t DoubtFromNow() const {
    return dequeues_.load(std::memory_order_relaxed) + 1;
  }

  // --- the way up
  void TakeRemoved(std::uint32_t index);
  void ReleaseHeld();

  SocketNotifications& source_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  // Those with a change to make.
  std::vector<std::uint32_t> noted_;
  // Those that wait for a REMOVE packet of the same handle's earlier life.
  std::vector<std::uint32_t> held_;
  // Those that the system does not take, to be reported.
  std::vector<std::uint32_t> refused_;
  // Which slot waits for the REMOVE packet of a handle.
  absl::flat_hash_map<NativeSocket, std::uint32_t> leaving_;

  // Of the call under way: whose changes they are.
  std::vector<NotificationChange> changes_;
  std::vector<std::uint32_t> changing_;
  // ENABLE does not overwrite here: DISABLE goes before it.
  bool never_overwrites_ = false;
  bool try_again_ = false;
  bool successors_noted_ = false;

  // Dequeuing calls begun, and the last of them that found the port empty.
  std::atomic<std::uint64_t> dequeues_{0};
  std::uint64_t clean_dequeue_ = 0;
  bool found_empty_ = false;
  std::atomic<std::uint32_t> longest_wait_ms_{kNotifyForever};
  std::uint64_t dropped_ = 0;
};

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_IOCP_NOTIFICATION_REGISTRY_H_
