// A connected byte stream (TCP or Unix-domain), used through operations.

#ifndef WEIR_STREAM_H_
#define WEIR_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weir/awaitable.h"
#include "weir/counted_ref.h"
#include "weir/event_loop.h"
#include "weir/file.h"
#include "weir/operation.h"
#include "weir/socket.h"
#include "weir/socket_address.h"

namespace weir {

using ConstBuffer = std::span<const std::byte>;
using MutableBuffer = std::span<std::byte>;

enum class CloseMode : std::uint8_t {
  // What was sent still goes out; the peer sees the end of the stream (C03).
  kGraceful,
  // The connection is aborted; the peer sees a reset.
  kAbortive,
};

// Called last of all, when nothing of the socket will be called any more.
using CloseHandler = absl::AnyInvocable<void()>;

// What StartReceive indicates.
struct Received {
  // Lent for the length of the call. Empty: the last indication, the end of the
  // stream if `status` is OK.
  ConstBuffer data;
  absl::Status status;

  bool end() const { return data.empty(); }
};
using ReceiveHandler = absl::AnyInvocable<void(const Received&)>;

// Owns one connection, or none (default-constructed, moved from). Movable, not
// copyable. Destroying it closes it gracefully, as Close() does: handlers of
// pending operations are still called, with Cancelled. Who lets them point to an
// object of his own destroys that in the close handler.
//
// Threads: any number, at the same time, for every call but moving and
// destroying. Operations on a loop for one thread go on only while that loop is
// run.
//
// Errors of every call that starts something, besides its own: FailedPrecondition
// if the stream is empty, not connected, or was closed; if a send or a connect
// of it was cancelled (O10); if the loop was stopped. Handlers may be null for
// those who use the handle alone.
class Stream {
 public:
  Stream() = default;
  Stream(Stream&& other) noexcept = default;
  Stream& operator=(Stream&& other) noexcept;
  ~Stream();

  // Takes a connected stream socket over. FailedPrecondition: it is not open,
  // not connected, or has a registration (O13); `socket` is left as it was.
  static absl::StatusOr<Stream> Attach(EventLoop& loop, Socket&& socket);

  // An unconnected stream, for Connect. Options and a local address can be set
  // before. Errors as Socket::Open.
  static absl::StatusOr<Stream> Open(EventLoop& loop, AddressFamily family);

  // Gives the socket back. FailedPrecondition while operations are pending or
  // while it receives, or from a thread that the loop does not belong to. What
  // is done is not pending: where several threads run the loop, another may be
  // about to call its handler, and calls it.
  absl::StatusOr<Socket> Detach();

  // The explicit operator says whether there is a stream, open or not.
  explicit operator bool() const { return endpoint_ != nullptr; }
  bool is_open() const;

  // --- operations (O01). The elements of a vector may go away at once; what
  // they point to may not.

  // Connects; errors name the address. A failed stream can only be closed.
  // InvalidArgument: the address is unspecified.
  absl::Status Connect(
      const SocketAddress& address, CompletionHandler handler,
      const OperationOptions& options = kDefaultOperationOptions);

  // Completes with what is there, as soon as anything is (O03, O04). Receives
  // are filled in the order of starting (O06). A reset is told behind what had
  // arrived before, unless the system has thrown that away (Windows may).
  // InvalidArgument: no room at all.
  absl::Status Receive(
      MutableBuffer buffer, CompletionHandler handler,
      const OperationOptions& options = kDefaultOperationOptions);
  absl::Status ReceiveVector(
      std::span<const MutableBuffer> buffers, CompletionHandler handler,
      const OperationOptions& options = kDefaultOperationOptions);

  // Completes when all is consumed, or with an error and the number of bytes
  // that were. Bytes go out in the order of starting; sends that wait together
  // leave in one system call.
  absl::Status Send(ConstBuffer data, CompletionHandler handler,
                    const OperationOptions& options = kDefaultOperationOptions);
  absl::Status SendVector(
      std::span<const ConstBuffer> data, CompletionHandler handler,
      const OperationOptions& options = kDefaultOperationOptions);

  // Sends `length` bytes of `file` from `offset` on, without passing them
  // through the program, except on Windows in notification mode. `file` has to
  // stay open until the indication. Fewer bytes than `length` with an OK status:
  // the file ended. InvalidArgument: an offset that no file reaches;
  // FailedPrecondition: `file` is not open.
  absl::Status SendFile(
      const File& file, std::uint64_t offset, std::uint64_t length,
      CompletionHandler handler,
      const OperationOptions& options = kDefaultOperationOptions);

  // Completes when everything that was to be sent before has been handed to the
  // system.
  absl::Status Flush(
      CompletionHandler handler,
      const OperationOptions& options = kDefaultOperationOptions);

  // The same, and then ends the sending direction: the peer reads the end of
  // the stream.
  absl::Status Disconnect(
      CompletionHandler handler,
      const OperationOptions& options = kDefaultOperationOptions);

  // Completes when the connection is lost, reset by the peer or given up by the
  // system, with the status that says so: also while receiving is paused, and
  // whether or not something is left to be received. Not by an orderly end of
  // either direction. Any number may wait.
  absl::Status WaitForReset(
      CompletionHandler handler,
      const OperationOptions& options = kDefaultOperationOptions);

  // --- the same to be awaited (weir/awaitable.h)

  auto ConnectTo(const SocketAddress& address, OperationOptions options = {}) {
    return MakeAwaitable<Completion>([this, address, options](auto handler) {
      return Connect(address, std::move(handler), options);
    });
  }
  auto Read(MutableBuffer buffer) {
    return MakeAwaitable<Completion>([this, buffer](auto handler) {
      return Receive(buffer, std::move(handler));
    });
  }
  auto Read(MutableBuffer buffer, OperationOptions options) {
    return MakeAwaitable<Completion>([this, buffer, options](auto handler) {
      return Receive(buffer, std::move(handler), options);
    });
  }
  auto Write(ConstBuffer data) {
    return MakeAwaitable<Completion>(
        [this, data](auto handler) { return Send(data, std::move(handler)); });
  }
  auto Write(ConstBuffer data, OperationOptions options) {
    return MakeAwaitable<Completion>([this, data, options](auto handler) {
      return Send(data, std::move(handler), options);
    });
  }
  auto WriteFile(const File& file, std::uint64_t offset, std::uint64_t length,
                 OperationOptions options = {}) {
    return MakeAwaitable<Completion>(
        [this, &file, offset, length, options](auto handler) {
          return SendFile(file, offset, length, std::move(handler), options);
        });
  }
  auto Flushed(OperationOptions options = {}) {
    return MakeAwaitable<Completion>([this, options](auto handler) {
      return Flush(std::move(handler), options);
    });
  }
  auto Disconnected(OperationOptions options = {}) {
    return MakeAwaitable<Completion>([this, options](auto handler) {
      return Disconnect(std::move(handler), options);
    });
  }
  auto UntilReset(OperationOptions options = {}) {
    return MakeAwaitable<Completion>([this, options](auto handler) {
      return WaitForReset(std::move(handler), options);
    });
  }

  // --- sending a copy

  // Like Send, of a copy: `data` is the caller's again when this returns.
  // Returns how many bytes given to Send and SendCopy are still to be sent: more
  // than fits one's memory plan is the time to pause receiving, until Flush
  // completes.
  // A failure shows in the next Flush, Send or receive.
  absl::StatusOr<std::size_t> SendCopy(ConstBuffer data);
  // As SendCopy returns it, without sending anything. 0: a close loses nothing
  // of what was given to these two. On a thread that does not run the loop it
  // may be out of date, and leave out a copy that is just being sent.
  std::size_t UnsentBytes() const;

  // --- receiving into buffers of the runtime (O12)

  // Calls `handler` with what arrives, until the end of the stream, an error or
  // the close: one of these is the last indication. An idle stream holds no
  // buffer. FailedPrecondition: it receives already, or receives are pending.
  absl::Status StartReceive(ReceiveHandler handler);
  // Nothing is indicated between a pause on the loop's thread and the resuming;
  // what arrives waits in the system, and the peer is slowed down. Who wants to
  // know of a reset meanwhile waits for it (WaitForReset).
  absl::Status PauseReceive();
  absl::Status ResumeReceive();

  // --- ending

  // Asks for the end of all pending operations, each indicated once (O10).
  absl::Status Cancel();

  // Ends one or both directions at once (C03).
  absl::Status Shutdown(ShutdownDirection direction);

  // Pending operations are indicated, with Cancelled or their result, then
  // `handler` is called, last (C01). Later calls fail with FailedPrecondition,
  // this one included (C02). What was given to Send or SendCopy and is still
  // waiting does not go out: Flush first.
  absl::Status Close(CloseHandler handler = nullptr,
                     CloseMode mode = CloseMode::kGraceful);

  // --- about the socket; the contracts are Socket's

  absl::Status Bind(const SocketAddress& address);
  absl::StatusOr<SocketAddress> LocalAddress() const;
  absl::StatusOr<SocketAddress> PeerAddress() const;
  absl::Status SetOption(SocketOption option, int value);
  absl::StatusOr<int> GetOption(SocketOption option) const;

 private:
  friend class internal::Endpoint;
  explicit Stream(internal::CountedRef<internal::Endpoint> endpoint)
      : endpoint_(std::move(endpoint)) {}

  internal::CountedRef<internal::Endpoint> endpoint_;
};

}  // namespace weir

#endif  // WEIR_STREAM_H_
