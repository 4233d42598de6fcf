#include "examples/tcp_echo.h"

#include <array>
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
      }));
}

inline bool EchoStream::Receive() {
  // One for all connections of a thread: it is empty again before the next.
  thread_local std::array<std::byte, 64 * 1024> buffer;
  const absl::StatusOr<weir::Transfer> received = socket_.Receive(buffer);
  if (!received.ok()) return false;
  // The peer will send no more, and all it sent has been answered; closing
  // lets the answers go out.
  if (received->end_of_stream) return false;
  if (received->would_block) return true;
  const auto data = std::span<const std::byte>(buffer).first(received->bytes);
  const absl::StatusOr<weir::Transfer> sent = socket_.Send(data);
  if (!sent.ok()) return false;
  const auto rest = data.subspan(sent->bytes);
  if (!rest.empty()) unsent_.assign(rest.begin(), rest.end());
  return true;
}

weir::Interest EchoStream::OnEvent(const weir::Event& event) {
  // A reset, say: there is nobody to send anything to.
  const bool open =
      !event.error() && (unsent_.empty() ? Receive() : SendUnsent());
  if (!open) {
    socket_.Close();
    return weir::Interest::kNone;
  }
  return unsent_.empty() ? weir::Interest::kReadable
                         : weir::Interest::kWritable;
}

bool EchoStream::SendUnsent() {
  const absl::StatusOr<weir::Transfer> sent =
      socket_.Send(std::span<const std::byte>(unsent_).subspan(sent_));
  if (!sent.ok()) return false;
  sent_ += sent->bytes;
  if (sent_ == unsent_.size()) {
    // Gives the memory back too, which clear() would not.
    unsent_ = std::vector<std::byte>();
    sent_ = 0;
  }
  return true;
}

}  // namespace examples
