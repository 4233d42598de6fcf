// Changes made by threads that do not run the loop, while one or four threads
// run it (survey trap 43; R07, R08, R09, R10 across threads).

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/loop_threads.h"

namespace weir::conformance {
namespace {

constexpr int kLoopSizes[] = {1, 4};

class ThreadChanges : public Conformance {
 protected:
  void SetUp() override {}
};
WEIR_CONFORMANCE_SUITE(ThreadChanges);

// Survey trap 43: nothing else happens that could wake the loop.
TEST_P(ThreadChanges, R16_EveryChangeTakesEffectDuringAWait) {
  for (const int size : kLoopSizes) {
    SCOPED_TRACE(size);
    const auto loop = NewLoop(size);
    LoopThreads threads(*loop, size);
    Connection connection = Connected();
    Send(connection.client, "x");
    AwaitReadable(connection.server);
    Tally readable;
    Tally writable;
    absl::Notification removed;
    LetItWait(*loop);
    const Registration registration = Must(loop->Register(
        connection.server,
        {.interest = Interest::kReadable,
         .persistence = Persistence::kOneShot},
        [&](const Event& event) {
          if (event.readable()) readable.Add();
          if (event.writable()) writable.Add();
          if (event.removed()) removed.Notify();
        }));
    ASSERT_TRUE(readable.AwaitAtLeast(1));
    LetItWait(*loop);
    ASSERT_OK(registration.Rearm());
    ASSERT_TRUE(readable.AwaitAtLeast(2));
    LetItWait(*loop);
    RegistrationChange change;
    change.interest = Interest::kWritable;
    ASSERT_OK(registration.Modify(std::move(change)));
    ASSERT_TRUE(writable.AwaitAtLeast(1));
    LetItWait(*loop);
    ASSERT_OK(registration.Disable());
    ASSERT_OK(registration.Rearm());
    ASSERT_TRUE(writable.AwaitAtLeast(2));
    LetItWait(*loop);
    ASSERT_OK(registration.Remove());
    ASSERT_TRUE(Await(removed));
    EXPECT_EQ(readable.value(), 2);
    EXPECT_EQ(writable.value(), 2);
  }
}

// R10: the loop is woken, tells, and the handle is closed: the peer sees it.
TEST_P(ThreadChanges, R10_ClosingDuringAWaitIsToldAndReachesThePeer) {
  for (const int size : kLoopSizes) {
    for (const Mode& mode : kAllModes) {
      SCOPED_TRACE(ToString(mode));
      const auto loop = NewLoop(size);
      LoopThreads threads(*loop, size);
      Connection connection = Connected();
      absl::Notification removed;
      Must(loop->Register(connection.server,
                          mode.With(Interest::kReadable | Interest::kHangup),
                          [&](const Event& event) {
                            EXPECT_EQ(event.events(), Events::kRemoved);
                            if (event.removed()) removed.Notify();
                          }));
      LetItWait(*loop);
      connection.server.Close();
      ASSERT_TRUE(Await(removed));
      AwaitReadable(connection.client);
      EXPECT_EQ(Drain(connection.client), "");
    }
  }
}

// Common: run, stop, join, close. Nobody runs the loop, so the handle is
// closed before Close() returns, whichever thread ran the loop before.
TEST_P(ThreadChanges, R10_ClosingAfterTheLoopStoppedReachesThePeer) {
  for (const int size : kLoopSizes) {
    SCOPED_TRACE(size);
    const auto loop = NewLoop(size);
    Connection connection = Connected();
    Recorder recorder;
    {
      LoopThreads threads(*loop, size);
      Must(loop->Register(connection.server, {.interest = Interest::kReadable},
                          recorder.Handler()));
      LetItWait(*loop);
    }
    connection.server.Close();
    AwaitReadable(connection.client);
    EXPECT_EQ(Drain(connection.client), "");
  }
}

// R07: of an event that comes all the time, at most the call that is running
// when Disable() returns.
TEST_P(ThreadChanges, R07_DisableFromOutsideSilencesAFlood) {
  for (const int size : kLoopSizes) {
    SCOPED_TRACE(size);
    const auto loop = NewLoop(size);
    Connection connection = Connected();
    Send(connection.client, "x");
    Tally calls;
    const Registration registration = Must(loop->Register(
        connection.server, {.interest = Interest::kReadable},
        [&](const Event& event) {
          if (event.readable()) calls.Add();
        }));
    LoopThreads threads(*loop, size);
    for (int round = 0; round < 50; ++round) {
      ASSERT_TRUE(calls.AwaitAtLeast(calls.value() + 10));
      ASSERT_OK(registration.Disable());
      // Made for one thread, the loop is told and does it (registration.h).
      if (size == 1) DeliverSentinel(*loop);
      const int at_return = calls.value();
      DeliverSentinel(*loop);
      // With several, the one call may have begun and not yet counted.
      EXPECT_LE(calls.value(), at_return + (size == 1 ? 0 : 1));
      ASSERT_OK(registration.Enable());
    }
  }
}

// R09: one `removed`, last of all, and then the handler goes.
TEST_P(ThreadChanges, R09_RemoveFromOutsideEndsAFlood) {
  for (const int size : kLoopSizes) {
    SCOPED_TRACE(size);
    const auto loop = NewLoop(size);
    Connection connection = Connected();
    Send(connection.client, "x");
    LoopThreads threads(*loop, size);
    for (int round = 0; round < 200; ++round) {
      Tally calls;
      std::atomic<int> removals{0};
      std::atomic<int> after_removed{0};
      absl::Notification destroyed;
      // Goes with the handler.
      const auto notify = [&](int*) { destroyed.Notify(); };
      int nothing = 0;
      std::unique_ptr<int, decltype(notify)> token(&nothing, notify);
      const Registration registration = Must(loop->Register(
          connection.server,
          {.interest = Interest::kReadable | Interest::kWritable},
          [&, owned = std::move(token)](const Event& event) {
            EXPECT_EQ(*owned, 0);
            EXPECT_FALSE(destroyed.HasBeenNotified());
            if (removals.load() != 0) after_removed.fetch_add(1);
            if (event.removed()) removals.fetch_add(1);
            calls.Add();
          }));
      ASSERT_TRUE(calls.AwaitAtLeast(1 + round % 3));
      ASSERT_OK(registration.Remove());
      EXPECT_CODE(registration.Remove(), kFailedPrecondition);
      ASSERT_TRUE(Await(destroyed));
      EXPECT_EQ(removals.load(), 1);
      EXPECT_EQ(after_removed.load(), 0);
    }
  }
}

// R08: raised for the old handler, not told to the new one; and the old one is
// not called once the new one was.
TEST_P(ThreadChanges, R08_HandlersReplacedFromOutside) {
  for (const int size : kLoopSizes) {
    SCOPED_TRACE(size);
    const auto loop = NewLoop(size);
    Connection connection = Connected();
    Send(connection.client, "x");
    std::atomic<int> newest{0};
    std::atomic<bool> went_back{false};
    Tally calls;
    Exclusive exclusive;
    const auto handler = [&](int generation) {
      return [&, generation](const Event& event) {
        if (!event.readable()) return;
        const Exclusive::Visit visit(exclusive);
        if (newest.exchange(generation) > generation) went_back.store(true);
        calls.Add();
      };
    };
    const Registration registration =
        Must(loop->Register(connection.server,
                            {.interest = Interest::kReadable}, handler(0)));
    LoopThreads threads(*loop, size);
    for (int generation = 1; generation <= 100; ++generation) {
      ASSERT_TRUE(calls.AwaitAtLeast(calls.value() + 2));
      RegistrationChange change;
      change.handler = handler(generation);
      ASSERT_OK(registration.Modify(std::move(change)));
    }
    ASSERT_TRUE(calls.AwaitAtLeast(calls.value() + 2));
    threads.StopAndJoin();
    EXPECT_EQ(newest.load(), 100);
    EXPECT_FALSE(went_back.load());
    EXPECT_FALSE(exclusive.violated());
  }
}

// Turned off and on far more often than a mechanism can tell apart (io_uring
// numbers the polls of a registration with a few bits), the watch that is left
// is the only one: data come, and closing is not held up by a forgotten one.
TEST_P(ThreadChanges, R07_AThousandTogglesLeaveOneWatch) {
  for (const int size : kLoopSizes) {
    SCOPED_TRACE(size);
    const auto loop = NewLoop(size);
    LoopThreads threads(*loop, size);
    Connection connection = Connected();
    Tally calls;
    absl::Notification removed;
    const Registration registration = Must(loop->Register(
        connection.server,
        {.interest = Interest::kReadable,
         .persistence = Persistence::kOneShot},
        [&](const Event& event) {
          if (event.readable()) calls.Add();
          if (event.removed()) removed.Notify();
        }));
    for (int i = 0; i < 1000; ++i) {
      ASSERT_OK(registration.Disable());
      ASSERT_OK(registration.Enable());
    }
    EXPECT_EQ(calls.value(), 0);
    Send(connection.client, "x");
    ASSERT_TRUE(calls.AwaitAtLeast(1));
    DeliverSentinel(*loop);
    EXPECT_EQ(calls.value(), 1);
    EXPECT_EQ(Receive(connection.server), "x");
    ASSERT_OK(registration.Rearm());
    connection.server.Close();
    ASSERT_TRUE(Await(removed));
    AwaitReadable(connection.client);
  }
}

// Everything at once, from several threads: each registration that was made
// ends with one `removed`, and nothing comes after it.
TEST_P(ThreadChanges, R09_AStormOfChangesLosesNothing) {
  for (const int size : kLoopSizes) {
    SCOPED_TRACE(size);
    const auto loop = NewLoop(size);
    struct Counts {
      Tally removed;
      std::atomic<int> registered{0};
      std::atomic<int> wrong{0};
    } counts;
    struct Told {
      Exclusive exclusive;
      std::atomic<bool> removed{false};
    };
    const auto storm = [&](unsigned seed) {
      std::mt19937 random(seed);
      Connection connection;
      Registration registration;
      for (int step = 0; step < 2000; ++step) {
        if (!connection.server.is_open()) {
          connection = Connected(test::LocalFamily());
        }
        if (!registration.is_live()) {
          const Mode& mode = kAllModes[random() % 4];
          auto told = std::make_shared<Told>();
          registration = Must(loop->Register(
              connection.server,
              mode.With(static_cast<Interest>(1 + random() % 7)),
              [told, &counts](const Event& event) {
                const Exclusive::Visit visit(told->exclusive);
                if (told->removed.load()) counts.wrong.fetch_add(1);
                if (!event.removed()) return;
                told->removed.store(true);
                if (told->exclusive.violated()) counts.wrong.fetch_add(1);
                counts.removed.Add();
              }));
          counts.registered.fetch_add(1);
        }
        switch (random() % 8) {
          case 0:
            EXPECT_OK(registration.Disable());
            break;
          case 1:
            EXPECT_OK(registration.Enable());
            break;
          case 2:
            EXPECT_OK(registration.Rearm());
            break;
          case 3: {
            const Mode& mode = kAllModes[random() % 4];
            RegistrationChange change;
            change.interest = static_cast<Interest>(random() % 8);
            change.trigger = mode.trigger;
            change.persistence = mode.persistence;
            EXPECT_OK(registration.Modify(std::move(change)));
            break;
          }
          case 4:
            Send(connection.client, "some");
            break;
          case 5:
            Receive(connection.server);
            break;
          case 6:
            EXPECT_OK(registration.Remove());
            break;
          default:
            connection.server.Close();
            EXPECT_FALSE(registration.is_live());
            break;
        }
      }
      if (registration.is_live()) {
        EXPECT_OK(registration.Remove());
      }
    };
    {
      LoopThreads threads(*loop, size);
      std::vector<std::thread> storms;
      for (unsigned i = 0; i < 3; ++i) {
        storms.emplace_back([&, i] { storm(i + 1); });
      }
      for (std::thread& thread : storms) thread.join();
      EXPECT_TRUE(counts.removed.AwaitAtLeast(counts.registered.load()));
      DeliverSentinel(*loop);
    }
    EXPECT_EQ(counts.removed.value(), counts.registered.load());
    EXPECT_EQ(counts.wrong.load(), 0);
    EXPECT_EQ(loop->counters().registrations, 0u);
  }
}

}  // namespace
}  // namespace weir::conformance
