// Indications on the very thread that started the operation (O14).

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "tests/conformance/loop_threads.h"
#include "tests/conformance/operations.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;

class ThreadAffinity : public OperationsTest {
 protected:
  // Runs `count` messages, each in a turn of its own.
  static void RunMessages(EventLoop& running, int count,
                          absl::Notification& done) {
    if (count == 0) {
      done.Notify();
      return;
    }
    MustOk(running.Post(
        [&running, count, &done] { RunMessages(running, count - 1, done); }));
  }
};
WEIR_CONFORMANCE_SUITE(ThreadAffinity);

TEST_P(ThreadAffinity, O14_AThreadThatDoesNotRunTheLoopIsRefused) {
  for (const int threads : {1, 4}) {
    const auto other = NewLoop(threads);
    StreamAndPeer pair = Connect(*other);
    Indications told;
    Room room(4);
    const OperationOptions here{.on_this_thread = true};
    EXPECT_CODE(pair.stream.Receive(room, told.Handler("x"), here),
                kFailedPrecondition);
    // In a handler, but of another loop.
    bool ran = false;
    MustOk(loop().Post([&] {
      EXPECT_CODE(pair.stream.Receive(room, told.Handler("x"), here),
                  kFailedPrecondition);
      ran = true;
    }));
    TurnUntil([&] { return ran; });
    EXPECT_EQ(told.alive(), 0);
    // In one of its own: taken.
    MustOk(other->Post([&] {
      EXPECT_OK(pair.stream.Receive(room, told.Handler("r"), here));
    }));
    MustOk(other->RunOnce(kPatience).status());
    Send(pair.peer, "x");
    while (told.count() == 0) MustOk(other->RunOnce(absl::Seconds(1)).status());
    EXPECT_THAT(told.entries(), ElementsAre("r OK 1"));
  }
}

TEST_P(ThreadAffinity, O14_TheHandlerRunsOnTheThreadThatStarted) {
  constexpr int kThreads = 4;
  constexpr int kStreams = 6;
  constexpr int kRounds = 50;
  const auto running = NewLoop(kThreads);
  struct Chain {
    void Next(std::thread::id expected) {
      if (expected != std::thread::id()) {
        if (std::this_thread::get_id() != expected) ++strays;
        if (++rounds == kRounds) {
          ended->Add();
          return;
        }
      }
      // The next one from whatever thread takes the message.
      MustOk(loop->Post([this] {
        const std::thread::id self = std::this_thread::get_id();
        EXPECT_OK(stream.Receive(
            room,
            [this, self](const Completion& done) {
              EXPECT_OK(done.status);
              Next(self);
            },
            {.on_this_thread = true}));
        EXPECT_OK(stream.Send(BytesOf("x"), nullptr, {.on_this_thread = true}));
      }));
    }
    EventLoop* loop;
    Stream stream;
    Tally* ended;
    Room room{8};
    int rounds = 0;
    std::atomic<int> strays{0};
  };
  Tally ended;
  std::vector<std::unique_ptr<Chain>> chains;
  for (int i = 0; i < kStreams; i += 2) {
    Connection pair = Connected(test::LocalFamily());
    for (Socket* socket : {&pair.client, &pair.server}) {
      auto chain = std::make_unique<Chain>();
      chain->loop = running.get();
      chain->stream = Must(Stream::Attach(*running, std::move(*socket)));
      chain->ended = &ended;
      chains.push_back(std::move(chain));
    }
  }
  // Two that talk to each other: each byte that one sends, the other receives;
  // coalesced bytes are made up for by endless senders.
  std::atomic<bool> feeding{true};
  for (auto& chain : chains) {
    chain->Next(std::thread::id());
  }
  LoopThreads run(*running, kThreads);
  std::thread feeder([&] {
    while (feeding.load()) {
      for (auto& chain : chains) (void)chain->stream.SendCopy(BytesOf("y"));
      std::this_thread::yield();
    }
  });
  ended.AwaitAtLeast(kStreams);
  feeding.store(false);
  feeder.join();
  run.StopAndJoin();
  for (auto& chain : chains) EXPECT_EQ(chain->strays.load(), 0);
}

// The order of indications holds, whoever they belong to.
TEST_P(ThreadAffinity, O14_OrderHoldsAcrossThreads) {
  const auto running = NewLoop(3);
  StreamAndPeer pair = Connect(*running);
  LoopThreads run(*running, 3);
  Indications told;
  std::vector<Room> rooms(30, Room(1));
  absl::Notification started;
  MustOk(running->Post([&] {
    for (std::size_t i = 0; i < rooms.size(); ++i) {
      EXPECT_OK(pair.stream.Receive(rooms[i], told.Handler(absl::StrCat(i)),
                                    {.on_this_thread = i % 2 == 0}));
    }
    started.Notify();
  }));
  Await(started);
  Send(pair.peer, std::string(rooms.size(), 'x'));
  const absl::Time deadline = absl::Now() + kPatience;
  while (told.count() < rooms.size() && absl::Now() < deadline) {
    std::this_thread::yield();
  }
  run.StopAndJoin();
  const auto entries = told.entries();
  ASSERT_EQ(entries.size(), rooms.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    EXPECT_EQ(entries[i], absl::StrCat(i, " OK 1"));
  }
}

// Receiving that goes on begins when the receives before it have been told,
// whichever thread is to tell them.
TEST_P(ThreadAffinity, O14_AReceiverWaitsForWhatAnotherThreadIsToTell) {
  const auto running = NewLoop(2);
  StreamAndPeer pair = Connect(*running);
  Indications told;
  Room first(1), second(1);
  absl::Notification under_way, started, release;
  bool refused = false;
  Tally lent;
  ASSERT_OK(pair.stream.Receive(
      first, told.Handler("first", [&](const Completion&) {
        const absl::Status status = pair.stream.StartReceive(
            [&, note = told.ForReceived("r")](const Received& received) mutable {
              note(received);
              lent.Add();
            });
        // The second is pending where the system gets them one by one.
        refused = !status.ok();
        EXPECT_EQ(refused, absl::IsFailedPrecondition(status));
        started.Notify();
      })));
  MustOk(running->Post([&] {
    EXPECT_OK(pair.stream.Receive(second, told.Handler("second"),
                                  {.on_this_thread = true}));
    under_way.Notify();
    // Its thread is kept from telling it.
    Await(release);
  }));
  LoopThreads run(*running, 2);
  ASSERT_TRUE(Await(under_way));
  Send(pair.peer, "abcdef");
  ASSERT_TRUE(Await(started));
  // The other thread has come back from the handler, and has gone round.
  DeliverSentinel(*running);
  DeliverSentinel(*running);
  EXPECT_EQ(told.count(), 1u);
  release.Notify();
  if (!refused) {
    ASSERT_TRUE(lent.AwaitAtLeast(1));
  }
  const absl::Time deadline = absl::Now() + kPatience;
  while (told.count() < 2 && absl::Now() < deadline) std::this_thread::yield();
  run.StopAndJoin();
  EXPECT_EQ(told.entries()[1], "second OK 1");
  EXPECT_EQ(told.count(), refused ? 2u : 3u);
  if (!refused) {
    EXPECT_EQ(told.entries()[2], "r OK 4");
  }
}

// Its thread has left the loop before there is anything to tell.
TEST_P(ThreadAffinity, O14_AnotherThreadTakesOver) {
  const auto running = NewLoop(2);
  StreamAndPeer pair = Connect(*running);
  Indications told;
  Room room(4);
  MustOk(running->Post([&] {
    EXPECT_OK(pair.stream.Receive(room, told.Handler("r"),
                                  {.on_this_thread = true}));
  }));
  std::thread first([&] { MustOk(running->RunOnce(kPatience).status()); });
  first.join();
  Send(pair.peer, "x");
  LoopThreads run(*running, 1);
  const absl::Time deadline = absl::Now() + kPatience;
  while (told.count() < 1 && absl::Now() < deadline) std::this_thread::yield();
  EXPECT_THAT(told.entries(), ElementsAre("r OK 1"));
}

// The thread leaves, or the loop ends, when the indication has been handed to it
// and it has not got round to it.
TEST_P(ThreadAffinity, C04_AnEndWhileAnIndicationWaitsForItsThread) {
  auto running = NewLoop(2);
  StreamAndPeer pair = Connect(*running);
  Indications told;
  Room room(4);
  Send(pair.peer, "x");
  std::optional<LoopThreads> run;
  absl::Notification passed, left;
  MustOk(running->Post([&] {
    EXPECT_OK(pair.stream.Receive(room, told.Handler("r"),
                                  {.on_this_thread = true}));
    // The other thread takes what there is to take, turn after turn: it has
    // received the byte and found that the indication is for this one.
    RunMessages(*running, 10, passed);
    Await(passed);
    EXPECT_EQ(told.count(), 0u);
    running->Stop();
    left.Notify();
  }));
  run.emplace(*running, 2);
  Await(left);
  run.reset();
  absl::Notification ended;
  std::thread destroyer([&] {
    running.reset();
    ended.Notify();
  });
  if (!Await(ended)) std::abort();  // it would never be joined
  destroyer.join();
  EXPECT_THAT(told.entries(), ElementsAre("r OK 1"));
}

}  // namespace
}  // namespace weir::conformance
