// What is given away with every call, and what comes back.

#include <algorithm>

#include "tests/model/byte_pattern.h"
#include "tests/model/operation_calls.h"
#include "weir/file.h"

namespace weir::operation_model {
namespace {

// What is written over memory that is the script's again.
constexpr std::byte kReceived{0x5a};
constexpr std::byte kSent{0xee};

}  // namespace

// --- handlers

Token::Token(World& its_world, std::shared_ptr<Subject> its_subject,
             std::shared_ptr<HandlerRecord> its_record)
    : world(its_world),
      subject(std::move(its_subject)),
      record(std::move(its_record)) {
  world.handlers_.fetch_add(1);
}

Token::~Token() {
  {
    absl::MutexLock lock(&subject->mu());
    record->destroyed = true;
  }
  world.handlers_.fetch_sub(1);
}

World::Inside::Inside(World& world, Subject& subject, HandlerRecord& record)
    : subject_(subject), before_(std::exchange(lane_->inside, &subject)) {
  world.Expect(lane_->calls == 0, "a handler runs inside a call");
  world.Expect(lane_->handlers == 0, "a handler runs inside a handler");
  world.Expect(lane_->runs, "a handler runs outside the loop");
  world.Expect(!subject.inside.exchange(true),
               "two handlers of one socket run at a time");
  ++lane_->handlers;
  world.calls_.fetch_add(1);
  absl::MutexLock lock(&subject.mu());
  world.Expect(subject.last == nullptr || subject.last->destroyed,
               "a handler that was called for the last time still exists");
  subject.last = nullptr;
  ++record.called;
  world.Expect(!record.destroyed, "a handler was destroyed and is called");
}

World::Inside::~Inside() {
  --lane_->handlers;
  lane_->inside = before_;
  subject_.inside.store(false);
}

std::unique_ptr<Token> World::NewToken(SubjectPtr subject,
                                       std::shared_ptr<HandlerRecord> record) {
  return std::make_unique<Token>(*this, std::move(subject), std::move(record));
}

CompletionHandler World::HandlerOf(const SubjectPtr& subject,
                                   const std::shared_ptr<Started>& started) {
  if (started->silent) return nullptr;
  return [token = NewToken(subject, started),
          at = started.get()](const Completion& done) {
    token->world.OnIndicated(*token->subject, *at, done.status, done.bytes,
                             nullptr);
  };
}

CloseHandler World::CloseHandlerOf(
    const SubjectPtr& subject, const std::shared_ptr<HandlerRecord>& record) {
  return [token = NewToken(subject, record)] {
    token->world.OnClosed(*token->subject, *token->record);
  };
}

std::shared_ptr<Started> World::NewStarted(Verb verb, const Step& step) {
  static std::atomic<int> numbers{0};
  auto started = std::make_shared<Started>();
  started->number = numbers.fetch_add(1);
  started->verb = verb;
  started->silent = step.silent && verb != Verb::kAccept;
  started->reactions = step.reactions;
  started->which = step.which;
  return started;
}

std::shared_ptr<Receiver> World::NewReceiver(const Step& step) {
  auto receiver = std::make_shared<Receiver>();
  receiver->reactions = step.reactions;
  receiver->which = step.which;
  return receiver;
}

void World::NoteLast(Subject& subject, Receiver& receiver) {
  subject.last = *std::find_if(
      subject.receivers.begin(), subject.receivers.end(),
      [&](const auto& at) { return at.get() == &receiver; });
}

// Everything that a handler of an operation has in common.
void World::OnIndicated(Subject& subject, Started& started,
                        const absl::Status& status, std::size_t bytes,
                        const std::function<void()>& also) {
  const Inside inside(*this, subject, started);
  Log(absl::StrCat("    told ", started.number, " on ", subject.number, ": ",
                   status.ToString(), " ", bytes));
  ReapSilent(subject);
  {
    absl::MutexLock lock(&subject.mu());
    Check(subject, subject.contract.Indicated(
                       started, status, bytes,
                       platform::MonotonicNanoseconds(), started.buffers));
    started.status = status;
    started.bytes = bytes;
    subject.last =
        *std::find_if(subject.started.begin(), subject.started.end(),
                      [&](const auto& at) { return at.get() == &started; });
    if (started.has_handle) {
      const absl::StatusOr<Completion> result = started.handle.Result();
      Expect(started.handle.done() && result.ok() &&
                 result->status == status && result->bytes == bytes,
             "the handle's result is not the indicated one");
    }
  }
  Expect(started.thread == std::thread::id() ||
             started.thread == std::this_thread::get_id() ||
             !variant_.threaded || loop_model_.stopping.load(),
         "told on another thread than was asked for (O14)");
  if (also) also();
  Retire(started, status.ok());
  React(started.reactions);
}

// Its memory is the script's again: what the kernel should not have touched, and
// may not touch from now on.
void World::Retire(Started& started, bool moved) {
  std::size_t received = Receives(started.verb) && moved ? started.bytes : 0;
  for (const MutableBuffer buffer : started.buffers) {
    const std::size_t part = std::min(received, buffer.size());
    received -= part;
    if (Receives(started.verb)) {
      const auto rest = buffer.subspan(part);
      Expect(std::all_of(rest.begin(), rest.end(),
                         [](std::byte at) { return at == std::byte{0xa5}; }),
             "a receive has written more than it tells");
    }
  }
  started.poison = Receives(started.verb) ? kReceived : kSent;
  for (const MutableBuffer buffer : started.buffers) {
    std::fill(buffer.begin(), buffer.end(), started.poison);
  }
  started.retired = true;
}

void World::ReapSilent(Subject& subject) {
  absl::MutexLock lock(&subject.mu());
  ReapAll(subject);
}

void World::ReapAll(Subject& subject) {
  for (const bool in : {true, false}) {
    // A copy: those that are told leave it.
    const std::deque<Entry*> pending = subject.contract.pending(in);
    for (Entry* entry : pending) Reap(subject, static_cast<Started&>(*entry));
  }
}

void World::Reap(Subject& subject, Started& started) {
  if (!started.silent || !started.has_handle || started.indicated ||
      !started.handle.done()) {
    return;
  }
  const absl::StatusOr<Completion> result = started.handle.Result();
  Expect(result.ok(), "done without a result");
  if (!result.ok()) return;
  Log(absl::StrCat("    reaped ", started.number, " on ", subject.number, ": ",
                   result->status.ToString(), " ", result->bytes));
  Check(subject, subject.contract.Indicated(
                     started, result->status, result->bytes,
                     platform::MonotonicNanoseconds(), started.buffers));
  started.status = result->status;
  started.bytes = result->bytes;
  // An indication like any other.
  calls_.fetch_add(1);
  SilentDatagram(subject, started);
  Retire(started, result->ok());
}

void World::OnClosed(Subject& subject, HandlerRecord& record) {
  const Inside inside(*this, subject, record);
  Log(absl::StrCat("    closed ", subject.number));
  ReapSilent(subject);
  {
    absl::MutexLock lock(&subject.mu());
    Check(subject, subject.contract.CloseTold());
  }
  React(record.reactions);
}

void World::ReactOnce(HandlerRecord& record) {
  if (record.reacted >= record.reactions.size()) return;
  Do(record.reactions[record.reacted++]);
}

// With the subject's mutex.
void World::CheckGivenAway(Subject& subject, const HandlerRecord& record,
                           bool started, bool may_be_over) {
  if (!started && !record.destroyed) {
    Check(subject, "not started, but its handler still exists");
  }
  if (started && record.destroyed && !may_be_over) {
    Check(subject, "started, but its handler was destroyed");
  }
}

// --- acts on every kind of object

namespace {

// Calls `use(object)` with the one that the subject has.
template <typename Use>
auto WithObject(Subject& subject, Use use) -> decltype(use(subject.stream)) {
  switch (subject.kind) {
    case Contract::Kind::kListener:
      return use(subject.listener);
    case Contract::Kind::kDatagram:
      return use(subject.datagrams);
    default:
      return use(subject.stream);
  }
}

}  // namespace

void World::Pause(const SubjectPtr& subject, bool pause) {
  absl::ReaderMutexLock calls(&subject->calls);
  absl::MutexLock order(&subject->order[0]);
  // On a thread that has the endpoint to itself.
  const bool certain = !variant_.threaded || lane_->inside == subject.get() ||
                       (variant_.threads == 1 && lane_->runs);
  bool was_receiving = false;
  {
    absl::MutexLock lock(&subject->mu());
    was_receiving = subject->contract.receiving();
    subject->contract.BeginPausing(pause);
  }
  Log(absl::StrCat("  ", pause ? "pause " : "resume ", subject->number));
  absl::Status status;
  {
    const Calling calling(*this);
    switch (subject->kind) {
      case Contract::Kind::kListener:
        status = pause ? subject->listener.PauseAccepting()
                       : subject->listener.ResumeAccepting();
        break;
      case Contract::Kind::kDatagram:
        status = pause ? subject->datagrams.PauseReceive()
                       : subject->datagrams.ResumeReceive();
        break;
      default:
        status = pause ? subject->stream.PauseReceive()
                       : subject->stream.ResumeReceive();
        break;
    }
  }
  absl::MutexLock lock(&subject->mu());
  Check(*subject,
        subject->contract.Paused(pause, certain, was_receiving, status));
}

void World::CancelOne(const SubjectPtr& subject, const Step& step) {
  std::shared_ptr<Started> started;
  bool was_asked = false;
  bool was_told = false;
  {
    absl::MutexLock lock(&subject->mu());
    std::vector<std::shared_ptr<Started>> named;
    for (const auto& at : subject->started) {
      // Those that are over are worth a try now and then.
      if (at->has_handle && (!at->indicated || step.which % 8 == 0)) {
        named.push_back(at);
      }
    }
    if (named.empty()) return;
    started = named[static_cast<std::size_t>(step.which) % named.size()];
    was_asked = started->cut_asked;
    was_told = started->indicated;
    subject->contract.BeginCancel(*started);
  }
  Log(absl::StrCat("  cancel ", started->number, " on ", subject->number));
  absl::Status status;
  {
    const Calling calling(*this);
    status = started->handle.Cancel();
  }
  absl::MutexLock lock(&subject->mu());
  Check(*subject,
        subject->contract.Cancelled(*started, was_asked, was_told, status));
}

void World::CancelAll(const SubjectPtr& subject) {
  absl::ReaderMutexLock calls(&subject->calls);
  bool was_closed = false;
  {
    absl::MutexLock lock(&subject->mu());
    was_closed = subject->contract.closed();
    subject->contract.BeginCancelAll();
  }
  Log(absl::StrCat("  cancel all on ", subject->number));
  absl::Status status;
  {
    const Calling calling(*this);
    status = WithObject(*subject, [](auto& object) { return object.Cancel(); });
  }
  absl::MutexLock lock(&subject->mu());
  Check(*subject, subject->contract.CancelledAll(status, was_closed));
}

void World::Close(const SubjectPtr& subject, const Step& step) {
  absl::ReaderMutexLock calls(&subject->calls);
  auto record = std::make_shared<HandlerRecord>();
  record->reactions = step.reactions;
  const bool told = !step.silent;
  const bool abortive =
      step.abortive && subject->kind == Contract::Kind::kStream;
  bool was_closed = false;
  {
    absl::MutexLock lock(&subject->mu());
    was_closed = subject->contract.closed();
    subject->contract.BeginClose(abortive);
    subject->closes.push_back(record);
  }
  subject->closing.store(true);
  if (subject->kind == Contract::Kind::kListener) AbandonClients(*subject);
  Log(absl::StrCat("  close ", subject->number, abortive ? ", abortive" : ""));
  absl::Status status;
  {
    const Calling calling(*this);
    CloseHandler handler = told ? CloseHandlerOf(subject, record) : nullptr;
    switch (subject->kind) {
      case Contract::Kind::kListener:
        status = subject->listener.Close(std::move(handler));
        break;
      case Contract::Kind::kDatagram:
        status = subject->datagrams.Close(std::move(handler));
        break;
      default:
        status = subject->stream.Close(
            std::move(handler),
            abortive ? CloseMode::kAbortive : CloseMode::kGraceful);
        break;
    }
  }
  absl::MutexLock lock(&subject->mu());
  Check(*subject,
        subject->contract.Closed(status, was_closed, told));
  if (told) CheckGivenAway(*subject, *record, status.ok(), record->called > 0);
}

void World::Destroy(Subject& subject) {
  absl::WriterMutexLock calls(&subject.calls);
  {
    absl::MutexLock lock(&subject.mu());
    if (subject.contract.closed()) return;
    subject.contract.BeginClose(/*abortive=*/false);
  }
  subject.closing.store(true);
  if (subject.kind == Contract::Kind::kListener) AbandonClients(subject);
  Log(absl::StrCat("  destroy ", subject.number));
  {
    const Calling calling(*this);
    subject.stream = Stream();
    subject.listener = weir::Listener();
    subject.datagrams = DatagramSocket();
  }
  absl::MutexLock lock(&subject.mu());
  subject.contract.Destroyed();
}

void World::Move(Subject& subject) {
  absl::WriterMutexLock calls(&subject.calls);
  const Calling calling(*this);
  WithObject(subject, [](auto& object) {
    auto moved = std::move(object);
    object = std::move(moved);
  });
}

void World::AskHandles(const SubjectPtr& subject) {
  ReapSilent(*subject);
  std::vector<std::shared_ptr<Started>> named;
  {
    absl::MutexLock lock(&subject->mu());
    for (const auto& at : subject->started) {
      if (at->has_handle) named.push_back(at);
    }
  }
  for (const auto& started : named) {
    bool told = false;
    {
      absl::MutexLock lock(&subject->mu());
      told = started->indicated;
    }
    const Calling calling(*this);
    const Operation copy = started->handle;
    const bool done = copy.done();
    Expect(done || !told, "told, but not done");
    const auto result = copy.Result();
    const auto waited = copy.Wait(variant_.threaded && !lane_->runs
                                      ? absl::Microseconds(50)
                                      : absl::ZeroDuration());
    if (done) {
      Expect(result.ok() && waited.ok(), "done, but without a result");
    } else if (!waited.ok()) {
      Expect(lane_->runs ? absl::IsFailedPrecondition(waited.status())
                         : absl::IsDeadlineExceeded(waited.status()),
             waited.status().ToString());
    }
    if (told) {
      absl::MutexLock lock(&subject->mu());
      Expect(result.ok() && result->status == started->status &&
                 result->bytes == started->bytes,
             "the handle's result is not the indicated one");
    }
  }
}

// Calls that cannot be meant: each is refused and gives its handler back.
void World::Misuse(const SubjectPtr& subject, const Step& step) {
  absl::ReaderMutexLock calls(&subject->calls);
  auto record = std::make_shared<Started>();
  record->number = -1;
  std::byte room[4];
  Stream& stream = subject->stream;
  const OperationOptions none{.timeout = absl::ZeroDuration()};
  const auto handler = [&] { return HandlerOf(subject, record); };
  Stream empty;
  const File closed;
  absl::Status status;
  {
    const Calling calling(*this);
    switch (subject->kind) {
      case Contract::Kind::kListener:
        status = step.which % 2 == 0
                     ? subject->listener.Accept(nullptr)
                     : subject->listener.StartAccepting(nullptr);
        record->destroyed = true;
        break;
      case Contract::Kind::kDatagram:
        status = step.which % 2 == 0
                     ? subject->datagrams.SendTo(ConstBuffer(), SocketAddress(),
                                                 handler())
                     : subject->datagrams.Send(ConstBuffer(), handler(), none);
        break;
      default:
        switch (step.which % 7) {
          case 0:
            status = stream.Receive(MutableBuffer(), handler());
            break;
          case 1:
            status = stream.Receive(room, handler(), none);
            break;
          case 2:
            status = stream.Send(room, handler(),
                                 {.timeout = -absl::Seconds(1)});
            break;
          case 3:
            status = stream.Connect(SocketAddress(), handler());
            break;
          case 4:
            status = stream.SendFile(closed, 0, 1, handler());
            break;
          case 5:
            status = empty.Flush(handler());
            break;
          default:
            status = stream.ReceiveVector({}, handler());
            break;
        }
        break;
    }
  }
  Expect(absl::IsFailedPrecondition(status) || absl::IsInvalidArgument(status),
         absl::StrCat("a misuse is answered with ", status.ToString()));
  absl::MutexLock lock(&subject->mu());
  Expect(record->destroyed, "a misuse keeps its handler");
}

}  // namespace weir::operation_model
