// Nobody is starved: not by a batch that is too large for one turn, nor by a
// socket, a message or a timer that is always ready.

#include <algorithm>
#include <functional>
#include <vector>

#include "absl/time/clock.h"
#include "tests/conformance/conformance.h"

namespace weir::conformance {
namespace {

class Fairness : public Conformance {};
WEIR_CONFORMANCE_SUITE(Fairness);

// Sockets that are readable for ever, and how often each was told.
struct ReadyForEver {
  explicit ReadyForEver(int count) {
    for (int i = 0; i < count; ++i) {
      connections.push_back(Connected(test::LocalFamily()));
      Send(connections.back().client, "x");
      recorders.emplace_back();
    }
  }
  std::size_t LeastTold() const {
    return std::min_element(recorders.begin(), recorders.end(),
                            [](const Recorder& a, const Recorder& b) {
                              return a.count() < b.count();
                            })
        ->count();
  }
  std::size_t MostTold() const {
    return std::max_element(recorders.begin(), recorders.end(),
                            [](const Recorder& a, const Recorder& b) {
                              return a.count() < b.count();
                            })
        ->count();
  }
  std::vector<Connection> connections;
  std::vector<Recorder> recorders;
};

// Survey trap 63, and EventLoopOptions::max_events.
TEST_P(Fairness, R04_ABatchLargerThanTheArrayIsToldOverTheNextTurns) {
  constexpr int kSockets = 40;
  constexpr int kMost = 4;
  ReadyForEver ready(kSockets);
  const auto small = NewLoop(1, kMost);
  for (std::size_t i = 0; i < kSockets; ++i) {
    Must(small->Register(ready.connections[i].server,
                         {.interest = Interest::kReadable},
                         ready.recorders[i].Handler()));
  }
  const auto turn = [&] {
    const int delivered = Must(small->RunOnce(kPatience));
    EXPECT_GE(delivered, 1);
    EXPECT_LE(delivered, kMost);
  };
  // One round, with one turn to spare for a wake-up among the reports.
  for (int i = 0; i < kSockets / kMost + 1; ++i) turn();
  EXPECT_GE(ready.LeastTold(), 1u);
  for (int i = 0; i < 9 * kSockets / kMost; ++i) turn();
  EXPECT_GE(ready.LeastTold(), 9u);
  EXPECT_LE(ready.MostTold(), 11u);
}

// Edge and one-shot: told once, each, however small the array.
TEST_P(Fairness, R05_AnArrayOfOneLosesNoEdge) {
  constexpr int kSockets = 30;
  for (const Mode& mode : kAllModes) {
    if (mode.trigger == Trigger::kLevel &&
        mode.persistence == Persistence::kPersistent) {
      continue;
    }
    SCOPED_TRACE(ToString(mode));
    ReadyForEver ready(kSockets);
    const auto small = NewLoop(1, 1);
    for (std::size_t i = 0; i < kSockets; ++i) {
      Must(small->Register(ready.connections[i].server,
                           mode.With(Interest::kReadable),
                           ready.recorders[i].Handler()));
    }
    const absl::Time deadline = absl::Now() + kPatience;
    while (ready.LeastTold() == 0 && absl::Now() < deadline) {
      ASSERT_OK(small->RunOnce(absl::Seconds(1)));
    }
    EXPECT_EQ(ready.LeastTold(), 1u);
    EXPECT_EQ(ready.MostTold(), 1u);
  }
}

// Survey trap 63: one that comes late waits for no more than a round.
TEST_P(Fairness, R04_ALateRegistrationIsNotStarved) {
  constexpr int kSockets = 20;
  ReadyForEver ready(kSockets);
  const auto small = NewLoop(1, 2);
  for (std::size_t i = 0; i < kSockets; ++i) {
    Must(small->Register(ready.connections[i].server,
                         {.interest = Interest::kReadable},
                         ready.recorders[i].Handler()));
  }
  for (int i = 0; i < 30; ++i) ASSERT_OK(small->RunOnce(kPatience));
  Connection late = Connected();
  Send(late.client, "x");
  AwaitReadable(late.server);
  Recorder recorder;
  Must(small->Register(late.server, {.interest = Interest::kReadable},
                       recorder.Handler()));
  for (int i = 0; i < kSockets / 2 + 2; ++i) {
    ASSERT_OK(small->RunOnce(kPatience));
  }
  EXPECT_GE(recorder.count(Events::kReadable), 1u);
}

// Survey trap 65. Everything else that is due comes in the very next turn.
TEST_P(Fairness, R04_ASocketThatIsAlwaysReadyStarvesNobody) {
  ReadyForEver ready(1);
  Register(ready.connections[0].server, {.interest = Interest::kReadable},
           ready.recorders[0]);
  TurnUntilSeen(ready.recorders[0], Events::kReadable);
  Connection other = Connected();
  Recorder recorder;
  Register(other.server, {.interest = Interest::kReadable}, recorder);
  int messages = 0;
  int timers = 0;
  Timer timer = Must(loop().CreateTimer([&] { ++timers; }));
  for (int round = 1; round <= 20; ++round) {
    ready.recorders[0].Take();
    Send(other.client, "x");
    AwaitReadable(other.server);
    ASSERT_OK(loop().Post([&] { ++messages; }));
    ASSERT_OK(timer.Set(absl::ZeroDuration()));
    EXPECT_EQ(Turn(), 4);
    EXPECT_EQ(messages, round);
    EXPECT_EQ(timers, round);
    EXPECT_EQ(recorder.Take().size(), 1u);
    EXPECT_EQ(ready.recorders[0].count(), 1u);
    EXPECT_EQ(Drain(other.server), "x");
  }
}

// A loop that never waits still lets timers fire when they are due.
TEST_P(Fairness, P02_ABusyLoopFiresItsTimers) {
  ReadyForEver ready(3);
  for (std::size_t i = 0; i < 3; ++i) {
    Register(ready.connections[i].server, {.interest = Interest::kReadable},
             ready.recorders[i]);
  }
  bool fired = false;
  Timer timer = Must(loop().CreateTimer([&] { fired = true; }));
  ASSERT_OK(timer.Set(absl::Milliseconds(5)));
  TurnUntil([&] { return fired; });
}

TEST_P(Fairness, R18_MessagesThatPostThemselvesStarveNobody) {
  int messages = 0;
  std::function<void()> again = [&] {
    ++messages;
    EXPECT_OK(loop().Post([&] { again(); }));
  };
  ASSERT_OK(loop().Post([&] { again(); }));
  Connection connection = Connected();
  Recorder recorder;
  Register(connection.server, {.interest = Interest::kReadable}, recorder);
  int timers = 0;
  Timer timer = Must(loop().CreateTimer([&] { ++timers; }));
  for (int round = 1; round <= 20; ++round) {
    Send(connection.client, "x");
    AwaitReadable(connection.server);
    ASSERT_OK(timer.Set(absl::ZeroDuration()));
    EXPECT_EQ(Turn(), 3);
    EXPECT_EQ(messages, round);
    EXPECT_EQ(timers, round);
    EXPECT_EQ(recorder.Take().size(), 1u);
    EXPECT_EQ(Drain(connection.server), "x");
  }
}

TEST_P(Fairness, P02_TimersThatSetThemselvesStarveNobody) {
  int timers = 0;
  Timer timer;
  timer = Must(loop().CreateTimer([&] {
    ++timers;
    EXPECT_OK(timer.Set(absl::ZeroDuration()));
  }));
  ASSERT_OK(timer.Set(absl::ZeroDuration()));
  Connection connection = Connected();
  Recorder recorder;
  Register(connection.server, {.interest = Interest::kReadable}, recorder);
  int messages = 0;
  for (int round = 1; round <= 20; ++round) {
    Send(connection.client, "x");
    AwaitReadable(connection.server);
    ASSERT_OK(loop().Post([&] { ++messages; }));
    EXPECT_EQ(Turn(), 3);
    EXPECT_EQ(timers, round);
    EXPECT_EQ(messages, round);
    EXPECT_EQ(recorder.Take().size(), 1u);
    EXPECT_EQ(Drain(connection.server), "x");
  }
}

}  // namespace
}  // namespace weir::conformance
