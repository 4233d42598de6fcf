#include "weir/stream.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/base/attributes.h"
#include "absl/strings/str_cat.h"
#include "core/attach_socket.h"
#include "core/endpoint_owner.h"
#include "core/operation_record.h"
#include "platform/socket_io.h"
#include "platform/socket_options.h"
#include "platform/sockets.h"

namespace weir {
namespace {

using internal::CountedRef;
using internal::Endpoint;
using internal::EndpointOwner;
using internal::OperationRecord;
using internal::ShortTransfer;
using internal::SocketAttacher;
using internal::SocketRole;
using Kind = OperationRecord::Kind;

EndpointOwner Of(const CountedRef<Endpoint>& endpoint) {
  return EndpointOwner(endpoint, "stream");
}

bool IsConnected(const CountedRef<Endpoint>& endpoint) {
  return endpoint != nullptr && endpoint->role() == SocketRole::kConnected;
}

// Why `endpoint` cannot move data, which it is not connected to do.
absl::Status NotConnected(const CountedRef<Endpoint>& endpoint,
                          const char* operation) {
  return endpoint == nullptr ? Of(endpoint).Check(operation)
                             : endpoint->NotConnected(operation);
}

// Out of line: what is done for every small piece of data is short.
ABSL_ATTRIBUTE_NOINLINE absl::StatusOr<std::size_t> NoStreamToSend() {
  return Of(nullptr).Check("send");
}

absl::Status NoRoom() {
  return absl::InvalidArgumentError("receive: the buffers have no room");
}

absl::Status StartPlain(const CountedRef<Endpoint>& endpoint, Kind kind,
                        const char* operation, CompletionHandler handler,
                        const OperationOptions& options) {
  if (!IsConnected(endpoint)) return NotConnected(endpoint, operation);
  OperationRecord* record = endpoint->NewOperation(kind);
  record->handler = std::move(handler);
  return endpoint->Start(record, operation, options);
}

// That a transfer with them can take the short way.
bool IsOrdinary(const OperationOptions& options) {
  return &options == &kDefaultOperationOptions ||
         (options.timeout == absl::InfiniteDuration() &&
          options.handle == nullptr && !options.zero_copy);
}

// Out of line: the short way needs no register that is to be kept.
ABSL_ATTRIBUTE_NOINLINE absl::Status BeginReceive(
    const CountedRef<Endpoint>& endpoint, MutableBuffer buffer,
    CompletionHandler& handler, const OperationOptions& options) {
  if (!IsConnected(endpoint)) return NotConnected(endpoint, "receive");
  if (buffer.empty()) return NoRoom();
  OperationRecord* record = endpoint->NewOperation(Kind::kReceive);
  record->buffers.push_back(buffer);
  record->handler = std::move(handler);
  return endpoint->Start(record, "receive", options);
}

ABSL_ATTRIBUTE_NOINLINE absl::Status BeginSend(
    const CountedRef<Endpoint>& endpoint, ConstBuffer data,
    CompletionHandler& handler, const OperationOptions& options) {
  if (!IsConnected(endpoint)) return NotConnected(endpoint, "send");
  OperationRecord* record = endpoint->NewOperation(Kind::kSend);
  record->SetBuffer(data);
  record->zero_copy = options.zero_copy;
  record->handler = std::move(handler);
  return endpoint->Start(record, "send", options);
}

}  // namespace

Stream& Stream::operator=(Stream&& other) noexcept {
  if (this != &other) {
    internal::ReplaceEndpoint(endpoint_, std::move(other.endpoint_));
  }
  return *this;
}

Stream::~Stream() { internal::ReplaceEndpoint(endpoint_, nullptr); }

absl::StatusOr<Stream> Stream::Attach(EventLoop& loop, Socket&& socket) {
  auto endpoint =
      SocketAttacher::Attach(loop, socket, SocketRole::kConnected);
  if (!endpoint.ok()) return endpoint.status();
  return Stream(*std::move(endpoint));
}

absl::StatusOr<Stream> Stream::Open(EventLoop& loop, AddressFamily family) {
  auto native = platform::OpenSocket(family, SocketType::kStream);
  if (!native.ok()) return native.status();
  auto endpoint =
      Endpoint::Create(*SocketAttacher::CoreOf(loop), *native, family,
                       SocketType::kStream, SocketRole::kUnconnected);
  if (!endpoint.ok()) {
    (void)platform::Close(*native);
    return endpoint.status();
  }
  return Stream(*std::move(endpoint));
}

absl::StatusOr<Socket> Stream::Detach() {
  if (endpoint_ == nullptr) return Of(endpoint_).Check("detach");
  return SocketAttacher::Detach(*endpoint_);
}

bool Stream::is_open() const { return Of(endpoint_).is_open(); }

absl::Status Stream::Connect(const SocketAddress& address,
                             CompletionHandler handler,
                             const OperationOptions& options) {
  if (endpoint_ == nullptr) return Of(endpoint_).Check("connect");
  if (absl::Status status = endpoint_->CheckUsable("connect"); !status.ok()) {
    return status;
  }
  if (address.family() == AddressFamily::kUnspecified) {
    return absl::InvalidArgumentError("connect: the address is unspecified");
  }
  if (!endpoint_->BeginConnecting()) {
    return absl::FailedPreconditionError(
        "connect: the stream is connected, or has tried to be");
  }
  OperationRecord* record = endpoint_->NewOperation(Kind::kConnect);
  record->address = address;
  record->handler = std::move(handler);
  absl::Status status = endpoint_->Start(record, "connect", options);
  if (!status.ok()) endpoint_->GiveUpConnecting();
  return status;
}

absl::Status Stream::Receive(MutableBuffer buffer, CompletionHandler handler,
                             const OperationOptions& options) {
  if (endpoint_ != nullptr && IsOrdinary(options) && !buffer.empty()) {
    if (ShortTransfer* const transfer = endpoint_->ShortReceive()) {
      transfer->Start(buffer, handler);
      return absl::OkStatus();
    }
  }
  return BeginReceive(endpoint_, buffer, handler, options);
}

absl::Status Stream::ReceiveVector(std::span<const MutableBuffer> buffers,
                                   CompletionHandler handler,
                                   const OperationOptions& options) {
  if (!IsConnected(endpoint_)) return NotConnected(endpoint_, "receive");
  std::size_t room = 0;
  for (const MutableBuffer& buffer : buffers) room += buffer.size();
  if (room == 0) return NoRoom();
  OperationRecord* record = endpoint_->NewOperation(Kind::kReceive);
  for (const MutableBuffer& buffer : buffers) {
    // Room for nothing would look like the end of the stream.
    if (buffer.empty()) continue;
    if (record->buffers.size() == platform::kMaxVectorBuffers) break;
    record->buffers.push_back(buffer);
  }
  record->handler = std::move(handler);
  return endpoint_->Start(record, "receive", options);
}

absl::Status Stream::Send(ConstBuffer data, CompletionHandler handler,
                          const OperationOptions& options) {
  if (endpoint_ != nullptr && IsOrdinary(options) && !data.empty()) {
    if (ShortTransfer* const transfer = endpoint_->ShortSend()) {
      // Nothing is written through it.
      transfer->Start(
          std::span(const_cast<std::byte*>(data.data()), data.size()), handler);
      return absl::OkStatus();
    }
  }
  return BeginSend(endpoint_, data, handler, options);
}

absl::Status Stream::SendVector(std::span<const ConstBuffer> data,
                                CompletionHandler handler,
                                const OperationOptions& options) {
  if (!IsConnected(endpoint_)) return NotConnected(endpoint_, "send");
  OperationRecord* record = endpoint_->NewOperation(Kind::kSend);
  record->SetBuffers(data);
  record->zero_copy = options.zero_copy;
  record->handler = std::move(handler);
  return endpoint_->Start(record, "send", options);
}

std::size_t Stream::UnsentBytes() const {
  return endpoint_ == nullptr ? 0 : endpoint_->UnsentBytes();
}

absl::Status Stream::SendFile(const File& file, std::uint64_t offset,
                              std::uint64_t length, CompletionHandler handler,
                              const OperationOptions& options) {
  if (!IsConnected(endpoint_)) return NotConnected(endpoint_, "send file");
  if (!file.is_open()) {
    return absl::FailedPreconditionError("send file: the file is not open");
  }
  constexpr auto kFurthest =
      static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (offset > kFurthest) {
    return absl::InvalidArgumentError("send file: no file reaches that offset");
  }
  OperationRecord* record = endpoint_->NewOperation(Kind::kSendFile);
  record->part.file = file.native();
  record->part.offset = offset;
  record->size = std::min(length, kFurthest - offset);
  record->handler = std::move(handler);
  return endpoint_->Start(record, "send file", options);
}

absl::Status Stream::Flush(CompletionHandler handler,
                           const OperationOptions& options) {
  return StartPlain(endpoint_, Kind::kFlush, "flush", std::move(handler),
                    options);
}

absl::Status Stream::Disconnect(CompletionHandler handler,
                                const OperationOptions& options) {
  return StartPlain(endpoint_, Kind::kDisconnect, "disconnect",
                    std::move(handler), options);
}

absl::Status Stream::WaitForReset(CompletionHandler handler,
                                  const OperationOptions& options) {
  return StartPlain(endpoint_, Kind::kReset, "wait for a reset",
                    std::move(handler), options);
}

absl::StatusOr<std::size_t> Stream::SendCopy(ConstBuffer data) {
  return endpoint_ != nullptr ? endpoint_->SendCopy(data) : NoStreamToSend();
}

absl::Status Stream::StartReceive(ReceiveHandler handler) {
  if (!IsConnected(endpoint_)) return NotConnected(endpoint_, "start receiving");
  if (!handler) {
    return absl::InvalidArgumentError("start receiving: the handler is empty");
  }
  return endpoint_->StartReceiving(std::move(handler), "start receiving");
}

absl::Status Stream::PauseReceive() {
  return Of(endpoint_).Pause(true, "pause receiving");
}

absl::Status Stream::ResumeReceive() {
  return Of(endpoint_).Pause(false, "resume receiving");
}

absl::Status Stream::Cancel() { return Of(endpoint_).Cancel(); }

absl::Status Stream::Shutdown(ShutdownDirection direction) {
  if (!IsConnected(endpoint_)) return NotConnected(endpoint_, "shut down");
  if (absl::Status status = endpoint_->CheckUnbroken("shut down");
      !status.ok()) {
    return status;
  }
  absl::Status status =
      endpoint_->WithHandle("shut down", [&](NativeSocket native) {
        return platform::Shutdown(native, direction);
      });
  if (status.ok() && direction != ShutdownDirection::kSend) {
    endpoint_->LookForEnd();
  }
  return status;
}

absl::Status Stream::Close(CloseHandler handler, CloseMode mode) {
  return Of(endpoint_).Close(std::move(handler), mode);
}

absl::Status Stream::Bind(const SocketAddress& address) {
  return Of(endpoint_).WithHandle("bind", [&](NativeSocket native) {
    return platform::Bind(native, address);
  });
}

absl::StatusOr<SocketAddress> Stream::LocalAddress() const {
  return Of(endpoint_).LocalAddress();
}

absl::StatusOr<SocketAddress> Stream::PeerAddress() const {
  return Of(endpoint_).PeerAddress();
}

absl::Status Stream::SetOption(SocketOption option, int value) {
  return Of(endpoint_).SetOption(option, value);
}

absl::StatusOr<int> Stream::GetOption(SocketOption option) const {
  return Of(endpoint_).GetOption(option);
}

}  // namespace weir
