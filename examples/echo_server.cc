// A TCP echo server with level-triggered, persistent registrations: told of a
// connection that has something to read, the handler reads once; what is left
// is told again in the next turn. Interest is turned to writable only while a
// slow peer makes sending wait.

#include <memory>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/status/statusor.h"
#include "examples/example_main.h"
#include "examples/tcp_echo.h"
#include "weir/event_loop.h"

ABSL_FLAG(std::string, listen, "127.0.0.1:0",
          "IP address and port to listen on; port 0 picks one");
ABSL_FLAG(int, threads, 1, "how many threads run the loop, 1 to 256");
ABSL_FLAG(std::string, api, "readiness",
          "the face of Weir to use; readiness: registrations");

namespace {

using examples::EchoStream;

void Serve(weir::EventLoop& loop, weir::Socket socket) {
  auto stream = std::make_unique<EchoStream>(std::move(socket));
  weir::Socket& registered = stream->socket();
  // The handler owns the connection: it is destroyed after its last event.
  const auto registration = loop.Register(
      registered, {.interest = weir::Interest::kReadable},
      [stream = std::move(stream),
       interest = weir::Interest::kReadable](const weir::Event& event) mutable {
        if (event.removed()) return;
        const weir::Interest next = stream->OnEvent(event);
        if (next == interest || next == weir::Interest::kNone) return;
        interest = next;
        event.registration().Modify({.interest = next}).IgnoreError();
      });
  if (!registration.ok()) {
    examples::Log(std::string(registration.status().message()));
  }
}

void Accept(weir::EventLoop& loop, weir::Socket& listener,
            const weir::Event& event) {
  if (event.removed()) return;
  const bool more = examples::AcceptWaiting(
      listener,
      [&loop](weir::Socket socket) { Serve(loop, std::move(socket)); });
  if (more) return;
  // The listener stays ready, and would be told of in every turn.
  const weir::Registration registration = event.registration();
  registration.Disable().IgnoreError();
  loop.PostAfter(examples::kAcceptPause,
                 [registration] { registration.Enable().IgnoreError(); })
      .IgnoreError();
}

}  // namespace

int main(int argc, char** argv) {
  examples::ParseCommandLine(argc, argv,
                             "sends back what each TCP connection sends");
  const int threads = absl::GetFlag(FLAGS_threads);
  examples::CheckRange("threads", threads, 1, 256);
  examples::CheckApi(absl::GetFlag(FLAGS_api));
  const weir::SocketAddress address =
      examples::IpAddressFlag("listen", absl::GetFlag(FLAGS_listen));

  // Declared before the loop, whose handlers use it to the end.
  weir::Socket listener;
  const auto loop = examples::CreateLoop(threads);
  listener = examples::ValueOrFail(weir::Socket::Listen(address));
  examples::ValueOrFail(
      loop->Register(listener, {.interest = weir::Interest::kReadable},
                     [&loop = *loop, &listener](const weir::Event& event) {
                       Accept(loop, listener, event);
                     }));
  examples::OkOrFail(loop->OnTermination());
  examples::AnnounceListening(*loop, listener);
  return examples::RunLoop(*loop, threads);
}
