// Threads that come and go while a loop lives on: what they armed stays armed.

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/conformance/echo.h"
#include "tests/conformance/loop_threads.h"

namespace weir::conformance {
namespace {

constexpr int kLoopSizes[] = {1, 4};

class ThreadExit : public Conformance {
 protected:
  void SetUp() override {}
};
WEIR_CONFORMANCE_SUITE(ThreadExit);

// io_uring cancels what a thread has submitted when that thread ends; its
// registrations, and the loop's own wake-up, are armed anew.
TEST_P(ThreadExit, R05_NothingIsLostWhenTheThreadThatArmedItEnds) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    const auto loop = NewLoop(2);
    Connection connection = Connected();
    Recorder recorder;
    Must(loop->Register(connection.server,
                        mode.With(Interest::kReadable),
                        recorder.Handler()));
    std::thread([&] {
      EXPECT_OK(loop->RunOnce(absl::ZeroDuration()));
    }).join();
    Send(connection.client, "x");
    while (recorder.count() == 0) {
      const auto delivered = loop->RunOnce(kPatience);
      ASSERT_OK(delivered);
      ASSERT_GT(*delivered, 0) << "lost";
    }
    EXPECT_THAT(recorder.Take(), ::testing::ElementsAre(Events::kReadable));
    // The wake-up: only a post can end this wait.
    std::thread([&] {
      EXPECT_OK(loop->RunOnce(absl::ZeroDuration()));
    }).join();
    if (mode.persistence == Persistence::kOneShot) recorder.Take();
    EXPECT_EQ(Drain(connection.server), "x");
    bool posted = false;
    std::thread poster([&] { EXPECT_OK(loop->Post([&] { posted = true; })); });
    while (!posted) {
      const auto delivered = loop->RunOnce(kPatience);
      ASSERT_OK(delivered);
      ASSERT_GT(*delivered, 0) << "the wake-up is lost";
    }
    poster.join();
  }
}

// The same for a thread that never runs the loop but registers and re-arms
// while another one waits: these changes reach the kernel from it.
TEST_P(ThreadExit, R05_NothingIsLostWhenTheThreadThatRegisteredEnds) {
  for (const int size : kLoopSizes) {
    for (const Mode& mode : kAllModes) {
      SCOPED_TRACE(ToString(mode));
      const auto loop = NewLoop(size);
      LoopThreads threads(*loop, size);
      Connection connection = Connected();
      Tally bytes;
      LetItWait(*loop);
      Registration registration;
      std::thread([&] {
        registration = Must(loop->Register(
            connection.server,
            mode.With(Interest::kReadable),
            [&](const Event& event) {
              if (!event.readable()) return;
              bytes.Add(static_cast<int>(Drain(connection.server).size()));
            }));
      }).join();
      Send(connection.client, "x");
      ASSERT_TRUE(bytes.AwaitAtLeast(1));
      LetItWait(*loop);
      std::thread([&] { EXPECT_OK(registration.Rearm()); }).join();
      Send(connection.client, "yz");
      EXPECT_TRUE(bytes.AwaitAtLeast(3));
      threads.StopAndJoin();
    }
  }
}

// Echo goes on while threads leave the loop and others take their places.
TEST_P(ThreadExit, R17_EchoSurvivesThreadsThatComeAndGo) {
  std::vector<std::unique_ptr<EchoSession>> sessions;
  Tally removed;
  const auto loop = NewLoop(4);
  std::atomic<bool> done{false};
  std::vector<std::thread> runners;
  for (int i = 0; i < 3; ++i) {
    runners.emplace_back([&] {
      while (!done.load()) {
        // A fresh thread for a few turns.
        std::thread([&] {
          for (int turn = 0; turn < 5 && !done.load(); ++turn) {
            if (!loop->RunOnce(kPatience).ok()) return;
          }
        }).join();
      }
    });
  }
  std::vector<Socket> clients;
  for (int i = 0; i < 12; ++i) {
    Connection connection = Connected();
    clients.push_back(std::move(connection.client));
    sessions.push_back(std::make_unique<EchoSession>(
        *loop, std::move(connection.server),
        kAllModes[static_cast<std::size_t>(i % 4)], &removed));
  }
  EchoThroughAll(clients, 200'000);
  EXPECT_TRUE(removed.AwaitAtLeast(12));
  done.store(true);
  loop->Stop();
  for (std::thread& runner : runners) runner.join();
  for (const auto& session : sessions) {
    EXPECT_FALSE(session->ever_concurrent());
    EXPECT_EQ(session->events_too_late(), 0);
  }
}

}  // namespace
}  // namespace weir::conformance
