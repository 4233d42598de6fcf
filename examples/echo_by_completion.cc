#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "examples/echo_apis.h"
#include "examples/example_main.h"
#include "weir/listener.h"
#include "weir/stream.h"

namespace examples {
namespace {

// Owns itself: it goes when its stream is closed, which is the last thing that
// is called for it.
class Connection {
 public:
  explicit Connection(weir::Stream stream) : stream_(std::move(stream)) {}

  void Receive() {
    const absl::Status started =
        stream_.Receive(buffer_, [this](const weir::Completion& received) {
          if (!received.ok() || received.bytes == 0) {
            Close();
          } else {
            Send(received.bytes);
          }
        });
    if (!started.ok()) Close();
  }

 private:
  void Send(std::size_t bytes) {
    const absl::Status started =
        stream_.Send(std::span(buffer_).first(bytes),
                     [this](const weir::Completion& sent) {
                       sent.ok() ? Receive() : Close();
                     });
    if (!started.ok()) Close();
  }

  void Close() {
    stream_.Close([this] { delete this; }).IgnoreError();
  }

  weir::Stream stream_;
  std::array<std::byte, 16 * 1024> buffer_;
};

}  // namespace

void EchoByCompletion(weir::EventLoop& loop, weir::Socket listener) {
  auto owned = std::make_unique<weir::Listener>(
      ValueOrFail(weir::Listener::Attach(loop, std::move(listener))));
  weir::Listener& accepting = *owned;
  OkOrFail(accepting.StartAccepting(
      [owned = std::move(owned)](
          absl::StatusOr<weir::AcceptedStream>&& accepted) {
        if (!accepted.ok()) return LogOnce(accepted.status());
        (new Connection(std::move(accepted->stream)))->Receive();
      }));
}

}  // namespace examples
