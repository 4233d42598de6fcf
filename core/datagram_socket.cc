#include "weir/datagram_socket.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/attach_socket.h"
#include "core/endpoint_owner.h"
#include "core/operation_record.h"
#include "platform/datagram_io.h"
#include "platform/socket_io.h"
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
using Kind = OperationRecord::Kind;

EndpointOwner Of(const CountedRef<Endpoint>& endpoint) {
  return EndpointOwner(endpoint, "datagram socket");
}

}  // namespace

DatagramSocket& DatagramSocket::operator=(DatagramSocket&& other) noexcept {
  if (this != &other) {
    internal::ReplaceEndpoint(endpoint_, std::move(other.endpoint_));
  }
  return *this;
}

DatagramSocket::~DatagramSocket() { internal::ReplaceEndpoint(endpoint_, nullptr); }

absl::StatusOr<DatagramSocket> DatagramSocket::Bind(
    EventLoop& loop, const SocketAddress& address) {
  auto socket = Socket::BindDatagram(address);
  if (!socket.ok()) return socket.status();
  return Attach(loop, *std::move(socket));
}

absl::StatusOr<DatagramSocket> DatagramSocket::Attach(EventLoop& loop,
                                                      Socket&& socket) {
  auto endpoint = SocketAttacher::Attach(loop, socket, SocketRole::kDatagram);
  if (!endpoint.ok()) return endpoint.status();
  return DatagramSocket(*std::move(endpoint));
}

bool DatagramSocket::is_open() const { return Of(endpoint_).is_open(); }

absl::Status DatagramSocket::Connect(const SocketAddress& peer) {
  return Of(endpoint_).WithHandle("connect", [&](NativeSocket native) {
    return platform::Connect(native, peer).status();
  });
}

absl::Status DatagramSocket::ReceiveFrom(MutableBuffer buffer,
                                         DatagramHandler handler,
                                         const OperationOptions& options) {
  if (endpoint_ == nullptr) return Of(endpoint_).Check("receive from");
  OperationRecord* record = endpoint_->NewOperation(Kind::kReceiveFrom);
  record->buffers.push_back(buffer);
  record->datagram_handler = std::move(handler);
  return endpoint_->Start(record, "receive from", options);
}

absl::Status DatagramSocket::SendTo(ConstBuffer data,
                                    const SocketAddress& destination,
                                    CompletionHandler handler,
                                    const OperationOptions& options) {
  if (endpoint_ == nullptr) return Of(endpoint_).Check("send to");
  if (destination.family() == AddressFamily::kUnspecified) {
    return absl::InvalidArgumentError(
        "send to: the destination is unspecified");
  }
  OperationRecord* record = endpoint_->NewOperation(Kind::kSendTo);
  record->SetBuffers(std::span(&data, 1));
  record->address = destination;
  record->handler = std::move(handler);
  return endpoint_->Start(record, "send to", options);
}

absl::Status DatagramSocket::Send(ConstBuffer data, CompletionHandler handler,
                                  const OperationOptions& options) {
  return SendVector(std::span(&data, 1), std::move(handler), options);
}

absl::Status DatagramSocket::SendVector(std::span<const ConstBuffer> data,
                                        CompletionHandler handler,
                                        const OperationOptions& options) {
  if (endpoint_ == nullptr) return Of(endpoint_).Check("send");
  if (data.size() > platform::kMaxVectorBuffers) {
    return absl::InvalidArgumentError(absl::StrCat(
        "send: a datagram can be gathered from at most ",
        platform::kMaxVectorBuffers, " buffers, not ", data.size()));
  }
  OperationRecord* record = endpoint_->NewOperation(Kind::kSendTo);
  record->SetBuffers(data);
  record->handler = std::move(handler);
  return endpoint_->Start(record, "send", options);
}

absl::Status DatagramSocket::SendSegments(ConstBuffer data,
                                          std::size_t segment_bytes,
                                          const SocketAddress& destination,
                                          CompletionHandler handler,
                                          const OperationOptions& options) {
  if (endpoint_ == nullptr) return Of(endpoint_).Check("send segments");
  if (segment_bytes == 0 ||
      (!data.empty() &&
       (data.size() - 1) / segment_bytes >= platform::kMaxSegments)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "send segments: ", data.size(), " bytes in pieces of ", segment_bytes,
        " are not 1 to ", platform::kMaxSegments, " datagrams"));
  }
  if (!SegmentationSupported()) {
    return absl::UnimplementedError(
        "send segments: the system cannot cut datagrams");
  }
  OperationRecord* record = endpoint_->NewOperation(Kind::kSendTo);
  record->SetBuffers(std::span(&data, 1));
  // One datagram, or none, needs no cutting.
  if (data.size() > segment_bytes) record->segment_bytes = segment_bytes;
  record->address = destination;
  record->handler = std::move(handler);
  return endpoint_->Start(record, "send segments", options);
}

bool DatagramSocket::SegmentationSupported() {
  return platform::SendOffloadSupported();
}

absl::StatusOr<std::size_t> DatagramSocket::SendCopy(
    ConstBuffer data, const SocketAddress& destination,
    std::size_t segment_bytes) {
  if (endpoint_ == nullptr) return Of(endpoint_).Check("send");
  return endpoint_->SendCopyTo(data, destination, segment_bytes);
}

absl::Status DatagramSocket::StartReceive(
    DatagramsHandler handler, const DatagramReceiveOptions& options) {
  if (endpoint_ == nullptr) return Of(endpoint_).Check("start receiving");
  if (!handler) {
    return absl::InvalidArgumentError("start receiving: the handler is empty");
  }
  absl::Status status = Of(endpoint_).WithHandle(
      "start receiving", [&](NativeSocket native) -> absl::Status {
        absl::Status enabled;
        if (options.destination) enabled = platform::EnableDatagramInfo(native);
        if (enabled.ok() && options.offload) {
          // Where there is none, datagrams come one by one.
          enabled = platform::EnableReceiveOffload(native);
          if (absl::IsUnimplemented(enabled)) enabled = absl::OkStatus();
        }
        return enabled;
      });
  if (!status.ok()) return status;
  return endpoint_->StartReceiving(std::move(handler), "start receiving");
}

absl::Status DatagramSocket::PauseReceive() {
  return Of(endpoint_).Pause(true, "pause receiving");
}

absl::Status DatagramSocket::ResumeReceive() {
  return Of(endpoint_).Pause(false, "resume receiving");
}

absl::Status DatagramSocket::Cancel() { return Of(endpoint_).Cancel(); }

absl::Status DatagramSocket::Close(CloseHandler handler) {
  return Of(endpoint_).Close(std::move(handler), CloseMode::kGraceful);
}

absl::StatusOr<SocketAddress> DatagramSocket::LocalAddress() const {
  return Of(endpoint_).LocalAddress();
}

absl::StatusOr<SocketAddress> DatagramSocket::PeerAddress() const {
  return Of(endpoint_).PeerAddress();
}

absl::Status DatagramSocket::SetOption(SocketOption option, int value) {
  return Of(endpoint_).SetOption(option, value);
}

absl::StatusOr<int> DatagramSocket::GetOption(SocketOption option) const {
  return Of(endpoint_).GetOption(option);
}

absl::Status DatagramSocket::JoinMulticast(const SocketAddress& group,
                                           std::uint32_t interface_index) {
  return Of(endpoint_).WithHandle("join multicast", [&](NativeSocket native) {
    return platform::JoinMulticast(native, group, interface_index);
  });
}

absl::Status DatagramSocket::LeaveMulticast(const SocketAddress& group,
                                            std::uint32_t interface_index) {
  return Of(endpoint_).WithHandle("leave multicast", [&](NativeSocket native) {
    return platform::LeaveMulticast(native, group, interface_index);
  });
}

}  // namespace weir
