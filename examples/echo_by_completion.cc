#include <array>
#include <cstddef>
#include <span>
#include <utility>

#include "examples/echo_apis.h"
#include "examples/tcp_echo.h"
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
  AcceptStreams(loop, std::move(listener), [](weir::Stream stream) {
    (new Connection(std::move(stream)))->Receive();
  });
}

}  // namespace examples
