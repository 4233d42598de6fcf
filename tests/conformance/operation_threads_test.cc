// Operations with several threads (O09, O07, C01, C02): started, cancelled and
// closed from anywhere at once.

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/conformance/loop_threads.h"
#include "tests/conformance/operations.h"

namespace weir::conformance {
namespace {

class OperationThreads : public OperationsTest {
 protected:
  // Counts what was started and what was indicated, and what came after the
  // close.
  struct Balance {
    CompletionHandler Handler() {
      return [this](const Completion&) { Told(); };
    }
    void Told() {
      if (closed.load()) late.fetch_add(1);
      told.Add();
    }
    void Started(const absl::Status& status) {
      if (status.ok()) started.fetch_add(1);
    }
    Tally told;
    std::atomic<int> started{0};
    std::atomic<int> late{0};
    std::atomic<bool> closed{false};
  };
};
WEIR_CONFORMANCE_SUITE(OperationThreads);

constexpr int kLoopThreads[] = {1, 4};

// From a thread that never runs the loop, in its order, told on one that does.
TEST_P(OperationThreads, O09_OperationsAreStartedFromAnyThread) {
  for (const int threads : kLoopThreads) {
    const auto running = NewLoop(threads);
    StreamAndPeer pair = Connect(*running);
    LoopThreads run(*running, threads);
    const std::thread::id self = std::this_thread::get_id();
    constexpr std::size_t kCount = 300;
    std::vector<Room> rooms(kCount, Room(1));
    Indications received, sent;
    std::atomic<int> strays{0};
    const auto check = [&](const Completion&) {
      if (std::this_thread::get_id() == self) ++strays;
    };
    std::string expected;
    std::vector<std::string> data;
    data.reserve(kCount);
    for (std::size_t i = 0; i < kCount; ++i) {
      data.push_back(absl::StrCat(i, ","));
      expected += data.back();
      ASSERT_OK(pair.stream.Receive(
          rooms[i], received.Handler(absl::StrCat(i), check)));
      ASSERT_OK(pair.stream.Send(BytesOf(data[i]),
                                 sent.Handler(absl::StrCat(i), check)));
    }
    Operation flush;
    ASSERT_OK(pair.stream.Flush(nullptr, {.handle = &flush}));
    EXPECT_OK(Must(flush.Wait(kPatience)).status);
    EXPECT_EQ(Drain(pair.peer), expected);
    const std::string pattern = Pattern(kCount);
    Send(pair.peer, pattern);
    Operation last;
    Room more(1);
    ASSERT_OK(pair.stream.Receive(more, nullptr, {.handle = &last}));
    Send(pair.peer, "z");
    EXPECT_OK(Must(last.Wait(kPatience)).status);
    EXPECT_EQ(more.all(), "z");
    std::string arrived;
    for (const Room& room : rooms) arrived += room.all();
    EXPECT_EQ(arrived, pattern);
    const auto in = received.entries(), out = sent.entries();
    ASSERT_EQ(in.size(), kCount);
    ASSERT_EQ(out.size(), kCount);
    for (std::size_t i = 0; i < kCount; ++i) {
      EXPECT_EQ(in[i], absl::StrCat(i, " OK 1"));
      EXPECT_EQ(out[i], absl::StrCat(i, " OK ", data[i].size()));
    }
    EXPECT_EQ(strays.load(), 0);
  }
}

// What is said to be unsent is never more than what was given.
TEST_P(OperationThreads, O09_ACopyFromAnotherThreadIsCountedOnce) {
  const auto running = NewLoop();
  LoopThreads run(*running, 1);
  const std::string data = Pattern(600000);
  for (int round = 0; round < 50; ++round) {
    StreamAndPeer pair = Connect(*running);
    EXPECT_LE(Must(pair.stream.SendCopy(BytesOf(data))), data.size());
    MustOk(pair.stream.Close());
  }
}

// What is not started is refused, also by a stream that is connected meanwhile.
TEST_P(OperationThreads, O09_AStartThatRacesWithItsConnectIsToldOrRefused) {
  const auto running = NewLoop();
  LoopThreads run(*running, 1);
  Socket listener = Listener(AddressFamily::kIpv4);
  for (int round = 0; round < 1000; ++round) {
    Stream stream = Must(Stream::Open(*running, AddressFamily::kIpv4));
    ASSERT_OK(stream.Connect(AddressOf(listener), nullptr));
    Operation flush;
    const absl::Time end = absl::Now() + kPatience;
    absl::Status status;
    do {
      status = stream.Flush(nullptr, {.handle = &flush});
    } while (!status.ok() && absl::Now() < end);
    ASSERT_OK(status);
    ASSERT_OK(flush.Wait(kPatience)) << "in round " << round;
    MustOk(stream.Close(nullptr, CloseMode::kAbortive));
    (void)listener.Accept();
  }
}

// Nothing that has no handler is between its end and being done.
TEST_P(OperationThreads, O13_WhatASocketIsGivenBackAfterIsDone) {
  const auto running = NewLoop(4);
  LoopThreads run(*running, 4);
  StreamAndPeer pair = Connect(*running);
  for (int round = 0; round < 1000; ++round) {
    Operation send;
    ASSERT_OK(pair.stream.Send(BytesOf("x"), nullptr, {.handle = &send}));
    absl::StatusOr<Socket> back = pair.stream.Detach();
    while (absl::IsFailedPrecondition(back.status())) {
      std::this_thread::yield();
      back = pair.stream.Detach();
    }
    ASSERT_OK(back.status());
    ASSERT_TRUE(send.done());
    EXPECT_OK(Must(send.Result()).status);
    pair.stream = Must(Stream::Attach(*running, *std::move(back)));
    Drain(pair.peer);
  }
}

// Handlers of one socket never run at the same time, nor inside one another.
TEST_P(OperationThreads, O07_HandlersOfOneSocketAreNeverConcurrent) {
  const auto running = NewLoop(4);
  StreamAndPeer pair = Connect(*running);
  auto exclusive = std::make_unique<Exclusive>();
  LoopThreads run(*running, 4);
  constexpr int kRounds = 500;
  Tally told;
  Room room(16);
  int since = 0;  // guarded by nothing but the promise
  const auto visit = [&](const Completion&) {
    const Exclusive::Visit inside(*exclusive);
    ++since;
    told.Add();
  };
  std::array<std::thread, 3> starters;
  for (std::thread& starter : starters) {
    starter = std::thread([&] {
      for (int i = 0; i < kRounds; ++i) {
        EXPECT_OK(pair.stream.Send(BytesOf("abc"), visit));
        EXPECT_OK(pair.stream.Flush(visit));
      }
    });
  }
  std::thread receiver([&] {
    for (int i = 0; i < kRounds; ++i) {
      Operation receive;
      EXPECT_OK(pair.stream.Receive(room, visit, {.handle = &receive}));
      Send(pair.peer, "x");
      EXPECT_OK(receive.Wait(kPatience));
      Drain(pair.peer);
    }
    // What the senders still have in flight.
    while (told.value() < 7 * kRounds) Drain(pair.peer);
  });
  for (std::thread& starter : starters) starter.join();
  receiver.join();
  run.StopAndJoin();
  EXPECT_EQ(told.value(), 7 * kRounds);
  EXPECT_EQ(since, 7 * kRounds);
  EXPECT_FALSE(exclusive->violated());
}

// Every start that was accepted is indicated, once, and before the close is
// told; whoever comes later is refused.
TEST_P(OperationThreads, C02_StartsThatRaceWithAClose) {
  for (const int threads : kLoopThreads) {
    const auto running = NewLoop(threads);
    LoopThreads run(*running, threads);
    for (int round = 0; round < 200; ++round) {
      StreamAndPeer pair = Connect(*running);
      auto balance = std::make_unique<Balance>();
      Room room(4);
      absl::Notification go, closed;
      std::vector<std::thread> starters;
      for (int i = 0; i < 2; ++i) {
        starters.emplace_back([&, i] {
          go.WaitForNotification();
          absl::Status status;
          while (status.ok()) {
            status = i == 0 ? pair.stream.Receive(room, balance->Handler())
                            : pair.stream.Flush(balance->Handler());
            balance->Started(status);
          }
          EXPECT_CODE(status, kFailedPrecondition);
        });
      }
      go.Notify();
      EXPECT_OK(pair.stream.Close([&] {
        balance->closed.store(true);
        closed.Notify();
      }));
      for (std::thread& starter : starters) starter.join();
      Await(closed);
      if (!balance->told.AwaitAtLeast(balance->started.load())) {
        // A handler may come yet, for what is known.
        (void)balance.release();
        ADD_FAILURE() << "in round " << round << " with " << threads;
        break;
      }
      EXPECT_EQ(balance->told.value(), balance->started.load());
      EXPECT_EQ(balance->late.load(), 0) << threads;
    }
  }
}

// A receiver that is started while another thread closes gets its end, or is
// refused.
TEST_P(OperationThreads, C02_AReceiverThatRacesWithAClose) {
  for (const int threads : kLoopThreads) {
    const auto running = NewLoop(threads);
    LoopThreads run(*running, threads);
    for (int round = 0; round < 300; ++round) {
      StreamAndPeer pair = Connect(*running);
      Indications told;
      absl::Notification closed;
      absl::Status status;
      std::thread starter(
          [&] { status = pair.stream.StartReceive(told.ForReceived("r")); });
      EXPECT_OK(pair.stream.Close([&] { closed.Notify(); }));
      starter.join();
      Await(closed);
      if (status.ok()) {
        EXPECT_THAT(told.entries(), ::testing::ElementsAre("r CANCELLED 0"));
      } else {
        EXPECT_CODE(status, kFailedPrecondition);
        EXPECT_EQ(told.count(), 0u);
      }
      if (HasFailure()) break;
    }
  }
}

// Whoever asks the handle something is answered, or refused; never is it asked
// when it is closed, and may be another's.
TEST_P(OperationThreads, C02_QuestionsThatRaceWithAClose) {
  for (const int threads : kLoopThreads) {
    const auto running = NewLoop(threads);
    LoopThreads run(*running, threads);
    for (int round = 0; round < 300; ++round) {
      StreamAndPeer pair = Connect(*running);
      const SocketAddress address = Must(pair.stream.LocalAddress());
      absl::Notification asking, closed;
      std::thread asker([&] {
        absl::StatusOr<SocketAddress> answer = pair.stream.LocalAddress();
        asking.Notify();
        for (; answer.ok(); answer = pair.stream.LocalAddress()) {
          EXPECT_EQ(*answer, address);
        }
        EXPECT_CODE(answer.status(), kFailedPrecondition);
        EXPECT_EQ(CauseOf(answer.status()), ErrorCause::kUnknown);
      });
      Await(asking);
      EXPECT_OK(pair.stream.Close([&] { closed.Notify(); }));
      asker.join();
      Await(closed);
      if (HasFailure()) break;
    }
  }
}

// Survey traps 48 and 54.
TEST_P(OperationThreads, O10_CancelsRaceWithResults) {
  for (const int threads : kLoopThreads) {
    const auto running = NewLoop(threads);
    StreamAndPeer pair = Connect(*running);
    LoopThreads run(*running, threads);
    Room room(1);
    std::size_t moved = 0;
    std::size_t sent = 0;
    for (int round = 0; round < 500; ++round) {
      Tally told;
      Operation receive;
      ASSERT_OK(pair.stream.Receive(
          room, [&](const Completion&) { told.Add(); }, {.handle = &receive}));
      std::thread sender([&] {
        // A few bytes at most are left where cancels have won.
        if (sent > moved + 100) return;
        Send(pair.peer, "x");
        ++sent;
      });
      // From the sender's first to its last step.
      for (int i = 0; i < round % 50; ++i) std::this_thread::yield();
      const bool asked = receive.Cancel().ok();
      sender.join();
      const Completion done = Must(receive.Wait(kPatience));
      told.AwaitAtLeast(1);
      if (done.ok()) {
        EXPECT_EQ(done.bytes, 1u);
        moved += done.bytes;
      } else {
        EXPECT_CODE(done.status, kCancelled);
        EXPECT_EQ(done.bytes, 0u);
        EXPECT_TRUE(asked);
      }
      EXPECT_EQ(told.value(), 1);
    }
    // No byte is lost by a cancelled receive.
    while (moved < sent) {
      Operation receive;
      ASSERT_OK(pair.stream.Receive(room, nullptr, {.handle = &receive}));
      const Completion done = Must(receive.Wait(kPatience));
      ASSERT_TRUE(done.ok());
      moved += done.bytes;
    }
  }
}

// Everything at once on streams that talk to each other, till each is closed.
TEST_P(OperationThreads, C01_StormOfStartsCancelsDeadlinesAndCloses) {
  for (const int threads : kLoopThreads) {
    const auto running = NewLoop(threads);
    std::optional<LoopThreads> run;
    run.emplace(*running, threads);
    constexpr int kWorkers = 3;
    for (int round = 0; round < 15; ++round) {
      Connection ends = Connected(round % 2 == 0 ? test::LocalFamily()
                                                 : AddressFamily::kIpv4);
      std::array<Stream, 2> streams = {
          Must(Stream::Attach(*running, std::move(ends.client))),
          Must(Stream::Attach(*running, std::move(ends.server)))};
      std::array<Balance, 2> balances;
      std::array<absl::Notification, 2> closed;
      const std::string data = Pattern(100000);
      // A stream's own: two threads may be receiving.
      std::array<Room, 2> rooms = {Room(3000), Room(3000)};
      std::vector<std::thread> workers;
      for (int w = 0; w < kWorkers; ++w) {
        workers.emplace_back([&, w] {
          std::vector<Operation> operations(8);
          for (unsigned i = 0; i < 200; ++i) {
            const unsigned which = (i + static_cast<unsigned>(w)) % 2;
            Stream& stream = streams[which];
            Balance& balance = balances[which];
            Operation& handle = operations[i % operations.size()];
            OperationOptions options{.handle = &handle};
            if (i % 5 == 0) options.timeout = absl::Microseconds(50 * (i % 7));
            if (options.timeout <= absl::ZeroDuration()) {
              options.timeout = absl::InfiniteDuration();
            }
            absl::Status status;
            switch (i % 4) {
              case 0:
              case 2:
                status = stream.Receive(rooms[which], balance.Handler(),
                                        options);
                break;
              case 1:
                status =
                    stream.Send(BytesOf(data), balance.Handler(), options);
                break;
              default:
                status = stream.Flush(balance.Handler(), options);
                break;
            }
            balance.Started(status);
            if (i % 3 == 0) {
              (void)operations[(i * 7) % operations.size()].Cancel();
            }
            if (i % 31 == 30) (void)stream.SendCopy(BytesOf("copy"));
            if (i % 61 == 60) (void)stream.Cancel();
            if (i == 150 + 10 * static_cast<unsigned>(w) && w < 2) {
              const auto c = static_cast<std::size_t>(w);
              EXPECT_OK(streams[c].Close(
                  [&, c] {
                    balances[c].closed.store(true);
                    closed[c].Notify();
                  },
                  round % 3 == 0 ? CloseMode::kAbortive
                                 : CloseMode::kGraceful));
            }
          }
        });
      }
      for (std::thread& worker : workers) worker.join();
      for (std::size_t c = 0; c < 2; ++c) {
        Await(closed[c]);
        balances[c].told.AwaitAtLeast(balances[c].started.load());
        EXPECT_EQ(balances[c].told.value(), balances[c].started.load());
        EXPECT_EQ(balances[c].late.load(), 0);
      }
      if (HasFailure()) {
        // Let nothing come that this frame is gone for.
        run.reset();
        return;
      }
    }
  }
}

// The loop is destroyed while other threads go on starting and closing.
TEST_P(OperationThreads, C04_StartsAndClosesRaceWithTheEndOfTheLoop) {
  for (const int threads : kLoopThreads) {
    for (int round = 0; round < 30; ++round) {
      auto running = NewLoop(threads);
      std::vector<StreamAndPeer> pairs;
      for (int i = 0; i < 3; ++i) pairs.push_back(Connect(*running));
      Balance balance;
      std::atomic<int> close_asked{0};
      Tally close_told;
      std::optional<LoopThreads> run;
      run.emplace(*running, threads);
      std::vector<std::thread> workers;
      for (StreamAndPeer& pair : pairs) {
        workers.emplace_back([&] {
          Room room(4);
          absl::Status status;
          while (status.ok()) {
            Operation receive;
            status = pair.stream.Receive(room, balance.Handler(),
                                         {.handle = &receive});
            balance.Started(status);
            if (!status.ok()) break;
            (void)pair.peer.Send(BytesOf("x"));
            EXPECT_OK(receive.Wait(kPatience));
          }
          if (pair.stream.Close([&] { close_told.Add(); }).ok()) {
            close_asked.fetch_add(1);
          }
        });
      }
      run.reset();
      running.reset();
      for (std::thread& worker : workers) worker.join();
      balance.told.AwaitAtLeast(balance.started.load());
      EXPECT_EQ(balance.told.value(), balance.started.load());
      EXPECT_EQ(close_told.value(), close_asked.load());
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace weir::conformance
