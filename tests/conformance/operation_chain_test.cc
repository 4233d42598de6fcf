// What handlers start: a stream that has just echoed a message, whose next
// receive waits alone, can take a short way through the loop. Nobody may
// notice, whatever the handler does next.

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/operations.h"

namespace weir::conformance {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class OperationChain : public OperationsTest {
 protected:
  void SetUp() override {
    OperationsTest::SetUp();
    pair_ = Connect(AddressFamily::kIpv4);
    Receive();
    // Once in earnest, and once by the short way.
    for (int i = 0; i < 2; ++i) {
      Send(peer(), "ping");
      TurnUntil([this] { return test::ArrivedBytes(peer().native()) == 4; });
      EXPECT_EQ(Drain(peer()), "ping");
    }
  }

  // What is still pending then is told to what is still there.
  void TearDown() override { DestroyLoop(); }

  Stream& stream() { return pair_.stream; }
  Socket& peer() { return pair_.peer; }

  // Has the handler of the next receive call `act`, and not echo.
  void InReceive(std::function<void()> act) {
    act_ = std::move(act);
    Send(peer(), "go");
    TurnUntil([this] { return acted_; });
  }
  // Has the handler of the next send call `act`.
  void InSend(std::function<void()> act) {
    act_in_send_ = std::move(act);
    Send(peer(), "go");
    TurnUntil([this] { return acted_; });
    EXPECT_EQ(Drain(peer()), "go");
  }
  std::string Await(std::size_t size) { return DrainUntil(peer(), size); }

  Indications told;
  Room room{64};
  Room room2{64};

 private:
  void Receive() {
    EXPECT_OK(stream().Receive(own_room_, [this](const Completion& received) {
      EXPECT_OK(received.status);
      if (act_) {
        std::exchange(act_, nullptr)();
        acted_ = true;
        return;
      }
      got_ = own_room_.text(received.bytes);
      EXPECT_OK(stream().Send(BytesOf(got_), [this](const Completion& sent) {
        EXPECT_OK(sent.status);
        if (act_in_send_) {
          std::exchange(act_in_send_, nullptr)();
          acted_ = true;
          return;
        }
        Receive();
      }));
    }));
  }

  StreamAndPeer pair_;
  Room own_room_{16};
  std::string got_;
  std::function<void()> act_;
  std::function<void()> act_in_send_;
  bool acted_ = false;
};
WEIR_CONFORMANCE_SUITE(OperationChain);

TEST_P(OperationChain, O06_SeveralOfEachKeepTheirOrder) {
  InReceive([&] {
    EXPECT_OK(stream().Receive(room, told.Handler("r1")));
    EXPECT_OK(stream().Send(BytesOf("1"), told.Handler("s1")));
    EXPECT_OK(stream().Receive(room2, told.Handler("r2")));
    EXPECT_OK(stream().Send(BytesOf("2"), told.Handler("s2")));
  });
  EXPECT_EQ(Await(2), "12");
  TurnUntilCount(told, 2);
  EXPECT_THAT(told.Take(), ElementsAre("s1 OK 1", "s2 OK 1"));
  Send(peer(), "a");
  TurnUntilCount(told, 1);
  Send(peer(), "bc");
  TurnUntilCount(told, 2);
  EXPECT_THAT(told.Take(), ElementsAre("r1 OK 1", "r2 OK 2"));
  EXPECT_EQ(room.text(1) + room2.text(2), "abc");
  EXPECT_EQ(told.alive(), 0);
}

TEST_P(OperationChain, O06_WhatIsToBeSentIsCounted) {
  InReceive([&] {
    EXPECT_EQ(stream().UnsentBytes(), 0u);
    EXPECT_OK(stream().Send(BytesOf("abc"), told.Handler("abc")));
    EXPECT_EQ(stream().UnsentBytes(), 3u);
    EXPECT_OK(stream().Send(BytesOf("de"), told.Handler("de")));
    EXPECT_EQ(stream().UnsentBytes(), 5u);
  });
  EXPECT_EQ(Await(5), "abcde");
  TurnUntilCount(told, 2);
  EXPECT_EQ(stream().UnsentBytes(), 0u);
}

TEST_P(OperationChain, O06_EveryKindOfSendKeepsItsPlace) {
  const std::array<ConstBuffer, 2> parts = {BytesOf("d"), BytesOf("e")};
  InReceive([&] {
    EXPECT_OK(stream().Send(BytesOf("a"), told.Handler("s1")));
    EXPECT_OK(stream().SendCopy(BytesOf("b")).status());
    EXPECT_OK(stream().Send(BytesOf("c"), told.Handler("s2")));
    EXPECT_OK(stream().SendVector(parts, told.Handler("s3")));
    EXPECT_OK(stream().SendCopy(BytesOf("f")).status());
    EXPECT_OK(stream().Flush(told.Handler("flush")));
  });
  EXPECT_EQ(Await(6), "abcdef");
  TurnUntilCount(told, 4);
  EXPECT_THAT(told.Take(),
              ElementsAre("s1 OK 1", "s2 OK 1", "s3 OK 2", "flush OK 0"));
}

TEST_P(OperationChain, O06_ACopyBeforeASendGoesFirst) {
  InReceive([&] {
    EXPECT_OK(stream().SendCopy(BytesOf("a")).status());
    EXPECT_OK(stream().Receive(room, told.Handler("r")));
    EXPECT_OK(stream().Send(BytesOf("b"), told.Handler("s")));
  });
  EXPECT_EQ(Await(2), "ab");
  Send(peer(), "x");
  TurnUntilCount(told, 2);
  EXPECT_THAT(told.Take(), ElementsAre("s OK 1", "r OK 1"));
}

TEST_P(OperationChain, O05_WhatDoesNotFitAtOnceIsSentWhole) {
  const std::string much = Pattern(8 << 20);
  InReceive([&] {
    EXPECT_OK(stream().Send(BytesOf(much), told.Handler("much")));
    EXPECT_OK(stream().Receive(room, told.Handler("r")));
  });
  EXPECT_EQ(Await(much.size()), much);
  Send(peer(), "x");
  TurnUntilCount(told, 2);
  EXPECT_THAT(told.Take(), UnorderedElementsAre("much OK 8388608", "r OK 1"));
}

TEST_P(OperationChain, O02_NothingIsSentAndToldInItsTurn) {
  InReceive([&] {
    EXPECT_OK(stream().Send(BytesOf(""), told.Handler("s")));
    EXPECT_CODE(stream().Receive(MutableBuffer(), told.Handler("r")),
                kInvalidArgument);
    EXPECT_OK(stream().Send(BytesOf("z"), nullptr));
    EXPECT_OK(stream().Receive(room, nullptr));
  });
  TurnUntilCount(told, 1);
  EXPECT_EQ(Await(1), "z");
  Send(peer(), "x");
  TurnUntil([&] { return room.text(1) == "x"; });
  EXPECT_THAT(told.Take(), ElementsAre("s OK 0"));
}

TEST_P(OperationChain, O03_AFullBufferLeavesTheRestToTheNext) {
  Room small(4);
  InSend([&] { EXPECT_OK(stream().Receive(small, told.Handler("r1"))); });
  Send(peer(), "abcdefg");
  TurnUntilCount(told, 1);
  ASSERT_OK(stream().Receive(room, told.Handler("r2")));
  TurnUntilCount(told, 2);
  EXPECT_THAT(told.Take(), ElementsAre("r1 OK 4", "r2 OK 3"));
  EXPECT_EQ(small.all() + room.text(3), "abcdefg");
}

TEST_P(OperationChain, O04_TheEndOfTheStreamIsTold) {
  InSend([&] {
    EXPECT_OK(stream().Receive(room, told.Handler("r1", [&](const Completion&) {
      EXPECT_OK(stream().Receive(room, told.Handler("r2")));
    })));
  });
  Send(peer(), "x");
  MustOk(peer().Shutdown(ShutdownDirection::kSend));
  TurnUntilCount(told, 2);
  EXPECT_THAT(told.Take(), ElementsAre("r1 OK 1", "r2 OK 0"));
}

TEST_P(OperationChain, O04_AResetIsTold) {
  InSend([&] { EXPECT_OK(stream().Receive(room, told.Handler("r"))); });
  Reset(peer());
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.Take(), ElementsAre("r UNAVAILABLE 0"));
}

// What has been started before has the buffers.
TEST_P(OperationChain, O10_CancelAllEndsWhatTheHandlerHasStarted) {
  InReceive([&] {
    EXPECT_OK(stream().Receive(room, told.Handler("r1")));
    EXPECT_OK(stream().Receive(room2, told.Handler("r2")));
    EXPECT_OK(stream().Cancel());
  });
  TurnUntilCount(told, 2);
  EXPECT_THAT(told.Take(), ElementsAre("r1 CANCELLED 0", "r2 CANCELLED 0"));
  // Nothing is broken.
  ASSERT_OK(stream().Receive(room, told.Handler("r3")));
  Send(peer(), "x");
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.Take(), ElementsAre("r3 OK 1"));
}

TEST_P(OperationChain, O10_CancelAllEndsASendThatWasNotSent) {
  InReceive([&] {
    EXPECT_OK(stream().Send(BytesOf("never"), told.Handler("s")));
    EXPECT_OK(stream().Cancel());
    EXPECT_CODE(stream().Send(BytesOf("x"), told.Handler("after")),
                kFailedPrecondition);
  });
  TurnUntilCount(told, 1);
  TurnPastSentinel();
  EXPECT_THAT(told.Take(), ElementsAre("s CANCELLED 0"));
  EXPECT_EQ(Drain(peer()), "");
}

TEST_P(OperationChain, O10_AReceiveWithAHandleIsCancelled) {
  Operation handle;
  InReceive([&] {
    EXPECT_OK(stream().Receive(room, told.Handler("r"), {.handle = &handle}));
  });
  EXPECT_FALSE(handle.done());
  ASSERT_OK(handle.Cancel());
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.Take(), ElementsAre("r CANCELLED 0"));
}

TEST_P(OperationChain, O11_ATimeoutHoldsForWhatAHandlerStarts) {
  InSend([&] {
    EXPECT_OK(stream().Receive(room, told.Handler("r"),
                               {.timeout = absl::Milliseconds(5)}));
  });
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.Take(), ElementsAre("r DEADLINE_EXCEEDED 0"));
}

TEST_P(OperationChain, C01_CloseEndsWhatTheHandlerHasStarted) {
  InReceive([&] {
    EXPECT_OK(stream().Receive(room, told.Handler("r")));
    EXPECT_OK(stream().Send(BytesOf("s"), told.Handler("s")));
    EXPECT_OK(stream().Close(told.ForClose("closed")));
    EXPECT_CODE(stream().Receive(room2, told.Handler("after")),
                kFailedPrecondition);
    EXPECT_CODE(stream().Send(BytesOf("x"), told.Handler("after")),
                kFailedPrecondition);
  });
  TurnUntilCount(told, 3);
  const std::vector<std::string> entries = told.Take();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_THAT(
      std::vector(entries.begin(), entries.end() - 1),
      UnorderedElementsAre("r CANCELLED 0", AnyOf("s CANCELLED 0", "s OK 1")));
  EXPECT_EQ(entries.back(), "closed");
  EXPECT_EQ(told.alive(), 0);
}

TEST_P(OperationChain, C01_TheStreamMayGoWhileItsReceiveWaits) {
  InSend([&] { EXPECT_OK(stream().Receive(room, told.Handler("r"))); });
  stream() = Stream();
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.Take(), ElementsAre("r CANCELLED 0"));
}

TEST_P(OperationChain, O13_WhatTheHandlerHasStartedIsPending) {
  InReceive([&] {
    EXPECT_OK(stream().Receive(room, told.Handler("r")));
    EXPECT_CODE(stream().Detach(), kFailedPrecondition);
    EXPECT_CODE(stream().StartReceive(told.ForReceived("by itself")),
                kFailedPrecondition);
  });
  Send(peer(), "x");
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.Take(), ElementsAre("r OK 1"));
  EXPECT_OK(stream().StartReceive(told.ForReceived("by itself")));
  Send(peer(), "y");
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.Take(), ElementsAre("by itself OK 1"));
}

TEST_P(OperationChain, O02_AStoppedLoopStartsNothing) {
  InReceive([&] {
    loop().Stop();
    EXPECT_CODE(stream().Receive(room, told.Handler("r")), kFailedPrecondition);
    EXPECT_CODE(stream().Send(BytesOf("x"), told.Handler("s")),
                kFailedPrecondition);
  });
  EXPECT_THAT(told.Take(), IsEmpty());
  EXPECT_EQ(told.alive(), 0);
}

// A handler is destroyed right after it was called: what it holds may start the
// next of the kind.
TEST_P(OperationChain, O07_WhatAHandlerHoldsStartsTheNextAsItGoes) {
  struct Starter {
    ~Starter() { start(); }
    std::function<void()> start;
  };
  InReceive([&] {
    auto starter = std::make_unique<Starter>();
    starter->start = [&] {
      EXPECT_OK(stream().Receive(room, told.Handler("r2")));
      EXPECT_OK(stream().Send(BytesOf("s"), told.Handler("s")));
    };
    EXPECT_OK(stream().Receive(
        room2, [held = std::move(starter)](const Completion&) {}));
  });
  Send(peer(), "x");
  EXPECT_EQ(Await(1), "s");
  Send(peer(), "y");
  TurnUntilCount(told, 2);
  EXPECT_THAT(told.Take(), ElementsAre("s OK 1", "r2 OK 1"));
  EXPECT_EQ(room.text(1), "y");
}

// However long a chain of transfers that succeed at once is: others have their
// turn.
TEST_P(OperationChain, R20_AChainOfSendsDoesNotKeepTheLoop) {
  constexpr int kMost = 100000;
  StreamAndPeer other = Connect(AddressFamily::kIpv4);
  Room others_room(8);
  bool heard = false;
  int sends = 0;
  std::function<void()> send = [&] {
    EXPECT_OK(stream().Send(BytesOf("s"), [&](const Completion& sent) {
      EXPECT_OK(sent.status);
      if (!heard && ++sends < kMost) send();
    }));
  };
  ASSERT_OK(other.stream.Receive(others_room,
                                 [&](const Completion&) { heard = true; }));
  Turn();
  Send(other.peer, "x");
  InReceive([&] { send(); });
  PumpUntil([&] {
    Drain(peer());
    return heard;
  });
  EXPECT_LT(sends, kMost);
  TurnPastSentinel();
}

}  // namespace
}  // namespace weir::conformance
