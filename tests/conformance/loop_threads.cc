#include "tests/conformance/loop_threads.h"

#include <cstdlib>

namespace weir::conformance {

void DeliverSentinel(EventLoop& loop) {
  Connection sentinel = Connected(test::LocalFamily());
  absl::Notification delivered;
  absl::Notification removed;
  const Registration registration = Must(loop.Register(
      sentinel.server,
      {.interest = Interest::kReadable, .persistence = Persistence::kOneShot},
      [&](const Event& event) {
        if (event.readable()) delivered.Notify();
        if (event.removed()) removed.Notify();
      }));
  Send(sentinel.client, "x");
  // The handler names this frame: there is no going on without it.
  if (!Await(delivered)) std::abort();
  MustOk(registration.Remove());
  if (!Await(removed)) std::abort();
}

void LetItWait(EventLoop& loop) {
  absl::Notification idle;
  MustOk(loop.Post([&] { idle.Notify(); }));
  if (!Await(idle)) std::abort();
}

}  // namespace weir::conformance
