// What a program built around poll() becomes: several sockets, one thread, and
// level-triggered persistent registrations, which behave as entries of a
// pollfd array do. The service: TCP and UDP echo on one port.
//
//   poll()                             Weir
//   an entry of the array              a registration
//   events = POLLIN                    Interest::kReadable
//   events = POLLOUT, later on         Registration::Modify
//   looking through the revents        the handlers
//   taking an entry out, then close    Socket::Close
//   the loop around poll()             the same loop, around RunOnce()

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "examples/example_main.h"
#include "examples/tcp_echo.h"
#include "weir/event_loop.h"
#include "weir/status.h"

ABSL_FLAG(std::string, listen, "127.0.0.1:0",
          "IP address and port of both sockets; port 0 picks one");

namespace {

using weir::Interest;

struct Sockets {
  weir::Socket tcp;
  weir::Socket udp;
};

// Both on one port. That the system picks one for TCP which UDP has in use is
// unlikely, and very much so several times over.
Sockets Open(const weir::SocketAddress& address) {
  constexpr int kAttempts = 8;
  for (int attempt = 1;; ++attempt) {
    Sockets sockets;
    sockets.tcp = examples::ValueOrFail(weir::Socket::Listen(address));
    auto udp = weir::Socket::BindDatagram(
        examples::ValueOrFail(sockets.tcp.LocalAddress()));
    if (udp.ok()) {
      sockets.udp = *std::move(udp);
      return sockets;
    }
    if (address.port() != 0 || attempt == kAttempts ||
        weir::CauseOf(udp.status()) != weir::ErrorCause::kAddressInUse) {
      examples::Fail(udp.status());
    }
  }
}

void AddConnection(weir::EventLoop& loop, weir::Socket socket) {
  auto stream = std::make_unique<examples::EchoStream>(std::move(socket));
  weir::Socket& registered = stream->socket();
  const auto registration = loop.Register(
      registered, {.interest = Interest::kReadable},
      [stream = std::move(stream)](const weir::Event& event) {
        if (event.removed()) return;
        const Interest next = stream->OnEvent(event);
        // As in an array of pollfd, saying what was said before costs nothing.
        if (next == Interest::kNone) return;
        event.registration().Modify({.interest = next}).IgnoreError();
      });
  if (!registration.ok()) {
    examples::Log(std::string(registration.status().message()));
  }
}

void OnListener(weir::EventLoop& loop, weir::Socket& listener,
                const weir::Event& event) {
  if (event.removed()) return;
  const bool more = examples::AcceptWaiting(
      listener,
      [&loop](weir::Socket socket) { AddConnection(loop, std::move(socket)); });
  if (more) return;
  // The listener stays ready, and would be told of in every turn.
  const weir::Registration registration = event.registration();
  registration.Disable().IgnoreError();
  loop.PostAfter(examples::kAcceptPause,
                 [registration] { registration.Enable().IgnoreError(); })
      .IgnoreError();
}

// One datagram at a time: if there are more, the next turn says so.
void OnDatagram(weir::Socket& udp, const weir::Event& event) {
  static std::array<std::byte, 65536> buffer;
  if (!event.readable()) return;
  const absl::StatusOr<weir::Datagram> received = udp.ReceiveFrom(buffer);
  if (!received.ok() || received->would_block) return;
  // An answer that cannot be sent is lost, as datagrams may be.
  udp.SendTo(std::span<const std::byte>(buffer).first(received->bytes),
             received->source)
      .IgnoreError();
}

}  // namespace

int main(int argc, char** argv) {
  examples::ParseCommandLine(
      argc, argv,
      "TCP and UDP echo on one port, by a loop like that of poll()");
  const weir::SocketAddress address =
      examples::IpAddressFlag("listen", absl::GetFlag(FLAGS_listen));

  // Declared before the loop, whose handlers use them to the end.
  Sockets sockets;
  bool stopping = false;
  const auto loop = examples::CreateLoop();
  sockets = Open(address);
  examples::ValueOrFail(
      loop->Register(sockets.tcp, {.interest = Interest::kReadable},
                     [&loop = *loop, &sockets](const weir::Event& event) {
                       OnListener(loop, sockets.tcp, event);
                     }));
  examples::ValueOrFail(loop->Register(sockets.udp,
                                       {.interest = Interest::kReadable},
                                       [&sockets](const weir::Event& event) {
                                         OnDatagram(sockets.udp, event);
                                       }));
  examples::OkOrFail(loop->OnTermination([&stopping] { stopping = true; }));
  examples::AnnounceListening(
      *loop, examples::ValueOrFail(sockets.tcp.LocalAddress()));

  while (!stopping) {
    examples::OkOrFail(loop->RunOnce(absl::InfiniteDuration()).status());
  }
  return 0;
}
