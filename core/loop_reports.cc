// The way up: what the mechanism reported, checked where it may be out of date,
// told to the handler (R02, R04, R05, R17).

#include <cassert>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/base/attributes.h"
#include "core/endpoint.h"
#include "core/endpoint_short_way.h"
#include "core/loop_core.h"
#include "platform/error.h"
#include "platform/poll.h"
#include "platform/sockets.h"
#include "weir/status.h"

namespace weir::internal {
namespace {

constexpr Condition kDirections = Condition::kReadable | Condition::kWritable;

// What a handler that is interested in `interest` can be told, besides errors.
Condition VisibleConditions(Interest interest) {
  return Has(interest, Interest::kHangup)
             ? DirectionsOf(interest) | Condition::kPeerClosed
             : DirectionsOf(interest);
}

bool MayHaveBeenDrained(const SocketState& socket) {
  return socket.has_transferred() ||
         socket.reachable_otherwise.load(std::memory_order_relaxed);
}

bool IsRegistration(const WatchedSocket& socket) {
  return static_cast<const LoopRecord&>(socket).use ==
         LoopRecord::Use::kRegistration;
}

}  // namespace

// What Collect brought.
void LoopCore::DigestReports() {
  TakeLoss();
  if (rules_.several_threads) NoteBusy();
  if (rules_.model == ReadinessModel::kSingleShot) DigestSingleShots();
}

// With several threads.
void LoopCore::NoteBusy() {
  for (WatchedSocket* socket = ready_.head(); socket != nullptr;
       socket = ReadyList::Next(*socket)) {
    if (!IsRegistration(*socket)) continue;
    auto& record = static_cast<RegistrationRecord&>(*socket);
    record.state.busy = true;
    // A wait that began after the drain describes what is there after it.
    if (rules_.model == ReadinessModel::kPersistent && !record.running &&
        record.suspect_turn != turn_) {
      record.suspect = Condition::kNone;
    }
  }
}

// Single shots are over, and what may be out of date is checked, all with one
// system call.
void LoopCore::DigestSingleShots() {
  poll_entries_.clear();
  poll_records_.clear();
  for (WatchedSocket* socket = ready_.head(); socket != nullptr;
       socket = ReadyList::Next(*socket)) {
    if (!IsRegistration(*socket)) {
      // Its next run says what is to be watched from there on.
      auto& endpoint = static_cast<Endpoint&>(*socket);
      if (ReadyList::TakeEnded(endpoint)) {
        endpoint.armed = endpoint.wanted = weir::Watch{};
      }
      continue;
    }
    auto& record = static_cast<RegistrationRecord&>(*socket);
    if (record.phase != RegistrationRecord::Phase::kLive) continue;
    if (const int code = ReadyList::TakeRefusal(record)) {
      record.armed = weir::Watch{};
      Fail(record, platform::SystemError(code, "register"));
      continue;
    }
    const Condition asked = record.armed.conditions;
    if (!ReadyList::TakeEnded(record)) {
      // The mechanism goes on watching and wants the present state looked at.
      if (record.armed.present && asked != Condition::kNone) {
        AddCheck(record, asked);
      }
      continue;
    }
    const Condition reported = ReadyList::Conditions(record);
    record.armed = weir::Watch{};
    MarkDirty(record);
    Condition doubtful = std::exchange(record.suspect, Condition::kNone) |
                         ReadyList::TakeDoubtful(record);
    Condition missing = Condition::kNone;
    // A watch armed for this very wait is fresh. One of an earlier turn can
    // have fired before the wait. What it tells of may be gone since, through
    // the native handle even: a level one is doubtful if that is possible (R04),
    // an edge one if a drain was seen (R05). And it tells only what woke it; the
    // rest of what was asked for may hold by now and is told with it (R02).
    if (record.armed_turn != turn_) {
      if (record.state.trigger == Trigger::kLevel &&
          MayHaveBeenDrained(*record.socket)) {
        doubtful |= kDirections;
      }
      missing = asked & VisibleConditions(record.state.interest) & ~reported;
    }
    doubtful &= reported;
    if ((doubtful | missing) == Condition::kNone) continue;
    AddCheck(record, doubtful | missing | (asked & Condition::kPeerClosed));
  }
  if (poll_entries_.empty()) return;
  Count(counters_.checks);
  if (!platform::PollNow(std::span(poll_entries_)).ok()) return;
  for (std::size_t i = 0; i < poll_entries_.size(); ++i) {
    const auto requested = static_cast<Condition>(poll_entries_[i].requested);
    const auto holds = static_cast<Condition>(poll_entries_[i].returned);
    RegistrationRecord& record = *poll_records_[i];
    if (Has(ReadyList::Conditions(record), requested & ~holds)) {
      Count(counters_.stale);
    }
    ReadyList::DropConditions(record, requested & ~holds);
    ReadyList::AddConditions(record, holds);
    MarkDirty(record);
  }
}

void LoopCore::AddCheck(RegistrationRecord& record, Condition conditions) {
  poll_entries_.push_back(platform::PollEntry{
      .socket = record.socket->native,
      .requested = static_cast<platform::PollBits>(conditions)});
  poll_records_.push_back(&record);
}

// `conditions` without the doubtful ones that do not hold.
Condition LoopCore::Confirm(RegistrationRecord& record, Condition conditions) {
  if (record.suspect == Condition::kNone) [[likely]] {
    return conditions;
  }
  const Condition doubtful = conditions & record.suspect;
  record.suspect = Condition::kNone;
  if (doubtful == Condition::kNone) return conditions;
  platform::PollEntry entry{
      .socket = record.socket->native,
      .requested = static_cast<platform::PollBits>(doubtful)};
  Count(counters_.checks);
  if (!platform::PollNow(std::span(&entry, 1)).ok()) return conditions;
  const Condition gone = doubtful & ~static_cast<Condition>(entry.returned);
  if (gone != Condition::kNone) Count(counters_.stale);
  return conditions & ~gone;
}

// The socket's pending error. A connection that was made and reset before its
// first event is not taken for a failed connect: the causes differ (tcp(7)).
absl::Status LoopCore::TakeFailure(SocketState& socket, SocketRole& role) {
  Count(counters_.checks);
  if (role != SocketRole::kConnecting) {
    absl::Status failure = platform::TakeError(socket.native, "socket");
    const bool says_all = failure.ok() && !capabilities_.errors_without_cause;
    if (says_all || CauseOf(failure) == ErrorCause::kBadDescriptor) {
      return failure;
    }
    return PresumedFailure(socket, role, std::move(failure));
  }
  absl::Status failure = platform::TakeError(socket.native, "connect",
                                             socket.ConnectTarget());
  const ErrorCause cause = CauseOf(failure);
  // Where taking it does not clear it.
  socket.failure_told.store(!failure.ok(), std::memory_order_relaxed);
  if (cause == ErrorCause::kConnectionReset ||
      cause == ErrorCause::kBrokenPipe) {
    role = SocketRole::kConnected;
    failure = platform::SystemError(SystemCodeOf(failure).value_or(0),
                                    "socket");
  }
  return failure;
}

// What an error is of which the system says nothing more than `failure`, which
// may be nothing. That of a stream lasts: it is told once, as where it is taken.
absl::Status LoopCore::PresumedFailure(SocketState& socket, SocketRole role,
                                       absl::Status failure) const {
  if (role == SocketRole::kConnected &&
      socket.failure_told.exchange(true, std::memory_order_relaxed)) {
    return absl::OkStatus();
  }
  if (!failure.ok()) return failure;
  switch (role) {
    case SocketRole::kConnected:
      return platform::SystemError(platform::kConnectionResetCode, "socket");
    case SocketRole::kDatagram:
      return platform::SystemError(platform::kConnectionRefusedCode, "socket");
    default:
      return absl::OkStatus();
  }
}

// With one thread.
inline void LoopCore::CallHandlerHere(RegistrationRecord& record,
                                      const Event& event) {
  record.running = true;
  record.handler(event);
  // Still running: the old one is not called while it is destroyed.
  while (record.next_handler) [[unlikely]] ReplaceHandler(record);
  record.running = false;
}

void LoopCore::CallHandler(RegistrationRecord& record, Events events,
                           const absl::Status& status) {
  Count(counters_.events);
  if (!rules_.several_threads) {
    return CallHandlerHere(record, Event(record, events, status));
  }
  record.running = true;
  record.state.busy = true;
  Release();
  record.handler(Event(record, events, status));
  Acquire();
  // Still running: while the old one is destroyed, without the lock, nobody may
  // begin with the new one.
  while (record.next_handler) ReplaceHandler(record);
  record.running = false;
  // What came while it ran, on another thread.
  if (ReadyList::Conditions(record) != Condition::kNone ||
      record.phase == RegistrationRecord::Phase::kRemoving) {
    ready_.Push(record);
  }
  record.state.busy = ReadyList::linked(record);
  // Last: a flush by another thread that still saw it busy was to no avail.
  MarkDirty(record);
}

// With one thread: tells the handler of a report of data, or of room for it, if
// nothing else about it or the registration matters. True if it did. `event` is
// one for all such reports, none of which has a failure to tell.
inline bool LoopCore::DispatchOrdinary(RegistrationRecord& record,
                                       Event& event) {
  const Condition reported = ReadyList::Conditions(record);
  if (Has(reported, record.special)) return false;
  assert(reported == Condition::kNone || record.IsOrdinary(rules_.model));
  const Events events = TakeNews(record.state, reported);
  if (events == Events::kNone) return false;
  ReadyList::TakeConditions(record);
  event.record_ = &record;
  event.events_ = events;
  CallHandlerHere(record, event);
  return true;
}

// With one thread. Returns how many handlers it called, those of the short ways
// also in `completions`. Compiled into its only caller, which comes by for
// every report.
ABSL_ATTRIBUTE_ALWAYS_INLINE inline int LoopCore::RunEndpointHere(
    Frame& frame, Endpoint& endpoint, int& completions) {
  const Condition conditions = ReadyList::Conditions(endpoint);
  int told = -1;
  if (Has(conditions, Condition::kReadable) && !Has(conditions, ~kDirections))
      [[likely]] {
    if (endpoint.calm()) {
      ReadyList::TakeConditions(endpoint);
      told = endpoint.RunCalm(frame);
    } else if (endpoint.expects()) {
      ReadyList::TakeConditions(endpoint);
      told = endpoint.RunExpected(frame);
    }
  } else if (conditions == Condition::kNone && endpoint.lends()) {
    told = endpoint.RunLent(frame);
  }
  if (told < 0) return RunEndpoint(endpoint);
  completions += told;
  return told;
}

bool LoopCore::RunReadySockets(int& delivered) {
  if (ready_.empty()) return false;
  if (rules_.several_threads) {
    auto& record = static_cast<LoopRecord&>(*ready_.Pop());
    delivered += record.use == LoopRecord::Use::kEndpoint
                     ? RunEndpoint(static_cast<Endpoint&>(record))
                     : int{Dispatch(static_cast<RegistrationRecord&>(record))};
    return true;
  }
  WatchedSocket* socket = ready_.TakeAll();
  Frame& frame = *current_frame_;
  Event event(ok_);
  int completions = 0;
  int ordinary = 0;
  for (;;) {
    WatchedSocket* const next = ReadyList::Unlink(*socket);
    auto& record = static_cast<LoopRecord&>(*socket);
    if (record.use == LoopRecord::Use::kEndpoint) {
      delivered += RunEndpointHere(frame, static_cast<Endpoint&>(record),
                                   completions);
    } else if (auto& registration = static_cast<RegistrationRecord&>(record);
               DispatchOrdinary(registration, event)) [[likely]] {
      ++ordinary;
    } else {
      delivered += int{Dispatch(registration)};
    }
    if (next == nullptr) break;
    if (stopped()) [[unlikely]] {
      ready_.PutBack(*next);
      break;
    }
    socket = next;
  }
  delivered += ordinary;
  Count(counters_.events, static_cast<std::uint64_t>(ordinary));
  CountCompletions(completions);
  return true;
}

// Tells the handler, if there is anything to tell. True if it was called.
bool LoopCore::Dispatch(RegistrationRecord& record) {
  // It will be looked at again when its handler has returned (R17).
  if (record.running) return false;
  if (record.phase != RegistrationRecord::Phase::kLive) {
    if (record.phase == RegistrationRecord::Phase::kEnded) return false;
    DeliverRemoved(record);
    return true;
  }
  if (rules_.model == ReadinessModel::kPersistent &&
      record.armed.persistence == Persistence::kOneShot &&
      ReadyList::TakeEnded(record)) {
    // The kernel's one-shot is used up, whatever comes of the report.
    record.armed = kQuietWatch;
    MarkDirty(record);
  }
  record.state.busy = false;
  const Condition reported = ReadyList::TakeConditions(record);
  const Condition conditions = Confirm(record, reported);
  absl::Status failure;
  SocketRole role = record.socket->role.load(std::memory_order_relaxed);
  const SocketRole old_role = role;
  if (Has(conditions, Condition::kError) && record.state.enabled &&
      !record.state.fired) [[unlikely]] {
    failure = TakeFailure(*record.socket, role);
    if (CauseOf(failure) == ErrorCause::kBadDescriptor) {
      Fail(record, std::move(failure));
      return false;
    }
  }
  const Events events = Digest(record.state, role, conditions, !failure.ok());
  if (role != old_role) {
    record.socket->role.store(role, std::memory_order_relaxed);
    MarkDirty(record);
  }
  if (!rules_.several_threads) record.Assess(rules_.model);
  if (events == Events::kNone) {
    // The watch may have been used up, or be of no use any more; and with
    // several threads it was quiet while the record waited here.
    if (rules_.several_threads || reported != Condition::kNone) {
      MarkDirty(record);
    }
    return false;
  }
  if (record.state.fired) MarkDirty(record);
  CallHandler(record, events, failure);
  return true;
}

void LoopCore::ReplaceHandler(RegistrationRecord& record) {
  ReadinessHandler old = std::exchange(
      record.handler, std::exchange(record.next_handler, nullptr));
  Release();
  old = nullptr;
  Acquire();
}

void LoopCore::DeliverRemoved(RegistrationRecord& record) {
  Events events = Events::kRemoved;
  if (!record.failure.ok()) events |= Events::kError;
  CallHandler(record, events, record.failure);
  record.phase = RegistrationRecord::Phase::kEnded;
  // Destroyed outside the lock: the captures are the application's (R09).
  ReadinessHandler last = std::move(record.handler);
  record.handler = nullptr;
  const auto node = records_.find(record.shared_from_this());
  if (node != records_.end()) {
    graveyard_.push_back(*node);
    records_.erase(node);
    counters_.registrations.store(records_.size(), std::memory_order_relaxed);
  }
  Release();
  last = nullptr;
  Acquire();
}

// Frees the records that nothing names any more: no batch is being delivered
// or fetched, no change is noted, and no packet is to come.
void LoopCore::Reap() {
  std::erase_if(ended_endpoints_, [](const auto& endpoint) {
    return endpoint->unpinned() && !endpoint->dirty &&
           !ReadyList::linked(*endpoint);
  });
  std::erase_if(graveyard_, [](const auto& record) {
    if (!record->unpinned() || record->dirty || ReadyList::linked(*record)) {
      return false;
    }
    record->socket->Forget(*record);
    return true;
  });
}

}  // namespace weir::internal
