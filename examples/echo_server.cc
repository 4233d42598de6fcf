// A TCP echo server, with each face of Weir: see echo_apis.h.

#include <cstddef>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "examples/echo_apis.h"
#include "examples/example_main.h"
#include "weir/event_loop.h"
#include "weir/socket.h"

ABSL_FLAG(std::string, listen, "127.0.0.1:0",
          "IP address and port to listen on; port 0 picks one");
ABSL_FLAG(int, threads, 1, "how many threads run the loop, 1 to 256");
ABSL_FLAG(std::string, api, "readiness",
          "the face of Weir to use; readiness: registrations; completion: one "
          "receive and one send at a time; stream: buffers of the runtime; "
          "awaitable: as completion, in coroutines");

namespace {

// In the order of the choices for --api.
constexpr void (*kServe[])(weir::EventLoop&, weir::Socket) = {
    examples::EchoByReadiness,
    examples::EchoByCompletion,
    examples::EchoByStream,
    examples::EchoByCoroutine,
};

}  // namespace

int main(int argc, char** argv) {
  examples::ParseCommandLine(argc, argv,
                             "sends back what each TCP connection sends");
  const int threads = absl::GetFlag(FLAGS_threads);
  examples::CheckRange("threads", threads, 1, 256);
  const std::size_t api =
      examples::ChoiceFlag("api", absl::GetFlag(FLAGS_api),
                           {"readiness", "completion", "stream", "awaitable"});
  const weir::SocketAddress address =
      examples::IpAddressFlag("listen", absl::GetFlag(FLAGS_listen));

  const auto loop = examples::CreateLoop(threads);
  weir::Socket listener = examples::ValueOrFail(weir::Socket::Listen(address));
  // Answers are worth sending before the peer has acknowledged the last one;
  // connections inherit this.
  examples::OkOrFail(listener.SetOption(weir::SocketOption::kNoDelay, 1));
  const auto bound = examples::ValueOrFail(listener.LocalAddress());
  kServe[api](*loop, std::move(listener));
  examples::OkOrFail(loop->OnTermination());
  examples::AnnounceListening(*loop, bound);
  return examples::RunLoop(*loop, threads);
}
