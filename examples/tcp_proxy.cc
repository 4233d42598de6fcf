// A TCP proxy: what either side sends goes to the other, and so does the way in
// which it ends, be it the end of its stream or a reset.

#include <cstddef>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "examples/example_main.h"
#include "weir/connector.h"
#include "weir/event_loop.h"
#include "weir/listener.h"
#include "weir/resolver.h"
#include "weir/socket_address.h"
#include "weir/stream.h"

ABSL_FLAG(std::string, listen, "127.0.0.1:0",
          "IP address and port to listen on; port 0 picks one");
ABSL_FLAG(std::string, upstream, "",
          "host name or IP address, and port, of the server to forward to");

namespace {

// With so much unsent in one direction, no more is received in it: what a
// stalled side costs.
constexpr std::size_t kMostUnsent = 256 * 1024;

constexpr absl::Duration kConnectTimeout = absl::Seconds(10);

// A client's connection and the one that was made for it. Owns itself: it goes
// when both are closed. The loop has one thread, and so nothing here is called
// concurrently.
class Session {
 public:
  Session(weir::Stream client, weir::Stream upstream)
      : client_(std::move(client)), upstream_(std::move(upstream)) {}

  void Start() {
    // What one side sends is worth passing on before the other has
    // acknowledged what came before it.
    upstream_.SetOption(weir::SocketOption::kNoDelay, 1).IgnoreError();
    Forward(client_, upstream_);
    Forward(upstream_, client_);
    CarryReset(client_);
    CarryReset(upstream_);
  }

 private:
  void Forward(weir::Stream& from, weir::Stream& to) {
    const absl::Status started =
        from.StartReceive([this, &from, &to](const weir::Received& received) {
          if (!received.end()) return PassOn(received.data, from, to);
          if (!received.status.ok()) return Close(received.status);
          PassOnEnd(to);
        });
    if (!started.ok()) Close(started);
  }

  // Also while nothing is received because the other side has stalled.
  void CarryReset(weir::Stream& of) {
    const absl::Status waiting = of.WaitForReset(
        [this](const weir::Completion& lost) { Close(lost.status); });
    if (!waiting.ok()) Close(waiting);
  }

  void PassOn(weir::ConstBuffer data, weir::Stream& from, weir::Stream& to) {
    const absl::StatusOr<std::size_t> unsent = to.SendCopy(data);
    if (!unsent.ok()) return Close(unsent.status());
    if (*unsent < kMostUnsent) return;
    from.PauseReceive().IgnoreError();
    const absl::Status flushing =
        to.Flush([this, &from](const weir::Completion& flushed) {
          if (!flushed.ok()) return Close(flushed.status);
          from.ResumeReceive().IgnoreError();
        });
    if (!flushing.ok()) Close(flushing);
  }

  // Half of the connection is over; the other half may go on for long.
  void PassOnEnd(weir::Stream& to) {
    const absl::Status ending =
        to.Disconnect([this](const weir::Completion& ended) {
          if (!ended.ok()) return Close(ended.status);
          if (++ended_directions_ == 2) Close(absl::OkStatus());
        });
    if (!ending.ok()) Close(ending);
  }

  // Any failure but the end of the loop is one of the connection, and resets
  // both sides of it.
  void Close(const absl::Status& status) {
    if (std::exchange(closing_, true)) return;
    const weir::CloseMode mode = status.ok() || absl::IsCancelled(status)
                                     ? weir::CloseMode::kGraceful
                                     : weir::CloseMode::kAbortive;
    // A stream that the loop has closed already, as it ends, says nothing more.
    for (weir::Stream* stream : {&client_, &upstream_}) {
      if (stream->Close([this] { OnClosed(); }, mode).ok()) ++open_;
    }
    if (open_ == 0) delete this;
  }

  void OnClosed() {
    if (--open_ == 0) delete this;
  }

  weir::Stream client_;
  weir::Stream upstream_;
  int ended_directions_ = 0;
  int open_ = 0;  // streams whose close is still to be told, while closing
  bool closing_ = false;
};

// Connects to the server's first address that answers, for `client`.
void Serve(weir::EventLoop& loop, weir::Resolver& resolver,
           const examples::HostAndPort& server, weir::Stream client) {
  const absl::Status started = weir::ConnectStream(
      loop, resolver, server.host, server.port,
      [client = std::move(client)](
          absl::StatusOr<weir::Stream>&& upstream) mutable {
        if (upstream.ok()) {
          (new Session(std::move(client), *std::move(upstream)))->Start();
          return;
        }
        // The client is reset, as if it had tried itself.
        examples::LogOnce(upstream.status());
        client.Close(nullptr, weir::CloseMode::kAbortive).IgnoreError();
      },
      {.timeout = kConnectTimeout});
  if (!started.ok()) examples::LogOnce(started);
}

}  // namespace

int main(int argc, char** argv) {
  examples::ParseCommandLine(
      argc, argv, "forwards TCP connections to a server, in both directions");
  const weir::SocketAddress address =
      examples::IpAddressFlag("listen", absl::GetFlag(FLAGS_listen));
  const examples::HostAndPort upstream =
      examples::HostAndPortFlag("upstream", absl::GetFlag(FLAGS_upstream));

  const auto loop = examples::CreateLoop();
  const auto resolver = examples::ValueOrFail(weir::Resolver::Create(*loop));
  weir::Listener listener =
      examples::ValueOrFail(weir::Listener::Listen(*loop, address));
  // Connections inherit this.
  examples::OkOrFail(listener.SetOption(weir::SocketOption::kNoDelay, 1));
  const auto bound = examples::ValueOrFail(listener.LocalAddress());
  examples::OkOrFail(listener.StartAccepting(
      [&](absl::StatusOr<weir::AcceptedStream>&& accepted) {
        if (!accepted.ok()) return examples::LogOnce(accepted.status());
        Serve(*loop, *resolver, upstream, std::move(accepted->stream));
      }));
  examples::OkOrFail(loop->OnTermination());
  examples::AnnounceListening(*loop, bound);
  return examples::RunLoop(*loop);
}
