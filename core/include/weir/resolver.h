// Names to addresses, without ever blocking the event loop.

#ifndef WEIR_RESOLVER_H_
#define WEIR_RESOLVER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weir/event_loop.h"
#include "weir/socket_address.h"
#include "weir/timer.h"

namespace weir {

namespace internal {
class ResolveQuery;
class ResolverState;
}  // namespace internal

// Finds the addresses of `host`, best first; it may block, and is called by
// several threads at a time. Only addresses of `family` are wanted, unless that
// is kUnspecified; ports do not matter, the resolver puts in the one asked for.
// It may still be running, or run once more, after the resolver was destroyed:
// it has to own what it uses.
using NameLookup =
    absl::AnyInvocable<absl::StatusOr<std::vector<SocketAddress>>(
        const std::string& host, AddressFamily family) const>;

struct ResolverOptions {
  // How many lookups are made at a time, 1 to 256: each has a thread.
  int threads = 2;
  // How many may wait for a thread besides, at least 0.
  int max_queued = 1024;
  // Instead of the system's (getaddrinfo).
  NameLookup lookup = nullptr;
};

struct ResolveOptions {
  // kIpv4 and kIpv6 leave the other out.
  AddressFamily family = AddressFamily::kUnspecified;
  // From the call of Resolve on, the wait for a thread included. One that is over
  // already is told as such, through the loop.
  absl::Duration timeout = absl::InfiniteDuration();
};

// Gets at least one address, in the order of preference of the system
// (RFC 6724), with the port asked for; or why there is none:
//
//   NotFound           there is no such name, or it has no address (of the
//                      family asked for)
//   Unavailable        not now: a name server did not answer, or failed
//   ResourceExhausted  no memory, no descriptors
//   DeadlineExceeded   the timeout (kTimedOut)
//   Cancelled          Lookup::Cancel, or the resolver was destroyed
//                      (kCancelled)
//
// or another code, for what a resolver of the system's own could not do; or
// what ResolverOptions::lookup returned.
using ResolveHandler =
    absl::AnyInvocable<void(absl::StatusOr<std::vector<SocketAddress>>)>;

// One lookup under way; copies are the same one. Holding or dropping it changes
// nothing. Thread: any.
class Lookup {
 public:
  Lookup() = default;

  // The handler is called with Cancelled, through the loop; a result that is
  // there already but was not delivered yet is dropped. OK as long as the
  // handler was not called, again and again; then FailedPrecondition, as for an
  // empty Lookup and one whose loop was destroyed.
  absl::Status Cancel() const;

 private:
  friend class Resolver;
  explicit Lookup(std::shared_ptr<internal::ResolveQuery> query)
      : query_(std::move(query)) {}

  std::shared_ptr<internal::ResolveQuery> query_;
};

// Resolves names on threads of its own and tells on those of the loop (P03).
//
// Each handler is called exactly once, on a thread that runs the loop, never
// inside a call on the resolver or on its Lookup, and is destroyed once it has
// returned. If the loop is stopped or destroyed first, the handler is not
// called, and is destroyed with the loop (C04), on the thread that does that.
//
// A lookup of the system's cannot be interrupted. One that is cancelled or
// timed out is over for its caller at once, but its thread stays busy until the
// system returns, and its result is dropped. The resolver can nevertheless be
// destroyed at any time without waiting for it: threads that have nothing to do
// are joined, and one inside the system is left behind and ends by itself; it
// touches nothing but what it owns with the resolver.
//
// Thread: any, handlers included; but Resolve must have returned before the
// resolver is destroyed, and must not run while another thread destroys the
// loop. The resolver may outlive the loop.
class Resolver {
 public:
  // Errors: InvalidArgument for options out of range; ResourceExhausted if the
  // system has no more threads; FailedPrecondition if the loop is stopped.
  static absl::StatusOr<std::unique_ptr<Resolver>> Create(
      EventLoop& loop, ResolverOptions options = {});

  // Cancels every lookup whose handler was not called: the loop calls it with
  // Cancelled.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Resolves `host`: a name, or an IP address, which is answered without a
  // thread: "127.0.0.1", "::1", "[::1]", "fe80::1%eth0". What is in the list of
  // ResolveHandler comes there.
  //
  // Errors at once, `handler` then being destroyed without having been called:
  // InvalidArgument, `host` is empty, has a zero byte or more than 253
  // characters (a final dot besides), or has a ':' or bracket and is no IPv6
  // address; or the handler is empty; or the family is no IP family.
  // ResourceExhausted, too many lookups wait for a thread already.
  // FailedPrecondition, the loop is stopped or destroyed.
  absl::StatusOr<Lookup> Resolve(std::string_view host, std::uint16_t port,
                                 ResolveHandler handler,
                                 const ResolveOptions& options = {});

 private:
  Resolver(EventLoop& loop, Timer loop_end,
           std::shared_ptr<internal::ResolverState> state);

  // Only as long as loop_end_ can be set.
  EventLoop& loop_;
  // Never fires: it tells whether the loop is still there.
  Timer loop_end_;
  const std::shared_ptr<internal::ResolverState> state_;
  std::vector<std::thread> threads_;
};

}  // namespace weir

#endif  // WEIR_RESOLVER_H_
