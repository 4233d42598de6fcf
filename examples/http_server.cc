// An HTTP/1.1 server, written with coroutines: each connection is one, and
// reads from top to bottom as the protocol does.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "examples/example_main.h"
#include "examples/http_request.h"
#include "examples/http_site.h"
#include "weir/event_loop.h"
#include "weir/listener.h"
#include "weir/operation.h"
#include "weir/socket_address.h"
#include "weir/stream.h"
#include "weir/task.h"

ABSL_FLAG(std::string, listen, "127.0.0.1:0",
          "IP address and port to listen on; port 0 picks one");
ABSL_FLAG(std::string, root, "",
          "the folder whose files are served; empty: a fixed text at /");
ABSL_FLAG(int, threads, 1, "how many threads run the loop, 1 to 256");

namespace {

// From a request's first byte to its last.
constexpr absl::Duration kRequestTimeout = absl::Seconds(10);
// Between requests.
constexpr absl::Duration kIdleTimeout = absl::Seconds(60);
// In which so much of a file, or all of an answer else, has to be taken.
constexpr absl::Duration kSendTimeout = absl::Seconds(60);
constexpr std::uint64_t kMostPerSend = 512 * 1024;
// With so much unsent, no further request is looked at.
constexpr std::size_t kMostUnsent = 256 * 1024;
// For the client to end its side once this one has ended.
constexpr absl::Duration kLingering = absl::Seconds(2);

class Connection {
 public:
  Connection(weir::Stream stream, const examples::HttpSite& site)
      : stream_(std::move(stream)), site_(site) {}

  weir::Task<> Serve() {
    bool goes_on = true;
    while (goes_on) {
      std::optional<examples::HttpRequest> request = parser_.Next();
      if (!request.has_value()) {
        const weir::OperationOptions options = {.timeout = TimeLeft()};
        const weir::Completion received =
            co_await stream_.Read(buffer_, options);
        if (received.ok() && received.bytes > 0) {
          parser_.Append(std::string_view(
              reinterpret_cast<const char*>(buffer_.data()), received.bytes));
          continue;
        }
        const bool late = absl::IsDeadlineExceeded(received.status);
        if (!received.ok() && !late) co_return;
        if (!late || !parser_.in_request()) break;
        request.emplace().refusal = 408;
      }
      deadline_ = absl::InfiniteFuture();
      goes_on = request->refusal == 0 && request->keep_alive;
      const examples::HttpAnswer answer = site_.Answer(*request, absl::Now());
      const absl::StatusOr<std::size_t> unsent =
          stream_.SendCopy(std::as_bytes(std::span(answer.text)));
      if (!unsent.ok()) co_return;
      if (answer.file.is_open()) {
        const bool sent = co_await SendFile(answer);
        if (!sent) co_return;
      } else if (*unsent > kMostUnsent) {
        const weir::Completion flushed = co_await stream_.Flushed(kSending);
        if (!flushed.ok()) co_return Abort();
      }
    }
    co_await End();
  }

 private:
  static constexpr weir::OperationOptions kSending = {.timeout = kSendTimeout};

  // Until what is awaited of the client has to be there.
  absl::Duration TimeLeft() {
    if (!parser_.in_request()) return kIdleTimeout;
    const absl::Time now = absl::Now();
    if (deadline_ == absl::InfiniteFuture()) deadline_ = now + kRequestTimeout;
    return std::max(deadline_ - now, absl::Milliseconds(1));
  }

  // False: the connection is over.
  weir::Task<bool> SendFile(const examples::HttpAnswer& answer) {
    for (std::uint64_t done = 0; done < answer.length;) {
      const std::uint64_t piece = std::min(kMostPerSend, answer.length - done);
      const weir::Completion sent = co_await stream_.WriteFile(
          answer.file, answer.offset + done, piece, kSending);
      // A file that has become shorter leaves the client waiting for the rest.
      if (!sent.ok() || sent.bytes < piece) {
        Abort();
        co_return false;
      }
      done += piece;
    }
    co_return true;
  }

  // Answers first, then the end; then the client's end is waited for: closed
  // with bytes of it unread the connection would be reset, and the last answer
  // might be lost on its way (RFC 9112, 9.6).
  weir::Task<> End() {
    const weir::Completion ended = co_await stream_.Disconnected(kSending);
    if (!ended.ok()) co_return Abort();
    const absl::Time deadline = absl::Now() + kLingering;
    while (true) {
      const absl::Duration left = deadline - absl::Now();
      if (left <= absl::ZeroDuration()) co_return;
      const weir::OperationOptions options = {.timeout = left};
      const weir::Completion received = co_await stream_.Read(buffer_, options);
      if (!received.ok() || received.bytes == 0) co_return;
    }
  }

  void Abort() {
    stream_.Close(nullptr, weir::CloseMode::kAbortive).IgnoreError();
  }

  weir::Stream stream_;
  const examples::HttpSite& site_;
  examples::HttpRequestParser parser_;
  // For the rest of the request that has begun.
  absl::Time deadline_ = absl::InfiniteFuture();
  std::array<std::byte, 4 * 1024> buffer_;
};

weir::Task<> Serve(weir::Stream stream, const examples::HttpSite& site) {
  Connection connection(std::move(stream), site);
  co_await connection.Serve();
}

}  // namespace

int main(int argc, char** argv) {
  examples::ParseCommandLine(argc, argv, "serves files over HTTP/1.1");
  const int threads = absl::GetFlag(FLAGS_threads);
  examples::CheckRange("threads", threads, 1, 256);
  const weir::SocketAddress address =
      examples::IpAddressFlag("listen", absl::GetFlag(FLAGS_listen));
  examples::HttpSite site;
  if (const std::string root = absl::GetFlag(FLAGS_root); !root.empty()) {
    auto found = examples::HttpSite::OfFolder(root);
    if (!found.ok()) {
      examples::UsageError("--root: " + std::string(found.status().message()));
    }
    site = *std::move(found);
  }

  const auto loop = examples::CreateLoop(threads);
  weir::Listener listener =
      examples::ValueOrFail(weir::Listener::Listen(*loop, address));
  // The end of an answer is worth sending before its beginning has been
  // acknowledged; connections inherit this.
  examples::OkOrFail(listener.SetOption(weir::SocketOption::kNoDelay, 1));
  const auto bound = examples::ValueOrFail(listener.LocalAddress());
  examples::OkOrFail(listener.StartAccepting(
      [&site](absl::StatusOr<weir::AcceptedStream>&& accepted) {
        if (!accepted.ok()) return examples::LogOnce(accepted.status());
        weir::Spawn(Serve(std::move(accepted->stream), site));
      }));
  examples::OkOrFail(loop->OnTermination());
  examples::AnnounceListening(*loop, bound);
  return examples::RunLoop(*loop, threads);
}
