// The contract of weir/events.h and weir/registration.h as a small machine:
// which events each registration must, may and must not deliver in a turn. It
// knows no kernel and no backend.

#ifndef WEIR_TESTS_MODEL_READINESS_MODEL_H_
#define WEIR_TESTS_MODEL_READINESS_MODEL_H_

#include <string>
#include <vector>

#include "tests/model/socket_model.h"
#include "weir/events.h"
#include "weir/registration.h"

namespace weir::model {

struct Expectation {
  Events must = Events::kNone;
  Events may = Events::kNone;
  // Of `may`: not even the same on two runs of one script.
  Events racy = Events::kNone;
  // Of `must`: may come in the next turn instead.
  Events late = Events::kNone;

  friend bool operator==(const Expectation&, const Expectation&) = default;
};

// One registration, from Register to after `removed`.
struct Entry {
  enum class Phase { kLive, kRemoving, kEnded };

  int end = 0;
  Interest interest = Interest::kNone;
  Trigger trigger = Trigger::kLevel;
  Persistence persistence = Persistence::kPersistent;
  Phase phase = Phase::kLive;
  // Counts its handlers.
  int handler = 0;
  bool enabled = true;
  bool fired = false;
  // Edge: told and not drained since; told of the peer's end.
  Events told = Events::kNone;
  bool end_told = false;
  // What has come since the last wait may be gone again (R05 knows drains).
  bool taken = false;
  // Was not told of the error in the first turn that had it. A mechanism may
  // have taken what came before it, and comes for the error then.
  bool error_late = false;
  // May have been told of data while the end was there already.
  bool end_late = false;
  // The end was received: nothing new can come but an error.
  bool end_read = false;
  // Whether it was told of an end is the kernel's choice.
  bool end_unsure = false;

  // In this turn.
  Expectation now;
  // All that held at the wait, whoever is interested.
  Events held = Events::kNone;
  bool hung_up = false;
  bool data = false;
  // Directions that were drained since.
  Events drained = Events::kNone;
  // Nothing of what the wait has brought may come any more.
  bool blocked = true;
  bool delivered = false;
  bool removal_due = false;
};

class ReadinessModel {
 public:
  explicit ReadinessModel(const SocketModel& sockets) : sockets_(sockets) {}

  // The end's live registration, or -1.
  int Live(int end) const;
  const Entry& operator[](int id) const {
    return entries_[static_cast<std::size_t>(id)];
  }
  int size() const { return static_cast<int>(entries_.size()); }
  // Not yet told `removed`.
  int count() const;
  // Whether a turn would have nothing to tell, nor may.
  bool quiet() const;

  int Register(int end, const RegistrationOptions& options);
  // Modify and Rearm; `enable` for Rearm.
  void Change(int id, const RegistrationChange& change, bool new_handler,
              bool enable);
  void SetEnabled(int id, bool enabled);
  void Remove(int id);
  // R05; by whichever way.
  void Drained(int end, Events direction);
  // Something was received, and it was not shown that this was all.
  void Taken(int end);
  // A receive has returned the end of the stream.
  void EndRead(int end);
  // The socket's pending error was taken by somebody else.
  void ErrorTaken(int end);
  // Connecting has begun: what holds from then on is new.
  void RoleChanged(int end);

  // The loop is about to wait.
  void BeginTurn();
  // An event has reached handler number `handler` of `id`. Returns what is
  // wrong with it, "" if nothing.
  std::string Deliver(int id, int handler, Events events);
  // Returns what is missing.
  std::string EndTurn();

 private:
  Entry& At(int id) { return entries_[static_cast<std::size_t>(id)]; }
  Expectation Expect(const Entry& entry) const;
  void Forget(Entry& entry);
  void Block(Entry& entry);

  const SocketModel& sockets_;
  std::vector<Entry> entries_;
};

}  // namespace weir::model

#endif  // WEIR_TESTS_MODEL_READINESS_MODEL_H_
