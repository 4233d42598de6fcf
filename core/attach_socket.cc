#include "core/attach_socket.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/loop_core.h"
#include "core/socket_state.h"
#include "weir/status.h"

namespace weir::internal {
namespace {

const char* NameOf(SocketRole role) {
  switch (role) {
    case SocketRole::kConnected:
      return "a connected stream";
    case SocketRole::kListening:
      return "listening";
    default:
      return "a datagram socket";
  }
}

}  // namespace

const std::shared_ptr<LoopCore>& SocketAttacher::CoreOf(EventLoop& loop) {
  return loop.core_;
}

absl::StatusOr<CountedRef<Endpoint>> SocketAttacher::Attach(EventLoop& loop,
                                                            Socket& socket,
                                                            SocketRole role) {
  const std::shared_ptr<SocketState> state = socket.shared_state();
  if (state == nullptr || state->closed.load()) {
    return absl::FailedPreconditionError("attach: the socket is not open");
  }
  if (state->role.load() != role) {
    return absl::FailedPreconditionError(
        absl::StrCat("attach: the socket is not ", NameOf(role)));
  }
  if (absl::Status status = loop.core_->CheckNotStopped("attach");
      !status.ok()) {
    return status;
  }
  const auto registration = state->Registration();
  if (registration != nullptr &&
      registration->live.load(std::memory_order_acquire)) {
    return absl::FailedPreconditionError(
        "attach: the socket is registered with an event loop");
  }
  auto native = socket.Release();
  if (!native.ok()) return native.status();
  auto endpoint =
      Endpoint::Create(*loop.core_, *native, state->family, state->type, role);
  if (!endpoint.ok()) {
    socket = Socket(std::make_shared<SocketState>(
        *native, state->family, state->type, role, /*adopted=*/true));
  }
  return endpoint;
}

absl::StatusOr<Socket> SocketAttacher::Detach(Endpoint& endpoint) {
  const SocketRole role = endpoint.role();
  if (absl::Status status = endpoint.Detach(); !status.ok()) return status;
  return Socket(std::make_shared<SocketState>(
      endpoint.socket(), endpoint.family(), endpoint.type(), role,
      /*adopted=*/false));
}

}  // namespace weir::internal
