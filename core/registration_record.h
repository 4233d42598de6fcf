// The core's record of one registration. A new registration of the same socket
// is a new record, so a handle can never name a later one.

#ifndef WEIR_CORE_REGISTRATION_RECORD_H_
#define WEIR_CORE_REGISTRATION_RECORD_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "core/loop_record.h"
#include "core/readiness_state.h"
#include "core/socket_state.h"
#include "weir/backend.h"
#include "weir/registration.h"

namespace weir::internal {

// Everything but `live` and the constants belongs to whoever has access to the
// loop (LoopCore::Access).
class RegistrationRecord final
    : public LoopRecord,
      public std::enable_shared_from_this<RegistrationRecord> {
 public:
  enum class Phase : std::uint8_t {
    kLive,
    kRemoving,  // `removed` is still to be delivered
    kEnded,     // the handler is destroyed
  };

  RegistrationRecord(std::shared_ptr<SocketState> socket_state,
                     std::shared_ptr<LoopCore> core,
                     const RegistrationOptions& options,
                     ReadinessHandler ready_handler)
      : LoopRecord(Use::kRegistration, socket_state->native),
        socket(std::move(socket_state)),
        loop(std::move(core)),
        handler(std::move(ready_handler)) {
    state.interest = options.interest;
    state.trigger = options.trigger;
    state.persistence = options.persistence;
  }

  // Nothing about it asks for more than to be told what is reported: it is
  // live, enabled, no one-shot, nor watched as one where a watch stays, in no
  // doubt, and its socket stays what it is.
  bool IsOrdinary(ReadinessModel model) const {
    return phase == Phase::kLive && state.enabled && !state.fired &&
           state.persistence == Persistence::kPersistent &&
           (model == ReadinessModel::kSingleShot ||
            armed.persistence == Persistence::kPersistent) &&
           suspect == Condition::kNone &&
           IsSettled(socket->role.load(std::memory_order_relaxed));
  }

  // `special` is what a loop for one thread has to look into when it is
  // reported: of an ordinary registration all but the directions that it is
  // interested in, of any other everything. Whatever may make it less than
  // ordinary, or changes its interest, calls MakeSpecial(); what has looked
  // into a report, Assess().
  void Assess(ReadinessModel model) {
    special =
        IsOrdinary(model) ? ~DirectionsOf(state.interest) : Condition::kAll;
  }
  void MakeSpecial() { special = Condition::kAll; }

  const std::shared_ptr<SocketState> socket;
  const std::shared_ptr<LoopCore> loop;
  // False from the moment a removal was asked for, by whatever thread.
  std::atomic<bool> live{true};

  ReadinessHandler handler;
  // Set by a change made while `handler` runs; takes its place afterwards.
  ReadinessHandler next_handler;
  ReadinessState state;
  Phase phase = Phase::kLive;
  bool running = false;
  // Present state is to be looked at again although the watch is the same.
  bool look_again = false;
  // Reported conditions to be checked before they are told: they may have
  // been overtaken by a drain.
  Condition suspect = Condition::kNone;
  // The turn whose wait was in progress when `suspect` was set.
  std::uint64_t suspect_turn = 0;
  // The turn in which the present watch was armed.
  std::uint64_t armed_turn = 0;
  // Why the kernel refused it, told together with `removed`.
  absl::Status failure;
  // Known to be readable without the kernel saying so again.
  bool end_is_readable = false;
};

}  // namespace weir::internal

#endif  // WEIR_CORE_REGISTRATION_RECORD_H_
