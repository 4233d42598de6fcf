// A ring whose queues are full, or whose kernel is short of memory: nothing
// that was noted is lost or dropped, and nothing goes where it does not belong.

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/faults/fault_test.h"

namespace weir::faults {
namespace {

using conformance::BytesOf;
using conformance::Connection;
using conformance::Indications;
using conformance::Must;
using conformance::MustOk;
using conformance::Recorder;
using conformance::Room;
using conformance::StreamAndPeer;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class RingError : public FaultTest {
 protected:
  void TearDown() override {
    LimitSubmissionEntries(0);
    FaultTest::TearDown();
  }
  // A loop whose ring has room for two requests at a time.
  std::unique_ptr<EventLoop> SmallLoop() {
    LimitSubmissionEntries(2);
    return NewLoop();
  }
  // What was started reaches the kernel, and what it has at once comes back.
  static void TurnTwice(EventLoop& loop) {
    for (int i = 0; i < 2; ++i) {
      MustOk(loop.RunOnce(absl::ZeroDuration()).status());
    }
  }
  // At the next wait of a loop for so many threads (io_uring_setup(2), EBADR).
  static void LoseCompletions(int threads) {
    Inject({.call = threads == 1 ? Call::k_io_uring_submit_and_wait_timeout
                                 : Call::k_io_uring_wait_cqes,
            .error = EBADR});
  }
  static void TurnOn(EventLoop& on, const std::function<bool()>& done) {
    for (int i = 0; !done() && i < 2000; ++i) {
      MustOk(on.RunOnce(absl::Milliseconds(10)).status());
    }
    EXPECT_TRUE(done());
  }
};

std::vector<std::string> RingUnderTest() {
  std::vector<std::string> names = conformance::BackendsUnderTest();
  std::erase_if(names, [](const auto& name) { return name != "io_uring"; });
  return names;
}
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RingError);
INSTANTIATE_TEST_SUITE_P(, RingError, ::testing::ValuesIn(RingUnderTest()),
                         [](const auto& parameter) { return parameter.param; });

constexpr int kTransient[] = {EAGAIN, EBUSY, ENOMEM};

// A send that was noted, and a close before the kernel has heard of it: the
// descriptor is not given back while the request names it.
TEST_P(RingError, C01_ANotedSendDoesNotGoToAnotherSocket) {
  for (const int error : kTransient) {
    SCOPED_TRACE(::strerrorname_np(error));
    Clear();
    StreamAndPeer pair = Connect();
    Indications told;
    Connection other;
    const std::string text = "not for you";
    MustOk(loop().Post(
        [&] { MustOk(pair.stream.Send(BytesOf(text), told.Handler("s"))); }));
    MustOk(loop().Post([&] {
      Inject({.call = Call::k_io_uring_submit_and_get_events,
              .error = error,
              .times = 3});
      MustOk(pair.stream.Close(told.ForClose("closed")));
    }));
    MustOk(loop().Post([&] {
      EXPECT_GT(Hits(), 0u);
      const Unfaulted unfaulted;
      other = conformance::Connected(AddressFamily::kUnix);
    }));
    TurnUntilCount(told, 2);
    EXPECT_THAT(told.entries(),
                ElementsAre(::testing::StartsWith("s "), "closed"));
    EXPECT_EQ(conformance::Receive(other.client), "");
    EXPECT_EQ(conformance::Receive(other.server), "");
  }
}

// There is no room to ask for the end, and for a while the kernel makes none.
TEST_P(RingError, O10_ACancelWithoutRoomIsNotForgotten) {
  for (const int error : kTransient) {
    SCOPED_TRACE(::strerrorname_np(error));
    Clear();
    const auto small = SmallLoop();
    StreamAndPeer first = Connect(*small);
    StreamAndPeer second = Connect(*small);
    StreamAndPeer third = Connect(*small);
    Indications told, others;
    Room room(4), more(4), most(4);
    Operation receive;
    MustOk(first.stream.Receive(room, told.Handler("r"), {.handle = &receive}));
    TurnOn(*small, [&] { return CountOf(Call::k_ring_entry) >= 2; });
    MustOk(small->Post([&] {
      MustOk(second.stream.Receive(more, others.Handler("r")));
      MustOk(third.stream.Receive(most, others.Handler("r")));
    }));
    MustOk(small->Post([&] {
      Inject({.call = Call::k_io_uring_submit_and_get_events, .error = error});
      MustOk(receive.Cancel());
    }));
    TurnOn(*small, [&] { return told.count() == 1; });
    EXPECT_EQ(Hits(), 1u);
    EXPECT_THAT(told.entries(), ElementsAre("r CANCELLED 0"));
    EXPECT_EQ(others.count(), 0u);
  }
}

// The loop ends while the kernel takes nothing: what it has is given back only
// when it has let go of it.
TEST_P(RingError, C04_TheEndWaitsForWhatTheKernelHas) {
  for (const int threads : {1, 2}) {
    for (const int error : kTransient) {
      SCOPED_TRACE(::strerrorname_np(error));
      Clear();
      auto fresh = NewLoop(threads);
      StreamAndPeer pair = Connect(*fresh);
      Indications told;
      Room room(4);
      MustOk(
          pair.stream.Receive(room, told.Handler("r", [&](const Completion&) {
            (void)pair.peer.Send(BytesOf("abc"));
          })));
      MustOk(fresh->RunOnce(absl::ZeroDuration()).status());
      MustOk(fresh->RunOnce(absl::ZeroDuration()).status());
      for (const Call call : {Call::k_io_uring_submit_and_get_events,
                              Call::k_io_uring_submit_and_wait_timeout,
                              Call::k_io_uring_wait_cqes}) {
        Inject({.call = call, .error = error, .times = 3});
      }
      fresh.reset();
      EXPECT_GE(Hits(), 3u);
      EXPECT_THAT(told.entries(), ElementsAre("r CANCELLED 0"));
      // The kernel writes nothing there any more.
      EXPECT_EQ(room.all(), "....");
    }
  }
}

// The kernel takes one request at a time, and has moments without memory.
TEST_P(RingError, R12_ManyChangesThroughANarrowQueue) {
  for (const int error : kTransient) {
    SCOPED_TRACE(::strerrorname_np(error));
    Clear();
    const auto small = SmallLoop();
    constexpr std::size_t kSockets = 20;
    std::vector<Connection> pairs;
    std::vector<Recorder> recorders(kSockets);
    std::vector<Registration> registrations;
    for (std::size_t i = 0; i < kSockets; ++i) {
      pairs.push_back(conformance::Connected(AddressFamily::kUnix));
      registrations.push_back(Must(small->Register(
          pairs[i].server,
          {.interest = Interest::kReadable, .trigger = Trigger::kEdge},
          recorders[i].Handler())));
    }
    Inject({.call = Call::k_io_uring_submit_and_get_events,
            .error = error,
            .skip = 3,
            .times = 4});
    Inject({.call = Call::k_io_uring_submit_and_get_events,
            .most = 1,
            .times = Fault::kForever});
    for (auto& pair : pairs) conformance::Send(pair.client, "x");
    TurnOn(*small, [&] {
      return std::all_of(recorders.begin(), recorders.end(),
                         [](const Recorder& r) { return r.count() > 0; });
    });
    for (const Registration& registration : registrations) {
      MustOk(registration.Modify({.interest = Interest::kWritable}));
    }
    TurnOn(*small, [&] {
      return std::all_of(recorders.begin(), recorders.end(),
                         [](const Recorder& r) { return r.count() > 1; });
    });
    for (const Registration& registration : registrations) {
      MustOk(registration.Remove());
    }
    TurnOn(*small, [&] {
      return std::all_of(
          recorders.begin(), recorders.end(),
          [](const Recorder& r) { return r.handler_destroyed(); });
    });
    EXPECT_GE(Hits(), 4u);
    for (const Recorder& recorder : recorders) {
      EXPECT_THAT(
          recorder.events(),
          ElementsAre(Events::kReadable, Events::kWritable, Events::kRemoved));
    }
  }
}

// Completions are lost (io_uring_setup(2), EBADR): what they were of ends with
// that, what is still under way goes on, and so does the loop.
TEST_P(RingError, O02_WhatTheKernelHasLostEnds) {
  for (const int threads : {1, 2}) {
    SCOPED_TRACE(threads);
    Clear();
    const auto fresh = NewLoop(threads);
    StreamAndPeer lost = Connect(*fresh);
    StreamAndPeer waiting = Connect(*fresh);
    Connection ready = conformance::Connected(AddressFamily::kUnix);
    Indications told;
    Recorder recorder;
    Room first(4), second(4);
    MustOk(lost.stream.Receive(first, told.Handler("lost")));
    MustOk(waiting.stream.Receive(second, told.Handler("waiting")));
    MustOk(fresh
               ->Register(
                   ready.server,
                   {.interest = Interest::kReadable, .trigger = Trigger::kEdge},
                   recorder.Handler())
               .status());
    TurnTwice(*fresh);
    LoseCompletions(threads);
    conformance::Send(lost.peer, "abc");
    conformance::Send(ready.client, "x");
    TurnOn(*fresh, [&] { return told.count() > 0 && recorder.count() > 0; });
    EXPECT_EQ(Hits(), 1u);
    EXPECT_THAT(told.Take(), ElementsAre("lost UNKNOWN 0"));
    EXPECT_EQ(SystemCodeOf(told.last_status()), EBADR);
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    // Not an end of the stream.
    MustOk(lost.stream.Receive(first, told.Handler("lost")));
    conformance::Send(waiting.peer, "xy");
    TurnOn(*fresh, [&] { return told.count() >= 2; });
    EXPECT_THAT(told.Take(), ::testing::UnorderedElementsAre("lost UNKNOWN 0",
                                                             "waiting OK 2"));
    bool posted = false;
    MustOk(fresh->Post([&] { posted = true; }));
    TurnOn(*fresh, [&] { return posted; });
  }
}

// What a receiver that goes on by itself has been told.
struct ToldReceiver {
  ReceiveHandler Handler() {
    return [this](const Received& received) {
      bytes += received.data.size();
      if (received.end()) end = received.status;
    };
  }
  std::size_t bytes = 0;
  std::optional<absl::Status> end;
};

// The same of receivers that have received nothing yet.
TEST_P(RingError, O12_AReceiverThatTheKernelHasLostIsTold) {
  for (const int threads : {1, 2}) {
    SCOPED_TRACE(threads);
    Clear();
    const auto fresh = NewLoop(threads);
    StreamAndPeer first = Connect(*fresh);
    StreamAndPeer second = Connect(*fresh);
    ToldReceiver lost, waiting;
    MustOk(first.stream.StartReceive(lost.Handler()));
    MustOk(second.stream.StartReceive(waiting.Handler()));
    TurnTwice(*fresh);
    LoseCompletions(threads);
    // Its report, the end of the request, is among those that are lost.
    (void)first.peer.Shutdown(ShutdownDirection::kBoth);
    TurnOn(*fresh, [&] { return lost.end.has_value(); });
    EXPECT_EQ(Hits(), 1u);
    EXPECT_EQ(SystemCodeOf(*lost.end), EBADR) << *lost.end;
    EXPECT_FALSE(waiting.end.has_value());
    conformance::Send(second.peer, "xy");
    TurnOn(*fresh, [&] { return waiting.bytes == 2; });
  }
}

// One that waits in silence while the loop ends, and the kernel takes nothing.
TEST_P(RingError, C04_ASilentReceiverIsToldOfTheEnd) {
  for (const int threads : {1, 2}) {
    SCOPED_TRACE(threads);
    Clear();
    auto fresh = NewLoop(threads);
    StreamAndPeer pair = Connect(*fresh);
    ToldReceiver silent;
    MustOk(pair.stream.StartReceive(silent.Handler()));
    TurnTwice(*fresh);
    Inject({.call = Call::k_io_uring_submit_and_get_events,
            .error = ENOMEM,
            .times = 3});
    fresh.reset();
    ASSERT_TRUE(silent.end.has_value());
    EXPECT_TRUE(absl::IsCancelled(*silent.end)) << *silent.end;
    EXPECT_EQ(silent.bytes, 0u);
  }
}

// No memory for buffers, ever: then calls are made, as often as there is
// something to receive.
TEST_P(RingError, O12_WithoutBuffersEverythingIsReceived) {
  for (const int threads : {1, 2}) {
    SCOPED_TRACE(threads);
    Clear();
    const auto fresh = NewLoop(threads);
    StreamAndPeer pair = Connect(*fresh);
    // More than one call takes, at once.
    const std::string much(100'000, 'm');
    conformance::Send(pair.peer, much);
    Inject({.call = Call::k_io_uring_register_buf_ring,
            .error = ENOMEM,
            .times = Fault::kForever});
    ToldReceiver told;
    MustOk(pair.stream.StartReceive(told.Handler()));
    TurnOn(*fresh, [&] { return told.bytes == much.size(); });
    EXPECT_GE(Hits(), 1u);
    conformance::Send(pair.peer, "more");
    TurnOn(*fresh, [&] { return told.bytes == much.size() + 4; });
  }
}

}  // namespace
}  // namespace weir::faults
