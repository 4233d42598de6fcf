// Acts on datagram sockets, which talk to each other.

#include <algorithm>

#include "tests/conformance/conformance.h"
#include "tests/model/operation_calls.h"
#include "weir/status.h"

namespace weir::operation_model {
namespace {

using conformance::Must;

// More than a datagram can hold; as much as is sent otherwise.
constexpr std::size_t kTooMuch = 70000;
constexpr std::size_t kMost = 5000;

}  // namespace

void World::Bind(const Step& step) {
  absl::MutexLock open(&open_mu_);
  absl::ReaderMutexLock using_loop(&loop_mu_);
  Clear(step.slot);
  if (loop_ == nullptr) return;
  absl::StatusOr<DatagramSocket> socket;
  {
    const Calling calling(*this);
    socket = DatagramSocket::Bind(*loop_, SocketAddress::Ipv4Loopback(0));
  }
  if (!socket.ok()) {
    Expect(loop_model_.stopping.load(), socket.status().ToString());
    return;
  }
  SubjectPtr subject = NewSubject(
      Contract::Kind::kDatagram, nullptr, 0, Contract::Link::kConnected,
      [&](Subject& made) {
        made.address = Must(socket->LocalAddress());
        made.datagrams = *std::move(socket);
        NameDatagramSocket(made);
      });
  Log(absl::StrCat("  datagram socket ", subject->number, " at ", step.slot));
  Put(step.slot, std::move(subject), nullptr);
}

// With the registry.
void World::NameDatagramSocket(Subject& subject) {
  subject.name = subject.number;
  for (const SubjectPtr& at : subjects_) {
    if (at->kind == Contract::Kind::kDatagram &&
        at->address == subject.address) {
      subject.name = at->name;
    }
  }
}

void World::DoToDatagram(const SubjectPtr& subject, const Step& step) {
  switch (step.act) {
    case Act::kSetPeer:
      SetPeer(*subject, step);
      break;
    case Act::kReceive:
      ReceiveFrom(subject, step);
      break;
    case Act::kSend:
      SendTo(subject, step);
      break;
    case Act::kSendCopy:
      SendDatagramCopy(*subject, step);
      break;
    case Act::kStartReceive:
      StartReceiveDatagrams(subject, step);
      break;
    default:
      DoToAny(subject, step);
      break;
  }
}

World::SubjectPtr World::DestinationOf(const Step& step) {
  Slot& slot =
      slots_[static_cast<std::size_t>(kFirstDatagram + step.which % kDatagrams)];
  absl::MutexLock lock(&slot.mu);
  return slot.subject;
}

void World::SetPeer(Subject& subject, const Step& step) {
  const SubjectPtr peer = DestinationOf(step);
  if (peer == nullptr) return;
  absl::ReaderMutexLock calls(&subject.calls);
  absl::MutexLock order(&subject.order[1]);
  {
    absl::MutexLock lock(&subject.mu());
    // What waits would go to another than it was meant for.
    if (!subject.contract.pending(false).empty()) return;
    subject.peer_maybe.push_back(peer);
  }
  {
    absl::MutexLock lock(&datagrams_mu_);
    datagrams_.SetPeer(subject.name, peer->name);
    with_peers_.push_back(subject.weak_from_this());
  }
  Log(absl::StrCat("  the peer of ", subject.number, " is ", peer->number));
  absl::Status status;
  {
    const Calling calling(*this);
    status = subject.datagrams.Connect(peer->address);
  }
  absl::MutexLock lock(&subject.mu());
  Expect(status.ok() || subject.contract.closing() ||
             loop_model_.stopping.load(),
         status.ToString());
  if (status.ok()) subject.peer = peer;
}

// Only the peer's port can be found to be unreachable, and only if it is not
// there, or takes datagrams from others alone.
void World::CheckDatagramError(Subject& subject, const absl::Status& status) {
  if (CauseOf(status) == ErrorCause::kConnectionRefused) {
    if (loop_model_.stopping.load()) return;
    for (const SubjectPtr& peer : subject.peer_maybe) {
      absl::MutexLock lock(&datagrams_mu_);
      if (peer->closing.load() ||
          datagrams_.Filters(peer->name, subject.name)) {
        return;
      }
    }
  }
  Check(subject, status.ToString());
}

void World::SendTo(const SubjectPtr& subject, const Step& step) {
  // Sends to the peer are in the same queue as those to others.
  const bool to_peer = step.parts > 0;
  const bool too_much = step.size > 100000;
  SubjectPtr destination = DestinationOf(step);
  auto started = NewStarted(Verb::kSendTo, step);
  const std::size_t size =
      too_much ? kTooMuch
               : std::min(static_cast<std::size_t>(step.size), kMost);
  const std::size_t parts =
      to_peer ? static_cast<std::size_t>(std::min(step.parts, 64)) : 1;
  for (std::size_t i = 0; i < parts; ++i) {
    started->memory.emplace_back(i + 1 < parts ? size / parts
                                               : size - size / parts * i);
  }
  if (to_peer) {
    absl::MutexLock lock(&subject->mu());
    destination = subject->peer;
    started->must_fail = destination == nullptr;
  }
  if (destination == nullptr && !to_peer) return;
  if (destination != nullptr && !too_much) {
    absl::MutexLock lock(&datagrams_mu_);
    if (!datagrams_.HasRoom(destination->name, size)) return;
  }
  for (auto& memory : started->memory) started->buffers.push_back(memory);
  started->size = size;
  started->too_much = too_much;
  const int to = destination == nullptr ? -1 : destination->name;
  const bool given = Start(
      *subject, started, step, [&](const OperationOptions& options) {
        {
          absl::MutexLock lock(&datagrams_mu_);
          started->datagram = datagrams_.Sending(subject->name, to, size);
        }
        FillDatagram(*started);
        CompletionHandler handler;
        if (!started->silent) {
          handler = [token = NewToken(subject, started),
                     at = started.get()](const Completion& done) {
            World& world = token->world;
            Subject& socket = *token->subject;
            world.OnIndicated(socket, *at, done.status, done.bytes, [&] {
              absl::MutexLock lock(&socket.mu());
              world.OnDatagramSent(socket, *at);
            });
          };
        }
        if (!to_peer) {
          return subject->datagrams.SendTo(started->buffers[0],
                                           destination->address,
                                           std::move(handler), options);
        }
        const std::vector<ConstBuffer> list(started->buffers.begin(),
                                            started->buffers.end());
        return parts == 1 ? subject->datagrams.Send(list[0], std::move(handler),
                                                    options)
                          : subject->datagrams.SendVector(
                                list, std::move(handler), options);
      });
  if (given) return;
  // A list that is too long is refused for itself.
  absl::MutexLock lock(&datagrams_mu_);
  (void)datagrams_.NotSent(started->datagram);
}

// The memory of `started` becomes its datagram.
void World::FillDatagram(Started& started) {
  std::vector<std::byte> whole(started.size);
  DatagramModel::Fill(whole, started.datagram);
  std::size_t at = 0;
  for (const MutableBuffer buffer : started.buffers) {
    std::copy_n(whole.begin() + static_cast<std::ptrdiff_t>(at), buffer.size(),
                buffer.begin());
    at += buffer.size();
  }
}

// With the subject's mutex: it was indicated.
void World::OnDatagramSent(Subject& subject, Started& started) {
  const absl::Status& status = started.status;
  const bool cut = absl::IsCancelled(status) || absl::IsDeadlineExceeded(status);
  if (status.ok()) {
    Expect(started.bytes == started.size, "part of a datagram was sent");
    Expect(!started.too_much, "more than a datagram can hold was sent");
  } else {
    Expect(started.bytes == 0, "a datagram that failed has moved bytes");
  }
  if (!status.ok() && !cut) {
    const ErrorCause cause = CauseOf(status);
    const bool expected =
        (started.too_much && cause == ErrorCause::kMessageTooLong) ||
        (started.must_fail && cause == ErrorCause::kDestinationRequired);
    if (!expected) CheckDatagramError(subject, status);
  }
  absl::MutexLock lock(&datagrams_mu_);
  Check(subject, status.ok() ? datagrams_.Sent(started.datagram)
                             : datagrams_.NotSent(started.datagram));
}

void World::SendDatagramCopy(Subject& subject, const Step& step) {
  const SubjectPtr destination = DestinationOf(step);
  if (destination == nullptr) return;
  absl::ReaderMutexLock calls(&subject.calls);
  absl::MutexLock order(&subject.order[1]);
  std::vector<std::byte> data(
      std::min(static_cast<std::size_t>(step.size), kMost));
  int datagram = -1;
  {
    absl::MutexLock lock(&datagrams_mu_);
    if (!datagrams_.HasRoom(destination->name, data.size())) return;
    datagram = datagrams_.Sending(subject.name, destination->name,
                                  data.size());
  }
  DatagramModel::Fill(data, datagram);
  Answer before;
  {
    absl::MutexLock lock(&subject.mu());
    before = subject.contract.AnswerTo(Verb::kSendTo,
                                       platform::MonotonicNanoseconds());
  }
  Log(absl::StrCat("  copy on ", subject.number, ": ", data.size()));
  absl::StatusOr<std::size_t> unsent;
  {
    const Calling calling(*this);
    unsent = subject.datagrams.SendCopy(data, destination->address);
  }
  std::fill(data.begin(), data.end(), std::byte{0xee});
  absl::MutexLock lock(&subject.mu());
  Check(subject,
        subject.contract.Answered(before, Verb::kSendTo, unsent.status(),
                                  platform::MonotonicNanoseconds()));
  if (unsent.ok()) return;
  absl::MutexLock lock_datagrams(&datagrams_mu_);
  (void)datagrams_.NotSent(datagram);
}

void World::ReceiveFrom(const SubjectPtr& subject, const Step& step) {
  auto started = NewStarted(Verb::kReceiveFrom, step);
  // A handle does not tell a datagram that is cut to nothing from an empty one.
  const std::size_t least = started->silent ? 8 : 0;
  const std::size_t room =
      std::clamp(static_cast<std::size_t>(step.size), least, kMost);
  started->memory.emplace_back(room, std::byte{0xa5});
  started->buffers.push_back(started->memory.back());
  started->size = room;
  Start(*subject, started, step, [&](const OperationOptions& options) {
    DatagramHandler handler;
    if (!started->silent) {
      handler = [token = NewToken(subject, started),
                 at = started.get()](const DatagramCompletion& done) {
        World& world = token->world;
        Subject& socket = *token->subject;
        world.OnIndicated(socket, *at, done.status, done.bytes, [&] {
          absl::MutexLock lock(&socket.mu());
          world.OnDatagram(socket, *at, done);
        });
      };
    }
    return subject->datagrams.ReceiveFrom(started->buffers[0],
                                          std::move(handler), options);
  });
}

// With the subject's mutex.
void World::OnDatagram(Subject& subject, Started& started,
                       const DatagramCompletion& done) {
  if (absl::IsCancelled(done.status) ||
      absl::IsDeadlineExceeded(done.status)) {
    return;
  }
  if (!done.ok()) {
    CheckDatagramError(subject, done.status);
    return;
  }
  CheckDatagram(subject, done.source, started.buffers[0].first(done.bytes),
                started.size, done.truncated);
}

void World::SilentDatagram(Subject& subject, Started& started) {
  if (started.verb == Verb::kSendTo) OnDatagramSent(subject, started);
  if (started.verb != Verb::kReceiveFrom) return;
  if (!started.status.ok()) {
    OnDatagram(subject, started, {.status = started.status});
    return;
  }
  // It does not say who sent it, nor that it was cut.
  absl::MutexLock lock(&datagrams_mu_);
  Check(subject, datagrams_.Received(subject.name, /*from=*/-1,
                                     started.buffers[0].first(started.bytes),
                                     started.size, /*truncated=*/false));
}

void World::CheckDatagram(Subject& subject, const SocketAddress& source,
                          ConstBuffer data, std::size_t room, bool truncated) {
  int from = -1;
  {
    absl::MutexLock lock(&registry_mu_);
    for (const SubjectPtr& at : subjects_) {
      if (at->kind == Contract::Kind::kDatagram && at->address == source) {
        from = at->name;
      }
    }
  }
  Expect(from >= 0, absl::StrCat("a datagram of ", source.ToString()));
  absl::MutexLock lock(&datagrams_mu_);
  Check(subject,
        datagrams_.Received(subject.name, from, data, room, truncated));
}

void World::StartReceiveDatagrams(const SubjectPtr& subject, const Step& step) {
  auto receiver = NewReceiver(step);
  BeginReceiver(subject, receiver, [&] {
    return subject->datagrams.StartReceive(
        [token = NewToken(subject, receiver),
         at = receiver.get()](const ReceivedDatagrams& received) {
          token->world.OnDatagrams(*token->subject, *at, received);
        },
        {.destination = step.both});
  });
}

void World::OnDatagrams(Subject& subject, Receiver& receiver,
                        const ReceivedDatagrams& received) {
  const Inside inside(*this, subject, receiver);
  const absl::Status& status = received.status;
  Log(absl::StrCat("    datagrams on ", subject.number, ": ",
                   status.ToString(), " ", received.datagrams.size()));
  ReapSilent(subject);
  {
    absl::MutexLock lock(&subject.mu());
    const bool last = absl::IsCancelled(status);
    Check(subject, subject.contract.Received(receiver, status, last, {}));
    if (last) NoteLast(subject, receiver);
    if (!last && !status.ok()) CheckDatagramError(subject, status);
    Expect(status.ok() != received.datagrams.empty(),
           "datagrams with an error, or neither");
    for (const ReceivedDatagram& datagram : received.datagrams) {
      Expect(!datagram.destination.has_value() ||
                 datagram.destination->ip() == subject.address.ip(),
             "a datagram to somebody else");
      Expect(!datagram.truncated, "cut in a buffer of the runtime");
      CheckDatagram(subject, datagram.source, datagram.data, datagram.data.size(),
                    false);
    }
  }
  ReactOnce(receiver);
}

}  // namespace weir::operation_model
