#include <cstddef>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "examples/example_main.h"
#include "examples/udp_echo_apis.h"
#include "weir/datagram_socket.h"

namespace examples {
namespace {

// With so much unsent, answers are dropped, as the network would.
constexpr std::size_t kMostUnsent = 4 * 1024 * 1024;

}  // namespace

void UdpEchoByCompletion(weir::EventLoop& loop, weir::Socket socket) {
  auto owned = std::make_unique<weir::DatagramSocket>(
      ValueOrFail(weir::DatagramSocket::Attach(loop, std::move(socket))));
  weir::DatagramSocket& echo = *owned;
  OkOrFail(echo.StartReceive(
      [owned = std::move(owned), unsent = std::size_t{0}](
          const weir::ReceivedDatagrams& received) mutable {
        if (!received.status.ok()) {
          if (!IsOfAnEarlierAnswer(received.status)) LogOnce(received.status);
          return;
        }
        for (const weir::ReceivedDatagram& datagram : received.datagrams) {
          if (unsent > kMostUnsent) {
            unsent = 0;
            break;
          }
          const absl::StatusOr<std::size_t> sent = owned->SendCopy(
              datagram.data, datagram.source, datagram.segment_bytes);
          if (sent.ok()) unsent = *sent;
        }
      },
      {.offload = true}));
}

}  // namespace examples
