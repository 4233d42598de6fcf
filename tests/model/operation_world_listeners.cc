// Acts on listeners, and the connections that come of them.

#include <algorithm>

#include "tests/conformance/conformance.h"
#include "tests/model/operation_calls.h"

namespace weir::operation_model {

using conformance::Must;
using conformance::MustOk;

namespace {

// Of one that was reset while it waited, nobody may know the address any more.
bool IsAccepted(const Subject::Client& client, const AcceptedStream& accepted) {
  if (!accepted.peer.is_unspecified()) return client.address == accepted.peer;
  absl::MutexLock lock(&client.end->connection->mu);
  return client.end->connection->model.sides[1].aborted;
}

}  // namespace

void World::Listen(const Step& step) {
  absl::MutexLock open(&open_mu_);
  absl::ReaderMutexLock using_loop(&loop_mu_);
  Clear(step.slot);
  if (loop_ == nullptr) return;
  absl::StatusOr<weir::Listener> listener;
  {
    const Calling calling(*this);
    listener = weir::Listener::Listen(
        *loop_, step.family == AddressFamily::kIpv6
                    ? SocketAddress::Ipv6Loopback(0)
                    : SocketAddress::Ipv4Loopback(0));
  }
  if (!listener.ok()) {
    Expect(loop_model_.stopping.load(), listener.status().ToString());
    return;
  }
  SubjectPtr subject = NewSubject(
      Contract::Kind::kListener, nullptr, 0, Contract::Link::kConnected,
      [&](Subject& made) {
        made.address = Must(listener->LocalAddress());
        made.listener = *std::move(listener);
      });
  Log(absl::StrCat("  listener ", subject->number, " at ", step.slot));
  Put(step.slot, std::move(subject), nullptr);
}

void World::DoToListener(const SubjectPtr& subject, const Step& step) {
  switch (step.act) {
    case Act::kArrive:
      Arrive(*subject, step);
      break;
    case Act::kReceive:
      Accept(subject, step);
      break;
    case Act::kStartReceive:
      StartAccepting(subject, step);
      break;
    default:
      DoToAny(subject, step);
      break;
  }
}

// A client, known by its address before it can be accepted. Some send at once,
// some go at once.
void World::Arrive(Subject& subject, const Step& step) {
  {
    absl::MutexLock lock(&subject.mu());
    if (subject.contract.closing() || loop_model_.stopping.load()) return;
  }
  const AddressFamily family = subject.address.family();
  Socket client = Must(Socket::Open(family, SocketType::kStream));
  // Ports that wait for a minute (TIME_WAIT) are as good.
  MustOk(client.SetOption(SocketOption::kReuseAddress, 1));
  MustOk(client.Bind(family == AddressFamily::kIpv6
                         ? SocketAddress::Ipv6Loopback(0)
                         : SocketAddress::Ipv4Loopback(0)));
  const SocketAddress address = Must(client.LocalAddress());
  // Another thread has closed the listener, and its port is free again: this
  // would connect to itself (RFC 9293, 3.5).
  if (address == subject.address) return;
  auto connection = std::make_shared<Connection>(true, NextBase());
  const std::shared_ptr<RawEnd> raw =
      NewRawEnd(std::move(client), connection, 1, /*ready=*/false);
  Log(absl::StrCat("  ", address.ToString(), " arrives at ", subject.number));
  {
    absl::MutexLock lock(&subject.mu());
    subject.clients.push_back({address, raw});
  }
  if (subject.closing.load() || loop_model_.stopping.load()) {
    AbandonClients(subject);
  }
  {
    absl::MutexLock lock(&raw->mu);
    absl::Status status = raw->socket.StartConnecting(subject.address).status();
    if (status.ok()) {
      conformance::AwaitWritable(raw->socket);
      status = raw->socket.TakeError();
    }
    if (!status.ok()) {
      Expect(subject.closing.load() || loop_model_.stopping.load(),
             status.ToString());
      raw->socket.Close();
      return;
    }
    raw->ready = true;
  }
  if (step.size > 0 && step.parts > 0) {
    RawSend(*raw, static_cast<std::size_t>(step.size));
  }
  if (step.which % 8 == 0) RawClose(*raw, step.abortive);
}

// The system resets connections that nobody has accepted when the listener
// goes, which is about to happen.
void World::AbandonClients(Subject& subject) {
  absl::MutexLock lock(&subject.mu());
  for (const Subject::Client& client : subject.clients) {
    Connection& connection = *client.end->connection;
    absl::MutexLock lock_connection(&connection.mu);
    connection.model.sides[0].closed = true;
    connection.model.sides[0].aborted = true;
    // One that was accepted too late is closed.
    connection.model.sent[0].MayEnd(true);
  }
}

void World::Accept(const SubjectPtr& subject, const Step& step) {
  auto started = NewStarted(Verb::kAccept, step);
  Start(*subject, started, step, [&](const OperationOptions& options) {
    return subject->listener.Accept(
        [token = NewToken(subject, started),
         at = started.get()](absl::StatusOr<AcceptedStream>&& accepted) {
          World& world = token->world;
          Subject& listener = *token->subject;
          const absl::Status& status = accepted.status();
          // The loop was stopped before there could be a stream.
          const bool too_late = absl::IsFailedPrecondition(status) &&
                                world.loop_model_.stopping.load();
          world.Expect(status.ok() || too_late || absl::IsCancelled(status) ||
                           absl::IsDeadlineExceeded(status),
                       status.ToString());
          world.OnIndicated(listener, *at, status, 0, [&] {
            if (accepted.ok()) {
              world.OnAccepted(listener, *std::move(accepted), at->which);
            }
          });
        },
        options);
  });
}

void World::StartAccepting(const SubjectPtr& subject, const Step& step) {
  auto receiver = NewReceiver(step);
  BeginReceiver(subject, receiver, [&] {
    return subject->listener.StartAccepting(
        [token = NewToken(subject, receiver),
         at = receiver.get()](absl::StatusOr<AcceptedStream>&& accepted) {
          World& world = token->world;
          Subject& listener = *token->subject;
          const Inside inside(world, listener, *at);
          const absl::Status status = accepted.status();
          world.Log(absl::StrCat("    accepted on ", listener.number, ": ",
                                 status.ToString()));
          world.ReapSilent(listener);
          // The accepting goes on after every other error, and there is none.
          world.Expect(status.ok() || absl::IsCancelled(status),
                       status.ToString());
          {
            absl::MutexLock lock(&listener.mu());
            world.Check(listener, listener.contract.Received(
                                      *at, status, !status.ok(), {}));
            if (!status.ok()) world.NoteLast(listener, *at);
          }
          if (accepted.ok()) {
            world.OnAccepted(listener, *std::move(accepted), at->which++);
          }
          world.ReactOnce(*at);
        });
  });
}

// Each client once; it takes the place of a connection, or goes at once.
void World::OnAccepted(Subject& subject, AcceptedStream&& accepted,
                       int which) {
  std::shared_ptr<RawEnd> raw;
  {
    absl::MutexLock lock(&subject.mu());
    const auto at = std::find_if(subject.clients.begin(), subject.clients.end(),
                                 [&](const Subject::Client& client) {
                                   return IsAccepted(client, accepted);
                                 });
    if (at == subject.clients.end()) {
      Check(subject, absl::StrCat("accepted ", accepted.peer.ToString(),
                                  ", which has not arrived"));
      return;
    }
    raw = at->end;
    subject.clients.erase(at);
    // It was accepted before the listener went.
    absl::MutexLock lock_connection(&raw->connection->mu);
    raw->connection->model.sides[0] = {};
    raw->connection->model.sent[0].MayEnd(false);
  }
  {
    // Whether it was connected is known by now.
    absl::MutexLock lock(&raw->mu);
    if (raw->socket.is_open()) {
      raw->socket = Must(Socket::Adopt(Must(raw->socket.Release())));
    }
  }
  if (which % 5 == 0) {
    absl::MutexLock lock(&raw->connection->mu);
    raw->connection->model.sides[0].closed = true;
    raw->connection->model.sent[0].End();
    return;
  }
  SubjectPtr stream = NewStream(std::move(accepted.stream), raw->connection, 0,
                                Contract::Link::kConnected);
  const int slot = which % kEnds;
  Log(absl::StrCat("      as socket ", stream->number, " at ", slot));
  absl::MutexLock open(&open_mu_);
  Clear(slot);
  Clear(slot ^ 1);
  Put(slot, std::move(stream), nullptr);
  Put(slot ^ 1, nullptr, std::move(raw));
}

}  // namespace weir::operation_model
