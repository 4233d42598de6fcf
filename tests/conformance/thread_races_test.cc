// Races between threads that run one loop, brought about on purpose: at the one
// moment that matters, another thread passes through a turn (R17, R08).

#include <atomic>
#include <memory>
#include <thread>

#include "tests/conformance/conformance.h"

namespace weir::conformance {
namespace {

class ThreadRaces : public Conformance {
 protected:
  void SetUp() override {}
};
WEIR_CONFORMANCE_SUITE(ThreadRaces);

// Two sockets are ready in one batch. While the handler of the first runs, the
// second, still waiting for its turn, gets a new handler (which must not be
// told what was raised for the old one, R08), and another thread passes through
// a turn. What holds is then told in the turns that follow.
TEST_P(ThreadRaces, R17_AChangeBeforeItsTurnLosesNothing) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    const auto loop = NewLoop(2);
    Connection connections[2] = {Connected(), Connected()};
    Registration registrations[2];
    int first = -1;
    std::atomic<int> told_anew{0};
    for (int i = 0; i < 2; ++i) {
      Send(connections[i].client, "x");
      AwaitReadable(connections[i].server);
      registrations[i] = Must(loop->Register(
          connections[i].server, mode.With(Interest::kReadable),
          [&, i](const Event& event) {
            if (!event.readable() || first != -1) return;
            first = i;
            RegistrationChange change;
            change.handler = [&](const Event& later) {
              if (later.readable()) told_anew.fetch_add(1);
            };
            EXPECT_OK(registrations[1 - i].Modify(std::move(change)));
            std::thread([&] {
              EXPECT_OK(loop->RunOnce(absl::ZeroDuration()));
            }).join();
          }));
    }
    for (int turn = 0; turn < 100 && told_anew.load() == 0; ++turn) {
      ASSERT_OK(loop->RunOnce(absl::Milliseconds(20)));
    }
    EXPECT_GE(told_anew.load(), 1);
  }
}

// A handler replaces itself; while the old one is destroyed, which the loop
// does without a lock, another thread passes through a turn.
TEST_P(ThreadRaces, R08_AHandlerReplacedWhileItRunsLosesNothing) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    const auto loop = NewLoop(2);
    Connection connection = Connected();
    Send(connection.client, "x");
    AwaitReadable(connection.server);
    std::atomic<int> told_anew{0};
    const auto pass_through = [&](int*) {
      std::thread([&] {
        EXPECT_OK(loop->RunOnce(absl::ZeroDuration()));
      }).join();
    };
    int nothing = 0;
    std::unique_ptr<int, decltype(pass_through)> token(&nothing, pass_through);
    Must(loop->Register(
        connection.server, mode.With(Interest::kReadable),
        [&, token = std::move(token)](const Event& event) {
          if (!event.readable()) return;
          RegistrationChange change;
          change.handler = [&](const Event& later) {
            if (later.readable()) told_anew.fetch_add(1);
          };
          EXPECT_OK(event.registration().Modify(std::move(change)));
        }));
    for (int turn = 0; turn < 100 && told_anew.load() == 0; ++turn) {
      ASSERT_OK(loop->RunOnce(absl::Milliseconds(20)));
    }
    EXPECT_GE(told_anew.load(), 1);
  }
}

}  // namespace
}  // namespace weir::conformance
