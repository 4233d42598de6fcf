#include "core/readiness_state.h"

namespace weir::internal {
namespace {

constexpr Condition kDirections = Condition::kReadable | Condition::kWritable;

bool IsLevel(const ReadinessState& state) {
  return state.trigger == Trigger::kLevel;
}

// Once both sides are done, every look at the socket reports so. That is what
// a level registration that waits for anything is to be told in each turn; for
// one that waits for nothing it would be a spin.
bool OnlyClosedIsLeft(const ReadinessState& state, SocketRole role,
                      Condition wanted) {
  if (!state.closed_seen || Has(wanted, kDirections)) return false;
  return !(IsLevel(state) && role == SocketRole::kConnected &&
           Has(state.interest, Interest::kHangup));
}

// Persistent model: the kernel keeps the watch and knows edges, so the watch
// depends on the settings alone.
Watch WantedFromKernelModes(const ReadinessState& state, SocketRole role,
                            const ReadinessRules& rules) {
  Condition wanted = DirectionsOf(state.interest);
  if (state.interest == Interest::kNone ||
      OnlyClosedIsLeft(state, role, wanted)) {
    return kQuietWatch;
  }
  // An edge reader without hang-up interest needs the peer's close as well: it
  // is one more readable edge (survey trap 22).
  if (Has(state.interest, Interest::kHangup) ||
      (!IsLevel(state) && Has(wanted, Condition::kReadable))) {
    wanted |= Condition::kPeerClosed;
  }
  const bool one_event_at_a_time = rules.several_threads && IsLevel(state);
  if (one_event_at_a_time && state.busy) return kQuietWatch;
  // A one-shot edge is not the kernel's: a report that is nothing to tell would
  // use it up, and arming again reports the same again, for ever.
  const Persistence persistence =
      one_event_at_a_time ? Persistence::kOneShot
      : IsLevel(state)    ? state.persistence
                          : Persistence::kPersistent;
  return Watch{.present = true,
               .conditions = wanted,
               .trigger = state.trigger,
               .persistence = persistence};
}

// Single-shot model: the watch holds exactly the conditions that would be
// told if they came now.
Watch WantedFromSingleShots(const ReadinessState& state, SocketRole role,
                            const ReadinessRules& rules) {
  Condition wanted = DirectionsOf(state.interest);
  if (IsLevel(state)) {
    if (rules.several_threads && state.busy) return Watch{};
    if (Has(state.interest, Interest::kHangup)) {
      wanted |= Condition::kPeerClosed;
    }
  } else {
    wanted &= ~state.raised;
    if (!state.peer_closed_seen) wanted |= Condition::kPeerClosed;
  }
  if (OnlyClosedIsLeft(state, role, wanted)) {
    return state.error_seen ? Watch{} : kQuietWatch;
  }
  return Watch{.present = true,
               .conditions = wanted,
               .trigger = Trigger::kLevel,
               .persistence = Persistence::kOneShot};
}

}  // namespace

Watch WantedWatch(const ReadinessState& state, SocketRole role,
                  const ReadinessRules& rules) {
  const bool silent =
      !state.enabled || state.fired || role == SocketRole::kUnconnected;
  if (rules.model == ReadinessModel::kPersistent) {
    return silent ? kQuietWatch : WantedFromKernelModes(state, role, rules);
  }
  return silent ? Watch{} : WantedFromSingleShots(state, role, rules);
}

void ForgetDelivered(ReadinessState& state) {
  state.raised = Condition::kNone;
  state.withheld = Condition::kNone;
  state.peer_closed_seen = false;
  state.closed_seen = false;
  state.error_seen = false;
  state.end_read = false;
}

Events DigestTurningPoint(ReadinessState& state, SocketRole& role,
                          Condition report, bool failed) {
  const bool has_error = Has(report, Condition::kError) && failed;
  if (role == SocketRole::kConnecting) {
    if (has_error) {
      // R15: an error and nothing else. The socket is as good as new, and as
      // quiet; a level writable would otherwise be told for ever.
      role = SocketRole::kUnconnected;
      if (state.persistence == Persistence::kOneShot) state.fired = true;
      return Events::kError;
    }
    // Without an error, being closed is the end of a connection that was made.
    if (report != Condition::kNone) role = SocketRole::kConnected;
  }

  Condition directions = report & DirectionsOf(state.interest);
  Events events = Events::kNone;
  if (Has(report, Condition::kClosed)) state.closed_seen = true;
  if (Has(report, Condition::kError) && role == SocketRole::kConnected) {
    state.error_seen = true;
  }
  if (role == SocketRole::kConnected &&
      (has_error ||
       Has(report, Condition::kPeerClosed | Condition::kClosed))) {
    // R14: hang-up; and a receive returns the end or the error at once.
    const bool news = has_error || !state.peer_closed_seen;
    state.peer_closed_seen = true;
    if (has_error || (news && !state.end_read)) {
      state.raised &= ~Condition::kReadable;
    }
    // And when both sides are done, a send fails at once.
    directions |= DirectionsOf(state.interest) &
                  (Has(report, Condition::kClosed) ? kDirections
                                                   : Condition::kReadable);
    if (Has(state.interest, Interest::kHangup) && (news || IsLevel(state))) {
      events |= Events::kHangup;
    }
  }
  if (has_error) events |= Events::kError;
  return Tell(state, events | TakeNews(state, directions));
}

void ReadEnd(ReadinessState& state) {
  state.end_read = true;
  state.raised |= Condition::kReadable;
}

DrainResult Drain(ReadinessState& state, Condition directions,
                  bool short_transfer) {
  const DrainResult result{
      .end_is_readable = short_transfer && state.peer_closed_seen &&
                         Has(directions, Condition::kReadable),
      .withheld = Has(state.withheld, directions)};
  state.raised &= ~directions;
  state.withheld &= ~directions;
  return result;
}

}  // namespace weir::internal
