#include "tests/model/world.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/conformance/conformance.h"

namespace weir::model {

using conformance::Must;

// Marks a call of the library: its handlers run in turns alone (R17).
class World::Calling {
 public:
  explicit Calling(World& world)
      : world_(world), before_(std::exchange(world.calling_, true)) {}
  ~Calling() { world_.calling_ = before_; }

 private:
  World& world_;
  const bool before_;
};

// A handler's captures: counted, so that their destruction is seen.
struct World::Handler {
  Handler(World* in, int of, int which) : world(in), id(of), number(which) {
    ++world->handlers_;
  }
  ~Handler() { --world->handlers_; }
  World* world;
  int id;
  int number;
};

World::World(const Script& script, const Variant& variant)
    : script_(script),
      model_(script.ends,
             {.hangup_overtakes_data = test::HangupOvertakesData(),
              .reset_after_the_end = test::ResetAfterTheEnd(),
              .failures_last = test::FailuresLast(),
              .unreachable_ports_are_told =
                  test::ReceivesTellOfUnreachablePorts() &&
                  test::DatagramErrorsPass(),
              .streams_read_on_after_shutdown =
                  test::StreamsReadOnAfterShutdown(),
              .data_outlives_a_reset = test::DataOutlivesAReset(),
              .all_is_sent_to_who_has_ended =
                  test::AllIsSentToWhoHasEnded()}),
      sockets_(static_cast<std::size_t>(script.ends)),
      duplicates_(static_cast<std::size_t>(script.ends), kInvalidSocket),
      flood_(static_cast<std::size_t>(script.ends)),
      loop_(Must(EventLoop::Create(
          {.backend = variant.backend, .threads = variant.threads}))) {}

void World::Fail(std::string_view what) {
  if (!run_.failure.empty()) return;
  run_.failure = absl::StrCat("step ", step_, ": ",
                              absl::string_view(what.data(), what.size()));
  Log(absl::StrCat("  !! ", run_.failure));
}

void World::Expect(bool holds, std::string_view what) {
  if (!holds) Fail(what);
}

void World::Log(std::string_view line) {
  run_.log.append(line);
  run_.log += '\n';
}

Run World::Play() {
  for (const Operation& operation : script_.operations) {
    ++step_;
    if (operation.act == Act::kTurn) {
      Turn(operation);
    } else if (operation.act == Act::kIdle) {
      Idle();
    } else {
      Do(operation);
    }
    if (!run_.failure.empty()) break;
  }
  EndLoop();
  return std::move(run_);
}

bool World::Do(const Operation& operation) {
  Calling calling(*this);
  const std::size_t before = run_.log.size();
  Log(absl::StrCat(in_turn_ ? "      " : "  ", step_, ": ",
                   ToString(operation)));
  const bool done = operation.act >= Act::kRegister
                        ? DoToRegistration(operation)
                        : DoToSocket(operation);
  if (!done) {
    run_.log.resize(before);
    return false;
  }
  Settle(operation.end);
  Settle(operation.end ^ 1);
  return true;
}

// --- turns

void World::Turn(const Operation& operation) {
  Log(absl::StrCat("  ", step_, ": turn"));
  readiness_.BeginTurn();
  std::vector<Told>& told = run_.turns.emplace_back();
  for (int id = 0; id < readiness_.size(); ++id) {
    told.emplace_back().at_first = readiness_[id].now;
  }
  turn_ = &operation;
  reacted_.assign(operation.reactions.size(), false);
  calls_ = 0;
  in_turn_ = true;
  test::LetReportsArrive();
  const absl::StatusOr<int> ran = loop_->RunOnce(absl::ZeroDuration());
  in_turn_ = false;
  Expect(ran.ok(), ran.status().ToString());
  Expect(!ran.ok() || *ran == calls_, "RunOnce miscounts its calls");
  for (std::size_t id = 0; id < told.size(); ++id) {
    if (told[id].events == Events::kNone) {
      told[id].at_last = readiness_[static_cast<int>(id)].now;
    }
  }
  if (std::string wrong = readiness_.EndTurn(); !wrong.empty()) Fail(wrong);
  Expect(handlers_ == readiness_.count(),
         absl::StrCat(handlers_, " handlers exist of ", readiness_.count(),
                      " registrations"));
  Expect(loop_->counters().registrations ==
             static_cast<std::uint64_t>(readiness_.count()),
         "counters() miscounts the registrations");
  for (std::size_t i = 0; i < reacted_.size(); ++i) {
    if (!reacted_[i]) React(operation.reactions[i]);
  }
}

void World::Idle() {
  if (!readiness_.quiet()) return;
  Log(absl::StrCat("  ", step_, ": idle"));
  readiness_.BeginTurn();
  turn_ = nullptr;
  calls_ = 0;
  const std::uint64_t before = loop_->counters().turns;
  const absl::StatusOr<int> ran = loop_->RunOnce(absl::Microseconds(200));
  Expect(ran.ok(), ran.status().ToString());
  Expect(calls_ == 0, "an event out of nothing");
  // One for the wait, and a few for what is found to be out of date.
  constexpr std::uint64_t kFewTurns = 10;
  Expect(loop_->counters().turns - before <= kFewTurns, "the loop spins");
  (void)readiness_.EndTurn();
}

void World::React(const Operation::Reaction& reaction) {
  for (const Operation& operation : reaction.operations) {
    if (run_.failure.empty()) Do(operation);
  }
}

void World::OnEvent(int id, int number, const Event& event) {
  if (!run_.failure.empty()) return;
  const Entry& entry = readiness_[id];
  const int end = entry.end;
  Log(absl::StrCat("      event: registration ", id, " of ", end, ": ",
                   weir::ToString(event.events()), " ",
                   event.status().ToString()));
  Expect(!calling_, "a handler runs inside a call");
  Expect(event.registration() == Handle(id), "the event names another");
  ++calls_;
  if (!run_.turns.empty() &&
      static_cast<std::size_t>(id) < run_.turns.back().size()) {
    Told& told = run_.turns.back()[static_cast<std::size_t>(id)];
    told.events |= event.events();
    told.at_last = entry.now;
  }
  if (std::string wrong = readiness_.Deliver(id, number, event.events());
      !wrong.empty()) {
    Fail(wrong);
    return;
  }
  if (event.error()) {
    const ErrorCause cause = model_.TakeError(end);
    Expect(
        CauseOf(event.status()) == cause,
        absl::StrCat("the cause is not ", std::string(ErrorCauseName(cause))));
  } else {
    Expect(event.status().ok(), "a status without an error");
  }
  if (turn_ == nullptr) return;
  for (std::size_t i = 0; i < reacted_.size(); ++i) {
    if (reacted_[i] || turn_->reactions[i].end != end) continue;
    reacted_[i] = true;
    React(turn_->reactions[i]);
  }
}

// The loop's end gives every registration its `removed` (C04).
void World::EndLoop() {
  turn_ = nullptr;
  for (int id = 0; id < readiness_.size(); ++id) {
    if (readiness_[id].phase == Entry::Phase::kLive) readiness_.Remove(id);
  }
  loop_.reset();
  Expect(readiness_.count() == 0, "a registration outlives the loop");
  Expect(handlers_ == 0, "a handler outlives the loop");
}

// --- registrations

ReadinessHandler World::NewHandler(int id, int number) {
  return [handler =
              std::make_unique<Handler>(this, id, number)](const Event& event) {
    handler->world->OnEvent(handler->id, handler->number, event);
  };
}

bool World::DoToRegistration(const Operation& operation) {
  const int end = operation.end;
  const int id = readiness_.Live(end);
  const bool open = model_[end].open;
  switch (operation.act) {
    case Act::kRegister:
      if (!open) return false;
      Register(end, operation.options);
      return true;
    case Act::kRegisterBatch:
      RegisterBatch(operation);
      return true;
    case Act::kUseStale:
      UseStale(end);
      return true;
    case Act::kModifyBatch:
      ModifyBatch(operation);
      return true;
    default:
      break;
  }
  if (id < 0) return false;
  absl::Status status;
  switch (operation.act) {
    case Act::kModify:
    case Act::kModifyHandler:
      Modify(operation);
      break;
    case Act::kRearm:
      status = Handle(id).Rearm();
      readiness_.Change(id, {}, false, /*enable=*/true);
      break;
    case Act::kRearmWith: {
      status = Handle(id).Rearm(operation.options.interest);
      RegistrationChange change;
      change.interest = operation.options.interest;
      readiness_.Change(id, change, false, /*enable=*/true);
      break;
    }
    case Act::kDisable:
      status = Handle(id).Disable();
      readiness_.SetEnabled(id, false);
      break;
    case Act::kEnable:
      status = Handle(id).Enable();
      readiness_.SetEnabled(id, true);
      break;
    case Act::kDisableAndEnable:
      status = Handle(id).Disable();
      status.Update(Handle(id).Enable());
      readiness_.SetEnabled(id, false);
      readiness_.SetEnabled(id, true);
      break;
    case Act::kRemove:
      Remove(end);
      break;
    default:
      return false;
  }
  Expect(status.ok(), status.ToString());
  return true;
}

void World::Register(int end, const RegistrationOptions& options) {
  const bool registered = readiness_.Live(end) >= 0;
  const int id = registered ? -1 : readiness_.Register(end, options);
  auto result = loop_->Register(SocketOf(end), options, NewHandler(id, 0));
  if (registered) {
    Expect(absl::IsAlreadyExists(result.status()), "registered twice (R11)");
    return;
  }
  Expect(result.ok(), result.status().ToString());
  handles_.push_back(result.ok() ? *result : Registration());
}

// The end and its peer; those that cannot be registered fail alone (R13).
void World::RegisterBatch(const Operation& operation) {
  std::vector<RegistrationRequest> requests;
  std::vector<absl::StatusCode> expected;
  for (const int end : {operation.end, operation.end ^ 1}) {
    int id = -1;
    if (!model_[end].open) {
      expected.push_back(absl::StatusCode::kFailedPrecondition);
    } else if (readiness_.Live(end) >= 0) {
      expected.push_back(absl::StatusCode::kAlreadyExists);
    } else {
      expected.push_back(absl::StatusCode::kOk);
      id = readiness_.Register(end, operation.options);
    }
    requests.push_back({.socket = &SocketOf(end),
                        .options = operation.options,
                        .handler = NewHandler(id, 0)});
  }
  const auto results = loop_->RegisterBatch(std::span(requests));
  for (std::size_t i = 0; i < results.size(); ++i) {
    Expect(results[i].status().code() == expected[i],
           results[i].status().ToString());
    if (results[i].ok()) handles_.push_back(*results[i]);
  }
}

namespace {

RegistrationChange ChangeOf(const Operation& operation) {
  RegistrationChange change;
  if (operation.has_interest) change.interest = operation.options.interest;
  if (operation.has_trigger) change.trigger = operation.options.trigger;
  if (operation.has_persistence) {
    change.persistence = operation.options.persistence;
  }
  return change;
}

}  // namespace

void World::Modify(const Operation& operation) {
  const int id = readiness_.Live(operation.end);
  const bool new_handler = operation.act == Act::kModifyHandler;
  RegistrationChange change = ChangeOf(operation);
  readiness_.Change(id, change, new_handler, /*enable=*/false);
  if (new_handler) change.handler = NewHandler(id, readiness_[id].handler);
  const absl::Status status = Handle(id).Modify(std::move(change));
  Expect(status.ok(), status.ToString());
}

void World::ModifyBatch(const Operation& operation) {
  std::vector<ModificationRequest> requests;
  for (const int end : {operation.end, operation.end ^ 1}) {
    const int id = readiness_.Live(end);
    requests.push_back({.registration = id < 0 ? Registration() : Handle(id),
                        .change = ChangeOf(operation)});
    if (id >= 0) {
      readiness_.Change(id, requests.back().change, false, /*enable=*/false);
    }
  }
  const auto results = loop_->ModifyBatch(std::span(requests));
  for (std::size_t i = 0; i < results.size(); ++i) {
    Expect(results[i].ok() == requests[i].registration.is_live(),
           results[i].ToString());
  }
}

void World::Remove(int end) {
  const int id = readiness_.Live(end);
  readiness_.Remove(id);
  const absl::Status status = Handle(id).Remove();
  Expect(status.ok(), status.ToString());
  Expect(!Handle(id).is_live(), "live after Remove");
}

// Handles of registrations that have ended do nothing (P05).
void World::UseStale(int end) {
  for (int id = 0; id < readiness_.size(); ++id) {
    if (readiness_[id].end != end || id == readiness_.Live(end)) continue;
    const absl::Status results[] = {
        Handle(id).Rearm(),    Handle(id).Disable(),
        Handle(id).Enable(),   Handle(id).Remove(),
        Handle(id).Modify({}), Handle(id).Drained(Interest::kReadable)};
    for (const absl::Status& status : results) {
      Expect(absl::IsFailedPrecondition(status), "a stale handle works");
    }
  }
}

}  // namespace weir::model
