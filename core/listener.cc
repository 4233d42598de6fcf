#include "weir/listener.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/attach_socket.h"
#include "core/endpoint_owner.h"
#include "core/operation_record.h"
#include "platform/socket_options.h"
#include "platform/sockets.h"

namespace weir {
namespace {

using internal::CountedRef;
using internal::Endpoint;
using internal::EndpointOwner;
using internal::OperationRecord;
using internal::SocketAttacher;
using internal::SocketRole;

EndpointOwner Of(const CountedRef<Endpoint>& endpoint) {
  return EndpointOwner(endpoint, "listener");
}

absl::Status NoHandler(const char* operation) {
  return absl::InvalidArgumentError(
      absl::StrCat(operation, ": the handler is empty"));
}

}  // namespace

Listener& Listener::operator=(Listener&& other) noexcept {
  if (this != &other) {
    internal::ReplaceEndpoint(endpoint_, std::move(other.endpoint_));
  }
  return *this;
}

Listener::~Listener() { internal::ReplaceEndpoint(endpoint_, nullptr); }

absl::StatusOr<Listener> Listener::Listen(EventLoop& loop,
                                          const SocketAddress& address,
                                          const ListenOptions& options) {
  auto socket = Socket::Listen(address, options);
  if (!socket.ok()) return socket.status();
  return Attach(loop, *std::move(socket));
}

absl::StatusOr<Listener> Listener::Attach(EventLoop& loop, Socket&& socket) {
  auto endpoint =
      SocketAttacher::Attach(loop, socket, SocketRole::kListening);
  if (!endpoint.ok()) return endpoint.status();
  return Listener(*std::move(endpoint));
}

bool Listener::is_open() const { return Of(endpoint_).is_open(); }

absl::Status Listener::Accept(AcceptHandler handler,
                              const OperationOptions& options,
                              EventLoop* loop) {
  if (endpoint_ == nullptr) return Of(endpoint_).Check("accept");
  if (!handler) return NoHandler("accept");
  OperationRecord* record =
      endpoint_->NewOperation(OperationRecord::Kind::kAccept);
  record->target = CountedRef(loop == nullptr ? endpoint_->loop()
                                              : *SocketAttacher::CoreOf(*loop));
  record->accept_handler = std::move(handler);
  return endpoint_->Start(record, "accept", options);
}

absl::Status Listener::StartAccepting(AcceptHandler handler,
                                      const AcceptingOptions& options) {
  if (endpoint_ == nullptr) return Of(endpoint_).Check("start accepting");
  if (!handler) return NoHandler("start accepting");
  return endpoint_->StartReceiving(
      Endpoint::Accepting{std::move(handler), options}, "start accepting");
}

absl::Status Listener::PauseAccepting() {
  return Of(endpoint_).Pause(true, "pause accepting");
}

absl::Status Listener::ResumeAccepting() {
  return Of(endpoint_).Pause(false, "resume accepting");
}

absl::Status Listener::Cancel() { return Of(endpoint_).Cancel(); }

absl::Status Listener::Close(CloseHandler handler) {
  return Of(endpoint_).Close(std::move(handler), CloseMode::kGraceful);
}

absl::StatusOr<SocketAddress> Listener::LocalAddress() const {
  return Of(endpoint_).LocalAddress();
}

absl::Status Listener::SetOption(SocketOption option, int value) {
  return Of(endpoint_).SetOption(option, value);
}

absl::StatusOr<int> Listener::GetOption(SocketOption option) const {
  return Of(endpoint_).GetOption(option);
}

}  // namespace weir
