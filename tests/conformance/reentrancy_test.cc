// What handlers do to registrations and sockets of the same batch, their own
// included (R16), and that it takes effect without another event.

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "tests/conformance/conformance.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Reentrancy : public Conformance {
 protected:
  // Two sockets that are readable in one batch; the handler that runs first
  // does `deed` to the other's.
  struct Side {
    Connection connection = Connected();
    Recorder recorder;
    Registration registration;
  };
  using Deed = std::function<void(Side& other)>;

  // Returns the side whose handler ran first, and the other.
  std::pair<Side*, Side*> RunPair(std::array<Side, 2>& sides, const Mode& mode,
                                  const Deed& deed) {
    first_ = nullptr;
    for (Side& side : sides) {
      Side& other = &side == &sides[0] ? sides[1] : sides[0];
      side.registration = Must(loop().Register(
          side.connection.server, mode.With(Interest::kReadable),
          side.recorder.Handler([this, &side, &other, deed](const Event&) {
            if (first_ != nullptr) return;
            first_ = &side;
            deed(other);
          })));
    }
    Turn();
    for (Side& side : sides) {
      Send(side.connection.client, "abc");
      AwaitReadable(side.connection.server);
    }
    TurnUntil([&] { return first_ != nullptr; });
    return {first_, first_ == &sides[0] ? &sides[1] : &sides[0]};
  }

 private:
  Side* first_ = nullptr;
};
WEIR_CONFORMANCE_SUITE(Reentrancy);

// Survey trap 32.
TEST_P(Reentrancy, R16_RemovingAnotherOfTheBatchSuppressesItsEvent) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    std::array<Side, 2> sides;
    const auto [first, other] = RunPair(sides, mode, [](Side& victim) {
      ASSERT_OK(victim.registration.Remove());
    });
    EXPECT_THAT(other->recorder.events(), ElementsAre(Events::kRemoved));
    EXPECT_TRUE(other->recorder.handler_destroyed());
    EXPECT_THAT(first->recorder.events(), ElementsAre(Events::kReadable));
    TurnPastSentinel();
    EXPECT_EQ(other->recorder.count(), 1u);
    EXPECT_EQ(Drain(other->connection.server), "abc");
    ASSERT_OK(first->registration.Remove());
    Turn();
  }
}

TEST_P(Reentrancy, R16_ClosingAnotherOfTheBatchSuppressesItsEvent) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    std::array<Side, 2> sides;
    const auto [first, other] = RunPair(
        sides, mode, [](Side& victim) { victim.connection.server.Close(); });
    EXPECT_THAT(other->recorder.events(), ElementsAre(Events::kRemoved));
    TurnPastSentinel();
    EXPECT_EQ(other->recorder.count(), 1u);
    ASSERT_OK(first->registration.Remove());
    Turn();
  }
}

TEST_P(Reentrancy, R16_DisablingAnotherOfTheBatchSuppressesItsEvent) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    std::array<Side, 2> sides;
    const auto [first, other] = RunPair(sides, mode, [](Side& victim) {
      ASSERT_OK(victim.registration.Disable());
    });
    TurnPastSentinel();
    EXPECT_THAT(other->recorder.events(), IsEmpty());
    ASSERT_OK(other->registration.Enable());
    TurnUntilSeen(other->recorder, Events::kReadable);
    ASSERT_OK(first->registration.Remove());
    ASSERT_OK(other->registration.Remove());
    Turn();
  }
}

// Survey trap 34, within a batch: the old registration's event goes to nobody,
// the new one is told what holds in the next turn.
TEST_P(Reentrancy, R16_AnotherOfTheBatchRegisteredAnewIsToldOnce) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    std::array<Side, 2> sides;
    Recorder renewed;
    const auto [first, other] = RunPair(sides, mode, [&](Side& victim) {
      ASSERT_OK(victim.registration.Remove());
      Register(victim.connection.server, mode.With(Interest::kReadable),
               renewed);
    });
    EXPECT_THAT(renewed.events(), IsEmpty());
    EXPECT_THAT(other->recorder.events(), ElementsAre(Events::kRemoved));
    TurnUntilSeen(renewed, Events::kReadable);
    EXPECT_THAT(renewed.Take(), ElementsAre(Events::kReadable));
    EXPECT_EQ(other->recorder.count(), 1u);
    ASSERT_OK(first->registration.Remove());
    other->connection.server.Close();
    Turn();
  }
}

TEST_P(Reentrancy, R16_AHandlerRemovesItself) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    Must(loop().Register(connection.server, mode.With(Interest::kReadable),
                         recorder.Handler([](const Event& event) {
                           if (event.removed()) return;
                           EXPECT_OK(event.registration().Remove());
                           EXPECT_CODE(event.registration().Remove(),
                                       kFailedPrecondition);
                         })));
    Send(connection.client, "abc");
    TurnUntilSeen(recorder, Events::kRemoved);
    EXPECT_THAT(recorder.events(),
                ElementsAre(Events::kReadable, Events::kRemoved));
    EXPECT_TRUE(recorder.handler_destroyed());
    TurnPastSentinel();
    EXPECT_EQ(recorder.count(), 2u);
  }
}

TEST_P(Reentrancy, R16_AHandlerClosesItsOwnSocketAndThePeerSeesTheEnd) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected();
    Recorder recorder;
    Must(loop().Register(connection.server, mode.With(Interest::kReadable),
                         recorder.Handler([&](const Event& event) {
                           if (event.removed()) return;
                           EXPECT_EQ(Drain(connection.server), "abc");
                           connection.server.Close();
                         })));
    Send(connection.client, "abc");
    TurnUntilSeen(recorder, Events::kRemoved);
    EXPECT_THAT(recorder.events(),
                ElementsAre(Events::kReadable, Events::kRemoved));
    AwaitPeerClosed(connection.client);
  }
}

// In its own `removed`, a socket is free to be registered again.
TEST_P(Reentrancy, R16_RemovedRegistersTheSameSocketAnew) {
  Connection connection = Connected();
  Send(connection.client, "abc");
  Recorder old;
  Recorder renewed;
  const Registration registration = Must(
      loop().Register(connection.server, {.interest = Interest::kWritable},
                      old.Handler([&](const Event& event) {
                        if (!event.removed()) return;
                        Register(connection.server,
                                 {.interest = Interest::kReadable}, renewed);
                      })));
  ASSERT_OK(registration.Remove());
  TurnUntilSeen(renewed, Events::kReadable);
  EXPECT_THAT(old.events(), ElementsAre(Events::kRemoved));
  EXPECT_EQ(renewed.seen(), Events::kReadable);
}

// Survey trap 43: nothing else happens that could wake the loop.
TEST_P(Reentrancy, R16_WhatAHandlerRegistersOrChangesIsInForceAtOnce) {
  Connection trigger = Connected();
  Connection fresh = Connected();
  Connection widened = Connected();
  Recorder fresh_recorder;
  Recorder widened_recorder;
  const Registration registration = Register(
      widened.server, {.interest = Interest::kReadable}, widened_recorder);
  Recorder recorder;
  Must(loop().Register(
      trigger.server,
      {.interest = Interest::kReadable, .persistence = Persistence::kOneShot},
      recorder.Handler([&](const Event& event) {
        if (event.removed()) return;
        Register(fresh.server, {.interest = Interest::kWritable},
                 fresh_recorder);
        EXPECT_OK(registration.Modify(
            {.interest = Interest::kReadable | Interest::kWritable}));
      })));
  Send(trigger.client, "x");
  TurnUntilSeen(recorder, Events::kReadable);
  recorder.Take();
  TurnUntilSeen(fresh_recorder, Events::kWritable);
  TurnUntilSeen(widened_recorder, Events::kWritable);
  EXPECT_EQ(recorder.count(), 0u);
}

// Survey trap 44: removals in the middle of a batch of sockets and messages.
TEST_P(Reentrancy, R18_RemovalsNeitherReorderNorSwallowAnythingElse) {
  constexpr int kCount = 32;
  std::vector<Connection> connections;
  std::vector<Recorder> recorders(kCount);
  std::vector<Registration> registrations;
  std::vector<int> messages;
  for (int i = 0; i < kCount; ++i) {
    connections.push_back(Connected(test::LocalFamily()));
  }
  for (int i = 0; i < kCount; ++i) {
    const std::size_t at = static_cast<std::size_t>(i);
    registrations.push_back(Must(loop().Register(
        connections[at].server,
        {.interest = Interest::kReadable, .trigger = Trigger::kEdge},
        recorders[at].Handler([&, at](const Event& event) {
          // Every second one removes itself.
          if (event.readable() && at % 2 == 0) {
            EXPECT_OK(event.registration().Remove());
          }
        }))));
  }
  Turn();
  for (int i = 0; i < kCount; ++i) {
    Send(connections[static_cast<std::size_t>(i)].client, "x");
    ASSERT_OK(loop().Post([&messages, i] { messages.push_back(i); }));
  }
  TurnUntil([&] { return messages.size() == kCount; });
  TurnPastSentinel();
  for (int i = 0; i < kCount; ++i) {
    const std::size_t at = static_cast<std::size_t>(i);
    EXPECT_EQ(messages[at], i);
    if (i % 2 == 0) {
      EXPECT_THAT(recorders[at].events(),
                  ElementsAre(Events::kReadable, Events::kRemoved));
    } else {
      EXPECT_THAT(recorders[at].events(), ElementsAre(Events::kReadable));
    }
  }
}

}  // namespace
}  // namespace weir::conformance
