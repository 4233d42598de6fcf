// How a script ends, and what has to be true then.

#include <algorithm>

#include "absl/time/clock.h"
#include "tests/conformance/conformance.h"
#include "tests/model/byte_pattern.h"
#include "tests/model/operation_calls.h"

namespace weir::operation_model {

using conformance::Must;

std::vector<World::SubjectPtr> World::Subjects() {
  absl::MutexLock lock(&registry_mu_);
  return subjects_;
}

std::vector<std::shared_ptr<RawEnd>> World::RawEnds() {
  absl::MutexLock lock(&registry_mu_);
  return raw_ends_;
}

void World::Finish() {
  Log(absl::StrCat("  the end"));
  if (!failed() && loop_ != nullptr && !loop_model_.stopping.load()) {
    switch (script_.ending) {
      case Ending::kDrain:
        SettleEverything();
        CloseEverything();
        break;
      case Ending::kCancel:
        CancelEverything();
        CloseEverything();
        break;
      case Ending::kClose:
        CloseEverything();
        break;
      case Ending::kStopAndDestroy:
        StopLoop();
        break;
      case Ending::kDestroy:
        break;
    }
  }
  Log("  destroy the loop");
  EndLoop();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
  expected_.clear();
  if (!failed()) CheckPeers();
  if (!failed()) CheckSubjects();
  // A reset leaves no port behind that waits for a minute (TIME_WAIT).
  for (const std::shared_ptr<RawEnd>& raw : RawEnds()) {
    RawClose(*raw, /*abortive=*/true);
  }
}

// --- everything that can complete does

void World::SettleEverything() {
  PumpUntil(
      [this] {
        bool settled = true;
        for (const SubjectPtr& subject : Subjects()) {
          ReapSilent(*subject);
          settled = Settle(subject) && settled;
        }
        for (const std::shared_ptr<RawEnd>& raw : RawEnds()) Settle(*raw);
        return settled;
      },
      "not everything completes");
}

// Does what lets the pending operations of `subject` complete; true if there
// are none, and a stream has come to its end.
bool World::Settle(const SubjectPtr& subject) {
  Step step{.act = Act::kTurn, .slot = kSlots};
  std::size_t in = 0;
  std::size_t out = 0;
  bool receiving = false;
  Contract::Link link{};
  {
    absl::MutexLock lock(&subject->mu());
    const Contract& contract = subject->contract;
    in = contract.pending(true).size();
    out = contract.pending(false).size();
    if (contract.closing()) return contract.quiet();
    receiving = contract.receiving();
    link = contract.link();
  }
  if (receiving) Pause(subject, false);
  switch (subject->kind) {
    case Contract::Kind::kListener: {
      std::size_t clients = 0;
      {
        absl::MutexLock lock(&subject->mu());
        for (const Subject::Client& client : subject->clients) {
          Connection& connection = *client.end->connection;
          absl::MutexLock lock_connection(&connection.mu);
          // One that was reset while it waited may have been passed over
          // (AcceptEx).
          if (!connection.model.sides[client.end->side].aborted) ++clients;
        }
      }
      step.which = 1;
      if (in > clients) Arrive(*subject, step);
      return in == 0;
    }
    case Contract::Kind::kDatagram: {
      std::size_t due = 0;
      {
        absl::MutexLock lock(&datagrams_mu_);
        due = datagrams_.Due(subject->name);
      }
      if (in > 0 && due == 0) Feed(subject);
      return in == 0 && out == 0 && (!receiving || due == 0);
    }
    default:
      break;
  }
  if (link == Contract::Link::kUnconnected) return in == 0 && out == 0;
  bool hopeless = false;
  bool at_the_end = false;
  {
    absl::MutexLock lock(&subject->mu());
    const ConnectionModel& model = subject->connection->model;
    const ConnectionModel::Side& self = model.sides[subject->side];
    hopeless = link == Contract::Link::kFailed || subject->contract.broken() ||
               self.receive_failed || self.send_failed;
    at_the_end = model.sent[1 - subject->side].end_read();
  }
  step.size = 65536;
  step.act = Act::kClose;
  if (hopeless) {
    Close(subject, step);
    return false;
  }
  if (link == Contract::Link::kConnecting) {
    // Nobody may ever answer.
    step.act = Act::kCancelAll;
    if (++subject->patience % 64 == 0) CancelAll(subject);
    return false;
  }
  step.act = Act::kDisconnect;
  bool started = subject->disconnected ||
                 StartSimple(subject, step, Verb::kDisconnect);
  subject->disconnected = true;
  step.act = Act::kReceive;
  if (!at_the_end && !receiving && in == 0) {
    started = Receive(subject, step) && started;
  }
  if (!started) {
    // Broken by a copy that was cancelled.
    step.act = Act::kClose;
    Close(subject, step);
  }
  return at_the_end && in == 0 && out == 0 && !receiving;
}

void World::Settle(RawEnd& raw) {
  while (!failed() && RawReceive(raw, 1 << 16)) {
  }
  bool ended = false;
  {
    absl::MutexLock lock(&raw.connection->mu);
    const ConnectionModel& model = raw.connection->model;
    ended = model.sent[raw.side].ended() || model.sides[raw.side].closed;
  }
  // Of one that has not been accepted nothing is to be had.
  if (!ended) RawShutdown(raw, ShutdownDirection::kSend);
}

// A datagram from somebody else.
void World::Feed(const SubjectPtr& subject) {
  if (!subject->peer_maybe.empty()) {
    CancelAll(subject);
    return;
  }
  if (feeder_ == nullptr) {
    feeder_socket_ =
        Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0)));
    feeder_ = NewSubject(
        Contract::Kind::kDatagram, nullptr, 0, Contract::Link::kConnected,
        [&](Subject& made) {
          made.address = conformance::AddressOf(feeder_socket_);
          NameDatagramSocket(made);
          made.contract.BeginClose(/*abortive=*/false);
          made.contract.Destroyed();
        });
  }
  std::vector<std::byte> data(33);
  absl::MutexLock lock(&datagrams_mu_);
  const int datagram =
      datagrams_.Sending(feeder_->name, subject->name, data.size());
  DatagramModel::Fill(data, datagram);
  const auto sent = feeder_socket_.SendTo(data, subject->address);
  Expect(sent.ok() && !sent->would_block, "cannot feed");
  (void)datagrams_.Sent(datagram);
}

// --- everything is cut

void World::CancelEverything() {
  PumpUntil(
      [this] {
        bool settled = true;
        for (const SubjectPtr& subject : Subjects()) {
          ReapSilent(*subject);
          bool fresh = false;
          {
            absl::MutexLock lock(&subject->mu());
            if (subject->contract.closing()) continue;
            for (const bool in : {true, false}) {
              for (const Entry* entry : subject->contract.pending(in)) {
                settled = false;
                fresh = fresh || !entry->must_end;
              }
            }
          }
          // Once is enough for each.
          if (fresh) CancelAll(subject);
        }
        return settled;
      },
      "not everything that was cancelled ends");
}

void World::CloseEverything() {
  PumpUntil(
      [this] {
        bool settled = true;
        for (const SubjectPtr& subject : Subjects()) {
          ReapSilent(*subject);
          bool open = false;
          {
            absl::MutexLock lock(&subject->mu());
            open = !subject->contract.closing();
            settled = settled && !open && subject->contract.quiet();
          }
          if (open) Close(subject, {.act = Act::kClose, .slot = kSlots});
        }
        return settled;
      },
      "not everything that was closed is told so");
}

// --- what has to be true

// Whoever is left sees that the others are gone.
void World::CheckPeers() {
  const absl::Time deadline = absl::Now() + patience_;
  for (const std::shared_ptr<RawEnd>& raw : RawEnds()) {
    for (;;) {
      while (RawReceive(*raw, 1 << 16)) {
      }
      if (failed()) return;
      absl::MutexLock lock_raw(&raw->mu);
      if (!raw->socket.is_open()) break;
      absl::MutexLock lock(&raw->connection->mu);
      const ConnectionModel& model = raw->connection->model;
      if (!model.sides[1 - raw->side].closed ||
          model.sides[raw->side].receive_failed ||
          model.sent[1 - raw->side].end_read()) {
        break;
      }
      if (absl::Now() > deadline) {
        const auto address = raw->socket.LocalAddress();
        Fail(absl::StrCat("a peer waits in vain for the end of its connection,"
                          " side ",
                          raw->side, " at ",
                          address.ok() ? address->ToString() : "nowhere"));
        return;
      }
    }
  }
  for (const std::shared_ptr<RawEnd>& raw : RawEnds()) {
    absl::MutexLock lock(&raw->connection->mu);
    for (const ByteStream& sent : raw->connection->model.sent) {
      Expect(sent.CheckAtTheEnd().empty(), sent.CheckAtTheEnd());
    }
  }
}

void World::CheckSubjects() {
  Expect(handlers_.load() == 0,
         absl::StrCat(handlers_.load(), " handlers still exist"));
  for (const SubjectPtr& subject : Subjects()) {
    ReapSilent(*subject);
    absl::MutexLock lock(&subject->mu());
    Expect(subject->contract.quiet(),
           absl::StrCat("socket ", subject->number,
                        ": not everything was indicated"));
    if (subject->connection != nullptr) {
      for (const ByteStream& sent : subject->connection->model.sent) {
        Check(*subject, sent.CheckAtTheEnd());
      }
    }
    for (const std::shared_ptr<Started>& started : subject->started) {
      if (started->refused) continue;
      Expect(started->indicated,
             absl::StrCat(started->number, " was never indicated"));
      Expect(started->silent || (started->called == 1 && started->destroyed),
             absl::StrCat(started->number, " was told ", started->called,
                          " times"));
      for (const auto& memory : started->memory) {
        Expect(!started->retired ||
                   std::all_of(memory.begin(), memory.end(),
                               [&](std::byte at) {
                                 return at == started->poison;
                               }),
               absl::StrCat("memory of ", started->number,
                            " was written to after its end"));
      }
    }
    for (const std::shared_ptr<Receiver>& receiver : subject->receivers) {
      Expect(receiver->refused || (receiver->ended && receiver->destroyed),
             "a receiver has not ended");
    }
  }
}

}  // namespace weir::operation_model
