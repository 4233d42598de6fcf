// The script, step by step, and what is seen of it.

#include "tests/model/operation_world.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/barrier.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "platform/clock.h"
#include "tests/conformance/conformance.h"
#include "tests/model/operation_calls.h"

namespace weir::operation_model {

using conformance::Must;

thread_local World::Lane* World::lane_ = nullptr;

World::World(const Script& script, const Variant& variant,
             absl::Duration patience)
    : script_(script), variant_(variant), patience_(patience) {
  loop_model_.exact = !variant.threaded;
  refused_ = Must(Socket::Open(AddressFamily::kIpv4, SocketType::kStream));
  conformance::MustOk(refused_.SetOption(SocketOption::kReuseAddress, 1));
  conformance::MustOk(refused_.Bind(SocketAddress::Ipv4Loopback(0)));
  lanes_.push_back(std::make_unique<Lane>());
  lanes_[0]->world = this;
  lane_ = lanes_[0].get();
  loop_ = conformance::NewLoop(variant.backend, variant.threads);
  if (!variant.threaded) return;
  for (int i = 0; i < variant.threads; ++i) {
    lanes_.push_back(std::make_unique<Lane>());
    lanes_.back()->world = this;
  }
  for (int i = 0; i < variant.threads; ++i) {
    threads_.emplace_back([this, lane = lanes_[static_cast<std::size_t>(i) + 1]
                                            .get(),
                           loop = loop_.get()] {
      lane_ = lane;
      lane->runs = true;
      const absl::Status status = loop->Run();
      // A thread that comes too late finds it stopped.
      Expect(status.ok() || loop_model_.stopping.load(), status.ToString());
    });
  }
  MeetEveryThread();
}

World::~World() {
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
  lane_ = nullptr;
  for (const auto& weak : with_peers_) {
    const SubjectPtr subject = weak.lock();
    if (subject == nullptr) continue;
    const SubjectPtr last = std::exchange(subject->peer, nullptr);
    const std::vector<SubjectPtr> earlier =
        std::exchange(subject->peer_maybe, {});
  }
}

Run World::Play() {
  for (const Step& step : script_.steps) {
    if (failed()) break;
    Do(step);
  }
  Finish();
  Run run;
  {
    absl::MutexLock lock(&failure_mu_);
    run.failure = failure_;
  }
  if (!run.failure.empty()) run.log = MergedLog();
  return run;
}

// Until each thread is inside Run, where the loop may be taken away: each runs
// one of so many messages that wait for each other.
void World::MeetEveryThread() {
  absl::Barrier* const barrier = new absl::Barrier(variant_.threads + 1);
  for (int i = 0; i < variant_.threads; ++i) {
    conformance::MustOk(loop_->Post([barrier] {
      if (barrier->Block()) delete barrier;
    }));
  }
  if (barrier->Block()) delete barrier;
}

// --- what is seen

void World::Fail(std::string_view what) {
  const absl::string_view text(what.data(), what.size());
  Log(absl::StrCat("  !! ", text));
  absl::MutexLock lock(&failure_mu_);
  if (failure_.empty()) failure_ = std::string(text);
  failed_.store(true);
}

void World::Check(const Subject& subject, const std::string& wrong) {
  if (!wrong.empty()) Fail(absl::StrCat("socket ", subject.number, ": ", wrong));
}

void World::Expect(bool holds, std::string_view what) {
  if (!holds) Fail(what);
}

// A thread's own list: a lock would order what the threads do.
void World::Log(std::string text) {
  lane_->lines.push_back({.time = platform::MonotonicNanoseconds(),
                          .text = std::move(text)});
}

// The lanes' threads have ended, but for this one.
std::string World::MergedLog() {
  struct Place {
    std::int64_t time;
    std::size_t lane;
    const std::string* text;
  };
  std::vector<Place> lines;
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
    for (const Lane::Line& line : lanes_[lane]->lines) {
      lines.push_back({line.time, lane, &line.text});
    }
  }
  std::stable_sort(lines.begin(), lines.end(),
                   [](const Place& a, const Place& b) {
                     return a.time < b.time;
                   });
  std::string log;
  for (const Place& line : lines) {
    if (lanes_.size() > 1) absl::StrAppend(&log, "[", line.lane, "] ");
    absl::StrAppend(&log, *line.text, "\n");
  }
  return log;
}

// --- the script

void World::Do(const Step& step) {
  if (failed()) return;
  switch (step.act) {
    case Act::kTurn:
      Turn(step);
      return;
    case Act::kIdle:
      Idle();
      return;
    case Act::kStop:
      Log("  stop the loop");
      StopLoop();
      return;
    case Act::kEndLoop:
      Log("  destroy the loop");
      EndLoop();
      return;
    default:
      break;
  }
  if (IsEnd(step.slot)) {
    DoToEnd(step);
    return;
  }
  SubjectPtr subject;
  {
    Slot& slot = slots_[static_cast<std::size_t>(step.slot)];
    absl::MutexLock lock(&slot.mu);
    subject = slot.subject;
  }
  if (step.act == Act::kOpen) {
    if (IsListener(step.slot)) {
      Listen(step);
    } else {
      Bind(step);
    }
  } else if (subject != nullptr) {
    if (IsListener(step.slot)) {
      DoToListener(subject, step);
    } else {
      DoToDatagram(subject, step);
    }
  }
}

void World::DoToEnd(const Step& step) {
  switch (step.act) {
    case Act::kOpen:
      OpenPair(step);
      return;
    case Act::kConnect:
    case Act::kConnectRefused:
    case Act::kConnectStalled:
      Connect(step);
      return;
    default:
      break;
  }
  SubjectPtr subject;
  std::shared_ptr<RawEnd> raw;
  {
    Slot& slot = slots_[static_cast<std::size_t>(step.slot)];
    absl::MutexLock lock(&slot.mu);
    subject = slot.subject;
    raw = slot.raw;
  }
  if (subject != nullptr) {
    DoToStream(subject, step);
  } else if (raw != nullptr) {
    DoToRaw(raw, step);
  }
}

// What is done to all kinds alike.
void World::DoToAny(const SubjectPtr& subject, const Step& step) {
  switch (step.act) {
    case Act::kPause:
      Pause(subject, true);
      break;
    case Act::kResume:
      Pause(subject, false);
      break;
    case Act::kCancelOne:
      CancelOne(subject, step);
      break;
    case Act::kCancelAll:
      CancelAll(subject);
      break;
    case Act::kClose:
      Close(subject, step);
      break;
    case Act::kDestroy:
      Destroy(*subject);
      break;
    case Act::kMove:
      Move(*subject);
      break;
    case Act::kMisuse:
      Misuse(subject, step);
      break;
    case Act::kAskHandles:
      AskHandles(subject);
      break;
    default:
      break;
  }
}

void World::React(const std::vector<Step>& steps) {
  for (const Step& step : steps) Do(step);
}

void World::Turn(const Step& step) {
  AcceptPlainly();
  if (variant_.threaded) {
    if (step.size > 0) PumpOnce();
    return;
  }
  if (loop_ == nullptr) return;
  Log("  turn");
  calls_.store(0);
  absl::StatusOr<int> ran = 0;
  {
    const Running running(*this);
    // A handler may take the loop away; what runs goes on.
    ran = loop_->RunOnce(absl::ZeroDuration());
  }
  for (const SubjectPtr& subject : Subjects()) ReapSilent(*subject);
  if (loop_model_.stopping.load()) return;
  Expect(ran.ok(), ran.status().ToString());
  Expect(!ran.ok() || *ran == calls_.load(), "RunOnce miscounts its calls");
}

// A loop that has nothing to tell waits, and does not spin.
void World::Idle() {
  if (variant_.threaded || loop_ == nullptr || loop_model_.stopping.load()) {
    return;
  }
  Log("  idle");
  AcceptPlainly();
  const std::uint64_t before = loop_->counters().turns;
  calls_.store(0);
  {
    const Running running(*this);
    (void)loop_->RunOnce(absl::Microseconds(400));
  }
  for (const SubjectPtr& subject : Subjects()) ReapSilent(*subject);
  if (calls_.load() > 0 || loop_ == nullptr) return;
  // Transfers go on in between, and what is out of date is looked at.
  constexpr std::uint64_t kFewTurns = 40;
  Expect(loop_->counters().turns - before <= kFewTurns, "the loop spins");
}

void World::StopLoop() {
  absl::ReaderMutexLock lock(&loop_mu_);
  if (loop_ == nullptr) return;
  loop_model_.stopping.store(true);
  // What is accepted from now on may be closed at once.
  for (const SubjectPtr& subject : Subjects()) AbandonClients(*subject);
  {
    const Calling calling(*this);
    loop_->Stop();
  }
  loop_model_.stopped.store(true);
}

std::unique_ptr<EventLoop> World::TakeLoop() {
  absl::WriterMutexLock lock(&loop_mu_);
  return std::move(loop_);
}

// In a handler it is destroyed when the handlers' thread leaves it; by others
// here and now.
void World::EndLoop() {
  std::unique_ptr<EventLoop> loop = TakeLoop();
  if (loop == nullptr) return;
  loop_model_.stopping.store(true);
  for (const SubjectPtr& subject : Subjects()) {
    AbandonClients(*subject);
    // Not while it is being given back.
    absl::WriterMutexLock calls(&subject->calls);
    EndWithLoop(*subject);
  }
  if (lane_->handlers > 0) {
    const Calling calling(*this);
    loop.reset();
  } else {
    const Running running(*this);
    loop.reset();
    // Those that have left the loop leave their threads.
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  loop_model_.stopped.store(true);
}

// The loop closes it.
void World::EndWithLoop(Subject& subject) {
  if (subject.connection == nullptr) return;
  absl::MutexLock lock(&subject.mu());
  // Or has given it back.
  if (subject.contract.closed()) return;
  subject.connection->model.sides[subject.side].closed = true;
  subject.connection->model.sent[subject.side].End();
}

void World::PumpOnce() {
  AcceptPlainly();
  if (!variant_.threaded) return;
  auto passed = std::make_shared<absl::Notification>();
  {
    absl::ReaderMutexLock lock(&loop_mu_);
    if (loop_ == nullptr ||
        !loop_->Post([passed] { passed->Notify(); }).ok()) {
      return;
    }
  }
  // A loop that is stopped keeps it.
  while (!passed->WaitForNotificationWithTimeout(absl::Milliseconds(2)) &&
         !loop_model_.stopping.load()) {
  }
}

void World::PumpUntil(const std::function<bool()>& done, const char* what) {
  const absl::Time deadline = absl::Now() + patience_;
  // A stopped loop brings nothing to its end.
  while (!failed() && !loop_model_.stopping.load() && !done()) {
    if (absl::Now() > deadline) {
      Fail(absl::StrCat("waited in vain: ", what));
      return;
    }
    if (variant_.threaded) {
      PumpOnce();
      continue;
    }
    AcceptPlainly();
    const Running running(*this);
    (void)loop_->RunOnce(absl::Milliseconds(1));
  }
}

}  // namespace weir::operation_model
