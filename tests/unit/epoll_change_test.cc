// Which epoll_ctl(2) call takes one watch to another: the full table.

#include "backends/epoll/epoll_change.h"

#include <sys/epoll.h>

#include <cstdint>
#include <vector>

#include "gtest/gtest.h"

namespace weir::internal {
namespace {

constexpr std::uint32_t kEt = EPOLLET;
constexpr std::uint32_t kOnce = EPOLLONESHOT;

// Every watch there is: absent ones, and 8 condition sets in 4 modes.
std::vector<Watch> EveryWatch() {
  std::vector<Watch> watches;
  for (const bool present : {false, true}) {
    for (unsigned bits = 0; bits < 8; ++bits) {
      for (const Trigger trigger : {Trigger::kLevel, Trigger::kEdge}) {
        for (const Persistence persistence :
             {Persistence::kPersistent, Persistence::kOneShot}) {
          watches.push_back({.present = present,
                             .conditions = static_cast<Condition>(bits),
                             .trigger = trigger,
                             .persistence = persistence});
        }
      }
    }
  }
  return watches;
}

TEST(EpollChangeTest, EventsOfEachWatch) {
  const struct {
    Condition conditions;
    std::uint32_t events;
  } masks[] = {
      {Condition::kNone, 0},
      {Condition::kReadable, EPOLLIN},
      {Condition::kWritable, EPOLLOUT},
      {Condition::kReadable | Condition::kWritable, EPOLLIN | EPOLLOUT},
      {Condition::kPeerClosed, EPOLLRDHUP},
      {Condition::kReadable | Condition::kPeerClosed, EPOLLIN | EPOLLRDHUP},
      {Condition::kWritable | Condition::kPeerClosed, EPOLLOUT | EPOLLRDHUP},
      {Condition::kReadable | Condition::kWritable | Condition::kPeerClosed,
       EPOLLIN | EPOLLOUT | EPOLLRDHUP},
  };
  const struct {
    Trigger trigger;
    Persistence persistence;
    std::uint32_t flags;
  } modes[] = {
      {Trigger::kLevel, Persistence::kPersistent, 0},
      {Trigger::kLevel, Persistence::kOneShot, kOnce},
      {Trigger::kEdge, Persistence::kPersistent, kEt},
      {Trigger::kEdge, Persistence::kOneShot, kEt | kOnce},
  };
  for (const auto& mask : masks) {
    for (const auto& mode : modes) {
      const Watch watch{.present = true,
                        .conditions = mask.conditions,
                        .trigger = mode.trigger,
                        .persistence = mode.persistence};
      EXPECT_EQ(EpollEventsFor(watch), mask.events | mode.flags);
    }
  }
}

TEST(EpollChangeTest, OperationOfEachPairOfWatches) {
  for (const Watch& from : EveryWatch()) {
    for (const Watch& to : EveryWatch()) {
      const EpollChange change = EpollChangeFor(from, to);
      if (!to.present) {
        EXPECT_EQ(change.operation, from.present ? EPOLL_CTL_DEL : 0);
        EXPECT_EQ(change.events, 0u);
      } else {
        EXPECT_EQ(change.operation,
                  from.present ? EPOLL_CTL_MOD : EPOLL_CTL_ADD);
        EXPECT_EQ(change.events, EpollEventsFor(to));
      }
    }
  }
}

// epoll(7), Q&A: a MOD with the same mask makes the kernel look again (R03).
TEST(EpollChangeTest, ThePresentWatchAgainIsACall) {
  for (const Watch& watch : EveryWatch()) {
    if (!watch.present) continue;
    EXPECT_EQ(EpollChangeFor(watch, watch),
              (EpollChange{EPOLL_CTL_MOD, EpollEventsFor(watch)}));
  }
}

// Trigger and persistence change in place: no flag of the old watch stays.
TEST(EpollChangeTest, NothingOfTheOldWatchIsLeft) {
  const Watch level{.present = true, .conditions = Condition::kReadable};
  const Watch edge{.present = true,
                   .conditions = Condition::kWritable,
                   .trigger = Trigger::kEdge,
                   .persistence = Persistence::kOneShot};
  EXPECT_EQ(EpollChangeFor(edge, level), (EpollChange{EPOLL_CTL_MOD, EPOLLIN}));
  EXPECT_EQ(EpollChangeFor(level, edge),
            (EpollChange{EPOLL_CTL_MOD, EPOLLOUT | kEt | kOnce}));
}

}  // namespace
}  // namespace weir::internal
