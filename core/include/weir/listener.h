// A listening socket, used through operations.

#ifndef WEIR_LISTENER_H_
#define WEIR_LISTENER_H_

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

// A connection that was accepted. Options like SocketOption::kNoDelay are
// inherited from the listener (Linux, Windows).
struct AcceptedStream {
  Stream stream;
  SocketAddress peer;
};
using AcceptHandler =
    absl::AnyInvocable<void(absl::StatusOr<AcceptedStream>&&)>;

struct AcceptingOptions {
  // False: AcceptedStream::peer stays unspecified. Where a mechanism accepts by
  // itself and does not say whom (io_uring's multishot accept), that saves a
  // system call a connection; Stream::PeerAddress tells who asks.
  bool peer_address = true;
};

// Owns one listening socket, or none. Ownership, threads and closing are as for
// Stream.
//
// Connections are taken by posted accepts, one each (R21), or by an accepting
// that goes on; not by both at a time.
class Listener {
 public:
  Listener() = default;
  Listener(Listener&& other) noexcept = default;
  Listener& operator=(Listener&& other) noexcept;
  ~Listener();

  // Listens on `address` (port 0 picks one). Errors as Socket::Listen.
  static absl::StatusOr<Listener> Listen(EventLoop& loop,
                                         const SocketAddress& address,
                                         const ListenOptions& options = {});

  // Takes a listening socket over. FailedPrecondition: it is not open, does not
  // listen, or has a registration (O13); `socket` is left as it was.
  static absl::StatusOr<Listener> Attach(EventLoop& loop, Socket&& socket);

  explicit operator bool() const { return endpoint_ != nullptr; }
  bool is_open() const;

  // Takes the next connection, for use with `loop` (null: the listener's own).
  // ResourceExhausted: no descriptors or no memory; the connection goes on
  // waiting for a later accept.
  absl::Status Accept(
      AcceptHandler handler,
      const OperationOptions& options = kDefaultOperationOptions,
      EventLoop* loop = nullptr);

  auto Next(OperationOptions options = {}, EventLoop* loop = nullptr) {
    return MakeAwaitable<absl::StatusOr<AcceptedStream>>(
        [this, options, loop](auto handler) {
          return Accept(std::move(handler), options, loop);
        });
  }

  // Takes every connection from now on. An error is indicated, and the
  // accepting goes on when a tenth of a second has passed (where there is no
  // descriptor or memory left, it neither spins nor loses the listener, R21). The
  // last indication is Cancelled, at the close.
  absl::Status StartAccepting(AcceptHandler handler,
                              const AcceptingOptions& options = {});
  // Connections wait in the system meanwhile.
  absl::Status PauseAccepting();
  absl::Status ResumeAccepting();

  // As Stream's. Connections that nobody has accepted are reset by the system.
  absl::Status Cancel();
  absl::Status Close(CloseHandler handler = nullptr);

  absl::StatusOr<SocketAddress> LocalAddress() const;
  absl::Status SetOption(SocketOption option, int value);
  absl::StatusOr<int> GetOption(SocketOption option) const;

 private:
  explicit Listener(internal::CountedRef<internal::Endpoint> endpoint)
      : endpoint_(std::move(endpoint)) {}

  internal::CountedRef<internal::Endpoint> endpoint_;
};

}  // namespace weir

#endif  // WEIR_LISTENER_H_
