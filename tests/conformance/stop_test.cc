// Stopping a loop (R19), and who may run it.

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/loop_threads.h"

namespace weir::conformance {
namespace {

class StopTest : public Conformance {};
WEIR_CONFORMANCE_SUITE(StopTest);

TEST_P(StopTest, R19_FromAMessageRunReturnsOkAndNothingMoreRuns) {
  bool later = false;
  ASSERT_OK(loop().Post([&] { loop().Stop(); }));
  ASSERT_OK(loop().Post([&] { later = true; }));
  EXPECT_OK(loop().Run());
  EXPECT_FALSE(later);
}

TEST_P(StopTest, R19_FromAReadinessHandler) {
  Connection connection = Connected();
  int calls = 0;
  Must(loop().Register(connection.server, {.interest = Interest::kWritable},
                       [&](const Event& event) {
                         if (event.removed()) return;
                         ++calls;
                         loop().Stop();
                       }));
  EXPECT_OK(loop().Run());
  EXPECT_EQ(calls, 1);
}

TEST_P(StopTest, R19_FromATimer) {
  Timer timer = Must(loop().CreateTimer([&] { loop().Stop(); }));
  ASSERT_OK(timer.Set(absl::Milliseconds(1)));
  EXPECT_OK(loop().Run());
}

TEST_P(StopTest, R19_BeforeRunAndTwice) {
  loop().Stop();
  loop().Stop();
  EXPECT_CODE(loop().Run(), kFailedPrecondition);
  EXPECT_CODE(loop().RunOnce(absl::ZeroDuration()), kFailedPrecondition);
}

TEST_P(StopTest, R19_AStoppedLoopDoesNotRunAgain) {
  ASSERT_OK(loop().Post([&] { loop().Stop(); }));
  EXPECT_OK(loop().Run());
  EXPECT_CODE(loop().Run(), kFailedPrecondition);
}

// Everything that asks for more is refused; everything that ends something
// still works.
TEST_P(StopTest, R19_AStoppedLoopStillLetsGo) {
  Connection connection = Connected();
  Connection other = Connected();
  Recorder recorder;
  Registration registration =
      Register(connection.server, {.interest = Interest::kReadable}, recorder);
  Recorder closed;
  Register(connection.client, {.interest = Interest::kReadable}, closed);
  Turn();
  loop().Stop();
  Recorder refused;
  EXPECT_CODE(loop().Register(other.server, {.interest = Interest::kReadable},
                              refused.Handler()),
              kFailedPrecondition);
  EXPECT_TRUE(refused.handler_destroyed());
  EXPECT_CODE(loop().OnTermination(), kFailedPrecondition);
  EXPECT_OK(registration.Remove());
  connection.client.Close();
  AwaitReadable(connection.server);
  DestroyLoop();
  EXPECT_THAT(recorder.Take(), ::testing::ElementsAre(Events::kRemoved));
  EXPECT_THAT(closed.Take(), ::testing::ElementsAre(Events::kRemoved));
  EXPECT_TRUE(recorder.handler_destroyed());
}

// The wait is for ever and nothing else happens.
TEST_P(StopTest, R19_FromAnotherThreadEndsAWait) {
  for (int round = 0; round < 100; ++round) {
    const auto waiting = NewLoop();
    absl::Notification running;
    MustOk(waiting->Post([&] { running.Notify(); }));
    LoopThreads threads(*waiting, 1);
    ASSERT_TRUE(Await(running));
    waiting->Stop();
    threads.Join();
  }
}

TEST_P(StopTest, R19_WakesEveryThread) {
  for (int round = 0; round < 30; ++round) {
    const auto several = NewLoop(4);
    Tally inside;
    for (int i = 0; i < 4; ++i) {
      // Each message keeps its thread until all four are inside.
      ASSERT_OK(several->Post([&] {
        inside.Add();
        inside.AwaitAtLeast(4);
      }));
    }
    LoopThreads threads(*several, 4);
    ASSERT_TRUE(inside.AwaitAtLeast(4));
    // From outside, and from inside on one of them.
    if (round % 2 == 0) {
      several->Stop();
    } else {
      ASSERT_OK(several->Post([&] { several->Stop(); }));
    }
    threads.Join();
  }
}

// RunOnce: 0 if the loop was stopped meanwhile.
TEST_P(StopTest, R19_RunOnceReturnsNothingWhenStopped) {
  const auto waiting = NewLoop(2);
  std::thread stopper([&] {
    // After the wait has begun, or before: both must end it.
    waiting->Stop();
  });
  const auto delivered = waiting->RunOnce(absl::InfiniteDuration());
  stopper.join();
  if (delivered.ok()) {
    EXPECT_EQ(*delivered, 0);
  } else {
    EXPECT_CODE(delivered, kFailedPrecondition);
  }
}

TEST_P(StopTest, P05_ANestedRunIsRefused) {
  absl::Status run;
  absl::Status run_once;
  ASSERT_OK(loop().Post([&] {
    run = loop().Run();
    run_once = loop().RunOnce(absl::ZeroDuration()).status();
  }));
  EXPECT_EQ(Turn(), 1);
  EXPECT_CODE(run, kFailedPrecondition);
  EXPECT_CODE(run_once, kFailedPrecondition);
  // The loop is as good as before.
  ASSERT_OK(loop().Post([] {}));
  EXPECT_EQ(Turn(), 1);
}

// A loop runs inside another one's handler, as in an embedded library.
TEST_P(StopTest, P07_AnotherLoopCanRunInAHandler) {
  const auto inner = NewLoop();
  int inner_messages = 0;
  int outer_messages = 0;
  ASSERT_OK(inner->Post([&] {
    ++inner_messages;
    EXPECT_OK(loop().Post([&] { ++outer_messages; }));
    inner->Stop();
  }));
  ASSERT_OK(loop().Post([&] { EXPECT_OK(inner->Run()); }));
  EXPECT_EQ(Turn(), 1);
  EXPECT_EQ(inner_messages, 1);
  EXPECT_EQ(Turn(), 1);
  EXPECT_EQ(outer_messages, 1);
}

// A loop for one thread belongs to the first thread that runs it.
TEST_P(StopTest, R17_ALoopForOneThreadIsNotRunByAnother) {
  EXPECT_EQ(Turn(), 0);
  absl::Status run;
  absl::Status run_once;
  std::thread([&] {
    run = loop().Run();
    run_once = loop().RunOnce(absl::ZeroDuration()).status();
  }).join();
  EXPECT_CODE(run, kFailedPrecondition);
  EXPECT_CODE(run_once, kFailedPrecondition);
  EXPECT_EQ(Turn(), 0);
}

// Made and filled by one thread, run by another: the usual way to start.
TEST_P(StopTest, R17_ALoopIsSetUpOnOneThreadAndRunOnAnother) {
  Connection connection = Connected();
  Tally readable;
  Tally timers;
  Must(loop().Register(connection.server,
                       {.interest = Interest::kReadable,
                        .persistence = Persistence::kOneShot},
                       [&](const Event& event) {
                         if (event.readable()) readable.Add();
                       }));
  Timer timer = Must(loop().CreateTimer([&] { timers.Add(); }));
  ASSERT_OK(timer.Set(absl::Milliseconds(1)));
  // What is registered and let go before the first turn leaves no trace.
  Connection gone = Connected();
  Recorder recorder;
  ASSERT_OK(Register(gone.server, {.interest = Interest::kReadable}, recorder)
                .Remove());
  Send(connection.client, "x");
  {
    LoopThreads threads(loop(), 1);
    EXPECT_TRUE(readable.AwaitAtLeast(1));
    EXPECT_TRUE(timers.AwaitAtLeast(1));
  }
  EXPECT_THAT(recorder.Take(), ::testing::ElementsAre(Events::kRemoved));
}

// C04: destroyed by one of its own handlers: the end comes when Run returns.
TEST_P(StopTest, C04_ALoopDestroyedByItsOwnHandler) {
  for (const int size : {1, 3}) {
    SCOPED_TRACE(size);
    Connection connection = Connected();
    auto doomed = NewLoop(size);
    std::atomic<int> removed{0};
    Must(doomed->Register(connection.server, {.interest = Interest::kReadable},
                          [&](const Event& event) {
                            if (event.removed()) removed.fetch_add(1);
                          }));
    EventLoop* const raw = doomed.get();
    std::vector<std::thread> threads;
    Tally inside;
    for (int i = 0; i < size; ++i) {
      ASSERT_OK(raw->Post([&] {
        inside.Add();
        inside.AwaitAtLeast(size);
      }));
    }
    for (int i = 0; i < size; ++i) {
      threads.emplace_back([raw] { EXPECT_OK(raw->Run()); });
    }
    ASSERT_TRUE(inside.AwaitAtLeast(size));
    ASSERT_OK(raw->Post([&] {
      doomed.reset();
      EXPECT_EQ(removed.load(), 0);
    }));
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(removed.load(), 1);
  }
}

// The destructor waits for the threads inside.
TEST_P(StopTest, C04_DestroyingALoopThatOthersRun) {
  for (int round = 0; round < 50; ++round) {
    auto doomed = NewLoop(3);
    EventLoop* const raw = doomed.get();
    Tally inside;
    for (int i = 0; i < 3; ++i) {
      ASSERT_OK(raw->Post([&] {
        inside.Add();
        inside.AwaitAtLeast(3);
      }));
    }
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([raw] { EXPECT_OK(raw->Run()); });
    }
    ASSERT_TRUE(inside.AwaitAtLeast(3));
    doomed.reset();
    for (std::thread& thread : threads) thread.join();
  }
}

// Handles outlive the loop, and other threads may use them while it ends.
TEST_P(StopTest, C04_HandlesAreUsedWhileTheLoopIsDestroyed) {
  for (int round = 0; round < 200; ++round) {
    auto doomed = NewLoop(round % 2 == 0 ? 1 : 3);
    Connection connection = Connected(test::LocalFamily());
    Registration registration =
        Must(doomed->Register(connection.server,
                              {.interest = Interest::kReadable},
                              [](const Event&) {}));
    Timer timer = Must(doomed->CreateTimer([] {}));
    if (round % 4 < 2) {
      EXPECT_OK(doomed->RunOnce(absl::ZeroDuration()));
    }
    absl::Notification go;
    std::thread user([&, socket = std::move(connection.server)]() mutable {
      go.WaitForNotification();
      (void)timer.Set(absl::ZeroDuration());
      (void)registration.Rearm();
      (void)timer.Cancel();
      socket.Close();
      EXPECT_FALSE(registration.is_live());
      timer = Timer();
    });
    go.Notify();
    doomed.reset();
    user.join();
    AwaitReadable(connection.client);
  }
}

}  // namespace
}  // namespace weir::conformance
