// What a receiver does: a stream that has just echoed messages by SendCopy can
// take a short way through the loop. Nobody may notice, whatever the receiver
// does next.

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/operations.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class StreamEcho : public OperationsTest {
 protected:
  void SetUp() override {
    OperationsTest::SetUp();
    pair_ = Connect(AddressFamily::kIpv4);
    EXPECT_OK(stream().StartReceive([this](const Received& received) {
      if (received.data.empty()) {
        end_ = received.status;
        ended_ = true;
      } else if (act_) {
        got_ += TextOf(received.data);
        if (got_.size() < await_) return;
        std::exchange(act_, nullptr)();
        acted_ = true;
      } else {
        EXPECT_OK(stream().SendCopy(received.data).status());
      }
    }));
    for (int i = 0; i < 3; ++i) {
      Send(peer(), "ping");
      EXPECT_EQ(Await(4), "ping");
    }
  }

  // What is still pending then is told to what is still there.
  void TearDown() override { DestroyLoop(); }

  Stream& stream() { return pair_.stream; }
  Socket& peer() { return pair_.peer; }

  // Has the receiver call `act`, and not echo, when `text` has come.
  void InReceiver(std::function<void()> act, std::string text = "go") {
    await_ = text.size();
    act_ = std::move(act);
    Send(peer(), text);
    TurnUntil([this] { return acted_; });
    EXPECT_EQ(got_, text);
  }
  std::string Await(std::size_t size) { return DrainUntil(peer(), size); }
  bool ended() const { return ended_; }
  const absl::Status& end() const { return end_; }

  Indications told;

 private:
  StreamAndPeer pair_;
  std::function<void()> act_;
  std::size_t await_ = 0;
  std::string got_;
  bool acted_ = false;
  bool ended_ = false;
  absl::Status end_;
};
WEIR_CONFORMANCE_SUITE(StreamEcho);

TEST_P(StreamEcho, O06_CopiesAndSendsKeepTheirOrder) {
  InReceiver([&] {
    EXPECT_OK(stream().SendCopy(BytesOf("a")).status());
    EXPECT_OK(stream().SendCopy(BytesOf("b")).status());
    EXPECT_OK(stream().Send(BytesOf("c"), told.Handler("c")));
    EXPECT_OK(stream().SendCopy(BytesOf("d")).status());
    EXPECT_OK(stream().Flush(told.Handler("flush")));
  });
  EXPECT_EQ(Await(4), "abcd");
  TurnUntilCount(told, 2);
  EXPECT_THAT(told.Take(), ElementsAre("c OK 1", "flush OK 0"));
  Send(peer(), "ping");
  EXPECT_EQ(Await(4), "ping");
}

TEST_P(StreamEcho, O06_WhatIsToBeSentIsCounted) {
  EXPECT_EQ(Stream().UnsentBytes(), 0u);
  InReceiver([&] {
    const std::size_t before = stream().UnsentBytes();
    EXPECT_EQ(Must(stream().SendCopy(BytesOf("ab"))), before + 2);
    EXPECT_EQ(stream().UnsentBytes(), before + 2);
    EXPECT_OK(stream().SendCopy(BytesOf("c")).status());
    EXPECT_EQ(stream().UnsentBytes(), before + 3);
    EXPECT_OK(stream().Send(BytesOf("de"), told.Handler("de")));
    EXPECT_EQ(stream().UnsentBytes(), before + 5);
    EXPECT_EQ(Must(stream().SendCopy(BytesOf("f"))), before + 6);
  });
  EXPECT_EQ(Await(6), "abcdef");
  ASSERT_OK(stream().Flush(told.Handler("flush")));
  TurnUntilCount(told, 2);
  EXPECT_EQ(stream().UnsentBytes(), 0u);
  const std::string much = Pattern(64 << 20);
  MustOk(stream().Send(BytesOf(much), told.Handler("much")));
  Turn();
  const std::size_t unsent = stream().UnsentBytes();
  EXPECT_GT(unsent, 0u);
  EXPECT_LE(unsent, much.size());
  ASSERT_OK(stream().Close());
  TurnUntilCount(told, 3);
  EXPECT_EQ(stream().UnsentBytes(), 0u);
}

TEST_P(StreamEcho, O06_ManyPiecesAreEchoedInOrder) {
  const std::string text = Pattern(1 << 20);
  std::string got;
  std::size_t sent = 0;
  std::size_t piece = 1;
  PumpUntil([&] {
    while (sent < text.size()) {
      const std::string part = text.substr(sent, piece);
      const std::size_t bytes = Must(peer().Send(BytesOf(part)), "send").bytes;
      sent += bytes;
      piece = piece % 3001 + 57;
      if (bytes < part.size()) break;
    }
    got += Drain(peer());
    return got.size() >= text.size();
  });
  EXPECT_EQ(got, text);
  ASSERT_OK(stream().Flush(told.Handler("flush")));
  TurnUntilCount(told, 1);
  // Nothing is counted that is not there.
  EXPECT_EQ(Must(stream().SendCopy(BytesOf("x"))), 1u);
}

TEST_P(StreamEcho, O06_PartsOfWhatWasReceivedKeepTheirOrder) {
  StreamAndPeer pair = Connect(AddressFamily::kIpv4);
  ASSERT_OK(pair.stream.StartReceive([&](const Received& received) {
    const ConstBuffer data = received.data;
    if (data.empty()) return;
    const std::size_t half = data.size() / 2;
    for (const ConstBuffer part : {BytesOf("<"), data.first(half), BytesOf("|"),
                                   data.subspan(half), BytesOf(">")}) {
      EXPECT_OK(pair.stream.SendCopy(part).status());
    }
  }));
  std::string text(1 << 20, ' ');
  for (std::size_t i = 0; i < text.size(); ++i) {
    text[i] = static_cast<char>('a' + i * i % 26);
  }
  std::string got;
  std::string marks;
  std::size_t sent = 0;
  PumpUntil([&] {
    sent += Must(pair.peer.Send(BytesOf(text).subspan(sent)), "send").bytes;
    for (const char c : Drain(pair.peer)) {
      (c < 'a' || c > 'z' ? marks : got) += c;
    }
    return got.size() == text.size() && marks.ends_with('>');
  });
  EXPECT_EQ(got, text);
  for (std::size_t i = 0; i < marks.size(); ++i) {
    ASSERT_EQ(marks[i], "<|>"[i % 3]) << i;
  }
}

// Of the buffers that a mechanism receives into, those who do not take what they
// are sent cannot hold all (R20).
TEST_P(StreamEcho, R20_PeersThatDoNotReceiveKeepNobodyElseWaiting) {
  constexpr std::size_t kPeers = 150;
  const std::string text = Pattern(512 << 10);
  std::vector<StreamAndPeer> stalled(kPeers);
  for (StreamAndPeer& pair : stalled) {
    pair = Connect(AddressFamily::kIpv4);
    MustOk(pair.peer.SetOption(SocketOption::kReceiveBufferBytes, 65536));
    MustOk(pair.stream.SetOption(SocketOption::kSendBufferBytes, 16384));
    ASSERT_OK(pair.stream.StartReceive([&](const Received& received) {
      if (received.data.empty()) return;
      EXPECT_OK(pair.stream.SendCopy(received.data).status());
    }));
  }
  std::vector<std::size_t> sent(kPeers);
  PumpUntil([&] {
    std::size_t all = 0;
    for (std::size_t i = 0; i < kPeers; ++i) {
      if (sent[i] < text.size()) {
        sent[i] += Must(stalled[i].peer.Send(BytesOf(text).subspan(sent[i])),
                        "send")
                       .bytes;
      }
      all += sent[i];
    }
    return all == kPeers * text.size();
  });
  const std::string large = Pattern(16 << 10);
  for (int i = 0; i < 10; ++i) {
    Send(peer(), large);
    EXPECT_EQ(Await(large.size()), large);
  }
  for (StreamAndPeer& pair : stalled) {
    EXPECT_TRUE(DrainUntil(pair.peer, text.size()) == text);
  }
}

TEST_P(StreamEcho, O06_ALargeCopyIsSentWhole) {
  const std::string much = Pattern(3 << 20);
  InReceiver([&] {
    EXPECT_OK(stream().SendCopy(BytesOf("first")).status());
    EXPECT_OK(stream().SendCopy(BytesOf(much)).status());
    EXPECT_OK(stream().SendCopy(BytesOf("last")).status());
  });
  EXPECT_EQ(Await(much.size() + 9), "first" + much + "last");
  Send(peer(), "ping");
  EXPECT_EQ(Await(4), "ping");
}

TEST_P(StreamEcho, O12_APauseHoldsFromWithinTheReceiver) {
  InReceiver([&] {
    EXPECT_OK(stream().SendCopy(BytesOf("pong")).status());
    EXPECT_OK(stream().PauseReceive());
  });
  EXPECT_EQ(Await(4), "pong");
  Send(peer(), "later");
  TurnPastSentinel();
  EXPECT_EQ(Drain(peer()), "");
  ASSERT_OK(stream().ResumeReceive());
  EXPECT_EQ(Await(5), "later");
}

TEST_P(StreamEcho, C01_WhatWasGivenBeforeAGracefulEndArrives) {
  InReceiver([&] {
    EXPECT_OK(stream().SendCopy(BytesOf("bye")).status());
    EXPECT_OK(stream().Disconnect(told.Handler("end")));
  });
  EXPECT_EQ(Await(3), "bye");
  TurnUntilCount(told, 1);
  AwaitPeerClosed(peer());
  EXPECT_THAT(told.Take(), ElementsAre("end OK 0"));
}

TEST_P(StreamEcho, C01_ACloseInTheReceiverIsTheLast) {
  InReceiver([&] {
    EXPECT_OK(stream().SendCopy(BytesOf("x")).status());
    EXPECT_OK(stream().Close(told.ForClose("closed")));
    EXPECT_CODE(stream().SendCopy(BytesOf("y")), kFailedPrecondition);
  });
  TurnUntilCount(told, 1);
  TurnPastSentinel();
  EXPECT_TRUE(ended());
  EXPECT_CODE(end(), kCancelled);
  EXPECT_THAT(told.Take(), ElementsAre("closed"));
}

TEST_P(StreamEcho, C01_TheStreamMayGoInTheReceiver) {
  InReceiver([&] {
    EXPECT_OK(stream().SendCopy(BytesOf("x")).status());
    stream() = Stream();
  });
  TurnUntil([&] { return ended(); });
  EXPECT_CODE(end(), kCancelled);
  AwaitPeerClosed(peer());
}

TEST_P(StreamEcho, O04_TheEndFollowsWhatWasReceived) {
  Send(peer(), "last");
  MustOk(peer().Shutdown(ShutdownDirection::kSend));
  EXPECT_EQ(Await(4), "last");
  TurnUntil([&] { return ended(); });
  EXPECT_OK(end());
  // The other direction goes on.
  ASSERT_OK(stream().SendCopy(BytesOf("more")).status());
  EXPECT_EQ(Await(4), "more");
}

TEST_P(StreamEcho, O04_AResetIsTold) {
  Reset(peer());
  TurnUntil([&] { return ended(); });
  EXPECT_CODE(end(), kUnavailable);
}

TEST_P(StreamEcho, O10_CancelAllBreaksAStreamThatSends) {
  InReceiver([&] {
    EXPECT_OK(stream().SendCopy(BytesOf("never or at once")).status());
    EXPECT_OK(stream().Cancel());
    EXPECT_CODE(stream().Send(BytesOf("x"), told.Handler("after")),
                kFailedPrecondition);
  });
  TurnPastSentinel();
  EXPECT_THAT(told.entries(), IsEmpty());
}

TEST_P(StreamEcho, O02_AStoppedLoopStartsNothing) {
  InReceiver([&] {
    loop().Stop();
    EXPECT_CODE(stream().SendCopy(BytesOf("x")), kFailedPrecondition);
    EXPECT_CODE(stream().Send(BytesOf("x"), told.Handler("s")),
                kFailedPrecondition);
  });
  EXPECT_EQ(told.alive(), 0);
}

TEST_P(StreamEcho, O13_AStreamThatReceivesIsNotGivenBack) {
  InReceiver([&] {
    EXPECT_OK(stream().SendCopy(BytesOf("x")).status());
    EXPECT_CODE(stream().Detach(), kFailedPrecondition);
  });
  EXPECT_EQ(Await(1), "x");
  Send(peer(), "ping");
  EXPECT_EQ(Await(4), "ping");
}

}  // namespace
}  // namespace weir::conformance
