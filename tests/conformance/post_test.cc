// Posted messages and the wake-up behind them (R18).

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/conformance/loop_threads.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;

class PostTest : public Conformance {};
WEIR_CONFORMANCE_SUITE(PostTest);

TEST_P(PostTest, R18_MessagesRunInTheOrderPosted) {
  std::vector<int> order;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_OK(loop().Post([&order, i] { order.push_back(i); }));
  }
  EXPECT_TRUE(order.empty());
  EXPECT_EQ(Turn(), 1000);
  ASSERT_EQ(order.size(), 1000u);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
  }
}

TEST_P(PostTest, R18_AMessagePostedByAMessageRunsInTheNextTurn) {
  std::vector<std::string> order;
  ASSERT_OK(loop().Post([&] {
    order.push_back("first");
    EXPECT_OK(loop().Post([&] { order.push_back("from the first"); }));
  }));
  ASSERT_OK(loop().Post([&] { order.push_back("second"); }));
  EXPECT_EQ(Turn(), 2);
  EXPECT_THAT(order, ElementsAre("first", "second"));
  EXPECT_EQ(Turn(), 1);
  EXPECT_THAT(order, ElementsAre("first", "second", "from the first"));
}

// Among the same completions as socket events: one turn brings both.
TEST_P(PostTest, R18_MessagesAndSocketEventsComeInOneTurn) {
  Connection connection = Connected();
  Recorder recorder;
  Send(connection.client, "x");
  AwaitReadable(connection.server);
  Register(connection.server, {.interest = Interest::kReadable}, recorder);
  int messages = 0;
  ASSERT_OK(loop().Post([&] { ++messages; }));
  EXPECT_EQ(Turn(), 2);
  EXPECT_EQ(messages, 1);
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
}

TEST_P(PostTest, R18_FromAReadinessHandlerAndATimerHandler) {
  Connection connection = Connected();
  std::vector<std::string> order;
  Send(connection.client, "x");
  Must(loop().Register(connection.server,
                       {.interest = Interest::kReadable,
                        .persistence = Persistence::kOneShot},
                       [&](const Event& event) {
                         if (!event.readable()) return;
                         EXPECT_OK(loop().Post(
                             [&] { order.push_back("from the socket"); }));
                       }));
  TurnUntil([&] { return order.size() == 1; });
  Timer timer = Must(loop().CreateTimer([&] {
    EXPECT_OK(loop().Post([&] { order.push_back("from the timer"); }));
  }));
  ASSERT_OK(timer.Set(absl::ZeroDuration()));
  TurnUntil([&] { return order.size() == 2; });
  EXPECT_THAT(order, ElementsAre("from the socket", "from the timer"));
}

// What a message holds goes when it has run, before anything else runs.
TEST_P(PostTest, R18_WhatAMessageHoldsIsDestroyedWhenItHasRun) {
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  bool gone = false;
  ASSERT_OK(loop().Post([held = std::move(held)] { EXPECT_EQ(*held, 1); }));
  ASSERT_OK(loop().Post([&] { gone = watch.expired(); }));
  Turn();
  EXPECT_TRUE(gone);
}

TEST_P(PostTest, R18_AMoveOnlyMessageIsRunOnce) {
  int runs = 0;
  ASSERT_OK(loop().Post([&runs, amount = std::make_unique<int>(1)]() mutable {
    runs += *amount;
    amount.reset();
  }));
  Turn();
  TurnPastSentinel();
  EXPECT_EQ(runs, 1);
}

TEST_P(PostTest, R18_AfterStopAMessageIsRefusedAndDestroyed) {
  loop().Stop();
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  EXPECT_CODE(loop().Post([held = std::move(held)] { FAIL(); }),
              kFailedPrecondition);
  EXPECT_TRUE(watch.expired());
}

// C04: what was posted and not run goes with the loop, unrun; it may post in
// its destructor and be refused.
TEST_P(PostTest, R18_MessagesNotRunAreDestroyedWithTheLoop) {
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  ASSERT_OK(loop().Post([held = std::move(held)] { FAIL(); }));
  EXPECT_FALSE(watch.expired());
  DestroyLoop();
  EXPECT_TRUE(watch.expired());
}

TEST_P(PostTest, P05_AnEmptyMessageIsRefused) {
  EXPECT_CODE(loop().Post(nullptr), kInvalidArgument);
  EXPECT_CODE(loop().PostAfter(absl::ZeroDuration(), nullptr),
              kInvalidArgument);
}

// Survey trap 61: before, during and after a wait. The waits are for ever: one
// wake-up that is lost is the end of this test.
TEST_P(PostTest, R18_NoWakeUpIsLost) {
  constexpr int kRounds = 5000;
  std::atomic<int> answered{0};
  std::thread poster([&] {
    for (int round = 0; round < kRounds; ++round) {
      // Early, while the loop is still busy with the last one, and late.
      if (round % 2 == 0) {
        while (answered.load() < round) std::this_thread::yield();
      }
      MustOk(loop().Post([&] { answered.fetch_add(1); }));
    }
  });
  while (answered.load() < kRounds) {
    const auto delivered = loop().RunOnce(kPatience);
    ASSERT_OK(delivered);
    ASSERT_GT(*delivered, 0) << "after " << answered.load();
  }
  poster.join();
}

// Many may merge: messages come at a burst, wake-ups do not.
TEST_P(PostTest, R18_WakeUpsMergeAndMessagesDoNot) {
  constexpr int kThreads = 4;
  constexpr int kEach = 5000;
  std::vector<int> next(kThreads, 0);
  bool in_order = true;
  std::vector<std::thread> posters;
  for (int i = 0; i < kThreads; ++i) {
    posters.emplace_back([&, i] {
      for (int number = 0; number < kEach; ++number) {
        MustOk(loop().Post([&, i, number] {
          int& expected = next[static_cast<std::size_t>(i)];
          if (number != expected++) in_order = false;
        }));
      }
    });
  }
  TurnUntil([&] {
    return next == std::vector<int>(kThreads, kEach);
  });
  for (std::thread& poster : posters) poster.join();
  EXPECT_TRUE(in_order);
  const LoopCounters counters = loop().counters();
  EXPECT_EQ(counters.messages, std::uint64_t{kThreads * kEach});
  // At most one for each wait.
  EXPECT_LE(counters.wake_ups, counters.turns);
}

// P06: on the loop's own thread nothing has to be woken.
TEST_P(PostTest, P06_PostingOnTheLoopsThreadWakesNobody) {
  const auto before = loop().counters();
  ASSERT_OK(loop().Post([&] { EXPECT_OK(loop().Post([] {})); }));
  EXPECT_EQ(Turn(), 1);
  EXPECT_EQ(Turn(), 1);
  const auto after = loop().counters();
  EXPECT_EQ(after.wake_ups, before.wake_ups);
  EXPECT_EQ(after.messages - before.messages, 2u);
  EXPECT_EQ(after.turns - before.turns, 2u);
  EXPECT_EQ(after.events, before.events);
}

// R18: the completion of something foreign joins the loop: a file, which no
// readiness mechanism knows, is read on another thread.
TEST_P(PostTest, R18_AForeignCompletionArrivesThroughTheLoop) {
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  const std::string text = "what the file holds";
  ASSERT_EQ(std::fwrite(text.data(), 1, text.size(), file), text.size());
  std::rewind(file);
  const std::thread::id loop_thread = std::this_thread::get_id();
  std::string got;
  std::thread reader([&] {
    std::string buffer(64, '\0');
    buffer.resize(std::fread(buffer.data(), 1, buffer.size(), file));
    MustOk(loop().Post([&got, &loop_thread, buffer = std::move(buffer)] {
      EXPECT_EQ(std::this_thread::get_id(), loop_thread);
      got = buffer;
    }));
  });
  TurnUntil([&] { return !got.empty(); });
  reader.join();
  EXPECT_EQ(got, text);
  std::fclose(file);
}

// R18 with several threads: each message once.
TEST_P(PostTest, R18_SeveralThreadsRunEachMessageOnce) {
  const auto several = NewLoop(4);
  constexpr int kMessages = 5000;
  std::vector<std::atomic<int>> runs(kMessages);
  Tally done;
  {
    LoopThreads threads(*several, 4);
    for (std::atomic<int>& run : runs) {
      ASSERT_OK(several->Post([&] {
        run.fetch_add(1);
        done.Add();
      }));
    }
    EXPECT_TRUE(done.AwaitAtLeast(kMessages));
  }
  for (const std::atomic<int>& run : runs) EXPECT_EQ(run.load(), 1);
}

TEST_P(PostTest, P02_PostAfterRunsOnceAndNotEarly) {
  int runs = 0;
  const absl::Duration delay = absl::Milliseconds(20);
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_OK(loop().PostAfter(delay, [&] { ++runs; }));
  TurnUntil([&] { return runs > 0; });
  EXPECT_GE(absl::FromChrono(std::chrono::steady_clock::now() - begin), delay);
  TurnPastSentinel();
  EXPECT_EQ(runs, 1);
}

// Never run, never leaked.
TEST_P(PostTest, P02_PostAfterThatNeverComesDueIsDestroyedWithTheLoop) {
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  ASSERT_OK(loop().PostAfter(absl::Hours(24), [held = std::move(held)] {}));
  ASSERT_OK(loop().PostAfter(absl::InfiniteDuration(), [] { FAIL(); }));
  Turn();
  EXPECT_FALSE(watch.expired());
  DestroyLoop();
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace weir::conformance
