// A UDP socket, used through operations.

#ifndef WEIR_DATAGRAM_SOCKET_H_
#define WEIR_DATAGRAM_SOCKET_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weir/awaitable.h"
#include "weir/counted_ref.h"
#include "weir/event_loop.h"
#include "weir/operation.h"
#include "weir/socket.h"
#include "weir/socket_address.h"
#include "weir/stream.h"

namespace weir {

// How the receiving of one datagram ended. A datagram of length 0 is one.
struct DatagramCompletion {
  absl::Status status;
  std::size_t bytes = 0;
  // It was longer than the buffer; the rest is lost.
  bool truncated = false;
  SocketAddress source = {};

  bool ok() const { return status.ok(); }
};
using DatagramHandler = absl::AnyInvocable<void(const DatagramCompletion&)>;

struct DatagramReceiveOptions {
  // Tell, where the system does, to which address each datagram was sent, by
  // which interface it came, and its ECN bits.
  bool destination = false;
  // Let the system join datagrams of one sender into one buffer (UDP GRO),
  // where it can: see ReceivedDatagram::segment_bytes.
  bool offload = false;
};

// One datagram of a StartReceive, or, with offload, several of one sender and
// of equal length.
struct ReceivedDatagram {
  // Lent for the length of the call.
  ConstBuffer data = {};
  bool truncated = false;
  SocketAddress source = {};
  // With DatagramReceiveOptions::destination.
  std::optional<SocketAddress> destination = {};
  std::uint32_t interface_index = 0;
  std::uint8_t ecn = 0;
  // Not 0: `data` holds datagrams of this length, the last may be shorter.
  std::size_t segment_bytes = 0;
};

// All that was there at once, at most 64; or a status and no datagrams. An
// error (a port that was unreachable, on a connected socket) is indicated and
// the receiving goes on, after one that the network has no part in (no memory)
// when a tenth of a second has passed; Cancelled is the last indication.
struct ReceivedDatagrams {
  std::span<const ReceivedDatagram> datagrams;
  absl::Status status;
};
using DatagramsHandler = absl::AnyInvocable<void(const ReceivedDatagrams&)>;

// Owns one UDP socket, or none. Ownership, threads, closing and the errors of
// all calls are as for Stream; a cancelled send leaves a datagram socket usable.
class DatagramSocket {
 public:
  DatagramSocket() = default;
  DatagramSocket(DatagramSocket&& other) noexcept = default;
  DatagramSocket& operator=(DatagramSocket&& other) noexcept;
  ~DatagramSocket();

  // Bound to `address`. Errors as Socket::BindDatagram.
  static absl::StatusOr<DatagramSocket> Bind(EventLoop& loop,
                                             const SocketAddress& address);
  // Takes a datagram socket over. FailedPrecondition: it is not open, is a
  // stream, or has a registration (O13); `socket` is left as it was.
  static absl::StatusOr<DatagramSocket> Attach(EventLoop& loop,
                                               Socket&& socket);

  explicit operator bool() const { return endpoint_ != nullptr; }
  bool is_open() const;

  // Sets the peer of Send, and takes datagrams from it alone, at once. The
  // unspecified address dissolves the tie.
  absl::Status Connect(const SocketAddress& peer);

  // One datagram each (O01). Datagrams that wait to be sent leave together in
  // one system call.
  absl::Status ReceiveFrom(
      MutableBuffer buffer, DatagramHandler handler,
      const OperationOptions& options = kDefaultOperationOptions);
  absl::Status SendTo(
      ConstBuffer data, const SocketAddress& destination,
      CompletionHandler handler,
      const OperationOptions& options = kDefaultOperationOptions);
  // To the connected peer; gathered from several buffers.
  absl::Status Send(ConstBuffer data, CompletionHandler handler,
                    const OperationOptions& options = kDefaultOperationOptions);
  absl::Status SendVector(
      std::span<const ConstBuffer> data, CompletionHandler handler,
      const OperationOptions& options = kDefaultOperationOptions);

  // Several datagrams to one destination (an unspecified one: the connected
  // peer) in one walk through the network stack: `data` cut into pieces of
  // `segment_bytes`, of which the last may be shorter. Completes like SendTo, for
  // all of them. InvalidArgument: `segment_bytes` is 0, or `data` is more than 64
  // pieces. Unimplemented: SegmentationSupported() is false. What the system says
  // comes with the completion: kMessageTooLong, for more bytes than one datagram
  // could have; InvalidArgument, for pieces longer than the way takes whole; or
  // that the way cannot (EIO in Linux).
  absl::Status SendSegments(
      ConstBuffer data, std::size_t segment_bytes,
      const SocketAddress& destination, CompletionHandler handler,
      const OperationOptions& options = kDefaultOperationOptions);
  // Whether the system can (UDP GSO; Linux since 4.18).
  static bool SegmentationSupported();

  auto ReadFrom(MutableBuffer buffer, OperationOptions options = {}) {
    return MakeAwaitable<DatagramCompletion>(
        [this, buffer, options](auto handler) {
          return ReceiveFrom(buffer, std::move(handler), options);
        });
  }
  auto WriteTo(ConstBuffer data, const SocketAddress& destination,
               OperationOptions options = {}) {
    return MakeAwaitable<Completion>(
        [this, data, destination, options](auto handler) {
          return SendTo(data, destination, std::move(handler), options);
        });
  }

  // Like SendTo, of a copy: `data` is the caller's again when this returns. An
  // unspecified destination is the connected peer. Returns how many bytes are
  // still to be sent. A datagram that the system refuses is dropped, like one
  // that the network loses. With `segment_bytes` not 0 `data` is several
  // datagrams, as ReceivedDatagram has them: each this long, the last may be
  // shorter; no data is one empty datagram. If the system cannot take them
  // together, they are sent one by one.
  absl::StatusOr<std::size_t> SendCopy(ConstBuffer data,
                                       const SocketAddress& destination,
                                       std::size_t segment_bytes = 0);

  // Calls `handler` with what arrives, in buffers of the runtime, until the
  // close (O12). As Stream's in everything else.
  absl::Status StartReceive(DatagramsHandler handler,
                            const DatagramReceiveOptions& options = {});
  absl::Status PauseReceive();
  absl::Status ResumeReceive();

  absl::Status Cancel();
  absl::Status Close(CloseHandler handler = nullptr);

  absl::StatusOr<SocketAddress> LocalAddress() const;
  absl::StatusOr<SocketAddress> PeerAddress() const;
  absl::Status SetOption(SocketOption option, int value);
  absl::StatusOr<int> GetOption(SocketOption option) const;
  absl::Status JoinMulticast(const SocketAddress& group,
                             std::uint32_t interface_index = 0);
  absl::Status LeaveMulticast(const SocketAddress& group,
                              std::uint32_t interface_index = 0);

 private:
  explicit DatagramSocket(internal::CountedRef<internal::Endpoint> endpoint)
      : endpoint_(std::move(endpoint)) {}

  internal::CountedRef<internal::Endpoint> endpoint_;
};

}  // namespace weir

#endif  // WEIR_DATAGRAM_SOCKET_H_
