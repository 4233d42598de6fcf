// Connecting to whichever of several addresses answers first ("happy eyeballs",
// RFC 8305).

#ifndef WEIR_CONNECTOR_H_
#define WEIR_CONNECTOR_H_

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weir/awaitable.h"
#include "weir/event_loop.h"
#include "weir/resolver.h"
#include "weir/socket_address.h"
#include "weir/stream.h"

namespace weir {

namespace internal {
class ConnectRace;
}  // namespace internal

// The connected stream; or why there is none: the last address's refusal,
// DeadlineExceeded, Cancelled, or what the resolver says.
using ConnectHandler = absl::AnyInvocable<void(absl::StatusOr<Stream>&&)>;

// A connecting under way; copies are the same one. Holding or dropping it
// changes nothing. Thread: any.
class Connecting {
 public:
  Connecting() = default;

  // The handler is called with Cancelled, through the loop, unless it was to be
  // called with something else already. FailedPrecondition: it has ended
  // already, or the handle is empty.
  absl::Status Cancel() const;

 private:
  friend class internal::ConnectRace;
  explicit Connecting(std::shared_ptr<internal::ConnectRace> race)
      : race_(std::move(race)) {}

  std::shared_ptr<internal::ConnectRace> race_;
};

struct ConnectOptions {
  // For all of it, the resolving included (O11).
  absl::Duration timeout = absl::InfiniteDuration();
  // How long an address has for itself before the next one is tried besides;
  // RFC 8305 recommends a quarter of a second.
  absl::Duration attempt_delay = absl::Milliseconds(250);
  // Receives the handle, if the connecting was started.
  Connecting* handle = nullptr;
};

// Tries `addresses` in turn, the families interleaved (InterleaveFamilies): the
// next one when the last has failed or has had its time, and the first that
// answers wins; the others are closed. `handler` is called exactly once, on a
// thread that runs the loop, never inside this call; or, if the loop is destroyed
// first, by the thread that does that, with Cancelled (C04).
//
// Thread: any, but not while another thread destroys the loop. Errors, `handler`
// then being destroyed without having been called: InvalidArgument, there is no
// address, the handler is empty, or a time is not positive; FailedPrecondition,
// the loop is stopped.
absl::Status ConnectStream(EventLoop& loop,
                           std::vector<SocketAddress> addresses,
                           ConnectHandler handler,
                           const ConnectOptions& options = {});

// The same for the addresses of `host`, which `resolver`, of the same loop,
// finds; if it is destroyed first, the lookup is cancelled. Errors besides: as
// Resolver::Resolve.
absl::Status ConnectStream(EventLoop& loop, Resolver& resolver,
                           std::string_view host, std::uint16_t port,
                           ConnectHandler handler,
                           const ConnectOptions& options = {});

// To be awaited; gives a StatusOr<Stream>. `host` has to stay meanwhile.
inline auto ConnectedStream(EventLoop& loop, Resolver& resolver,
                            std::string_view host, std::uint16_t port,
                            ConnectOptions options = {}) {
  return MakeAwaitable<absl::StatusOr<Stream>>(
      [&loop, &resolver, host, port, options](auto handler) {
        return ConnectStream(loop, resolver, host, port, std::move(handler),
                             options);
      });
}

}  // namespace weir

#endif  // WEIR_CONNECTOR_H_
