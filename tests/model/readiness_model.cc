#include "tests/model/readiness_model.h"

#include "absl/strings/str_cat.h"

namespace weir::model {
namespace {

constexpr Events kDirections = Events::kReadable | Events::kWritable;

Events Wanted(Interest interest) { return static_cast<Events>(interest); }

void Add(Expectation& to, Events event, Truth truth) {
  if (truth == Truth::kNo) return;
  to.may |= event;
  if (truth == Truth::kYes) to.must |= event;
  if (truth == Truth::kRacy) to.racy |= event;
}

}  // namespace

int ReadinessModel::Live(int end) const {
  for (int id = size() - 1; id >= 0; --id) {
    if ((*this)[id].end == end) {
      return (*this)[id].phase == Entry::Phase::kLive ? id : -1;
    }
  }
  return -1;
}

int ReadinessModel::count() const {
  int found = 0;
  for (const Entry& entry : entries_) {
    if (entry.phase != Entry::Phase::kEnded) ++found;
  }
  return found;
}

bool ReadinessModel::quiet() const {
  for (const Entry& entry : entries_) {
    if (entry.phase == Entry::Phase::kRemoving) return false;
    if (entry.phase == Entry::Phase::kLive &&
        Expect(entry).may != Events::kNone) {
      return false;
    }
  }
  return true;
}

// --- changes

int ReadinessModel::Register(int end, const RegistrationOptions& options) {
  Entry& entry = entries_.emplace_back();
  entry.end = end;
  entry.interest = options.interest;
  entry.trigger = options.trigger;
  entry.persistence = options.persistence;
  return size() - 1;
}

// Makes what holds news again (R03). What this turn's wait has brought may
// still come, but need not: "in the next turn" is promised.
void ReadinessModel::Forget(Entry& entry) {
  entry.told = Events::kNone;
  entry.end_told = entry.end_late = entry.end_read = false;
  entry.end_unsure = false;
  if (entry.delivered || entry.blocked) return;
  entry.now.must = Events::kNone;
  entry.now.may = entry.held & (Wanted(entry.interest) | Events::kError);
  entry.now.racy = entry.now.may;
}

void ReadinessModel::Block(Entry& entry) {
  entry.now = {};
  entry.blocked = true;
}

void ReadinessModel::Change(int id, const RegistrationChange& change,
                            bool new_handler, bool enable) {
  Entry& entry = At(id);
  if (change.interest) entry.interest = *change.interest;
  if (change.trigger) entry.trigger = *change.trigger;
  if (change.persistence) entry.persistence = *change.persistence;
  if (enable) entry.enabled = true;
  entry.fired = false;
  if (new_handler) {
    ++entry.handler;
    Block(entry);
  }
  Forget(entry);
}

void ReadinessModel::SetEnabled(int id, bool enabled) {
  Entry& entry = At(id);
  entry.enabled = enabled;
  if (!enabled) Block(entry);
  if (enabled) Forget(entry);
}

void ReadinessModel::Remove(int id) {
  Entry& entry = At(id);
  entry.phase = Entry::Phase::kRemoving;
  Block(entry);
}

void ReadinessModel::Drained(int end, Events direction) {
  const int id = Live(end);
  if (id < 0) return;
  Entry& entry = At(id);
  if (entry.trigger == Trigger::kLevel) return;
  if (direction == Events::kReadable) entry.taken = false;
  entry.told &= ~direction;
  if (entry.delivered || !Has(entry.now.may, direction)) return;
  // Brought by the wait, but over - unless something new has come since.
  entry.now.must &= ~direction;
  entry.now.racy |= direction;
  entry.drained |= direction;
}

void ReadinessModel::Taken(int end) {
  if (const int id = Live(end); id >= 0) At(id).taken = true;
}

void ReadinessModel::EndRead(int end) {
  const int id = Live(end);
  if (id < 0 || (*this)[id].trigger == Trigger::kLevel) return;
  Entry& entry = At(id);
  entry.told |= Events::kReadable;
  entry.end_read = true;
  entry.now.must &= ~Events::kReadable;
  entry.now.racy |= entry.now.may & Events::kReadable;
}

void ReadinessModel::ErrorTaken(int end) {
  const int id = Live(end);
  if (id < 0) return;
  Entry& entry = At(id);
  if (!Has(entry.now.may, Events::kError)) return;
  entry.now.must &= ~Events::kError;
  entry.now.may &= ~Events::kError;
  if (entry.trigger == Trigger::kEdge) {
    // Told again only on account of the error.
    entry.now.must = Events::kNone;
    entry.now.racy = entry.now.may;
  }
}

void ReadinessModel::RoleChanged(int end) {
  if (const int id = Live(end); id >= 0) Forget(At(id));
}

// --- turns

Expectation ReadinessModel::Expect(const Entry& entry) const {
  Expectation expected;
  if (!entry.enabled || entry.fired) return expected;
  const bool failed = sockets_[entry.end].error != ErrorCause::kNone;
  if (failed) Add(expected, Events::kError, Truth::kYes);
  Truth readable = sockets_.Readable(entry.end);
  Truth writable = sockets_.Writable(entry.end);
  Truth hung_up = sockets_.HungUp(entry.end);
  if (entry.trigger == Trigger::kEdge) {
    // The peer's close, and a failure, are told although nothing was drained.
    const bool news = failed || !entry.end_told;
    if (entry.taken && readable == Truth::kNo) readable = Truth::kRacy;
    if (Has(entry.told, Events::kReadable)) {
      const bool again =
          sockets_[entry.end].stream() && (failed || (news && !entry.end_read));
      readable = again ? (failed ? Truth::kYes : hung_up) : Truth::kNo;
      if (readable == Truth::kEither) readable = Truth::kRacy;
      if (again && !failed && entry.end_unsure) readable = Truth::kRacy;
      if (!again && entry.end_late && !entry.end_read) readable = Truth::kRacy;
    }
    if (Has(entry.told, Events::kWritable)) writable = Truth::kNo;
    if (!news) hung_up = Truth::kNo;
    if (hung_up == Truth::kYes && !failed && entry.end_unsure) {
      hung_up = Truth::kEither;
    }
  }
  const Events wanted = Wanted(entry.interest);
  if (Has(wanted, Events::kReadable)) {
    Add(expected, Events::kReadable, readable);
  }
  if (Has(wanted, Events::kWritable)) {
    Add(expected, Events::kWritable, writable);
  }
  if (Has(wanted, Events::kHangup)) Add(expected, Events::kHangup, hung_up);
  if (failed && !entry.error_late && sockets_[entry.end].stream()) {
    expected.late = Events::kError;
    // Told again on the error's account alone.
    if (entry.end_told || entry.end_read || entry.end_unsure) {
      expected.late = expected.must;
    }
    expected.racy |= expected.late;
  }
  return expected;
}

void ReadinessModel::BeginTurn() {
  for (Entry& entry : entries_) {
    entry.removal_due = entry.phase == Entry::Phase::kRemoving;
    entry.delivered = false;
    entry.blocked = true;
    entry.drained = Events::kNone;
    entry.now = {};
    if (entry.phase != Entry::Phase::kLive) continue;
    entry.now = Expect(entry);
    entry.blocked = false;
    Expectation all;
    Add(all, Events::kReadable, sockets_.Readable(entry.end));
    Add(all, Events::kWritable, sockets_.Writable(entry.end));
    Add(all, Events::kHangup, sockets_.HungUp(entry.end));
    if (sockets_[entry.end].error != ErrorCause::kNone) {
      all.may |= Events::kError;
    }
    entry.held = all.may;
    const Truth hung_up = sockets_.HungUp(entry.end);
    entry.hung_up = hung_up == Truth::kYes;
    entry.data = sockets_[entry.end].waiting > 0 || sockets_[entry.end].flooded;
    if (hung_up == Truth::kEither && entry.enabled && !entry.fired) {
      entry.end_unsure = true;
    }
  }
}

std::string ReadinessModel::Deliver(int id, int handler, Events events) {
  Entry& entry = At(id);
  const std::string what = absl::StrCat("registration ", id, ", handler ",
                                        handler, ": ", weir::ToString(events));
  if (entry.phase == Entry::Phase::kEnded) {
    return absl::StrCat(what, " after `removed`");
  }
  if (handler != entry.handler) {
    return absl::StrCat(what, " although handler ", entry.handler,
                        " had taken its place");
  }
  if (entry.phase == Entry::Phase::kRemoving) {
    entry.phase = Entry::Phase::kEnded;
    return events == Events::kRemoved
               ? ""
               : absl::StrCat(what, " where `removed` is due");
  }
  if (entry.delivered) return absl::StrCat(what, ": the second in this turn");
  if (Has(entry.drained & events, Events::kReadable) &&
      sockets_.Readable(entry.end) == Truth::kNo) {
    return absl::StrCat(what, " although that was drained");
  }
  if (Has(entry.drained & events, Events::kWritable) &&
      sockets_.Writable(entry.end) == Truth::kNo) {
    return absl::StrCat(what, " although that was drained");
  }
  const Events missing = entry.now.must & ~entry.now.late & ~events;
  if (events == Events::kNone || (events & ~entry.now.may) != Events::kNone ||
      missing != Events::kNone) {
    return absl::StrCat(what, ", which must be ",
                        weir::ToString(entry.now.must), " and may be ",
                        weir::ToString(entry.now.may));
  }
  entry.delivered = true;
  entry.error_late = Has(entry.now.must & ~events, Events::kError);
  if (entry.trigger == Trigger::kEdge) {
    // A mechanism may take data and end one after the other (survey 2.1: a
    // completion is what woke it): then the end is one more readable.
    if (entry.hung_up && (entry.data || entry.taken) &&
        !Has(events, Events::kHangup) &&
        Has(events & ~entry.told, Events::kReadable)) {
      entry.end_late = true;
    } else if (Has(events, Events::kReadable)) {
      entry.end_late = false;
    }
    entry.told |= events & kDirections;
    if (entry.hung_up ||
        (Has(events, Events::kError) && sockets_[entry.end].stream())) {
      entry.end_told = true;
    }
  }
  if (entry.persistence == Persistence::kOneShot) entry.fired = true;
  return "";
}

std::string ReadinessModel::EndTurn() {
  for (int id = 0; id < size(); ++id) {
    Entry& entry = At(id);
    if (entry.removal_due && entry.phase != Entry::Phase::kEnded) {
      return absl::StrCat("registration ", id, ": `removed` did not come");
    }
    const bool missed = entry.phase == Entry::Phase::kLive &&
                        !entry.delivered && entry.now.must != Events::kNone;
    if (missed && entry.hung_up && entry.now.late == entry.now.must) {
      entry.error_late = true;
    } else if (missed) {
      return absl::StrCat("registration ", id, ": no event, which must be ",
                          weir::ToString(entry.now.must));
    }
    Block(entry);
    entry.taken = false;
  }
  return "";
}

}  // namespace weir::model
