#include "weir/address_watch.h"

#include <utility>

#include "core/attach_socket.h"
#include "core/endpoint_owner.h"
#include "core/operation_record.h"
#include "platform/address_changes.h"
#include "platform/sockets.h"

namespace weir {
namespace {

using internal::Endpoint;
using internal::OperationRecord;
using internal::SocketAttacher;
using internal::SocketRole;

absl::Status Empty() {
  return absl::FailedPreconditionError("address watch: it is not open");
}

}  // namespace

AddressWatch& AddressWatch::operator=(AddressWatch&& other) noexcept {
  if (this != &other) {
    internal::ReplaceEndpoint(endpoint_, std::move(other.endpoint_));
  }
  return *this;
}

AddressWatch::~AddressWatch() {
  internal::ReplaceEndpoint(endpoint_, nullptr);
}

absl::StatusOr<AddressWatch> AddressWatch::Open(EventLoop& loop) {
  auto changes = platform::AddressChanges::Open();
  if (!changes.ok()) return changes.status();
  std::shared_ptr<void> source;
  const NativeSocket native = changes->Release(&source);
  auto endpoint = Endpoint::Create(
      *SocketAttacher::CoreOf(loop), native, AddressFamily::kUnspecified,
      SocketType::kDatagram, SocketRole::kDatagram);
  if (!endpoint.ok()) {
    (void)platform::Close(native);
    return endpoint.status();
  }
  (*endpoint)->KeepWhileOpen(std::move(source));
  return AddressWatch(*std::move(endpoint));
}

absl::Status AddressWatch::WaitForChange(CompletionHandler handler,
                                         const OperationOptions& options) {
  if (endpoint_ == nullptr) return Empty();
  OperationRecord* record =
      endpoint_->NewOperation(OperationRecord::Kind::kAddressChange);
  record->handler = std::move(handler);
  return endpoint_->Start(record, "wait for an address change", options);
}

absl::Status AddressWatch::Cancel() {
  return endpoint_ == nullptr ? Empty() : endpoint_->CancelAll();
}

absl::Status AddressWatch::Close(CloseHandler handler) {
  return endpoint_ == nullptr
             ? Empty()
             : endpoint_->Close(std::move(handler), CloseMode::kGraceful);
}

}  // namespace weir
