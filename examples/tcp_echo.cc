#include "examples/tcp_echo.h"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "examples/example_main.h"
#include "weir/listener.h"

namespace examples {

bool AcceptWaiting(weir::Socket& listener,
                   absl::FunctionRef<void(weir::Socket)> use) {
  constexpr int kMost = 64;
  for (int i = 0; i < kMost; ++i) {
    absl::StatusOr<std::optional<weir::Accepted>> accepted = listener.Accept();
    if (!accepted.ok()) {
      LogOnce(accepted.status());
      return false;
    }
    if (!accepted->has_value()) break;
    weir::Socket& socket = (*accepted)->socket;
    // Answers are worth sending before the peer has acknowledged the last one.
    // A connection that is over already refuses; it will say so by itself.
    socket.SetOption(weir::SocketOption::kNoDelay, 1).IgnoreError();
    use(std::move(socket));
  }
  return true;
}

void AcceptStreams(weir::EventLoop& loop, weir::Socket listener,
                   absl::AnyInvocable<void(weir::Stream)> serve) {
  auto owned = std::make_unique<weir::Listener>(
      ValueOrFail(weir::Listener::Attach(loop, std::move(listener))));
  weir::Listener& accepting = *owned;
  OkOrFail(accepting.StartAccepting(
      [owned = std::move(owned), serve = std::move(serve)](
          absl::StatusOr<weir::AcceptedStream>&& accepted) mutable {
        if (!accepted.ok()) return LogOnce(accepted.status());
        serve(std::move(accepted->stream));
      },
      {.peer_address = false}));
}

weir::Interest EchoStream::Keep(std::span<const std::byte> rest) {
  unsent_ = std::make_unique<Unsent>();
  unsent_->bytes.assign(rest.begin(), rest.end());
  return weir::Interest::kWritable;
}

weir::Interest EchoStream::SendUnsent() {
  const absl::StatusOr<weir::Transfer> sent = socket_.Send(
      std::span<const std::byte>(unsent_->bytes).subspan(unsent_->sent));
  if (!sent.ok()) return Close();
  unsent_->sent += sent->bytes;
  if (unsent_->sent == unsent_->bytes.size()) unsent_ = nullptr;
  return waits_for();
}

weir::Interest EchoStream::Close() {
  socket_.Close();
  return weir::Interest::kNone;
}

}  // namespace examples
