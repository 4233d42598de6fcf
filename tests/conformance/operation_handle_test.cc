// Handles of operations: asked and waited for from any thread (O08).

#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "tests/conformance/loop_threads.h"
#include "tests/conformance/operations.h"

namespace weir::conformance {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;

class OperationHandle : public OperationsTest {};
WEIR_CONFORMANCE_SUITE(OperationHandle);

TEST_P(OperationHandle, O08_AnEmptyHandleNamesNothing) {
  const Operation none;
  EXPECT_FALSE(static_cast<bool>(none));
  EXPECT_FALSE(none.done());
  EXPECT_CODE(none.Result(), kFailedPrecondition);
  EXPECT_CODE(none.Wait(absl::ZeroDuration()), kFailedPrecondition);
  EXPECT_CODE(none.Cancel(), kFailedPrecondition);
  Operation copy = none;
  const Operation moved = std::move(copy);
  EXPECT_FALSE(static_cast<bool>(moved));
}

// Without any handler, from a thread that never runs the loop.
TEST_P(OperationHandle, O08_ItIsPolledAndWaitedForFromAnotherThread) {
  for (const int threads : {1, 4}) {
    const auto running = NewLoop(threads);
    StreamAndPeer pair = Connect(*running);
    LoopThreads run(*running, threads);
    Room room(8);
    for (int round = 0; round < 20; ++round) {
      Operation receive;
      ASSERT_OK(pair.stream.Receive(room, nullptr, {.handle = &receive}));
      EXPECT_TRUE(static_cast<bool>(receive));
      EXPECT_FALSE(receive.done());
      EXPECT_CODE(receive.Result(), kFailedPrecondition);
      EXPECT_CODE(receive.Wait(absl::ZeroDuration()), kDeadlineExceeded);
      EXPECT_CODE(receive.Wait(absl::Milliseconds(1)), kDeadlineExceeded);
      Send(pair.peer, "abc");
      const auto result = receive.Wait(kPatience);
      ASSERT_OK(result);
      EXPECT_OK(result->status);
      EXPECT_EQ(result->bytes, 3u);
      EXPECT_EQ(room.text(3), "abc");
      for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(receive.done());
        EXPECT_EQ(Must(receive.Result()).bytes, 3u);
        EXPECT_EQ(Must(receive.Wait(absl::ZeroDuration())).bytes, 3u);
      }
    }
  }
}

TEST_P(OperationHandle, O08_ManyThreadsWaitForOne) {
  const auto running = NewLoop();
  StreamAndPeer pair = Connect(*running);
  LoopThreads run(*running, 1);
  Room room(8);
  Operation receive;
  ASSERT_OK(pair.stream.Receive(room, nullptr, {.handle = &receive}));
  std::vector<std::thread> waiters;
  Tally waiting, ended;
  for (int i = 0; i < 8; ++i) {
    waiters.emplace_back([&, copy = receive] {
      waiting.Add();
      EXPECT_EQ(Must(copy.Wait(kPatience)).bytes, 3u);
      ended.Add();
    });
  }
  waiting.AwaitAtLeast(8);
  Send(pair.peer, "abc");
  ended.AwaitAtLeast(8);
  for (std::thread& waiter : waiters) waiter.join();
}

// The result is there from the moment that the handler is called; waiting on a
// thread that runs a loop is refused.
TEST_P(OperationHandle, O08_InHandlersAResultIsThereAndWaitingIsRefused) {
  StreamAndPeer pair = Connect();
  Indications told;
  Room first(1), second(1), third(1);
  Operation own, ended, open;
  ASSERT_OK(pair.stream.Receive(
      first,
      told.Handler("1",
                   [&](const Completion&) {
                     EXPECT_TRUE(own.done());
                     EXPECT_EQ(Must(own.Result()).bytes, 1u);
                     EXPECT_EQ(Must(own.Wait(kPatience)).bytes, 1u);
                     EXPECT_FALSE(open.done());
                     EXPECT_CODE(open.Wait(kPatience), kFailedPrecondition);
                     // Has moved its byte, but is not indicated.
                     EXPECT_FALSE(ended.done());
                     EXPECT_CODE(ended.Wait(kPatience), kFailedPrecondition);
                   }),
      {.handle = &own}));
  ASSERT_OK(pair.stream.Receive(second, told.Handler("2"), {.handle = &ended}));
  ASSERT_OK(pair.stream.Receive(third, told.Handler("3"), {.handle = &open}));
  Send(pair.peer, "ab");
  TurnUntilCount(told, 2);
  EXPECT_TRUE(ended.done());
  EXPECT_CODE(open.Wait(absl::ZeroDuration()), kDeadlineExceeded);
}

// What was not started leaves the handle alone.
TEST_P(OperationHandle, O08_AStartThatFailsLeavesTheHandleAlone) {
  StreamAndPeer pair = Connect();
  Room room(4);
  Operation handle;
  EXPECT_CODE(pair.stream.Receive(room, nullptr,
                                  {.timeout = absl::ZeroDuration(),
                                   .handle = &handle}),
              kInvalidArgument);
  EXPECT_FALSE(static_cast<bool>(handle));
}

// Records are used again; a handle that is kept keeps its own.
TEST_P(OperationHandle, O08_AKeptHandleKeepsItsResult) {
  StreamAndPeer pair = Connect();
  Indications told;
  Room room(16);
  std::vector<Operation> kept;
  Operation last;
  for (std::size_t size = 1; size <= 10; ++size) {
    // The same variable for each: it names the newest.
    ASSERT_OK(pair.stream.Receive(room, told.Handler("r"), {.handle = &last}));
    Send(pair.peer, std::string(size, 'x'));
    TurnUntilCount(told, size);
    kept.push_back(last);
  }
  MustOk(pair.peer.Shutdown(ShutdownDirection::kSend));
  for (int i = 0; i < 10; ++i) {
    ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
    TurnUntilCount(told, 11 + static_cast<std::size_t>(i));
  }
  for (std::size_t i = 0; i < kept.size(); ++i) {
    EXPECT_EQ(Must(kept[i].Result()).bytes, i + 1);
  }
  EXPECT_EQ(Must(last.Result()).bytes, 10u);
}

// It outlives the operation, its socket and the loop.
TEST_P(OperationHandle, O08_ItOutlivesTheLoop) {
  for (const int threads : {1, 4}) {
    Operation receive, send, timed;
    StreamAndPeer pair;
    {
      const auto ended = NewLoop(threads);
      pair = Connect(*ended);
      Room room(4);
      ASSERT_OK(pair.stream.Receive(room, nullptr, {.handle = &receive}));
      ASSERT_OK(pair.stream.Receive(
          room, nullptr, {.timeout = absl::Hours(1), .handle = &timed}));
      ASSERT_OK(pair.stream.Send(BytesOf("x"), nullptr, {.handle = &send}));
      while (!send.done()) MustOk(ended->RunOnce(absl::Seconds(1)).status());
    }
    // Or its own end: the peer went first, and reset the connection.
    EXPECT_THAT(Must(receive.Result()).status,
                AnyOf(HasCode(absl::StatusCode::kCancelled),
                      HasCode(absl::StatusCode::kUnavailable)));
    EXPECT_CODE(Must(timed.Wait(absl::ZeroDuration())).status, kCancelled);
    EXPECT_OK(Must(send.Result()).status);
    EXPECT_CODE(receive.Cancel(), kFailedPrecondition);
    const Operation copy = receive;
    receive = Operation();
    EXPECT_TRUE(copy.done());
  }
}

// Whoever waits is released by a cancel, by a close and by the loop's end.
TEST_P(OperationHandle, O08_AWaitEndsHoweverTheOperationEnds) {
  for (const int threads : {1, 4}) {
    for (const std::string_view how : {"cancel", "close", "end"}) {
      auto running = NewLoop(threads);
      StreamAndPeer pair = Connect(*running);
      std::optional<LoopThreads> run;
      run.emplace(*running, threads);
      Room room(4);
      Operation receive;
      ASSERT_OK(pair.stream.Receive(room, nullptr, {.handle = &receive}));
      absl::Notification waits;
      std::thread waiter([&, copy = receive] {
        waits.Notify();
        EXPECT_CODE(Must(copy.Wait(kPatience)).status, kCancelled);
      });
      Await(waits);
      if (how == "cancel") {
        EXPECT_OK(receive.Cancel());
      } else if (how == "close") {
        EXPECT_OK(pair.stream.Close());
      } else {
        run.reset();
        running.reset();
      }
      waiter.join();
    }
  }
}

// The handle may go away at any time, in the handler too.
TEST_P(OperationHandle, O08_DroppingHandlesHarmsNothing) {
  StreamAndPeer pair = Connect();
  Indications told;
  Room room(4);
  auto own = std::make_unique<Operation>();
  Operation* const handle = own.get();
  ASSERT_OK(pair.stream.Receive(
      room, told.Handler("1", [&](const Completion&) { own.reset(); }),
      {.handle = handle}));
  {
    Operation dropped;
    ASSERT_OK(pair.stream.Receive(room, told.Handler("2"),
                                  {.handle = &dropped}));
  }
  Send(pair.peer, "a");
  TurnUntilCount(told, 1);
  Send(pair.peer, "b");
  TurnUntilCount(told, 2);
  EXPECT_THAT(told.entries(), ElementsAre("1 OK 1", "2 OK 1"));
  EXPECT_EQ(told.alive(), 0);
}

}  // namespace
}  // namespace weir::conformance
