// Orderly stop on SIGINT and SIGTERM, or Ctrl-C, through the loop (P04).

#include <memory>

#include "tests/conformance/conformance.h"
#include "tests/conformance/loop_threads.h"

namespace weir::conformance {
namespace {

class Termination : public Conformance {
 protected:
  void SetUp() override {
    Conformance::SetUp();
    test::PrepareTermination();
  }
};
WEIR_CONFORMANCE_SUITE(Termination);

// Messages that raise `inside` to `count` when as many threads run `loop`.
void EnterAll(EventLoop& loop, int count, Tally& inside) {
  for (int i = 0; i < count; ++i) {
    MustOk(loop.Post([&inside, count] {
      inside.Add();
      inside.AwaitAtLeast(count);
    }));
  }
}

TEST_P(Termination, P04_BothSignalsCallTheHandlerThroughTheLoop) {
  int calls = 0;
  ASSERT_OK(loop().OnTermination([&] { ++calls; }));
  for (const auto kind :
       {test::TerminationKind::kInterrupt, test::TerminationKind::kTerminate}) {
    const int before = calls;
    test::RequestTermination(kind);
    // Not from inside the signal.
    EXPECT_EQ(calls, before);
    EXPECT_EQ(Must(loop().RunOnce(kPatience)), 1);
    EXPECT_EQ(calls, before + 1);
  }
  TurnPastSentinel();
  EXPECT_EQ(calls, 2);
}

TEST_P(Termination, P04_WithoutAHandlerItStops) {
  ASSERT_OK(loop().OnTermination());
  test::RequestTermination();
  EXPECT_OK(loop().Run());
  EXPECT_CODE(loop().Run(), kFailedPrecondition);
}

TEST_P(Termination, P04_ASignalInAHandlerIsToldInALaterTurn) {
  int calls = 0;
  ASSERT_OK(loop().OnTermination([&] { ++calls; }));
  ASSERT_OK(loop().Post([&] {
    test::RequestTermination();
    EXPECT_EQ(calls, 0);
  }));
  EXPECT_EQ(Turn(), 1);
  TurnUntil([&] { return calls == 1; });
}

// The wait is for ever, and the signal comes to another thread.
TEST_P(Termination, P04_ASignalToAnotherThreadEndsTheWait) {
  for (const int size : {1, 3}) {
    SCOPED_TRACE(size);
    for (int round = 0; round < 20; ++round) {
      const auto waiting = NewLoop(size);
      ASSERT_OK(waiting->OnTermination());
      Tally inside;
      EnterAll(*waiting, size, inside);
      LoopThreads threads(*waiting, size);
      ASSERT_TRUE(inside.AwaitAtLeast(size));
      test::RequestTermination(round % 2 == 0
                                   ? test::TerminationKind::kTerminate
                                   : test::TerminationKind::kInterrupt);
      threads.Join();
    }
  }
}

TEST_P(Termination, P04_EveryLoopIsTold) {
  const auto second = NewLoop();
  auto third = NewLoop();
  int calls[3] = {};
  ASSERT_OK(loop().OnTermination([&] { ++calls[0]; }));
  ASSERT_OK(second->OnTermination([&] { ++calls[1]; }));
  ASSERT_OK(third->OnTermination([&] { ++calls[2]; }));
  third.reset();
  test::RequestTermination(test::TerminationKind::kInterrupt);
  TurnUntil([&] { return calls[0] == 1; });
  EXPECT_EQ(Must(second->RunOnce(kPatience)), 1);
  EXPECT_EQ(calls[0], 1);
  EXPECT_EQ(calls[1], 1);
  EXPECT_EQ(calls[2], 0);
}

TEST_P(Termination, P04_ASecondWatchOfOneLoopIsRefused) {
  int calls = 0;
  ASSERT_OK(loop().OnTermination([&] { ++calls; }));
  EXPECT_CODE(loop().OnTermination([] { FAIL(); }), kAlreadyExists);
  test::RequestTermination();
  TurnUntil([&] { return calls == 1; });
  TurnPastSentinel();
  EXPECT_EQ(calls, 1);
}

// What the handler holds goes with the loop.
TEST_P(Termination, P04_TheHandlerIsDestroyedWithTheLoop) {
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  ASSERT_OK(loop().OnTermination([held = std::move(held)] {}));
  Turn();
  EXPECT_FALSE(watch.expired());
  DestroyLoop();
  EXPECT_TRUE(watch.expired());
}

// Asked for by another thread while the loop waits; the signal may come at any
// moment from then on and is not lost.
TEST_P(Termination, P04_AskedForDuringAWait) {
  for (const int size : {1, 3}) {
    SCOPED_TRACE(size);
    for (int round = 0; round < 20; ++round) {
      const auto waiting = NewLoop(size);
      Tally inside;
      EnterAll(*waiting, size, inside);
      LoopThreads threads(*waiting, size);
      ASSERT_TRUE(inside.AwaitAtLeast(size));
      ASSERT_OK(waiting->OnTermination());
      test::RequestTermination();
      threads.Join();
    }
  }
}

}  // namespace
}  // namespace weir::conformance
