// What the TCP echo programs share: what to do with a ready listener and with
// a ready connection. How they are registered is what the programs differ in.

#ifndef WEIR_EXAMPLES_TCP_ECHO_H_
#define WEIR_EXAMPLES_TCP_ECHO_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
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

  // Receives or sends once. Returns what to wait for next; kNone says that the
  // connection is over and has been closed.
  weir::Interest OnEvent(const weir::Event& event);

 private:
  bool Receive();
  bool SendUnsent();

  weir::Socket socket_;
  std::vector<std::byte> unsent_;
  std::size_t sent_ = 0;  // of unsent_
};

}  // namespace examples

#endif  // WEIR_EXAMPLES_TCP_ECHO_H_
