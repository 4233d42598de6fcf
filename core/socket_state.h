// What a socket is to the library: its handle, its role, and the registration
// it has. Shared by the owner's Socket and the registration, so that neither
// can outlive the handle it names.

#ifndef WEIR_CORE_SOCKET_STATE_H_
#define WEIR_CORE_SOCKET_STATE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/mutex.h"
#include "core/readiness_state.h"
#include "weir/backend.h"
#include "weir/native_socket.h"
#include "weir/socket.h"
#include "weir/socket_address.h"
#include "weir/socket_options.h"

namespace weir::internal {

class LoopCore;
class RegistrationRecord;

class SocketState final : public SocketFront {
 public:
  // Bits of `concerns`: directions whose draining is of interest, as Condition
  // has them, and whether any transfer is.
  static constexpr std::uint8_t kDrains =
      static_cast<std::uint8_t>(Condition::kReadable | Condition::kWritable);
  static constexpr std::uint8_t kTransfers = 4;
  static_assert((kDrains & kTransfers) == 0);

  SocketState(NativeSocket handle, AddressFamily address_family,
              SocketType socket_type, SocketRole first_role, bool adopted)
      : SocketFront{handle},
        family(address_family),
        type(socket_type),
        role(first_role),
        reachable_otherwise(adopted),
        foreign(adopted) {}
  SocketState(const SocketState&) = delete;
  SocketState& operator=(const SocketState&) = delete;
  // Closes the handle if nobody has.
  ~SocketState();

  // Closes the handle; once, by whoever was first to set `closed`.
  void CloseHandle();

  // The same, once the registration is forgotten: a loop that is being destroyed
  // may still tell its mechanism of it. After `closed` was set.
  void CloseWhenForgotten();

  // The handle is somebody else's from here on. Before `closed` is set.
  void LetGoOfHandle();

  // The present or the last registration, null if there was none.
  std::shared_ptr<RegistrationRecord> Registration();

  // Lets go of a registration that has ended and that no kernel packet names:
  // each of the two owns the other until then. Not while the caller's is the
  // last other reference.
  void Forget(const RegistrationRecord& ended);

  // A direction was drained (R05). Cheap unless an edge registration waits for
  // exactly this.
  void NoteDrained(Condition direction, bool short_transfer) {
    if (Concerns(static_cast<std::uint8_t>(direction))) {
      TellDrained(direction, short_transfer);
    }
  }

  // A receive has returned the end of the stream.
  void NoteEndRead() {
    if (Concerns(kDrains)) TellEndRead();
  }

  // Data was moved, or a connection taken, since a single-shot watch was last
  // armed: its report may tell of what is gone by now.
  void NoteTransfer() { SetConcern(kTransfers, false); }
  void ForgetTransfers() { SetConcern(kTransfers, true); }
  bool has_transferred() const { return !Concerns(kTransfers); }

  void WatchDrains(std::uint8_t directions) {
    SetConcern(kDrains & ~directions, false);
    SetConcern(directions, true);
  }

  // Connecting or listening has begun: the registration, if there is one, is
  // armed.
  void ChangeRole(SocketRole to);

  // Whom a connect in progress is for, as text for its failure.
  void SetConnectTarget(std::string target);
  std::string ConnectTarget();

  const AddressFamily family;
  const SocketType type;
  std::atomic<SocketRole> role;
  std::atomic<bool> closed{false};
  // Somebody has, or had, the native handle: what is done with it is not seen.
  std::atomic<bool> reachable_otherwise;
  // That the connection, or the connecting, has failed was told, as an event or
  // by a call.
  std::atomic<bool> failure_told{false};
  // Adopted: it can have been closed behind our back.
  const bool foreign;
  // The loop of `registration`, for comparison only.
  std::atomic<LoopCore*> loop{nullptr};
  // The present or the last registration. Stable for a thread that runs
  // `loop` alone.
  std::atomic<RegistrationRecord*> record{nullptr};

  // Of this one and others, for moments. One of each socket's own would be most
  // of what it costs: an Abseil that remembers orders of mutexes (core/mutex.h)
  // keeps half a kilobyte of each that was ever taken.
  Mutex& mutex() const;
  std::shared_ptr<RegistrationRecord> registration ABSL_GUARDED_BY(mutex());
  std::unique_ptr<std::string> connect_target ABSL_GUARDED_BY(mutex());

 private:
  bool Concerns(std::uint8_t bits) const {
    return (concerns.load(std::memory_order_relaxed) & InConcerns(bits)) != 0;
  }
  void SetConcern(std::uint8_t bits, bool on) {
    const std::int64_t mask = InConcerns(bits);
    const std::int64_t now = concerns.load(std::memory_order_relaxed);
    if (on && (now & mask) != mask) {
      concerns.fetch_or(mask, std::memory_order_relaxed);
    } else if (!on && (now & mask) != 0) {
      concerns.fetch_and(~mask, std::memory_order_relaxed);
    }
  }
  // At the top, so that each is more than any transfer moves.
  static constexpr std::int64_t InConcerns(std::uint8_t bits) {
    return std::int64_t{bits} << 56;
  }
  void TellDrained(Condition direction, bool short_transfer);
  void TellEndRead();
  // By whichever of several ends of a socket comes first.
  std::atomic<bool> handle_closed_{false};
};

}  // namespace weir::internal

#endif  // WEIR_CORE_SOCKET_STATE_H_
