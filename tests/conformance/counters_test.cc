// What a loop counts (P06).

#include <cstdint>

#include "absl/time/clock.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/loop_threads.h"

namespace weir::conformance {
namespace {

class Counters : public Conformance {};
WEIR_CONFORMANCE_SUITE(Counters);

TEST_P(Counters, P06_ANewLoopHasDoneNothing) {
  const LoopCounters counters = loop().counters();
  EXPECT_EQ(counters.turns, 0u);
  EXPECT_EQ(counters.events, 0u);
  EXPECT_EQ(counters.stale_reports, 0u);
  EXPECT_EQ(counters.messages, 0u);
  EXPECT_EQ(counters.timers, 0u);
  EXPECT_EQ(counters.wake_ups, 0u);
  EXPECT_EQ(counters.registrations, 0u);
}

TEST_P(Counters, P06_EachThingIsCountedOnce) {
  Connection connection = Connected();
  Recorder recorder;
  const Registration registration =
      Register(connection.server, {.interest = Interest::kReadable}, recorder);
  EXPECT_EQ(loop().counters().registrations, 1u);
  int fired = 0;
  Timer timer = Must(loop().CreateTimer([&] { ++fired; }));
  ASSERT_OK(timer.Set(absl::ZeroDuration()));
  ASSERT_OK(loop().Post([] {}));
  ASSERT_OK(loop().Post([] {}));
  Send(connection.client, "x");
  AwaitReadable(connection.server);
  const LoopCounters before = loop().counters();
  EXPECT_EQ(Turn(), 4);
  LoopCounters after = loop().counters();
  EXPECT_EQ(after.turns - before.turns, 1u);
  EXPECT_GE(after.system_calls - before.system_calls, 1u);
  EXPECT_EQ(after.events - before.events, 1u);
  EXPECT_EQ(after.messages - before.messages, 2u);
  EXPECT_EQ(after.timers - before.timers, 1u);
  EXPECT_EQ(after.wake_ups, before.wake_ups);
  // `removed` is an event, and then the registration does not live any more.
  ASSERT_OK(registration.Remove());
  EXPECT_EQ(Turn(), 1);
  after = loop().counters();
  EXPECT_EQ(after.events - before.events, 2u);
  EXPECT_EQ(after.registrations, 0u);
}

// From another thread, while the loop runs: one wake-up for each wait cut
// short, and the counters can be read meanwhile.
TEST_P(Counters, P06_WakeUpsAreCounted) {
  LoopThreads threads(loop(), 1);
  Tally messages;
  const absl::Time deadline = absl::Now() + kPatience;
  int posted = 0;
  // It may be busy, and in no need of a wake-up, now and then; not always.
  while (posted < 100 || (loop().counters().wake_ups == 0 &&
                          absl::Now() < deadline)) {
    ++posted;
    ASSERT_OK(loop().Post([&] { messages.Add(); }));
    ASSERT_TRUE(messages.AwaitAtLeast(posted));
  }
  const LoopCounters counters = loop().counters();
  EXPECT_EQ(counters.messages, static_cast<std::uint64_t>(posted));
  EXPECT_GE(counters.wake_ups, 1u);
  EXPECT_LE(counters.wake_ups, static_cast<std::uint64_t>(posted));
}

}  // namespace
}  // namespace weir::conformance
