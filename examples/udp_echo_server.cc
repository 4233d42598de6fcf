// A UDP echo server, with each face of Weir: see udp_echo_apis.h.

#include <cstddef>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "examples/example_main.h"
#include "examples/udp_echo_apis.h"
#include "weir/event_loop.h"
#include "weir/socket.h"

ABSL_FLAG(std::string, listen, "127.0.0.1:0",
          "IP address and port to receive on; port 0 picks one");
ABSL_FLAG(std::string, api, "readiness",
          "the face of Weir to use; readiness: an edge-triggered registration; "
          "completion: batches in buffers of the runtime");

namespace {

// In the order of the choices for --api.
constexpr void (*kServe[])(weir::EventLoop&, weir::Socket) = {
    examples::UdpEchoByReadiness,
    examples::UdpEchoByCompletion,
};

}  // namespace

int main(int argc, char** argv) {
  examples::ParseCommandLine(argc, argv,
                             "sends each UDP datagram back to its sender");
  const std::size_t api = examples::ChoiceFlag(
      "api", absl::GetFlag(FLAGS_api), {"readiness", "completion"});
  const weir::SocketAddress address =
      examples::IpAddressFlag("listen", absl::GetFlag(FLAGS_listen));

  const auto loop = examples::CreateLoop();
  weir::Socket socket =
      examples::ValueOrFail(weir::Socket::BindDatagram(address));
  const auto bound = examples::ValueOrFail(socket.LocalAddress());
  kServe[api](*loop, std::move(socket));
  examples::OkOrFail(loop->OnTermination());
  examples::AnnounceListening(*loop, bound);
  return examples::RunLoop(*loop);
}
