// Registrations, sockets and loops that end on one thread while another runs
// the loop (R09, R10, R11, C04).

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/descriptors.h"
#include "tests/conformance/loop_threads.h"
#include "weir/status.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;

constexpr int kLoopSizes[] = {1, 4};

class LifetimeThreads : public Conformance {
 protected:
  void SetUp() override {}
};
WEIR_CONFORMANCE_SUITE(LifetimeThreads);

// R09: where a handler is called and destroyed.
TEST_P(LifetimeThreads, R09_HandlersAreDestroyedOnAThreadThatRunsTheLoop) {
  struct Notes {
    std::thread::id told;
    std::thread::id destroyed;
    absl::Notification done;
  } notes;
  struct OnDestruction {
    explicit OnDestruction(Notes& into) : notes(into) {}
    ~OnDestruction() {
      notes.destroyed = std::this_thread::get_id();
      notes.done.Notify();
    }
    Notes& notes;
  };
  const auto loop = NewLoop();
  Connection connection = Connected();
  LoopThreads threads(*loop, 1);
  const Registration registration = Must(loop->Register(
      connection.server, {.interest = Interest::kReadable},
      [&notes, last = std::make_unique<OnDestruction>(notes)](
          const Event& event) {
        EXPECT_TRUE(event.removed());
        notes.told = std::this_thread::get_id();
      }));
  ASSERT_OK(registration.Remove());
  ASSERT_TRUE(Await(notes.done));
  EXPECT_EQ(notes.told, notes.destroyed);
  EXPECT_NE(notes.told, std::this_thread::get_id());
}

// A handle is stale when the call that ended its registration returns, even if
// the loop's thread has not got to it.
TEST_P(LifetimeThreads, R10_AfterCloseTheHandleIsStaleForTheThreadThatClosed) {
  for (const int size : kLoopSizes) {
    SCOPED_TRACE(size);
    const auto loop = NewLoop(size);
    Connection connection = Connected();
    absl::Notification held;
    absl::Notification go_on;
    LoopThreads threads(*loop, size);
    const Registration registration =
        Must(loop->Register(connection.server,
                            {.interest = Interest::kReadable},
                            [](const Event&) {}));
    // The loop's thread is busy, and cannot have carried anything out.
    ASSERT_OK(loop->Post([&] {
      held.Notify();
      Await(go_on);
    }));
    ASSERT_TRUE(Await(held));
    connection.server.Close();
    EXPECT_FALSE(registration.is_live());
    EXPECT_CODE(registration.Modify({.interest = Interest::kWritable}),
                kFailedPrecondition);
    EXPECT_CODE(registration.Remove(), kFailedPrecondition);
    go_on.Notify();
  }
}

// Survey traps 33 and 34, across threads: numbers and sockets come back while
// the loop's threads still deliver.
TEST_P(LifetimeThreads, R10_ChurnFromOutsideNeverMixesUpSockets) {
  for (const int size : kLoopSizes) {
    SCOPED_TRACE(size);
    const auto loop = NewLoop(size);
    constexpr int kRounds = 300;
    Tally removed;
    Tally told;
    std::atomic<int> wrong{0};
    // Open to the end: a peer's close is an event, too, as long as the loop's
    // thread has not got to the removal.
    std::vector<Socket> clients;
    {
      LoopThreads threads(*loop, size);
      for (int round = 0; round < kRounds; ++round) {
        const bool sends = round % 2 == 0;
        Connection connection = Connected(test::LocalFamily());
        auto ended = std::make_shared<std::atomic<bool>>(false);
        const Mode& mode = kAllModes[(round / 2) % 4];
        const Registration registration = Must(loop->Register(
            connection.server, mode.With(Interest::kReadable),
            [&, sends, ended](const Event& event) {
              if (ended->load()) wrong.fetch_add(1);
              if (event.removed()) {
                ended->store(true);
                removed.Add();
              } else if (!sends) {
                // Nobody has sent to this one.
                wrong.fetch_add(1);
              } else {
                told.Add();
              }
            }));
        if (sends) {
          const int before = told.value();
          Send(connection.client, "x");
          ASSERT_TRUE(told.AwaitAtLeast(before + 1));
        }
        if (round % 3 == 0) {
          ASSERT_OK(registration.Remove());
        }
        connection.server.Close();
        clients.push_back(std::move(connection.client));
      }
      ASSERT_TRUE(removed.AwaitAtLeast(kRounds));
    }
    EXPECT_EQ(removed.value(), kRounds);
    EXPECT_EQ(wrong.load(), 0);
  }
}

// Survey trap 36: of many that register one socket, one wins.
TEST_P(LifetimeThreads, R11_OneOfManyRegistrationsWins) {
  constexpr int kThreads = 4;
  for (const int size : kLoopSizes) {
    SCOPED_TRACE(size);
    const auto loop = NewLoop(size);
    LoopThreads threads(*loop, size);
    for (int round = 0; round < 50; ++round) {
      Connection connection = Connected(test::LocalFamily());
      absl::Notification start;
      std::atomic<int> won{0};
      std::atomic<int> refused{0};
      Tally told;
      std::vector<std::thread> contenders;
      for (int i = 0; i < kThreads; ++i) {
        contenders.emplace_back([&] {
          start.WaitForNotification();
          const auto result = loop->Register(
              connection.server,
              {.interest = Interest::kReadable, .trigger = Trigger::kEdge},
              [&told](const Event&) { told.Add(); });
          if (result.ok()) {
            won.fetch_add(1);
          } else if (absl::IsAlreadyExists(result.status())) {
            refused.fetch_add(1);
          }
        });
      }
      start.Notify();
      for (std::thread& contender : contenders) contender.join();
      EXPECT_EQ(won.load(), 1);
      EXPECT_EQ(refused.load(), kThreads - 1);
      Send(connection.client, "x");
      ASSERT_TRUE(told.AwaitAtLeast(1));
      connection.server.Close();
      ASSERT_TRUE(told.AwaitAtLeast(2));  // removed
      EXPECT_EQ(told.value(), 2);
    }
  }
}

// The contract of ~EventLoop: it waits until nobody is inside Run, and tells
// the rest on this thread.
TEST_P(LifetimeThreads, C04_DestroyingALoopThatOthersRunWaitsForThem) {
  for (const int size : kLoopSizes) {
    SCOPED_TRACE(size);
    auto loop = NewLoop(size);
    Connection connection = Connected();
    std::thread::id told;
    Must(loop->Register(connection.server, {.interest = Interest::kReadable},
                        [&](const Event& event) {
                          EXPECT_TRUE(event.removed());
                          told = std::this_thread::get_id();
                        }));
    std::vector<std::thread> runners;
    for (int i = 0; i < size; ++i) {
      runners.emplace_back([&running = *loop] { EXPECT_OK(running.Run()); });
    }
    // All of them are inside, and in a message.
    Tally inside;
    Tally returned;
    absl::Notification go_on;
    for (int i = 0; i < size; ++i) {
      ASSERT_OK(loop->Post([&] {
        inside.Add();
        Await(go_on);
        returned.Add();
      }));
    }
    ASSERT_TRUE(inside.AwaitAtLeast(size));
    std::thread releaser([&] { go_on.Notify(); });
    loop.reset();
    EXPECT_EQ(returned.value(), size);
    EXPECT_EQ(told, std::this_thread::get_id());
    releaser.join();
    for (std::thread& runner : runners) runner.join();
  }
}

// The thread that ran the loop is gone, and with it what it had armed.
TEST_P(LifetimeThreads, C04_ALoopMayEndOnAnotherThreadThanItRanOn) {
  const std::size_t before = OpenDescriptors();
  for (const int size : kLoopSizes) {
    SCOPED_TRACE(size);
    Socket listener = Listener();
    const SocketAddress address = AddressOf(listener);
    Connection connection = Connected();
    Recorder listens;
    Recorder recorder;
    auto loop = NewLoop(size);
    Must(loop->Register(listener, {.interest = Interest::kReadable},
                        listens.Handler()));
    Must(loop->Register(connection.server, {.interest = Interest::kReadable},
                        recorder.Handler()));
    std::thread([&] { EXPECT_OK(loop->RunOnce(absl::ZeroDuration())); }).join();
    loop.reset();
    EXPECT_THAT(listens.events(), ElementsAre(Events::kRemoved));
    EXPECT_THAT(recorder.events(), ElementsAre(Events::kRemoved));
    EXPECT_TRUE(recorder.handler_destroyed());
    // The kernel takes down the ring of a thread that has ended in its own
    // time; till then its files stay open (io_uring_cancelation(7)).
    listener.Close();
    const absl::Time deadline = absl::Now() + kPatience;
    absl::Status status;
    do {
      status = Socket::Listen(address).status();
    } while (CauseOf(status) == ErrorCause::kAddressInUse &&
             absl::Now() < deadline);
    EXPECT_OK(status);
    connection.server.Close();
    AwaitPeerClosed(connection.client);
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

// A handler that a change replaces is destroyed where no lock is held: what it
// captured may call the loop.
TEST_P(LifetimeThreads, R08_AReplacedHandlerMayCallTheLoopAsItGoes) {
  struct RemovesAtEnd {
    explicit RemovesAtEnd(Registration what) : registration(std::move(what)) {}
    ~RemovesAtEnd() { (void)registration.Remove(); }
    Registration registration;
  };
  for (const int size : kLoopSizes) {
    SCOPED_TRACE(size);
    const auto loop = NewLoop(size);
    Connection first = Connected();
    Connection second = Connected();
    // The loop belongs to this thread.
    ASSERT_OK(loop->RunOnce(absl::ZeroDuration()));
    Recorder recorder;
    const Registration removed = Must(
        loop->Register(first.server, {.interest = Interest::kReadable},
                       recorder.Handler()));
    const Registration replaced = Must(loop->Register(
        second.server, {.interest = Interest::kReadable},
        [last = std::make_unique<RemovesAtEnd>(removed)](const Event&) {}));
    std::thread([&] {
      EXPECT_OK(replaced.Modify({.handler = [](const Event&) {}}));
    }).join();
    // Carries out what the other thread left, outside of any turn.
    EXPECT_OK(replaced.Modify({.interest = Interest::kWritable}));
    while (recorder.count() == 0) {
      ASSERT_OK(loop->RunOnce(kPatience));
    }
    EXPECT_THAT(recorder.events(), ElementsAre(Events::kRemoved));
  }
}

// A handler takes a mutex under which the program also calls the loop. A check
// of mutex orders, as Abseil makes one where its checks are on, has nothing to
// object to: the loop holds none of its own then.
TEST_P(LifetimeThreads, O07_AHandlerMayTakeTheMutexUnderWhichTheLoopIsCalled) {
  for (const int size : kLoopSizes) {
    SCOPED_TRACE(size);
    const auto loop = NewLoop(size);
    Connection connection = Connected();
    absl::Mutex mutex;
    int told = 0;
    const auto use = [&] {
      absl::MutexLock lock(&mutex);
      EXPECT_OK(loop->Post([] {}));
      const Registration registration = Must(
          loop->Register(connection.server, {.interest = Interest::kWritable},
                         [&](const Event&) {
                           absl::MutexLock inner(&mutex);
                           ++told;
                         }));
      EXPECT_OK(registration.Modify({.interest = Interest::kReadable |
                                                 Interest::kWritable}));
      return registration;
    };
    const auto run_until = [&](int count) {
      while (told < count) ASSERT_OK(loop->RunOnce(kPatience));
    };
    // Before the loop has a thread, and as the one that it belongs to.
    for (int round = 0; round < 2; ++round) {
      told = 0;
      const Registration registration = use();
      run_until(1);
      ASSERT_OK(registration.Remove());
      run_until(2);
    }
  }
}

}  // namespace
}  // namespace weir::conformance
