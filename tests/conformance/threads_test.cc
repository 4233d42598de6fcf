// Several threads run one loop (R17): the work is spread over all of them, and
// no handler runs concurrently with itself.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/echo.h"
#include "tests/conformance/loop_threads.h"

namespace weir::conformance {
namespace {

constexpr int kThreads = 4;

class Threads : public Conformance {
 protected:
  void SetUp() override {}
};
WEIR_CONFORMANCE_SUITE(Threads);

// No thread sits idle while another has a backlog: N handlers that were ready
// in one batch wait for each other, which only N threads can get past.
TEST_P(Threads, R17_SlowHandlersOfOneBatchOverlap) {
  const auto loop = NewLoop(kThreads);
  std::vector<Connection> connections;
  for (int i = 0; i < kThreads; ++i) connections.push_back(Connected());
  Tally arrived;
  Tally left;
  for (Connection& connection : connections) {
    Send(connection.client, "x");
    AwaitReadable(connection.server);
    Must(loop->Register(connection.server,
                        {.interest = Interest::kReadable,
                         .persistence = Persistence::kOneShot},
                        [&](const Event& event) {
                          if (!event.readable()) return;
                          arrived.Add();
                          if (arrived.AwaitAtLeast(kThreads)) left.Add();
                        }));
  }
  LoopThreads threads(*loop, kThreads);
  EXPECT_TRUE(left.AwaitAtLeast(kThreads));
  threads.StopAndJoin();
}

// The same when they become ready one after the other, each while the handlers
// of the earlier ones are still running.
TEST_P(Threads, R17_ASlowHandlerDoesNotDelayWhatComesLater) {
  const auto loop = NewLoop(kThreads);
  std::vector<Connection> connections;
  for (int i = 0; i < kThreads; ++i) connections.push_back(Connected());
  Tally arrived;
  Tally left;
  for (Connection& connection : connections) {
    Must(loop->Register(
        connection.server,
        {.interest = Interest::kReadable,
         .persistence = Persistence::kOneShot},
        [&](const Event& event) {
          if (!event.readable()) return;
          arrived.Add();
          if (arrived.AwaitAtLeast(kThreads)) left.Add();
        }));
  }
  LoopThreads threads(*loop, kThreads);
  for (int i = 0; i < kThreads; ++i) {
    Send(connections[static_cast<std::size_t>(i)].client, "x");
    ASSERT_TRUE(arrived.AwaitAtLeast(i + 1));
  }
  EXPECT_TRUE(left.AwaitAtLeast(kThreads));
  threads.StopAndJoin();
}

TEST_P(Threads, R17_SlowMessagesOverlap) {
  const auto loop = NewLoop(kThreads);
  Tally arrived;
  Tally left;
  for (int i = 0; i < kThreads; ++i) {
    ASSERT_OK(loop->Post([&] {
      arrived.Add();
      if (arrived.AwaitAtLeast(kThreads)) left.Add();
    }));
  }
  LoopThreads threads(*loop, kThreads);
  EXPECT_TRUE(left.AwaitAtLeast(kThreads));
}

TEST_P(Threads, R17_SlowTimerHandlersOverlap) {
  const auto loop = NewLoop(kThreads);
  Tally arrived;
  Tally left;
  std::vector<Timer> timers;
  for (int i = 0; i < kThreads; ++i) {
    timers.push_back(Must(loop->CreateTimer([&] {
      arrived.Add();
      if (arrived.AwaitAtLeast(kThreads)) left.Add();
    })));
    ASSERT_OK(timers.back().Set(absl::Milliseconds(1)));
  }
  LoopThreads threads(*loop, kThreads);
  EXPECT_TRUE(left.AwaitAtLeast(kThreads));
}

// Survey trap 64. The handler brings about its next event itself and goes on
// until another thread has handled something that became ready still later;
// a loop that runs handlers concurrently with themselves does so here.
TEST_P(Threads, R17_AHandlerNeverRunsConcurrentlyWithItself) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    const auto loop = NewLoop(kThreads);
    Connection connection = Connected();
    Connection other = Connected();
    Exclusive exclusive;
    Tally others_handled;
    Tally handled;
    std::string got;
    Must(loop->Register(other.server, {.interest = Interest::kReadable},
                        [&](const Event& event) {
                          if (!event.readable()) return;
                          others_handled.Add(
                              static_cast<int>(Drain(other.server).size()));
                        }));
    constexpr int kRounds = 50;
    Must(loop->Register(connection.server,
                        mode.With(Interest::kReadable),
                        [&](const Event& event) {
                          if (!event.readable()) return;
                          const Exclusive::Visit visit(exclusive);
                          got += Drain(connection.server);
                          const int round = handled.value() + 1;
                          if (mode.persistence == Persistence::kOneShot) {
                            EXPECT_OK(event.registration().Rearm());
                          }
                          if (round < kRounds) Send(connection.client, "x");
                          Send(other.client, "y");
                          others_handled.AwaitAtLeast(round);
                          handled.Add();
                        }));
    {
      LoopThreads threads(*loop, kThreads);
      Send(connection.client, "x");
      // What came while the handler ran is told when it has returned.
      EXPECT_TRUE(handled.AwaitAtLeast(kRounds));
    }
    EXPECT_FALSE(exclusive.violated());
    EXPECT_EQ(got, std::string(kRounds, 'x'));
  }
}

// What comes while a handler runs waits for it, and the loop does not look at it
// again and again meanwhile.
TEST_P(Threads, R17_WhatWaitsForAHandlerKeepsNoThreadBusy) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    const auto loop = NewLoop(kThreads);
    Connection connection = Connected();
    Tally entered;
    Tally may_leave;
    Tally handled;
    Must(loop->Register(
        connection.server, mode.With(Interest::kReadable),
        [&](const Event& event) {
          if (!event.readable()) return;
          if (Drain(connection.server) == "first") {
            if (mode.persistence == Persistence::kOneShot) {
              EXPECT_OK(event.registration().Rearm());
            }
            entered.Add();
            EXPECT_TRUE(may_leave.AwaitAtLeast(1));
          }
          handled.Add();
        }));
    LoopThreads threads(*loop, kThreads);
    Send(connection.client, "first");
    ASSERT_TRUE(entered.AwaitAtLeast(1));
    Send(connection.client, "second");
    AwaitReadable(connection.server);
    const std::uint64_t before = loop->counters().turns;
    constexpr int kMessages = 100;
    Tally messages;
    for (int i = 1; i <= kMessages; ++i) {
      ASSERT_OK(loop->Post([&] { messages.Add(); }));
      ASSERT_TRUE(messages.AwaitAtLeast(i));
    }
    EXPECT_LE(loop->counters().turns - before, 2u * kMessages);
    may_leave.Add();
    EXPECT_TRUE(handled.AwaitAtLeast(2));
  }
}

// Survey trap 64: one readiness, one call, on one thread.
TEST_P(Threads, R17_LevelOneShotHandlesEachReadinessOnce) {
  const auto loop = NewLoop(kThreads);
  struct Peer {
    Connection connection;
    Exclusive exclusive;
    Tally calls;
    std::atomic<std::size_t> bytes{0};
  };
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 0; i < 8; ++i) {
    peers.push_back(std::make_unique<Peer>());
    Peer& peer = *peers.back();
    peer.connection = Connected();
    Must(loop->Register(peer.connection.server,
                        {.interest = Interest::kReadable,
                         .persistence = Persistence::kOneShot},
                        [&peer](const Event& event) {
                          if (!event.readable()) return;
                          const Exclusive::Visit visit(peer.exclusive);
                          peer.bytes += Drain(peer.connection.server).size();
                          EXPECT_OK(event.registration().Rearm());
                          peer.calls.Add();
                        }));
  }
  constexpr int kRounds = 200;
  {
    LoopThreads threads(*loop, kThreads);
    for (int round = 1; round <= kRounds; ++round) {
      for (auto& peer : peers) Send(peer->connection.client, "x");
      for (auto& peer : peers) ASSERT_TRUE(peer->calls.AwaitAtLeast(round));
    }
    DeliverSentinel(*loop);
  }
  for (auto& peer : peers) {
    EXPECT_FALSE(peer->exclusive.violated());
    EXPECT_EQ(peer->calls.value(), kRounds);
    EXPECT_EQ(peer->bytes, std::size_t{kRounds});
  }
}

// R06 on several threads: fired is fired, for every thread.
TEST_P(Threads, R06_AFiredOneShotStaysSilentOnEveryThread) {
  const auto loop = NewLoop(kThreads);
  Connection connection = Connected();
  Tally calls;
  const Registration registration = Must(loop->Register(
      connection.server,
      {.interest = Interest::kReadable | Interest::kWritable,
       .persistence = Persistence::kOneShot},
      [&](const Event& event) {
        if (!event.removed()) calls.Add();
      }));
  LoopThreads threads(*loop, kThreads);
  for (int round = 1; round <= 50; ++round) {
    ASSERT_TRUE(calls.AwaitAtLeast(round));
    Send(connection.client, "x");
    DeliverSentinel(*loop);
    EXPECT_EQ(calls.value(), round);
    ASSERT_OK(registration.Rearm());
  }
}

// R04 on several threads: told again and again, and never to two at a time.
TEST_P(Threads, R04_LevelIsToldAgainWhileItHolds) {
  const auto loop = NewLoop(kThreads);
  Connection connection = Connected();
  Send(connection.client, "x");
  Exclusive exclusive;
  Tally calls;
  Must(loop->Register(connection.server, {.interest = Interest::kReadable},
                      [&](const Event& event) {
                        if (!event.readable()) return;
                        const Exclusive::Visit visit(exclusive);
                        calls.Add();
                      }));
  {
    LoopThreads threads(*loop, kThreads);
    EXPECT_TRUE(calls.AwaitAtLeast(1000));
  }
  EXPECT_FALSE(exclusive.violated());
}

// While a level handler runs, its socket is not told to the other threads in
// vain: they wait in the kernel. Without that they would spin.
TEST_P(Threads, R17_ARunningLevelHandlerDoesNotMakeTheOthersSpin) {
  const auto loop = NewLoop(kThreads);
  Connection connection = Connected();
  Send(connection.client, "x");
  absl::Notification running;
  absl::Notification go_on;
  Must(loop->Register(connection.server, {.interest = Interest::kReadable},
                      [&](const Event& event) {
                        if (!event.readable()) return;
                        if (running.HasBeenNotified()) return;
                        running.Notify();
                        Await(go_on);
                        Drain(connection.server);
                      }));
  LoopThreads threads(*loop, kThreads);
  ASSERT_TRUE(Await(running));
  DeliverSentinel(*loop);
  const auto before = loop->counters();
  for (int i = 0; i < 10; ++i) DeliverSentinel(*loop);
  const auto after = loop->counters();
  go_on.Notify();
  // A sentinel costs a few turns: its event, its removal, their wake-ups.
  EXPECT_LE(after.turns - before.turns, 100u);
}

TEST_P(Threads, R17_EchoIsByteExactInAllModes) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    constexpr std::size_t kConnections = 24;
    std::vector<Socket> clients;
    std::vector<std::unique_ptr<EchoSession>> sessions;
    Tally removed;
    const auto loop = NewLoop(kThreads);
    {
      LoopThreads threads(*loop, kThreads);
      for (std::size_t i = 0; i < kConnections; ++i) {
        Connection connection = Connected(i % 2 == 0 ? AddressFamily::kIpv4
                                                     : test::LocalFamily());
        clients.push_back(std::move(connection.client));
        sessions.push_back(std::make_unique<EchoSession>(
            *loop, std::move(connection.server), mode, &removed));
      }
      EchoThroughAll(clients, 300'000);
      EXPECT_TRUE(removed.AwaitAtLeast(kConnections));
    }
    for (const auto& session : sessions) {
      EXPECT_FALSE(session->ever_concurrent());
      EXPECT_EQ(session->events_too_late(), 0);
    }
    EXPECT_EQ(loop->counters().registrations, 0u);
  }
}

// Threads are not bound to a loop made for several: they enter and leave.
TEST_P(Threads, R17_RunOnceOnSeveralThreadsDeliversEachEventOnce) {
  const auto loop = NewLoop(kThreads);
  Tally messages;
  std::atomic<bool> done{false};
  std::atomic<int> reported{0};
  std::vector<std::thread> runners;
  for (int i = 0; i < kThreads; ++i) {
    runners.emplace_back([&] {
      while (!done.load()) {
        const auto delivered = loop->RunOnce(kPatience);
        if (!delivered.ok()) return;
        reported += *delivered;
      }
    });
  }
  constexpr int kMessages = 2000;
  for (int i = 0; i < kMessages; ++i) {
    ASSERT_OK(loop->Post([&] { messages.Add(); }));
  }
  EXPECT_TRUE(messages.AwaitAtLeast(kMessages));
  done.store(true);
  loop->Stop();
  for (std::thread& runner : runners) runner.join();
  EXPECT_EQ(reported.load(), kMessages);
  EXPECT_EQ(loop->counters().messages, std::uint64_t{kMessages});
}

// EventLoopOptions::threads is the most there can be inside.
TEST_P(Threads, R17_OneThreadTooManyIsRefused) {
  const auto loop = NewLoop(2);
  Tally inside;
  absl::Notification go_on;
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK(loop->Post([&] {
      inside.Add();
      Await(go_on);
    }));
  }
  LoopThreads threads(*loop, 2);
  ASSERT_TRUE(inside.AwaitAtLeast(2));
  EXPECT_CODE(loop->Run(), kFailedPrecondition);
  EXPECT_CODE(loop->RunOnce(absl::ZeroDuration()), kFailedPrecondition);
  go_on.Notify();
}

}  // namespace
}  // namespace weir::conformance
