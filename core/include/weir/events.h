// The words of readiness: what a registration is interested in, when it is
// told (trigger), for how long (persistence), and what it is told (events).
// They mean the same on every backend.

#ifndef WEIR_EVENTS_H_
#define WEIR_EVENTS_H_

#include <cstdint>
#include <string>

namespace weir {

// What a registration asks for (R01). Error and removed need not be asked for.
enum class Interest : std::uint8_t {
  kNone = 0,
  // A receive, or an accept, would not block: data, end of stream, a waiting
  // connection, or an error to fetch.
  kReadable = 1,
  // A send would take at least something, or a connect has succeeded.
  kWritable = 2,
  // The peer closed its side or the connection was aborted; stream sockets
  // only (R14).
  kHangup = 4,
};

// What a handler is told (R02); one event can carry several.
enum class Events : std::uint8_t {
  kNone = 0,
  kReadable = 1,
  kWritable = 2,
  kHangup = 4,
  // The socket failed; `Event::status()` has the cause (R15). Told together
  // with what else holds, or, if it came just after that, in the next turn.
  kError = 0x40,
  // The registration has ended: the last event it delivers, always (R09).
  kRemoved = 0x80,
};

// When a condition is told.
enum class Trigger : std::uint8_t {
  // Once per loop turn, as long as it holds at the moment of the wait (R04).
  kLevel,
  // When it goes from not holding to holding (R05). Having been told, drain:
  // receive or send through weir::Socket until it would block (on a stream a
  // short transfer counts), or call Registration::Drained(). An undrained
  // direction is told again only when the peer closes or the socket fails.
  kEdge,
};

// How often a registration delivers.
enum class Persistence : std::uint8_t {
  kPersistent,
  // One event, whichever direction it is for, then silence - no hang-up and no
  // error either - until it is re-armed (R06).
  kOneShot,
};

constexpr Interest operator|(Interest a, Interest b) {
  return static_cast<Interest>(static_cast<std::uint8_t>(a) |
                               static_cast<std::uint8_t>(b));
}
constexpr Interest operator&(Interest a, Interest b) {
  return static_cast<Interest>(static_cast<std::uint8_t>(a) &
                               static_cast<std::uint8_t>(b));
}
constexpr Interest& operator|=(Interest& a, Interest b) { return a = a | b; }

constexpr Events operator|(Events a, Events b) {
  return static_cast<Events>(static_cast<std::uint8_t>(a) |
                             static_cast<std::uint8_t>(b));
}
constexpr Events operator&(Events a, Events b) {
  return static_cast<Events>(static_cast<std::uint8_t>(a) &
                             static_cast<std::uint8_t>(b));
}
constexpr Events operator~(Events a) {
  return static_cast<Events>(~static_cast<std::uint8_t>(a));
}
constexpr Events& operator|=(Events& a, Events b) { return a = a | b; }
constexpr Events& operator&=(Events& a, Events b) { return a = a & b; }

// Whether `set` has any bit of `bits`.
constexpr bool Has(Events set, Events bits) {
  return (set & bits) != Events::kNone;
}
constexpr bool Has(Interest set, Interest bits) {
  return (set & bits) != Interest::kNone;
}

// "readable|hangup", "none": for logs and test failures.
std::string ToString(Interest interest);
std::string ToString(Events events);

}  // namespace weir

#endif  // WEIR_EVENTS_H_
