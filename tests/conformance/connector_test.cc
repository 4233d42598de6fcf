// Connecting to the first of several addresses that answers (RFC 8305).

#include "weir/connector.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/connecting.h"
#include "tests/conformance/descriptors.h"
#include "tests/conformance/loop_threads.h"
#include "weir/status.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

WEIR_CONFORMANCE_SUITE(ConnectorTest);

TEST_P(ConnectorTest, O02_TheHandlerIsCalledOnceThroughTheLoop) {
  Socket listener = Listener();
  Connect({AddressOf(listener)});
  EXPECT_EQ(outcomes_.count(), 0u) << "inside the call";
  TurnUntilTold();
  ExpectTold({StatusCode::kOk});
  Stream stream = Must(outcomes_.TakeLast());
  AwaitReadable(listener);
  Socket accepted = std::move(Must(listener.Accept())->socket);
  bool sent = false;
  MustOk(stream.Send(std::as_bytes(std::span("hello", 5)),
                     [&](const Completion& done) {
                       EXPECT_OK(done.status);
                       sent = true;
                     }));
  TurnUntil([&] { return sent; });
  AwaitReadable(accepted);
  EXPECT_EQ(Receive(accepted), "hello");
}

// RFC 8305, section 5: not after the delay, which never passes here.
TEST_P(ConnectorTest, RFC8305_ARefusedAddressIsPassedOverAtOnce) {
  Socket listener = Listener();
  Connect({RefusedAddress(), RefusedAddress(), AddressOf(listener)},
          {.attempt_delay = kNever});
  TurnUntilTold();
  ExpectTold({StatusCode::kOk});
  ExpectConnectedTo(AddressOf(listener));
}

TEST_P(ConnectorTest, RFC8305_AnAddressThatCannotBeTriedIsPassedOver) {
  Socket listener = Listener();
  Connect({SocketAddress(), AddressOf(listener)}, {.attempt_delay = kNever});
  TurnUntilTold();
  ExpectTold({StatusCode::kOk});
  ExpectConnectedTo(AddressOf(listener));
}

TEST_P(ConnectorTest, RFC8305_ASilentAddressGivesWayAfterTheDelay) {
  constexpr absl::Duration kDelay = absl::Milliseconds(20);
  SilentAddress silent;
  Socket listener = Listener();
  const absl::Time start = absl::Now();
  Connect({silent.address(), AddressOf(listener)}, {.attempt_delay = kDelay});
  TurnUntilTold();
  EXPECT_GE(absl::Now() - start, kDelay);
  ExpectTold({StatusCode::kOk});
  ExpectConnectedTo(AddressOf(listener));
}

// Each has its own: the third begins after two of them.
TEST_P(ConnectorTest, RFC8305_EveryAddressHasItsDelay) {
  constexpr absl::Duration kDelay = absl::Milliseconds(15);
  SilentAddress first;
  SilentAddress second;
  Socket listener = Listener();
  const absl::Time start = absl::Now();
  Connect({first.address(), second.address(), AddressOf(listener)},
          {.attempt_delay = kDelay});
  TurnUntilTold();
  EXPECT_GE(absl::Now() - start, 2 * kDelay);
  ExpectTold({StatusCode::kOk});
}

// The first is not given up when the next is tried.
TEST_P(ConnectorTest, RFC8305_AnEarlierAddressCanStillWin) {
  SilentAddress silent;
  SilentAddress other;
  Connect({silent.address(), other.address(), RefusedAddress()},
          {.attempt_delay = absl::Milliseconds(1)});
  bool all_tried = false;
  MustOk(loop().PostAfter(absl::Milliseconds(5), [&] { all_tried = true; }));
  TurnUntil([&] { return all_tried; });
  EXPECT_EQ(outcomes_.count(), 0u);
  silent.Speak();
  TurnUntilTold();
  ExpectTold({StatusCode::kOk});
  ExpectConnectedTo(silent.address());
}

// The refusal of the last that was tried is told, with its address.
TEST_P(ConnectorTest, RFC8305_WhereNobodyAnswersTheLastRefusalIsTold) {
  const SocketAddress last = RefusedAddress();
  Connect({RefusedAddress(), last});
  TurnUntilTold();
  ExpectTold({StatusCode::kUnavailable});
  const auto result = outcomes_.TakeLast();
  EXPECT_EQ(CauseOf(result.status()), ErrorCause::kConnectionRefused);
  EXPECT_THAT(std::string(result.status().message()),
              HasSubstr(last.ToString()));
}

TEST_P(ConnectorTest, RFC8305_TheLosersAreClosed) {
  SilentAddress first;
  SilentAddress second;
  Socket listener = Listener();
  const std::size_t before = OpenDescriptors();
  Connect({first.address(), second.address(), AddressOf(listener)},
          {.attempt_delay = absl::Milliseconds(1)});
  TurnUntilTold();
  ExpectTold({StatusCode::kOk});
  EXPECT_EQ(OpenDescriptors(), before + 1);
  (void)outcomes_.TakeLast();
  Turn();
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST_P(ConnectorTest, RFC8305_WithoutDescriptorsItFails) {
  WEIR_SKIP_WITHOUT_DESCRIPTOR_LIMIT();
  Socket listener = Listener();
  Connect({AddressOf(listener), AddressOf(listener).with_port(1)});
  {
    const NoDescriptorsLeft none;
    TurnUntilTold();
  }
  ExpectTold({StatusCode::kResourceExhausted});
}

TEST_P(ConnectorTest, R13_BadInputIsRefusedAtOnce) {
  const SocketAddress address = RefusedAddress();
  Connecting handle;
  const auto refused = [&](std::vector<SocketAddress> addresses,
                           ConnectOptions options) {
    options.handle = &handle;
    return ConnectStream(loop(), std::move(addresses), outcomes_.Handler(),
                         options);
  };
  EXPECT_CODE(refused({}, {}), kInvalidArgument);
  EXPECT_CODE(refused({address}, {.timeout = absl::ZeroDuration()}),
              kInvalidArgument);
  EXPECT_CODE(refused({address}, {.attempt_delay = -absl::Seconds(1)}),
              kInvalidArgument);
  EXPECT_CODE(ConnectStream(loop(), {address}, nullptr), kInvalidArgument);
  loop().Stop();
  EXPECT_CODE(refused({address}, {}), kFailedPrecondition);
  EXPECT_CODE(handle.Cancel(), kFailedPrecondition) << "not an empty handle";
  EXPECT_EQ(outcomes_.handlers(), 0);
  EXPECT_EQ(outcomes_.count(), 0u);
}

TEST_P(ConnectorTest, O11_ItEndsWhenItsTimeIsOver) {
  SilentAddress silent;
  const std::size_t before = OpenDescriptors();
  constexpr absl::Duration kTimeout = absl::Milliseconds(20);
  const absl::Time start = absl::Now();
  Connecting handle;
  Connect({silent.address(), silent.address().with_port(1)},
          {.timeout = kTimeout, .attempt_delay = kNever, .handle = &handle});
  TurnUntilTold();
  EXPECT_GE(absl::Now() - start, kTimeout);
  ExpectTold({StatusCode::kDeadlineExceeded});
  EXPECT_EQ(OpenDescriptors(), before);
  EXPECT_CODE(handle.Cancel(), kFailedPrecondition);
}

// Whatever it is doing: not begun, trying one, trying two.
TEST_P(ConnectorTest, O10_ItCanBeCancelled) {
  SilentAddress first;
  SilentAddress second;
  const std::size_t before = OpenDescriptors();
  for (const int turns : {0, 1, 3}) {
    SCOPED_TRACE(turns);
    Outcomes outcomes;
    Connecting handle;
    MustOk(ConnectStream(
        loop(), {first.address(), second.address()}, outcomes.Handler(),
        {.attempt_delay = absl::Nanoseconds(1), .handle = &handle}));
    for (int i = 0; i < turns; ++i) Turn();
    EXPECT_OK(handle.Cancel());
    EXPECT_OK(handle.Cancel());
    EXPECT_EQ(outcomes.count(), 0u) << "inside the call";
    TurnUntil([&] { return outcomes.count() > 0; });
    TurnPastSentinel();
    EXPECT_THAT(outcomes.codes(), ElementsAre(StatusCode::kCancelled));
    EXPECT_EQ(outcomes.handlers(), 0);
    EXPECT_CODE(handle.Cancel(), kFailedPrecondition);
    EXPECT_EQ(OpenDescriptors(), before);
  }
  EXPECT_CODE(Connecting().Cancel(), kFailedPrecondition);
}

TEST_P(ConnectorTest, O10_ItHasEndedWhenItsHandlerIsCalled) {
  Socket listener = Listener();
  Connecting handle;
  bool called = false;
  MustOk(ConnectStream(
      loop(), {AddressOf(listener)},
      [&](absl::StatusOr<Stream>&& result) {
        EXPECT_OK(result);
        EXPECT_CODE(handle.Cancel(), kFailedPrecondition);
        called = true;
      },
      {.handle = &handle}));
  TurnUntil([&] { return called; });
}

// --- the end of the loop, and threads

// The object is gone from then on, and attempts end after that, one of them
// perhaps refused: no address is tried any more.
TEST_P(ConnectorTest, C04_TheLoopIsDestroyedInAHandler) {
  SilentAddress silent;
  Socket listener = Listener();
  const std::size_t before = OpenDescriptors();
  auto own = NewLoop();
  EventLoop* running = own.get();
  MustOk(ConnectStream(*own, {silent.address(), AddressOf(listener)},
                       outcomes_.Handler(), {.attempt_delay = kNever}));
  MustOk(ConnectStream(*own, {RefusedAddress(), AddressOf(listener)},
                       outcomes_.Handler(), {.attempt_delay = kNever}));
  MustOk(own->Post([&] { own.reset(); }));
  EXPECT_OK(running->Run());
  EXPECT_EQ(own, nullptr);
  EXPECT_THAT(outcomes_.codes(),
              ElementsAre(StatusCode::kCancelled, StatusCode::kCancelled));
  EXPECT_EQ(outcomes_.handlers(), 0);
  EXPECT_EQ(OpenDescriptors(), before);
  EXPECT_FALSE(Must(listener.Accept()).has_value());
}

// From several threads, on a loop of several: each is told once. The delay is
// so short that attempts meet each other, timeouts and cancelling.
TEST_P(ConnectorTest, O09_ManyFromManyThreads) {
  constexpr int kConnecting = 3;
  constexpr int kEach = 60;
  Socket listener = Listener();
  const SocketAddress address = AddressOf(listener);
  const SocketAddress refused = RefusedAddress();
  SilentAddress silent;
  const std::size_t before = OpenDescriptors();
  {
    auto own = NewLoop(/*threads=*/2);
    LoopThreads threads(*own, 2);
    std::vector<std::atomic<int>> calls(kConnecting * kEach);
    Tally told;
    Tally connected;
    std::vector<std::thread> connecting;
    for (int t = 0; t < kConnecting; ++t) {
      connecting.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) {
          Connecting handle;
          MustOk(ConnectStream(
              *own, {silent.address(), refused, address, address},
              [&, id = static_cast<std::size_t>(t * kEach + i),
               may_fail = i % 3 > 0](absl::StatusOr<Stream>&& result) {
                calls[id].fetch_add(1);
                if (result.ok()) connected.Add();
                if (!may_fail) {
                  EXPECT_OK(result);
                }
                told.Add();
              },
              {.timeout = i % 3 == 1 ? absl::Microseconds(500) : kNever,
               .attempt_delay = absl::Microseconds(100),
               .handle = &handle}));
          if (i % 3 == 2) (void)handle.Cancel();
        }
      });
    }
    for (std::thread& thread : connecting) thread.join();
    EXPECT_TRUE(told.AwaitAtLeast(kConnecting * kEach));
    threads.StopAndJoin();
    EXPECT_GE(connected.value(), kConnecting * kEach / 3);
    for (const auto& count : calls) EXPECT_EQ(count.load(), 1);
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

// One thread runs it, another connects and cancels.
TEST_P(ConnectorTest, O09_FromAThreadThatDoesNotRunTheLoop) {
  Socket listener = Listener();
  SilentAddress silent;
  const std::size_t before = OpenDescriptors();
  {
    auto own = NewLoop();
    LoopThreads threads(*own, 1);
    LetItWait(*own);
    absl::Notification connected;
    MustOk(ConnectStream(*own, {RefusedAddress(), AddressOf(listener)},
                         [&](absl::StatusOr<Stream>&& result) {
                           EXPECT_OK(result);
                           connected.Notify();
                         }));
    ASSERT_TRUE(Await(connected));
    LetItWait(*own);
    absl::Notification late;
    MustOk(ConnectStream(
        *own, {silent.address()},
        [&](absl::StatusOr<Stream>&& result) {
          EXPECT_CODE(result, kDeadlineExceeded);
          late.Notify();
        },
        {.timeout = absl::Milliseconds(5)}));
    ASSERT_TRUE(Await(late));
    Connecting handle;
    absl::Notification cancelled;
    MustOk(ConnectStream(
        *own, {silent.address()},
        [&](absl::StatusOr<Stream>&& result) {
          EXPECT_CODE(result, kCancelled);
          cancelled.Notify();
        },
        {.handle = &handle}));
    LetItWait(*own);
    EXPECT_OK(handle.Cancel());
    ASSERT_TRUE(Await(cancelled));
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace weir::conformance
