// The end of a loop: everything gets its end and is given back (C04).

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/conformance/descriptors.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LoopEnd : public Conformance {
 protected:
  // Registrations in every state that there is, most with something to tell.
  struct Population {
    std::vector<Connection> connections;
    std::vector<Socket> sockets;
    std::vector<Recorder> recorders;
    std::vector<Registration> registrations;
  };

  void Add(EventLoop& loop, Population& all, Socket& socket,
           const RegistrationOptions& options) {
    Recorder recorder;
    all.registrations.push_back(
        Must(loop.Register(socket, options, recorder.Handler())));
    all.recorders.push_back(recorder);
  }

  Population Populate(EventLoop& loop) {
    Population all;
    for (const Mode& mode : kAllModes) {
      for (const bool turned : {true, false}) {
        all.connections.push_back(Connected());
        Add(loop, all, all.connections.back().server,
            mode.With(Interest::kReadable | Interest::kHangup));
        if (turned) MustOk(loop.RunOnce(absl::ZeroDuration()).status());
        Send(all.connections.back().client, "abc");
      }
      all.connections.push_back(Connected());
      Add(loop, all, all.connections.back().server,
          mode.With(Interest::kReadable));
      MustOk(all.registrations.back().Disable());
      all.sockets.push_back(Listener());
      Add(loop, all, all.sockets.back(), mode.With(Interest::kReadable));
      all.sockets.push_back(
          Must(Socket::Open(AddressFamily::kIpv4, SocketType::kStream)));
      Add(loop, all, all.sockets.back(), mode.With(Interest::kWritable));
      all.sockets.push_back(
          Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0))));
      Add(loop, all, all.sockets.back(), mode.With(Interest::kReadable));
    }
    MustOk(loop.RunOnce(absl::ZeroDuration()).status());
    for (Recorder& recorder : all.recorders) recorder.Take();
    return all;
  }
};
WEIR_CONFORMANCE_SUITE(LoopEnd);

// Survey trap 42.
TEST_P(LoopEnd, C04_EveryRegistrationGetsItsRemoved) {
  for (const int threads : {1, 4}) {
    std::unique_ptr<EventLoop> ended = NewLoop(threads);
    Population all = Populate(*ended);
    EXPECT_EQ(ended->counters().registrations, all.registrations.size());
    ended.reset();
    for (std::size_t i = 0; i < all.recorders.size(); ++i) {
      EXPECT_THAT(all.recorders[i].events(), ElementsAre(Events::kRemoved));
      EXPECT_TRUE(all.recorders[i].handler_destroyed());
      EXPECT_FALSE(all.registrations[i].is_live());
      EXPECT_CODE(all.registrations[i].Remove(), kFailedPrecondition);
      EXPECT_CODE(all.registrations[i].Modify({}), kFailedPrecondition);
      EXPECT_CODE(all.registrations[i].Rearm(), kFailedPrecondition);
      EXPECT_CODE(all.registrations[i].Enable(), kFailedPrecondition);
      EXPECT_CODE(all.registrations[i].Disable(), kFailedPrecondition);
      EXPECT_CODE(all.registrations[i].Drained(Interest::kReadable),
                  kFailedPrecondition);
    }
    // The sockets are their owner's, and may go to another loop.
    Connection& connection = all.connections.front();
    EXPECT_EQ(Drain(connection.server), "abc");
    Recorder recorder;
    Register(connection.server, {.interest = Interest::kReadable}, recorder);
    Send(connection.client, "def");
    TurnUntilSeen(recorder, Events::kReadable);
    EXPECT_EQ(Drain(connection.server), "def");
  }
}

// Survey traps 40 and 42.
TEST_P(LoopEnd, C04_DescriptorsAreGivenBack) {
  DestroyLoop();
  const std::size_t before = OpenDescriptors();
  for (int round = 0; round < 3; ++round) {
    std::unique_ptr<EventLoop> ended = NewLoop();
    std::optional<Population> all = Populate(*ended);
    if (round == 0) {
      ended.reset();
      all.reset();
    } else if (round == 1) {
      all.reset();
      ended.reset();
    } else {
      for (const Registration& registration : all->registrations) {
        EXPECT_OK(registration.Remove());
      }
      all.reset();
      ended.reset();
    }
    EXPECT_EQ(OpenDescriptors(), before) << "round " << round;
  }
}

// Survey trap 40: closed, removed and not yet told, when the loop ends.
TEST_P(LoopEnd, C04_RemovalsThatAreUnderWayAreStillTold) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    std::unique_ptr<EventLoop> ended = NewLoop();
    Connection connection = Connected();
    Recorder closed;
    Recorder removed;
    ASSERT_OK(ended->Register(connection.server,
                              mode.With(Interest::kReadable),
                              closed.Handler()));
    const Registration registration =
        Must(ended->Register(connection.client, mode.With(Interest::kReadable),
                             removed.Handler()));
    ASSERT_OK(ended->RunOnce(absl::ZeroDuration()));
    ASSERT_OK(registration.Remove());
    connection.server.Close();
    connection.client.Close();
    EXPECT_THAT(closed.events(), IsEmpty());
    EXPECT_THAT(removed.events(), IsEmpty());
    ended.reset();
    EXPECT_THAT(closed.events(), ElementsAre(Events::kRemoved));
    EXPECT_THAT(removed.events(), ElementsAre(Events::kRemoved));
    EXPECT_TRUE(closed.handler_destroyed());
    EXPECT_TRUE(removed.handler_destroyed());
  }
}

// A request in the kernel keeps a listener listening (survey 2.2).
TEST_P(LoopEnd, C04_AListenerOfAnEndedLoopIsClosedWhenItIsClosed) {
  Socket listener = Listener();
  const SocketAddress address = AddressOf(listener);
  Recorder recorder;
  Register(listener, {.interest = Interest::kReadable}, recorder);
  Turn();
  DestroyLoop();
  listener.Close();
  EXPECT_OK(Socket::Listen(address));
}

TEST_P(LoopEnd, C04_MessagesAndTimersThatWereNotRunAreDestroyed) {
  auto alive = std::make_shared<int>(0);
  bool ran = false;
  const auto task = [alive, &ran] { ran = true; };
  std::unique_ptr<EventLoop> ended = NewLoop();
  ASSERT_OK(ended->RunOnce(absl::ZeroDuration()));
  ASSERT_OK(ended->Post(task));
  ASSERT_OK(ended->PostAfter(absl::Hours(1), task));
  ASSERT_OK(ended->PostAfter(absl::ZeroDuration(), task));
  Timer one_shot = Must(ended->CreateTimer(task));
  Timer periodic = Must(ended->CreateTimer(task));
  ASSERT_OK(one_shot.Set(absl::Hours(1)));
  ASSERT_OK(periodic.SetPeriodic(absl::Hours(1)));
  EXPECT_EQ(alive.use_count(), 7);
  ended.reset();
  EXPECT_FALSE(ran);
  // `task` itself, and this.
  EXPECT_EQ(alive.use_count(), 2);
  EXPECT_CODE(one_shot.Set(absl::ZeroDuration()), kFailedPrecondition);
  EXPECT_CODE(periodic.SetPeriodic(absl::Hours(1)), kFailedPrecondition);
}

// What a handle on it keeps is not the application's.
TEST_P(LoopEnd, C04_AHandleKeepsNothingOfTheApplicationsAlive) {
  auto alive = std::make_shared<int>(0);
  Connection connection = Connected();
  std::unique_ptr<EventLoop> ended = NewLoop();
  const Registration kept = Must(
      ended->Register(connection.server, {.interest = Interest::kReadable},
                      [alive](const Event&) {}));
  ASSERT_OK(ended->OnTermination([alive] {}));
  EXPECT_EQ(alive.use_count(), 3);
  ended.reset();
  EXPECT_EQ(alive.use_count(), 1);
  EXPECT_FALSE(kept.is_live());
}

// A `removed` that is told by the loop's end may close, remove and cancel; the
// loop takes nothing new.
TEST_P(LoopEnd, C04_HandlersMayLetGoOfOthersWhileTheLoopEnds) {
  std::unique_ptr<EventLoop> ended = NewLoop();
  EventLoop& ending = *ended;
  std::vector<Connection> connections;
  for (int i = 0; i < 8; ++i) connections.push_back(Connected());
  std::vector<Registration> registrations(connections.size());
  int removed = 0;
  for (std::size_t i = 0; i < connections.size(); ++i) {
    registrations[i] = Must(ending.Register(
        connections[i].server, {.interest = Interest::kReadable},
        [&, i](const Event& event) {
          EXPECT_EQ(event.events(), Events::kRemoved);
          ++removed;
          connections[(i + 1) % connections.size()].server.Close();
          (void)registrations[(i + 2) % registrations.size()].Remove();
          EXPECT_CODE(ending.Register(connections[i].client,
                                      {.interest = Interest::kReadable},
                                      [](const Event&) {}),
                      kFailedPrecondition);
          EXPECT_CODE(ending.Post([] {}), kFailedPrecondition);
        }));
  }
  ASSERT_OK(ending.RunOnce(absl::ZeroDuration()));
  ended.reset();
  EXPECT_EQ(removed, 8);
}

// Destroyed in a handler, the loop ends when Run is about to return.
TEST_P(LoopEnd, C04_ALoopMayBeDestroyedInItsOwnReadinessHandler) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    std::unique_ptr<EventLoop> ended = NewLoop();
    EventLoop& ending = *ended;
    std::vector<Connection> connections;
    for (int i = 0; i < 3; ++i) connections.push_back(Connected());
    std::vector<Recorder> recorders(connections.size());
    std::size_t told = 0;
    for (std::size_t i = 0; i < connections.size(); ++i) {
      ASSERT_OK(ending.Register(connections[i].server,
                                mode.With(Interest::kReadable),
                                recorders[i].Handler([&](const Event& event) {
                                  if (event.removed()) return;
                                  ++told;
                                  ended.reset();
                                })));
      Send(connections[i].client, "abc");
      AwaitReadable(connections[i].server);
    }
    EXPECT_OK(ending.Run());
    EXPECT_EQ(told, 1u);
    std::size_t events = 0;
    for (Recorder& recorder : recorders) {
      events += recorder.count();
      EXPECT_EQ(recorder.count(Events::kRemoved), 1u);
      EXPECT_EQ(recorder.events().back(), Events::kRemoved);
      EXPECT_TRUE(recorder.handler_destroyed());
    }
    EXPECT_EQ(events, 4u);
  }
}

TEST_P(LoopEnd, C04_ALoopMayBeDestroyedInAMessageATimerOrARemoved) {
  enum class Where { kMessage, kTimer, kRemoved, kHandlersDestruction };
  for (const Where where : {Where::kMessage, Where::kTimer, Where::kRemoved,
                            Where::kHandlersDestruction}) {
    SCOPED_TRACE(static_cast<int>(where));
    auto ended = std::make_shared<std::unique_ptr<EventLoop>>(NewLoop());
    EventLoop& ending = **ended;
    Connection connection = Connected();
    Connection other = Connected();
    Recorder recorder;
    ASSERT_OK(ending.Register(connection.server,
                              {.interest = Interest::kReadable},
                              recorder.Handler()));
    Timer timer = Must(ending.CreateTimer([&] { ended->reset(); }));
    switch (where) {
      case Where::kMessage:
        ASSERT_OK(ending.Post([&] { ended->reset(); }));
        break;
      case Where::kTimer:
        ASSERT_OK(timer.Set(absl::ZeroDuration()));
        break;
      case Where::kRemoved: {
        const Registration registration = Must(
            ending.Register(other.server, {.interest = Interest::kReadable},
                            [&](const Event&) { ended->reset(); }));
        ASSERT_OK(registration.Remove());
        break;
      }
      case Where::kHandlersDestruction: {
        const Registration registration = Must(
            ending.Register(other.server, {.interest = Interest::kReadable},
                            [ended](const Event&) {}));
        ASSERT_OK(registration.Remove());
        ended.reset();
        break;
      }
    }
    EXPECT_OK(ending.Run());
    EXPECT_THAT(recorder.events(), ElementsAre(Events::kRemoved));
    EXPECT_TRUE(recorder.handler_destroyed());
    EXPECT_CODE(timer.Set(absl::ZeroDuration()), kFailedPrecondition);
  }
}

TEST_P(LoopEnd, C04_ALoopMayBeDestroyedInAnotherLoopsHandler) {
  std::unique_ptr<EventLoop> ended = NewLoop();
  Connection connection = Connected();
  Recorder recorder;
  ASSERT_OK(ended->Register(connection.server,
                            {.interest = Interest::kReadable},
                            recorder.Handler()));
  ASSERT_OK(ended->RunOnce(absl::ZeroDuration()));
  bool told_inside = false;
  ASSERT_OK(loop().Post([&] {
    ended.reset();
    told_inside = recorder.count() == 1;
  }));
  Turn();
  EXPECT_TRUE(told_inside);
  EXPECT_THAT(recorder.events(), ElementsAre(Events::kRemoved));
}

}  // namespace
}  // namespace weir::conformance
