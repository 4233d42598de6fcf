// What the TCP echo programs share: what to do with a ready listener and with
// a ready connection. How they are registered is what the programs differ in.

#ifndef WEIR_EXAMPLES_TCP_ECHO_H_
#define WEIR_EXAMPLES_TCP_ECHO_H_

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weir/event_loop.h"
#include "weir/events.h"
#include "weir/registration.h"
#include "weir/socket.h"
#include "weir/stream.h"

namespace examples {

// Gives the connections that wait to `use`, at most so many at a time that the
// loop's other sockets get their turn. False if the system has no descriptors
// or memory for one more: they go on waiting, and the listener had better not
// be looked at for a while, kAcceptPause say.
bool AcceptWaiting(weir::Socket& listener,
                   absl::FunctionRef<void(weir::Socket)> use);
inline constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);

// Gives every connection that comes to `listener`, from now on, to `serve`.
void AcceptStreams(weir::EventLoop& loop, weir::Socket listener,
                   absl::AnyInvocable<void(weir::Stream)> serve);

// One connection that gets back what it sends. What the peer is too slow to
// take is kept, and nothing more is received until it has been sent: so much
// and no more memory does a slow peer cost, and an idle one none.
//
// Threads: one at a time, as a registration calls its handler.
class EchoStream {
 public:
  explicit EchoStream(weir::Socket socket) : socket_(std::move(socket)) {}

  weir::Socket& socket() { return socket_; }

  weir::Interest waits_for() const {
    return unsent_ == nullptr ? weir::Interest::kReadable
                              : weir::Interest::kWritable;
  }

  // Receives or sends once. Returns what to wait for next; kNone says that the
  // connection is over and has been closed.
  weir::Interest OnEvent(const weir::Event& event);

 private:
  struct Unsent {
    std::vector<std::byte> bytes;
    std::size_t sent = 0;
  };

  // Whatever the error, it is the end of the connection. What is left of a
  // result can stay in registers, with nothing to be destroyed later.
  static std::optional<weir::Transfer> Done(
      absl::StatusOr<weir::Transfer> result) {
    if (!result.ok()) [[unlikely]]
      return std::nullopt;
    return *result;
  }

  weir::Interest Keep(std::span<const std::byte> rest);
  weir::Interest SendUnsent();
  weir::Interest Close();

  weir::Socket socket_;
  // Null while there is nothing.
  std::unique_ptr<Unsent> unsent_;
};

// In the header, to be compiled into the handler: this is all that a server
// does for most messages.
inline weir::Interest EchoStream::OnEvent(const weir::Event& event) {
  constexpr weir::Events kOver = weir::Events::kError | weir::Events::kRemoved;
  // A reset, say: there is nobody to send anything to.
  if (weir::Has(event.events(), kOver)) [[unlikely]]
    return Close();
  if (unsent_ != nullptr) [[unlikely]]
    return SendUnsent();
  // One for all connections of a thread: it is empty again before the next.
  static thread_local std::array<std::byte, 64 * 1024> memory;
  const std::span<std::byte> buffer = memory;
  std::optional<weir::Transfer> received = Done(socket_.Receive(buffer));
  // The peer will send no more, and all it sent has been answered; closing
  // lets the answers go out.
  if (!received || received->end_of_stream) [[unlikely]]
    return Close();
  if (received->would_block) [[unlikely]]
    return weir::Interest::kReadable;
  const std::span<const std::byte> data = buffer.first(received->bytes);
  std::optional<weir::Transfer> sent = Done(socket_.Send(data));
  if (!sent) [[unlikely]]
    return Close();
  if (sent->bytes < data.size()) [[unlikely]] {
    return Keep(data.subspan(sent->bytes));
  }
  return weir::Interest::kReadable;
}

}  // namespace examples

#endif  // WEIR_EXAMPLES_TCP_ECHO_H_
