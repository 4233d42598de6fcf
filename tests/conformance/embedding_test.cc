// A loop inside another one, here of poll(2), that wakes for its handle and its
// timers alone (P07). Mechanisms from outside the library need no handle.

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/descriptors.h"
#include "tests/conformance/loop_threads.h"
#include "weir/datagram_socket.h"
#include "weir/listener.h"
#include "weir/stream.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;

ConstBuffer BytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

class EmbeddingTest : public Conformance {
 protected:
  void SetUp() override {
    inner_ = Must(
        EventLoop::Create({.backend = GetParam(), .embedded = true}));
    if (inner_->native_handle() == kInvalidSocket) {
      GTEST_SKIP() << "this mechanism has no handle to wait for";
    }
    Settle();
  }
  void TearDown() override { inner_.reset(); }

  EventLoop& inner() { return *inner_; }
  void DestroyInner() { inner_.reset(); }

  int Turn() { return Must(inner_->RunOnce(absl::ZeroDuration()), "turn"); }
  // As native_handle() says.
  void Settle() {
    while (Turn() > 0) {
    }
  }

  // Whether the handle is readable within `timeout`.
  bool Poll(absl::Duration timeout) {
    platform::PollEntry entry{.socket = inner_->native_handle(),
                              .requested = platform::PollBits::kReadable};
    return test::Poll(std::span(&entry, 1), timeout);
  }

  // The outer loop, until `done`. It sleeps whenever it may: what would come
  // with the next turn only, it does not get.
  void DriveUntil(const std::function<bool()>& done) {
    for (Settle(); !done(); Settle()) {
      const absl::Duration next = inner_->TimeToNextTimer();
      if (!Poll(std::min(next, kPatience)) && next > kPatience) {
        ADD_FAILURE() << "the outer loop was not woken";
        return;
      }
    }
  }

  // After a few turns with nothing to tell, it sleeps.
  void ExpectQuiet() {
    constexpr int kFewTurns = 5;
    int turns = 0;
    do {
      Settle();
    } while (Poll(absl::ZeroDuration()) && ++turns < kFewTurns);
    EXPECT_LT(turns, kFewTurns);
    EXPECT_EQ(inner_->TimeToNextTimer(), absl::InfiniteDuration());
  }

  // A stream on the loop, and its peer.
  std::pair<Stream, Socket> NewStream() {
    Connection connection = Connected();
    return {Must(Stream::Attach(inner(), std::move(connection.client))),
            std::move(connection.server)};
  }

 private:
  std::unique_ptr<EventLoop> inner_;
};
WEIR_CONFORMANCE_SUITE(EmbeddingTest);

TEST_P(EmbeddingTest, P07_TheHandleIsQuietWhileThereIsNothingToDo) {
  EXPECT_NE(inner().native_handle(), kInvalidSocket);
  ExpectQuiet();
  Connection connection = Connected();
  Recorder recorder;
  const Registration registration =
      Must(inner().Register(connection.server, {.interest = Interest::kReadable},
                            recorder.Handler()));
  auto [stream, peer] = NewStream();
  std::array<std::byte, 16> buffer;
  MustOk(stream.Receive(buffer, nullptr));
  ExpectQuiet();
  EXPECT_EQ(recorder.count(), 0u);
}

TEST_P(EmbeddingTest, P07_SocketsAreDelivered) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    const Registration registration = Must(inner().Register(
        connection.server, mode.With(Interest::kReadable),
        recorder.Handler([&](const Event& event) {
          if (event.readable()) Drain(connection.server);
        })));
    for (int i = 0; i < 3; ++i) {
      ExpectQuiet();
      Send(connection.client, "x");
      DriveUntil([&] { return recorder.count() > 0; });
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
      if (mode.persistence == Persistence::kOneShot) {
        // Between two calls of RunOnce.
        EXPECT_OK(registration.Rearm(Interest::kReadable));
      }
    }
  }
}

// Each, made while the outer loop does not run the inner one, is carried out
// without anything else happening.
TEST_P(EmbeddingTest, P07_ChangesBetweenTurnsTakeEffect) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Send(connection.client, "x");
    AwaitReadable(connection.server);
    Recorder recorder;
    ExpectQuiet();
    const Registration registration = Must(inner().Register(
        connection.server, mode.With(Interest::kReadable),
        recorder.Handler([&](const Event& event) {
          if (event.readable()) Drain(connection.server);
        })));
    DriveUntil([&] { return recorder.count() > 0; });
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    ExpectQuiet();
    EXPECT_OK(registration.Modify({.interest = Interest::kWritable,
                                   .trigger = Trigger::kEdge,
                                   .persistence = Persistence::kOneShot}));
    EXPECT_OK(registration.Rearm(Interest::kWritable));
    DriveUntil([&] { return recorder.count() > 0; });
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
    ExpectQuiet();
    EXPECT_OK(registration.Remove());
    DriveUntil([&] { return recorder.count() > 0; });
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kRemoved));
    ExpectQuiet();
  }
}

// Whenever they come: while it sleeps, while it turns, in between.
TEST_P(EmbeddingTest, P07_PostsFromOtherThreadsWakeTheOuterLoop) {
  constexpr int kPosts = 500;
  int run = 0;
  std::thread posting([&] {
    for (int i = 0; i < kPosts; ++i) {
      const auto done = std::make_shared<absl::Notification>();
      MustOk(inner().Post([&run, done] {
        ++run;
        done->Notify();
      }));
      if (!Await(*done)) return;
    }
  });
  DriveUntil([&] { return run == kPosts; });
  posting.join();
  ExpectQuiet();
}

TEST_P(EmbeddingTest, P07_PostsOnTheLoopsThreadAreRun) {
  bool outside = false;
  bool inside = false;
  MustOk(inner().Post([&] {
    outside = true;
    MustOk(inner().Post([&] { inside = true; }));
  }));
  DriveUntil([&] { return inside; });
  EXPECT_TRUE(outside);
  ExpectQuiet();
}

TEST_P(EmbeddingTest, P07_RegistrationsFromOtherThreadsTakeEffect) {
  Connection connection = Connected();
  Send(connection.client, "x");
  AwaitReadable(connection.server);
  Recorder recorder;
  ExpectQuiet();
  std::thread([&] {
    Must(inner().Register(connection.server,
                          {.interest = Interest::kReadable,
                           .persistence = Persistence::kOneShot},
                          recorder.Handler()));
  }).join();
  DriveUntil([&] { return recorder.count() > 0; });
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
}

TEST_P(EmbeddingTest, P07_TimersEndTheSleep) {
  constexpr absl::Duration kDelay = absl::Milliseconds(3);
  int fired = 0;
  Timer timer = Must(inner().CreateTimer([&] { ++fired; }));
  ExpectQuiet();
  // Between turns, in a handler, from another thread; again and again.
  const absl::Time start = absl::Now();
  MustOk(timer.Set(kDelay));
  EXPECT_LE(inner().TimeToNextTimer(), kDelay);
  DriveUntil([&] { return fired == 1; });
  EXPECT_GE(absl::Now() - start, kDelay);
  MustOk(inner().Post([&] { MustOk(timer.Set(kDelay)); }));
  DriveUntil([&] { return fired == 2; });
  ExpectQuiet();
  std::thread([&] { MustOk(timer.Set(kDelay)); }).join();
  DriveUntil([&] { return fired == 3; });
  MustOk(timer.SetPeriodic(absl::Milliseconds(1)));
  DriveUntil([&] { return fired >= 6; });
  MustOk(timer.Cancel());
  ExpectQuiet();
}

TEST_P(EmbeddingTest, P07_OperationsGoOn) {
  auto [stream, peer] = NewStream();
  std::array<std::byte, 16> buffer;
  ExpectQuiet();
  for (int i = 0; i < 20; ++i) {
    SCOPED_TRACE(i);
    // Before and after there is something; between turns and in a message.
    if (i % 2 == 0) Send(peer, "hello");
    std::size_t received = 0;
    const auto start = [&, &stream = stream] {
      MustOk(stream.Receive(buffer, [&](const Completion& done) {
        EXPECT_OK(done.status);
        received = done.bytes;
      }));
    };
    if (i % 4 < 2) {
      start();
    } else {
      MustOk(inner().Post(start));
    }
    if (i % 2 == 1) {
      Settle();
      Send(peer, "hello");
    }
    DriveUntil([&] { return received > 0; });
    EXPECT_EQ(received, 5u);
    ExpectQuiet();
  }
}

// More than the system takes at once, read as it comes.
TEST_P(EmbeddingTest, P07_ASendThatHasToWaitGoesOn) {
  const std::string data(8 << 20, 'x');
  auto [stream, peer] = NewStream();
  bool sent = false;
  MustOk(stream.Send(BytesOf(data), [&](const Completion& done) {
    EXPECT_OK(done.status);
    EXPECT_EQ(done.bytes, data.size());
    sent = true;
  }));
  std::size_t received = 0;
  std::thread reading([&, &peer = peer] {
    while (received < data.size()) {
      AwaitReadable(peer);
      received += Drain(peer).size();
    }
  });
  DriveUntil([&] { return sent; });
  reading.join();
  EXPECT_EQ(received, data.size());
  ExpectQuiet();
}

TEST_P(EmbeddingTest, P07_AcceptingAndConnectingGoOn) {
  auto listener = Must(weir::Listener::Listen(
      inner(), SocketAddress::Ipv4Loopback(0)));
  const SocketAddress address = Must(listener.LocalAddress());
  std::vector<Stream> accepted;
  MustOk(listener.StartAccepting([&](absl::StatusOr<AcceptedStream>&& next) {
    if (next.ok()) accepted.push_back(std::move(next->stream));
  }));
  ExpectQuiet();
  for (std::size_t i = 1; i <= 3; ++i) {
    Stream stream = Must(Stream::Open(inner(), AddressFamily::kIpv4));
    bool connected = false;
    MustOk(stream.Connect(address, [&](const Completion& done) {
      EXPECT_OK(done.status);
      connected = true;
    }));
    DriveUntil([&] { return connected && accepted.size() == i; });
  }
  DestroyInner();
}

// Between turns an operation may be under way. When the loop has ended, on
// whatever thread, it is not any more: nothing is open that it was for.
TEST_P(EmbeddingTest, C04_NothingIsUnderWayWhenAnotherThreadHasEndedTheLoop) {
  weir::Listener listener =
      Must(weir::Listener::Listen(inner(), SocketAddress::Ipv4Loopback(0)));
  const SocketAddress address = Must(listener.LocalAddress());
  absl::Status told;
  MustOk(listener.Accept(
      [&](absl::StatusOr<AcceptedStream>&& next) { told = next.status(); }));
  Settle();
  std::thread([&] { DestroyInner(); }).join();
  EXPECT_CODE(told, kCancelled);
  EXPECT_OK(Socket::Listen(address));
}

TEST_P(EmbeddingTest, P07_DatagramsAreReceived) {
  auto socket = Must(
      DatagramSocket::Bind(inner(), SocketAddress::Ipv4Loopback(0)));
  Socket sender = Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0)));
  Must(sender.StartConnecting(Must(socket.LocalAddress())));
  std::size_t received = 0;
  MustOk(socket.StartReceive([&](const ReceivedDatagrams& datagrams) {
    received += datagrams.datagrams.size();
  }));
  for (std::size_t i = 1; i <= 5; ++i) {
    ExpectQuiet();
    Send(sender, "datagram");
    DriveUntil([&] { return received == i; });
  }
  DestroyInner();
}

TEST_P(EmbeddingTest, P07_DeadlinesOfOperationsEndTheSleep) {
  auto [stream, peer] = NewStream();
  std::array<std::byte, 16> buffer;
  constexpr absl::Duration kTimeout = absl::Milliseconds(5);
  absl::Status status;
  ExpectQuiet();
  MustOk(stream.Receive(
      buffer, [&](const Completion& done) { status = done.status; },
      {.timeout = kTimeout}));
  EXPECT_LE(inner().TimeToNextTimer(), kTimeout);
  DriveUntil([&] { return !status.ok(); });
  EXPECT_CODE(status, kDeadlineExceeded);
  ExpectQuiet();
}

TEST_P(EmbeddingTest, P07_ClosingBetweenTurnsIsCarriedOut) {
  auto [stream, peer] = NewStream();
  std::array<std::byte, 16> buffer;
  absl::Status status;
  bool closed = false;
  MustOk(stream.Receive(
      buffer, [&](const Completion& done) { status = done.status; }));
  ExpectQuiet();
  EXPECT_OK(stream.Close([&] { closed = true; }));
  DriveUntil([&] { return closed; });
  EXPECT_CODE(status, kCancelled);
  AwaitPeerClosed(peer);
}

TEST_P(EmbeddingTest, P07_StoppingWakesTheOuterLoop) {
  ExpectQuiet();
  std::thread stopping([&] { inner().Stop(); });
  EXPECT_TRUE(Poll(kPatience));
  stopping.join();
  EXPECT_CODE(inner().RunOnce(absl::ZeroDuration()), kFailedPrecondition);
}

TEST_P(EmbeddingTest, C04_ItEndsWithEverythingPending) {
  DestroyInner();
  const std::size_t before = OpenDescriptors();
  SetUp();
  {
    auto [stream, peer] = NewStream();
    std::array<std::byte, 16> buffer;
    absl::Status status;
    MustOk(stream.Receive(
        buffer, [&](const Completion& done) { status = done.status; }));
    Settle();
    MustOk(inner().PostAfter(absl::Hours(1), [] { FAIL(); }));
    DestroyInner();
    EXPECT_CODE(status, kCancelled);
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace weir::conformance
