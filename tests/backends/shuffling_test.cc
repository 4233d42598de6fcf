// The order inside a batch is unspecified (survey trap 66): one scenario, with
// handlers that get into each other's way, ends the same in every order.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/backends/shuffling_backend.h"
#include "tests/conformance/conformance.h"

namespace weir::conformance {
namespace {

class Shuffled : public Conformance {
 protected:
  void SetUp() override {}

  std::unique_ptr<EventLoop> ShuffledLoop(std::uint32_t seed) {
    return Must(EventLoop::Create(std::make_unique<test::ShufflingBackend>(
        Must(CreateBackend(GetParam(), {})), seed)));
  }
};
WEIR_CONFORMANCE_SUITE(Shuffled);

// Connections over TCP keep their ports for a minute: there are few of them.
std::uint32_t Seeds() { return test::HasUnixSockets() ? 50 : 10; }

// One socket of each kind of event, all ready in one batch; what each is told.
using Outcome = std::map<std::string, std::vector<Events>>;

Outcome RunScenario(EventLoop& loop) {
  std::map<std::string, Recorder> recorders;
  std::vector<Connection> connections;
  connections.reserve(16);
  const auto add = [&](const std::string& name, const Mode& mode,
                       Interest interest) -> Connection& {
    connections.push_back(Connected(test::LocalFamily()));
    Must(loop.Register(connections.back().server, mode.With(interest),
                       recorders[name].Handler()));
    return connections.back();
  };
  for (const Mode& mode : kAllModes) {
    Connection& data = add(ToString(mode) + " data", mode,
                           Interest::kReadable | Interest::kWritable);
    Send(data.client, "x");
    add(ToString(mode) + " end", mode,
        Interest::kReadable | Interest::kHangup)
        .client.Close();
    add(ToString(mode) + " nothing", mode, Interest::kReadable);
  }
  for (int turn = 0; turn < 4; ++turn) {
    Must(loop.RunOnce(absl::ZeroDuration()));
  }
  Outcome outcome;
  for (auto& [name, recorder] : recorders) outcome[name] = recorder.Take();
  return outcome;
}

TEST_P(Shuffled, R02_EveryOrderTellsTheSame) {
  const auto plain = NewLoop();
  const Outcome expected = RunScenario(*plain);
  for (std::uint32_t seed = 1; seed <= Seeds(); ++seed) {
    SCOPED_TRACE(seed);
    const auto loop = ShuffledLoop(seed);
    EXPECT_EQ(RunScenario(*loop), expected);
  }
}

// R16, survey trap 32: each handler removes all the others. Whoever is first
// is told, and nobody else.
TEST_P(Shuffled, R16_TheFirstOfABatchSilencesTheOthers) {
  constexpr std::size_t kSockets = 6;
  std::vector<bool> was_first(kSockets, false);
  for (std::uint32_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(seed);
    const auto loop = ShuffledLoop(seed);
    std::vector<Connection> connections;
    std::vector<Recorder> recorders(kSockets);
    std::vector<Registration> registrations;
    for (std::size_t i = 0; i < kSockets; ++i) {
      connections.push_back(DatagramPair());
      Send(connections[i].client, "x");
      registrations.push_back(Must(loop->Register(
          connections[i].server, {.interest = Interest::kReadable},
          recorders[i].Handler([&, i](const Event& event) {
            if (!event.readable()) return;
            was_first[i] = true;
            for (std::size_t other = 0; other < kSockets; ++other) {
              if (other == i) continue;
              // One way or the other.
              if (other % 2 == 0) {
                EXPECT_OK(registrations[other].Remove());
              } else {
                connections[other].server.Close();
              }
            }
            EXPECT_OK(event.registration().Disable());
          }))));
    }
    for (int turn = 0; turn < 4; ++turn) {
      Must(loop->RunOnce(absl::ZeroDuration()));
    }
    std::size_t told = 0;
    std::size_t removed = 0;
    for (const Recorder& recorder : recorders) {
      ASSERT_EQ(recorder.count(), 1u);
      told += recorder.count(Events::kReadable);
      removed += recorder.count(Events::kRemoved);
    }
    EXPECT_EQ(told, 1u);
    EXPECT_EQ(removed, kSockets - 1);
  }
  // The shuffling does shuffle.
  EXPECT_EQ(was_first, std::vector<bool>(kSockets, true));
}

}  // namespace
}  // namespace weir::conformance
