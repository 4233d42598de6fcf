#include <cstddef>
#include <utility>

#include "absl/status/statusor.h"
#include "examples/echo_apis.h"
#include "examples/tcp_echo.h"
#include "weir/stream.h"

namespace examples {
namespace {

// With so much unsent, no more is received: what a slow peer costs.
constexpr std::size_t kMostUnsent = 256 * 1024;

// Owns itself: it goes when its stream is closed, which is the last thing that
// is called for it.
class Connection {
 public:
  explicit Connection(weir::Stream stream) : stream_(std::move(stream)) {}

  void Start() {
    const absl::Status started = stream_.StartReceive(
        [this](const weir::Received& received) { OnReceived(received); });
    if (!started.ok()) Close();
  }

 private:
  void OnReceived(const weir::Received& received) {
    if (received.end()) {
      // The peer gets all its answers before it gets the end.
      if (!received.status.ok() || stream_.UnsentBytes() == 0 ||
          !stream_.Flush([this](const weir::Completion&) { Close(); }).ok()) {
        Close();
      }
      return;
    }
    const absl::StatusOr<std::size_t> unsent = stream_.SendCopy(received.data);
    if (!unsent.ok()) return Close();
    if (*unsent < kMostUnsent) return;
    stream_.PauseReceive().IgnoreError();
    const absl::Status flushing =
        stream_.Flush([this](const weir::Completion& flushed) {
          if (!flushed.ok()) return Close();
          stream_.ResumeReceive().IgnoreError();
        });
    if (!flushing.ok()) Close();
  }

  void Close() {
    // Refused if that was asked for before.
    stream_.Close([this] { delete this; }).IgnoreError();
  }

  weir::Stream stream_;
};

}  // namespace

void EchoByStream(weir::EventLoop& loop, weir::Socket listener) {
  AcceptStreams(loop, std::move(listener), [](weir::Stream stream) {
    (new Connection(std::move(stream)))->Start();
  });
}

}  // namespace examples
