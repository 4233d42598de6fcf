#include "weir/listener.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/attach_socket.h"
#include "core/endpoint.h"
#include "core/operation_record.h"
#include "platform/socket_options.h"
#include "platform/sockets.h"

namespace weir {
namespace {

using internal::Endpoint;
using internal::OperationRecord;
using internal::SocketAttacher;
using internal::SocketRole;

absl::Status Empty(const char* operation) {
  return absl::FailedPreconditionError(
      absl::StrCat(operation, ": there is no listener"));
}

absl::Status NoHandler(const char* operation) {
  return absl::InvalidArgumentError(
      absl::StrCat(operation, ": the handler is empty"));
}

}  // namespace

Listener& Listener::operator=(Listener&& other) noexcept {
  if (this != &other) {
    if (endpoint_ != nullptr) (void)Close();
    endpoint_ = std::move(other.endpoint_);
  }
  return *this;
}

Listener::~Listener() {
  if (endpoint_ != nullptr) (void)Close();
}

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

bool Listener::is_open() const {
  return endpoint_ != nullptr && endpoint_->is_open();
}

absl::Status Listener::Accept(AcceptHandler handler,
                              const OperationOptions& options,
                              EventLoop* loop) {
  if (endpoint_ == nullptr) return Empty("accept");
  if (!handler) return NoHandler("accept");
  OperationRecord* record =
      endpoint_->NewOperation(OperationRecord::Kind::kAccept);
  record->target =
      loop == nullptr ? endpoint_->loop() : SocketAttacher::CoreOf(*loop);
  record->handler = std::move(handler);
  return endpoint_->Start(record, "accept", options);
}

absl::Status Listener::StartAccepting(AcceptHandler handler) {
  if (endpoint_ == nullptr) return Empty("start accepting");
  if (!handler) return NoHandler("start accepting");
  return endpoint_->StartReceiving(std::move(handler), "start accepting");
}

absl::Status Listener::PauseAccepting() {
  if (endpoint_ == nullptr) return Empty("pause accepting");
  return endpoint_->PauseReceiving(true, "pause accepting");
}

absl::Status Listener::ResumeAccepting() {
  if (endpoint_ == nullptr) return Empty("resume accepting");
  return endpoint_->PauseReceiving(false, "resume accepting");
}

absl::Status Listener::Cancel() {
  if (endpoint_ == nullptr) return Empty("cancel");
  return endpoint_->CancelAll();
}

absl::Status Listener::Close(CloseHandler handler) {
  if (endpoint_ == nullptr) return Empty("close");
  return endpoint_->Close(std::move(handler), CloseMode::kGraceful);
}

absl::StatusOr<SocketAddress> Listener::LocalAddress() const {
  if (endpoint_ == nullptr) return Empty("local address");
  return endpoint_->WithHandle("local address", platform::LocalAddress);
}

absl::Status Listener::SetOption(SocketOption option, int value) {
  if (endpoint_ == nullptr) return Empty("set option");
  return endpoint_->WithHandle("set option", [&](NativeSocket native) {
    return platform::SetOption(native, option, value);
  });
}

absl::StatusOr<int> Listener::GetOption(SocketOption option) const {
  if (endpoint_ == nullptr) return Empty("get option");
  return endpoint_->WithHandle("get option", [&](NativeSocket native) {
    return platform::GetOption(native, option);
  });
}

}  // namespace weir
