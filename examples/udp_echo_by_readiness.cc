// Told once that datagrams have come, the handler receives until it would block,
// because nothing would tell it of those it left.

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "examples/example_main.h"
#include "examples/udp_echo_apis.h"
#include "weir/status.h"

namespace examples {
namespace {

class UdpEcho {
 public:
  UdpEcho(weir::EventLoop& loop, weir::Socket socket)
      : loop_(loop), socket_(std::move(socket)) {}

  weir::Socket& socket() { return socket_; }

  void OnEvent(const weir::Event& event);

 private:
  // What is to happen after the handler.
  enum class Next { kWait, kGoOn, kWaitToSend, kPause };

  Next Drain();
  // False if the answer has to wait.
  bool SendAnswer();

  weir::EventLoop& loop_;
  weir::Socket socket_;
  std::array<std::byte, 65536> buffer_;
  // An answer not yet sent. Its bytes are in buffer_, so nothing is received
  // meanwhile.
  std::optional<weir::Datagram> answer_;
};

void UdpEcho::OnEvent(const weir::Event& event) {
  if (event.removed()) return;
  const weir::Registration registration = event.registration();
  if (answer_.has_value()) {
    if (!SendAnswer()) return;
    // Tells of what has come meanwhile, too: a change looks at the present.
    registration.Modify({.interest = weir::Interest::kReadable}).IgnoreError();
    return;
  }
  // An error is what the network says of an earlier answer whose receiver has
  // gone; the others' datagrams are received as ever.
  switch (Drain()) {
    case Next::kWait:
      return;
    case Next::kGoOn:
      registration.Rearm().IgnoreError();
      return;
    case Next::kWaitToSend:
      registration.Modify({.interest = weir::Interest::kWritable})
          .IgnoreError();
      return;
    case Next::kPause:
      loop_
          .PostAfter(absl::Milliseconds(100),
                     [registration] { registration.Rearm().IgnoreError(); })
          .IgnoreError();
      return;
  }
}

UdpEcho::Next UdpEcho::Drain() {
  // Whoever stops before it would block must see to being told again.
  constexpr int kMost = 256;
  for (int i = 0; i < kMost; ++i) {
    absl::StatusOr<weir::Datagram> received = socket_.ReceiveFrom(buffer_);
    if (!received.ok()) {
      if (IsOfAnEarlierAnswer(received.status())) continue;
      Log(std::string(received.status().message()));
      return Next::kPause;
    }
    if (received->would_block) return Next::kWait;
    answer_ = *std::move(received);
    if (!SendAnswer()) return Next::kWaitToSend;
  }
  return Next::kGoOn;
}

bool UdpEcho::SendAnswer() {
  const auto data = std::span<const std::byte>(buffer_).first(answer_->bytes);
  const absl::StatusOr<weir::Transfer> sent =
      socket_.SendTo(data, answer_->source);
  if (sent.ok() && sent->would_block) return false;
  // Sent, or refused for this receiver, whose loss it is.
  answer_.reset();
  return true;
}

}  // namespace

bool IsOfAnEarlierAnswer(const absl::Status& status) {
  const weir::ErrorCause cause = weir::CauseOf(status);
  return cause == weir::ErrorCause::kConnectionReset ||
         cause == weir::ErrorCause::kConnectionRefused;
}

void UdpEchoByReadiness(weir::EventLoop& loop, weir::Socket socket) {
  auto echo = std::make_unique<UdpEcho>(loop, std::move(socket));
  weir::Socket& registered = echo->socket();
  ValueOrFail(loop.Register(
      registered,
      {.interest = weir::Interest::kReadable, .trigger = weir::Trigger::kEdge},
      [echo = std::move(echo)](const weir::Event& event) {
        echo->OnEvent(event);
      }));
}

}  // namespace examples
