// Acts on streams.

#include <algorithm>
#include <cstdint>

#include "tests/conformance/conformance.h"
#include "tests/model/byte_pattern.h"
#include "tests/model/operation_calls.h"
#include "tests/support/system.h"

namespace weir::operation_model {
namespace {

using conformance::Must;
using conformance::MustOk;

// What an unused byte of a buffer to receive into looks like.
constexpr std::byte kUntouched{0xa5};

// Splits `size` bytes into buffers; with three or more, every third is empty.
void MakeBuffers(Started& started, std::size_t size, int parts) {
  const std::size_t count = static_cast<std::size_t>(std::max(parts, 1));
  for (std::size_t i = 0; i < count; ++i) {
    const bool last = i + 1 == count;
    std::size_t part = size / count;
    if (last) part = size - part * (count - 1);
    if (!last && i % 3 == 2) part = 0;
    started.memory.emplace_back(part, kUntouched);
  }
  started.size = 0;
  for (auto& memory : started.memory) {
    started.buffers.push_back(memory);
    started.size += memory.size();
  }
}

std::vector<ConstBuffer> ConstBuffers(const Started& started) {
  return {started.buffers.begin(), started.buffers.end()};
}

// A listener that answers nobody: its backlog is full.
const SocketAddress& UnansweredAddress() {
  struct Full {
    Socket listener = Must(
        Socket::Listen(SocketAddress::Ipv4Loopback(0), {.backlog = 0}));
    SocketAddress address = conformance::AddressOf(listener);
    std::vector<Socket> clients;
  };
  static const Full* const full = [] {
    auto* made = new Full;
    for (int i = 0; i < 3; ++i) {
      made->clients.push_back(Must(Socket::Connect(made->address)));
    }
    return made;
  }();
  return full->address;
}

// Small buffers in the system, so that little has to be sent until it has to
// wait.
void Tighten(Socket& socket) {
  constexpr int kSmall = 4096;
  constexpr int kSmallTcp = 65536;
  const int size = socket.family() == AddressFamily::kUnix ? kSmall : kSmallTcp;
  MustOk(socket.SetOption(SocketOption::kSendBufferBytes, size));
  MustOk(socket.SetOption(SocketOption::kReceiveBufferBytes, size));
}

}  // namespace

// --- who is where

World::SubjectPtr World::NewSubject(
    Contract::Kind kind, std::shared_ptr<Connection> connection, int side,
    Contract::Link link, const std::function<void(Subject&)>& fill) {
  absl::MutexLock lock(&registry_mu_);
  auto subject = std::make_shared<Subject>(static_cast<int>(subjects_.size()),
                                           kind, loop_model_,
                                           std::move(connection), side, link);
  fill(*subject);
  subjects_.push_back(subject);
  return subject;
}

World::SubjectPtr World::NewStream(Stream stream,
                                   std::shared_ptr<Connection> connection,
                                   int side, Contract::Link link) {
  return NewSubject(Contract::Kind::kStream, std::move(connection), side, link,
                    [&](Subject& subject) {
                      subject.stream = std::move(stream);
                      subject.connects = link == Contract::Link::kUnconnected;
                      if (loop_model_.stopping.load()) EndWithLoop(subject);
                    });
}

void World::Put(int slot_number, SubjectPtr subject,
                std::shared_ptr<RawEnd> raw) {
  Slot& slot = slots_[static_cast<std::size_t>(slot_number)];
  absl::MutexLock lock(&slot.mu);
  slot.connection = subject != nullptr ? subject->connection
                    : raw != nullptr   ? raw->connection
                                       : nullptr;
  slot.subject = std::move(subject);
  slot.raw = std::move(raw);
}

void World::Clear(int slot_number) {
  Slot& slot = slots_[static_cast<std::size_t>(slot_number)];
  SubjectPtr subject;
  std::shared_ptr<RawEnd> raw;
  {
    absl::MutexLock lock(&slot.mu);
    subject = std::move(slot.subject);
    raw = std::move(slot.raw);
    slot.connection = nullptr;
  }
  if (subject != nullptr) Destroy(*subject);
  // Which leaves no port behind that waits for a minute (TIME_WAIT).
  if (raw != nullptr) RawClose(*raw, /*abortive=*/true);
}

std::uint64_t World::NextBase() {
  absl::MutexLock lock(&registry_mu_);
  return next_base_ += 7919;
}

void World::OpenPair(const Step& step) {
  absl::MutexLock open(&open_mu_);
  absl::ReaderMutexLock using_loop(&loop_mu_);
  Clear(step.slot);
  Clear(step.slot ^ 1);
  if (loop_ == nullptr) return;
  const AddressFamily family = step.family == AddressFamily::kUnix
                                   ? test::LocalFamily()
                                   : step.family;
  conformance::Connection made = conformance::Connected(family);
  Socket* const sockets[] = {&made.server, &made.client};
  auto connection = std::make_shared<Connection>(
      family != AddressFamily::kUnix, NextBase());
  for (const int side : {0, 1}) {
    if (step.tight) Tighten(*sockets[side]);
    const int slot = step.slot ^ side;
    if (side == 1 && !step.both) {
      Put(slot, nullptr,
          NewRawEnd(std::move(*sockets[side]), connection, side));
      continue;
    }
    absl::StatusOr<Stream> stream;
    {
      const Calling calling(*this);
      stream = Stream::Attach(*loop_, std::move(*sockets[side]));
    }
    if (!stream.ok()) {
      Expect(loop_model_.stopping.load(), stream.status().ToString());
      Put(slot, nullptr,
          NewRawEnd(std::move(*sockets[side]), connection, side));
      continue;
    }
    SubjectPtr subject = NewStream(*std::move(stream), connection, side,
                                   Contract::Link::kConnected);
    Log(absl::StrCat("  socket ", subject->number, " at ", slot, ": ",
                     ToString(step)));
    Put(slot, std::move(subject), nullptr);
  }
}

void World::Connect(const Step& step) {
  const bool refused = step.act == Act::kConnectRefused;
  const bool stalled = step.act == Act::kConnectStalled;
  const AddressFamily family =
      step.family == AddressFamily::kIpv6 && !refused && !stalled
          ? AddressFamily::kIpv6
          : AddressFamily::kIpv4;
  SubjectPtr subject;
  SocketAddress address;
  {
    absl::MutexLock open(&open_mu_);
    absl::ReaderMutexLock using_loop(&loop_mu_);
    Clear(step.slot);
    Clear(step.slot ^ 1);
    if (loop_ == nullptr) return;
    absl::StatusOr<Stream> stream;
    {
      const Calling calling(*this);
      stream = Stream::Open(*loop_, family);
    }
    if (!stream.ok()) {
      Expect(loop_model_.stopping.load(), stream.status().ToString());
      return;
    }
    auto connection = std::make_shared<Connection>(true, NextBase());
    subject = NewStream(*std::move(stream), connection, 0,
                        Contract::Link::kUnconnected);
    Log(absl::StrCat("  socket ", subject->number, " at ", step.slot, ": ",
                     ToString(step)));
    Put(step.slot, subject, nullptr);
    if (refused) {
      address = conformance::AddressOf(refused_);
    } else if (stalled) {
      address = UnansweredAddress();
    } else {
      Socket listener = conformance::Listener(family);
      address = conformance::AddressOf(listener);
      Slot& peer = slots_[static_cast<std::size_t>(step.slot ^ 1)];
      absl::MutexLock lock(&peer.mu);
      peer.connection = connection;
      expected_.push_back({std::move(listener), connection, step.slot ^ 1,
                           step.abortive && step.which % 4 == 0});
    }
  }
  auto started = NewStarted(Verb::kConnect, step);
  started->must_fail = refused;
  started->may_fail = stalled;
  Start(*subject, started, step, [&](const OperationOptions& options) {
    return subject->stream.Connect(address, HandlerOf(subject, started),
                                   options);
  });
}

// The other ends of connects, where they have come; the script's thread.
void World::AcceptPlainly() {
  absl::MutexLock open(&open_mu_);
  std::erase_if(expected_, [&](Expected& at) {
    auto accepted = at.listener.Accept();
    Expect(accepted.ok(), accepted.status().ToString());
    if (!accepted.ok() || !accepted->has_value()) return false;
    std::shared_ptr<RawEnd> raw =
        NewRawEnd(std::move((*accepted)->socket), at.connection, 1);
    bool awaited = false;
    {
      Slot& slot = slots_[static_cast<std::size_t>(at.slot)];
      absl::MutexLock lock(&slot.mu);
      awaited = slot.connection == at.connection;
    }
    Log(absl::StrCat("  connected to ", at.slot));
    if (awaited) Put(at.slot, nullptr, raw);
    if (at.abortive || !awaited) RawClose(*raw, at.abortive);
    return true;
  });
}

// --- acts

void World::DoToStream(const SubjectPtr& subject, const Step& step) {
  switch (step.act) {
    case Act::kReceive:
      Receive(subject, step);
      break;
    case Act::kSend:
      Send(subject, step);
      break;
    case Act::kSendCopy:
      SendCopy(*subject, step);
      break;
    case Act::kSendFile:
      SendFile(subject, step);
      break;
    case Act::kFlush:
      StartSimple(subject, step, Verb::kFlush);
      break;
    case Act::kDisconnect:
      StartSimple(subject, step, Verb::kDisconnect);
      break;
    case Act::kStartReceive:
      StartReceive(subject, step);
      break;
    case Act::kShutdown:
      Shutdown(*subject, step);
      break;
    case Act::kDetach:
      Detach(subject, step);
      break;
    default:
      DoToAny(subject, step);
      break;
  }
}

bool World::Receive(const SubjectPtr& subject, const Step& step) {
  auto started = NewStarted(Verb::kReceive, step);
  MakeBuffers(*started, static_cast<std::size_t>(std::max(step.size, 1)),
              step.parts);
  return Start(*subject, started, step, [&](const OperationOptions& options) {
    Stream& stream = subject->stream;
    CompletionHandler handler = HandlerOf(subject, started);
    if (step.parts == 0) {
      return stream.Receive(started->buffers[0], std::move(handler), options);
    }
    // The list itself may go away at once.
    const std::vector<MutableBuffer> list = started->buffers;
    return stream.ReceiveVector(list, std::move(handler), options);
  });
}

void World::Send(const SubjectPtr& subject, const Step& step) {
  auto started = NewStarted(Verb::kSend, step);
  MakeBuffers(*started, static_cast<std::size_t>(step.size), step.parts);
  Start(*subject, started, step, [&](const OperationOptions& options) {
    Stream& stream = subject->stream;
    CompletionHandler handler = HandlerOf(subject, started);
    if (step.parts == 0) {
      return stream.Send(started->buffers[0], std::move(handler), options);
    }
    const std::vector<ConstBuffer> list = ConstBuffers(*started);
    return stream.SendVector(list, std::move(handler), options);
  });
}

void World::SendCopy(Subject& subject, const Step& step) {
  absl::ReaderMutexLock calls(&subject.calls);
  absl::MutexLock order(&subject.order[1]);
  const auto size = static_cast<std::uint64_t>(step.size);
  std::vector<std::byte> data(size);
  Answer before;
  std::uint64_t most = 0;
  {
    absl::MutexLock lock(&subject.mu());
    before = subject.contract.AnswerTo(Verb::kSend,
                                       platform::MonotonicNanoseconds());
    ByteStream& out = subject.connection->model.sent[subject.side];
    model::FillPattern(data, out.Give(size));
    most = out.unsure();
    if (size == 0) subject.contract.NoteEmptyCopy();
  }
  Log(absl::StrCat("  copy on ", subject.number, ": ", size));
  absl::StatusOr<std::size_t> unsent;
  {
    const Calling calling(*this);
    unsent = subject.stream.SendCopy(data);
  }
  std::fill(data.begin(), data.end(), std::byte{0xee});
  absl::MutexLock lock(&subject.mu());
  if (!unsent.ok()) {
    Log(absl::StrCat("    ", unsent.status().ToString()));
    subject.connection->model.sent[subject.side].TakeBack(size);
  } else {
    Expect(*unsent <= most, absl::StrCat(*unsent, " bytes are said to be unsent"
                                                  " of at most ",
                                         most));
  }
  Check(subject, subject.contract.Answered(before, Verb::kSend, unsent.status(),
                                           platform::MonotonicNanoseconds()));
}

void World::SendFile(const SubjectPtr& subject, const Step& step) {
  // Nobody knows when the peer ends.
  if (!test::AllIsSentToWhoHasEnded()) return;
  auto started = NewStarted(Verb::kSendFile, step);
  // What is behind the end of the file is not sent.
  const bool beyond = step.parts > 2;
  started->length = beyond ? std::uint64_t{1} << 40
                           : static_cast<std::uint64_t>(step.size);
  Start(*subject, started, step, [&](const OperationOptions& options) {
    return subject->stream.SendFile(model::PatternFile(), started->offset,
                                    started->length,
                                    HandlerOf(subject, started), options);
  });
}

bool World::StartSimple(const SubjectPtr& subject, const Step& step,
                        Verb verb) {
  auto started = NewStarted(verb, step);
  return Start(*subject, started, step, [&](const OperationOptions& options) {
    CompletionHandler handler = HandlerOf(subject, started);
    return verb == Verb::kFlush
               ? subject->stream.Flush(std::move(handler), options)
               : subject->stream.Disconnect(std::move(handler), options);
  });
}

void World::StartReceive(const SubjectPtr& subject, const Step& step) {
  auto receiver = NewReceiver(step);
  BeginReceiver(subject, receiver, [&] {
    return subject->stream.StartReceive(
        [token = NewToken(subject, receiver),
         at = receiver.get()](const weir::Received& received) {
          token->world.OnReceived(*token->subject, *at, received);
        });
  });
}

void World::OnReceived(Subject& subject, Receiver& receiver,
                       const weir::Received& received) {
  const Inside inside(*this, subject, receiver);
  Log(absl::StrCat("    received on ", subject.number, ": ",
                   received.status.ToString(), " ", received.data.size()));
  ReapSilent(subject);
  {
    absl::MutexLock lock(&subject.mu());
    Check(subject, subject.contract.Received(receiver, received.status,
                                             received.end(), received.data));
    if (received.end()) NoteLast(subject, receiver);
  }
  ReactOnce(receiver);
}

void World::Shutdown(Subject& subject, const Step& step) {
  absl::ReaderMutexLock calls(&subject.calls);
  absl::MutexLock order(&subject.order[1]);
  {
    absl::MutexLock lock(&subject.mu());
    if (subject.contract.link() != Contract::Link::kConnected ||
        subject.contract.closing()) {
      return;
    }
    subject.contract.BeginShutdown(step.direction);
  }
  Log(absl::StrCat("  on ", subject.number, ": ", ToString(step)));
  absl::Status status;
  {
    const Calling calling(*this);
    status = subject.stream.Shutdown(step.direction);
  }
  absl::MutexLock lock(&subject.mu());
  Check(subject, subject.contract.Shut(step.direction, status,
                                       platform::MonotonicNanoseconds()));
}

// --- from a stream to a plain socket, and back

void World::Detach(const SubjectPtr& subject, const Step& step) {
  absl::WriterMutexLock calls(&subject->calls);
  const bool there = variant_.threads > 1 || lane_->runs || !variant_.threaded;
  Log(absl::StrCat("  detach ", subject->number));
  absl::StatusOr<Socket> socket;
  {
    const Calling calling(*this);
    socket = subject->stream.Detach();
  }
  ReapSilent(*subject);
  {
    absl::MutexLock lock(&subject->mu());
    Check(*subject,
          subject->contract.Detached(socket.status(), there,
                                     platform::MonotonicNanoseconds()));
    if (!socket.ok()) return;
    ConnectionModel& model = subject->connection->model;
    ConnectionModel::Side& self = model.sides[subject->side];
    ByteStream& out = model.sent[subject->side];
    // Of one that never was a connection there is nothing to be had; what
    // another thread is about to tell, that it is one or what it has received,
    // is not known. It is closed, which its peer may see.
    if (subject->contract.link() != Contract::Link::kConnected ||
        subject->contract.one_more()) {
      self.closed = true;
      out.End();
      return;
    }
    // A loop that ends meanwhile does not close it.
    self.closed = false;
    // A reset may have been met by a copy, or by a connect that was made before,
    // and the system tells it once.
    if (out.unsure() > 0 || subject->connects) self.send_failed = true;
  }
  std::shared_ptr<RawEnd> raw =
      NewRawEnd(*std::move(socket), subject->connection, subject->side);
  // Others may have opened something else there by now.
  Slot& slot = slots_[static_cast<std::size_t>(step.slot)];
  absl::MutexLock lock(&slot.mu);
  if (slot.subject != subject) return;
  slot.subject = nullptr;
  slot.raw = std::move(raw);
}

void World::Attach(const std::shared_ptr<RawEnd>& raw, const Step& step) {
  absl::ReaderMutexLock using_loop(&loop_mu_);
  if (loop_ == nullptr) return;
  absl::MutexLock lock_raw(&raw->mu);
  if (!raw->socket.is_open()) return;
  {
    // The system tells an error once; what comes then is not the stream's.
    absl::MutexLock lock(&raw->connection->mu);
    const ConnectionModel::Side& side = raw->connection->model.sides[raw->side];
    if (side.receive_failed || side.send_failed) return;
  }
  absl::StatusOr<Stream> stream;
  {
    const Calling calling(*this);
    stream = Stream::Attach(*loop_, std::move(raw->socket));
  }
  if (!stream.ok()) {
    absl::MutexLock lock(&raw->connection->mu);
    // One that was reset is not connected.
    Expect(loop_model_.stopping.load() ||
               raw->connection->model.sides[1 - raw->side].closed,
           stream.status().ToString());
    Expect(raw->socket.is_open(), "not attached, but the socket is gone");
    return;
  }
  SubjectPtr subject = NewStream(*std::move(stream), raw->connection,
                                 raw->side, Contract::Link::kConnected);
  Log(absl::StrCat("  attached at ", step.slot, ": socket ", subject->number));
  Slot& slot = slots_[static_cast<std::size_t>(step.slot)];
  {
    absl::MutexLock lock(&slot.mu);
    if (slot.raw == raw) {
      slot.raw = nullptr;
      slot.subject = std::move(subject);
      return;
    }
  }
  Destroy(*subject);
}

}  // namespace weir::operation_model
