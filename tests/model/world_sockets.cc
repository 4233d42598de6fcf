// The operations of a script that make, connect, end and close sockets.

#include <utility>

#include "tests/conformance/conformance.h"
#include "tests/model/world.h"

namespace weir::model {
namespace {

using conformance::Must;
using conformance::MustOk;

constexpr int kBufferBytes = 32768;

// Shared by all scripts of the process.
Socket& Server() {
  static Socket listener = conformance::Listener();
  return listener;
}

// Bound, so that nobody else gets it, but nobody listens.
const SocketAddress& NobodysAddress() {
  static const Socket socket = [] {
    Socket bound =
        Must(Socket::Open(AddressFamily::kIpv4, SocketType::kStream));
    MustOk(bound.Bind(SocketAddress::Ipv4Loopback(0)));
    return bound;
  }();
  static const SocketAddress address = conformance::AddressOf(socket);
  return address;
}

}  // namespace

World::~World() {
  EndLoop();
  for (int end = 0; end < script_.ends; ++end) {
    // A reset leaves nothing behind that would wait for its time to be over.
    if (model_[end].open && model_[end].kind == Kind::kTcp) {
      (void)SocketOf(end).SetOption(SocketOption::kLinger, 0);
    }
    CloseAll(end);
  }
}

bool World::DoToSocket(const Operation& operation) {
  const int end = operation.end;
  const End& self = model_[end];
  const bool fresh_tcp = self.open && self.kind == Kind::kTcp &&
                         !self.connected && self.error == ErrorCause::kNone;
  switch (operation.act) {
    case Act::kOpenConnected:
      Open(end & ~1, operation.kind);
      return true;
    case Act::kOpenUnconnected:
      OpenUnconnected(end);
      return true;
    case Act::kConnect:
      if (!fresh_tcp) return false;
      Connect(end);
      return true;
    case Act::kConnectRefused:
      if (!fresh_tcp) return false;
      ConnectRefused(end);
      return true;
    case Act::kArrive:
      if (!self.open || self.kind != Kind::kListener) return false;
      clients_.push_back(
          Must(Socket::Connect(conformance::AddressOf(SocketOf(end)))));
      model_.Arrive(end);
      return true;
    case Act::kAccept:
    case Act::kAcceptAll:
      if (!self.open || self.kind != Kind::kListener) return false;
      Accept(end, operation.act == Act::kAcceptAll);
      return true;
    case Act::kSend:
      if (!model_.CanSend(end)) return false;
      Send(end);
      return true;
    case Act::kFill:
      if (!model_.CanFill(end)) return false;
      Fill(end);
      return true;
    case Act::kReceive:
      if (!model_.CanReceive(end) || self.sampled) return false;
      if (self.kind == Kind::kUdp && operation.most < kChunk) return false;
      Receive(end, operation.most);
      return true;
    case Act::kReceiveAll:
      if (!model_.CanReceive(end)) return false;
      ReceiveAll(end);
      return true;
    case Act::kReceiveAllNatively:
      if (!model_.CanReceive(end) || self.flooded) return false;
      ReceiveNatively(end);
      return true;
    case Act::kTakeError: {
      if (!self.open) return false;
      const ErrorCause cause = CauseOf(SocketOf(end).TakeError());
      Expect(cause == model_.TakeError(end), "TakeError: not the cause");
      readiness_.ErrorTaken(end);
      return true;
    }
    case Act::kShutdownWrite:
      if (!model_.CanShutdownWrite(end)) return false;
      model_.ShutdownWrite(end);
      MustOk(SocketOf(end).Shutdown(ShutdownDirection::kSend));
      return true;
    case Act::kShutdownRead:
      if (!model_.CanShutdownRead(end)) return false;
      model_.ShutdownRead(end);
      MustOk(SocketOf(end).Shutdown(ShutdownDirection::kReceive));
      return true;
    case Act::kClose:
    case Act::kCloseKeepingDuplicate:
      if (!model_.CanClose(end)) return false;
      Close(end, operation.act == Act::kCloseKeepingDuplicate);
      return true;
    case Act::kReset:
      if (!self.open || self.kind != Kind::kTcp) return false;
      MustOk(SocketOf(end).SetOption(SocketOption::kLinger, 0));
      if (const int id = readiness_.Live(end); id >= 0) readiness_.Remove(id);
      model_.Reset(end);
      SocketOf(end).Close();
      return true;
    case Act::kCloseDuplicate: {
      NativeSocket& duplicate = duplicates_[static_cast<std::size_t>(end)];
      if (duplicate == kInvalidSocket) return false;
      if (self.kind == Kind::kTcp && model_[end ^ 1].flooded) return false;
      model_.CloseDuplicate(end);
      test::CloseNative(std::exchange(duplicate, kInvalidSocket));
      return true;
    }
    case Act::kMoveSocket: {
      Socket moved = std::move(SocketOf(end));
      SocketOf(end) = std::move(moved);
      return true;
    }
    default:
      return false;
  }
}

// --- from birth to close

void World::Open(int end, Kind kind) {
  if (kind == Kind::kTcp) {
    OpenUnconnected(end);
    Connect(end);
    return;
  }
  CloseAll(end);
  CloseAll(end ^ 1);
  model_.Open(end, kind, kind == Kind::kUnix);
  if (kind == Kind::kListener) {
    SocketOf(end) = conformance::Listener();
    return;
  }
  model_.Open(end ^ 1, kind, kind == Kind::kUnix);
  conformance::Connection pair =
      kind == Kind::kUnix ? conformance::Connected(AddressFamily::kUnix)
                          : conformance::DatagramPair();
  SocketOf(end) = std::move(pair.client);
  SocketOf(end ^ 1) = std::move(pair.server);
  if (kind == Kind::kUnix) {
    for (const int side : {end, end ^ 1}) {
      MustOk(SocketOf(side).SetOption(SocketOption::kSendBufferBytes,
                                      kBufferBytes));
    }
  }
}

void World::OpenUnconnected(int end) {
  CloseAll(end);
  CloseAll(end ^ 1);
  model_.Open(end, Kind::kTcp, /*connected=*/false);
  SocketOf(end) = Must(Socket::Open(AddressFamily::kIpv4, SocketType::kStream));
}

void World::Connect(int end) {
  MustOk(SocketOf(end).SetOption(SocketOption::kSendBufferBytes,
                                 2 * kBufferBytes));
  Must(SocketOf(end).StartConnecting(conformance::AddressOf(Server())));
  conformance::AwaitReadable(Server());
  auto accepted = Must(Server().Accept());
  SocketOf(end ^ 1) = std::move(accepted.value().socket);
  MustOk(SocketOf(end ^ 1).SetOption(SocketOption::kSendBufferBytes,
                                     2 * kBufferBytes));
  for (const int side : {end, end ^ 1}) {
    MustOk(SocketOf(side).SetOption(SocketOption::kNoDelay, 1));
  }
  model_.Connect(end);
  readiness_.RoleChanged(end);
}

void World::ConnectRefused(int end) {
  const auto begun = SocketOf(end).StartConnecting(NobodysAddress());
  if (begun.ok()) model_.FailToConnect(end);
  readiness_.RoleChanged(end);
}

// Whatever is open of an end, in whatever way.
void World::CloseAll(int end) {
  if (model_[end].open) {
    if (const int id = readiness_.Live(end); id >= 0) readiness_.Remove(id);
    model_.Close(end, false);
    SocketOf(end).Close();
  }
  NativeSocket& duplicate = duplicates_[static_cast<std::size_t>(end)];
  if (duplicate != kInvalidSocket) {
    model_.CloseDuplicate(end);
    test::CloseNative(std::exchange(duplicate, kInvalidSocket));
  }
}

void World::Close(int end, bool keep_duplicate) {
  if (keep_duplicate) {
    duplicates_[static_cast<std::size_t>(end)] =
        test::Duplicate(SocketOf(end).native());
  }
  const int id = readiness_.Live(end);
  if (id >= 0) readiness_.Remove(id);
  model_.Close(end, keep_duplicate);
  SocketOf(end).Close();
  Expect(id < 0 || !Handle(id).is_live(), "live after Close (R10)");
}

}  // namespace weir::model
