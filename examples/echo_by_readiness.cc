// Told of a connection that has something to read, the handler reads once; what
// is left is told again in the next turn. Interest is turned to writable only
// while a slow peer makes sending wait.

#include <memory>
#include <string>
#include <utility>

#include "absl/base/attributes.h"
#include "examples/echo_apis.h"
#include "examples/example_main.h"
#include "examples/tcp_echo.h"

namespace examples {
namespace {

// Not compiled into the handler, most of whose events change nothing.
ABSL_ATTRIBUTE_NOINLINE void WaitFor(weir::Interest next,
                                     const weir::Event& event) {
  if (next == weir::Interest::kNone) return;
  event.registration().Modify({.interest = next}).IgnoreError();
}

void Serve(weir::EventLoop& loop, weir::Socket socket) {
  auto stream = std::make_unique<EchoStream>(std::move(socket));
  weir::Socket& registered = stream->socket();
  // The handler owns the connection: it is destroyed after its last event.
  const auto registration =
      loop.Register(registered, {.interest = weir::Interest::kReadable},
                    [stream = std::move(stream)](const weir::Event& event) {
                      const weir::Interest before = stream->waits_for();
                      const weir::Interest next = stream->OnEvent(event);
                      if (next != before) [[unlikely]]
                        WaitFor(next, event);
                    });
  if (!registration.ok()) {
    Log(std::string(registration.status().message()));
  }
}

void Accept(weir::EventLoop& loop, weir::Socket& listener,
            const weir::Event& event) {
  if (event.removed()) return;
  const bool more = AcceptWaiting(
      listener,
      [&loop](weir::Socket socket) { Serve(loop, std::move(socket)); });
  if (more) return;
  // The listener stays ready, and would be told of in every turn.
  const weir::Registration registration = event.registration();
  registration.Disable().IgnoreError();
  loop.PostAfter(kAcceptPause,
                 [registration] { registration.Enable().IgnoreError(); })
      .IgnoreError();
}

}  // namespace

void EchoByReadiness(weir::EventLoop& loop, weir::Socket listener) {
  auto owned = std::make_unique<weir::Socket>(std::move(listener));
  weir::Socket& socket = *owned;
  ValueOrFail(loop.Register(
      socket, {.interest = weir::Interest::kReadable},
      [&loop, owned = std::move(owned)](const weir::Event& event) {
        Accept(loop, *owned, event);
      }));
}

}  // namespace examples
