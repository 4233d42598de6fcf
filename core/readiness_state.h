// The rules of readiness, once for all mechanisms: what a registration wants
// its mechanism to watch, and what a report of the mechanism means for its
// handler. Pure bookkeeping: no lock, no clock, no kernel.

#ifndef WEIR_CORE_READINESS_STATE_H_
#define WEIR_CORE_READINESS_STATE_H_

#include <cstdint>

#include "weir/backend.h"
#include "weir/events.h"

namespace weir::internal {

// How a socket stands towards a peer, as far as readiness depends on it.
enum class SocketRole : std::uint8_t {
  // A stream that is neither connected nor listening: it has no condition
  // worth telling (epoll says writable and closed, in every wait), so it is
  // not watched (survey trap 27).
  kUnconnected,
  kConnecting,
  kConnected,
  kListening,
  kDatagram,
};

// Whether it stays what it is until the application, or the peer, ends it.
constexpr bool IsSettled(SocketRole role) {
  return role > SocketRole::kConnecting;
}

// Interest and condition use the same bits for the two directions.
constexpr Condition DirectionsOf(Interest interest) {
  return static_cast<Condition>(static_cast<std::uint8_t>(
      interest & (Interest::kReadable | Interest::kWritable)));
}

// What the mechanism can do and how the loop is run: constant for a loop.
struct ReadinessRules {
  ReadinessModel model = ReadinessModel::kPersistent;
  bool several_threads = false;
};

struct ReadinessState {
  Interest interest = Interest::kNone;
  Trigger trigger = Trigger::kLevel;
  Persistence persistence = Persistence::kPersistent;
  bool enabled = true;
  // A one-shot that has delivered (R06).
  bool fired = false;
  // Its handler is running or it waits on the ready list. With several
  // threads, a level watch is quiet meanwhile: it would be told again and
  // again to threads that may not run the handler (R17).
  bool busy = false;
  // Reported since the last ForgetDelivered; neither ever unholds.
  bool peer_closed_seen = false;
  bool closed_seen = false;
  // A connected stream has failed: it has nothing to tell after that.
  bool error_seen = false;
  // A receive has returned the end of the stream: that the peer closed is no
  // news to whoever reads.
  bool end_read = false;
  // Edge: told and not drained since (R05).
  Condition raised = Condition::kNone;
  // Reported again while raised, and not told.
  Condition withheld = Condition::kNone;
};

// What to watch for `state` on a live registration. A removed one wants
// Watch{}.
Watch WantedWatch(const ReadinessState& state, SocketRole role,
                  const ReadinessRules& rules);

// Makes present conditions count as new, for R03: at re-arming, enabling and
// modifying.
void ForgetDelivered(ReadinessState& state);

// Of `directions`, which hold, those that are to be told: all of them for a
// level, those that are news for an edge.
inline Events TakeNews(ReadinessState& state, Condition directions) {
  if (state.trigger == Trigger::kEdge) {
    state.withheld |= directions & state.raised;
    directions &= ~state.raised;
    state.raised |= directions;
  }
  return static_cast<Events>(directions);
}

// `events` are told.
inline Events Tell(ReadinessState& state, Events events) {
  if (state.persistence == Persistence::kOneShot && events != Events::kNone) {
    state.fired = true;
  }
  return events;
}

// Of a report that tells of more than directions, or of a connect in progress.
Events DigestTurningPoint(ReadinessState& state, SocketRole& role,
                          Condition report, bool failed);

// Digests a report: updates `state` and `role` and returns what the handler is
// to be told, kNone if nothing. `failed` says whether the socket had a pending
// error; asked for only if the report has kError.
inline Events Digest(ReadinessState& state, SocketRole& role, Condition report,
                     bool failed) {
  if (!state.enabled || state.fired || role == SocketRole::kUnconnected) {
    return Events::kNone;
  }
  constexpr Condition kDirections = Condition::kReadable | Condition::kWritable;
  if (Has(report, ~kDirections) || role == SocketRole::kConnecting)
      [[unlikely]] {
    return DigestTurningPoint(state, role, report, failed);
  }
  return Tell(state, TakeNews(state, report & DirectionsOf(state.interest)));
}

// A receive has returned the end of the stream.
void ReadEnd(ReadinessState& state);

struct DrainResult {
  // A peer's close that was told before is still to be read: the direction is
  // readable although no kernel event will say so again (an edge that came
  // with the data).
  bool end_is_readable = false;
  // A report came while these directions were raised: if it was later than the
  // drain, it must be looked for.
  bool withheld = false;
};

// These directions were drained.
DrainResult Drain(ReadinessState& state, Condition directions, bool short_transfer);

}  // namespace weir::internal

#endif  // WEIR_CORE_READINESS_STATE_H_
