// What changes cost in system calls (R12), on Weir's own mechanisms.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/conformance/conformance.h"

namespace weir::conformance {
namespace {

using ::testing::Each;
using ::testing::IsEmpty;

// A registration makes at most two packets of a port, and a batch has room for
// 256.
constexpr std::size_t kCounts[] = {1, 10, 120};

class SystemCalls : public Conformance {
 protected:
  // The system calls of `changes` and the turn after it.
  std::uint64_t CostOf(const std::function<void()>& changes) {
    const std::uint64_t before = loop().counters().system_calls;
    changes();
    Turn();
    return loop().counters().system_calls - before;
  }

  // R12, "as few system calls as the mechanism allows": what one registration
  // costs besides the wait, which is one call.
  struct Costs {
    // A new one.
    std::uint64_t addition;
    // Another interest while the last one has not been answered.
    std::uint64_t change;
    // A new interest, or the same, after an answer.
    std::uint64_t rearm;
    std::uint64_t removal;
    // A condition that holds in one turn after the other.
    std::uint64_t level_turn;
    // In a turn with changes, however many: the waits; and one look at all that
    // may have been told of before, where that is in doubt.
    std::uint64_t turn_with_changes;
  };

  // A ring, and Windows' own notifications, take all changes together with the
  // wait. epoll has one call for each registration. An AFD poll is one request
  // for one socket: it needs the handle below the socket once, is cancelled by a
  // call, and answers before another takes its place; the last packet of a
  // removed registration is posted.
  const Costs& Least() {
    static const std::map<std::string, Costs> kCosts = {
        {"epoll", {1, 1, 1, 1, 0, 1}},
        {"io_uring", {0, 0, 0, 0, 0, 1}},
        {"ProcessSocketNotifications", {0, 0, 0, 0, 0, 2}},
        {"AFD poll", {2, 2, 1, 2, 1, 3}},
    };
    const std::string reason(loop().backend_reason());
    constexpr std::string_view kSource = "readiness by ";
    const std::size_t at = reason.find(kSource);
    return kCosts.at(at == std::string::npos
                         ? GetParam()
                         : reason.substr(at + kSource.size()));
  }

  // Datagram sockets, which are writable and never readable.
  std::vector<Socket> Sockets(std::size_t count) {
    std::vector<Socket> sockets;
    for (std::size_t i = 0; i < count; ++i) {
      sockets.push_back(
          Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0))));
    }
    return sockets;
  }

  std::vector<Registration> RegisterAll(std::vector<Socket>& sockets,
                                        const RegistrationOptions& options,
                                        Recorder& recorder) {
    std::vector<Registration> registrations;
    for (Socket& socket : sockets) {
      registrations.push_back(Register(socket, options, recorder));
    }
    return registrations;
  }
};
WEIR_CONFORMANCE_SUITE(SystemCalls);

TEST_P(SystemCalls, R12_ATurnWithoutChangesCostsOneSystemCall) {
  for (const std::size_t count : kCounts) {
    std::vector<Socket> sockets = Sockets(count);
    Recorder recorder;
    RegisterAll(sockets, {.interest = Interest::kReadable}, recorder);
    Turn();
    EXPECT_EQ(CostOf([] {}), 1u);
    EXPECT_EQ(CostOf([] {}), 1u);
  }
}

TEST_P(SystemCalls, R12_AnEmptyBatchCostsNothing) {
  Turn();
  const std::uint64_t cost = CostOf([&] {
    loop().RegisterBatch({});
    loop().ModifyBatch({});
  });
  EXPECT_EQ(cost, 1u);
}

TEST_P(SystemCalls, R12_NewRegistrationsCostNoMoreThanTheMechanismAsks) {
  for (const std::size_t count : kCounts) {
    for (const Mode& mode : kAllModes) {
      SCOPED_TRACE(ToString(mode));
      Turn();  // what closing the sockets of the last round costs
      std::vector<Socket> sockets = Sockets(count);
      Recorder recorder;
      const std::uint64_t cost = CostOf([&] {
        RegisterAll(sockets, mode.With(Interest::kReadable), recorder);
      });
      EXPECT_EQ(cost, 1 + count * Least().addition);
    }
  }
}

TEST_P(SystemCalls, R12_ABatchOfRegistrationsCostsNoMoreThanTheMechanismAsks) {
  for (const std::size_t count : kCounts) {
    Turn();  // what closing the sockets of the last round costs
    std::vector<Socket> sockets = Sockets(count);
    Recorder recorder;
    std::vector<RegistrationRequest> requests;
    for (Socket& socket : sockets) {
      requests.push_back(
          {&socket, {.interest = Interest::kReadable}, recorder.Handler()});
    }
    const std::uint64_t cost = CostOf([&] {
      for (const auto& result : loop().RegisterBatch(requests)) {
        EXPECT_OK(result);
      }
    });
    EXPECT_EQ(cost, 1 + count * Least().addition);
  }
}

// Delivered at the same time: reports cost nothing either.
TEST_P(SystemCalls, R12_RegistrationsThatAreReadyAtOnceCostNoMore) {
  for (const std::size_t count : kCounts) {
    Turn();  // what closing the sockets of the last round costs
    std::vector<Socket> sockets = Sockets(count);
    Recorder recorder;
    const std::uint64_t cost = CostOf([&] {
      RegisterAll(sockets,
                  {.interest = Interest::kWritable,
                   .persistence = Persistence::kOneShot},
                  recorder);
    });
    EXPECT_EQ(cost, 1 + count * Least().addition);
    EXPECT_EQ(recorder.count(Events::kWritable), count);
  }
}

TEST_P(SystemCalls, R12_RearmsCostNoMoreThanTheMechanismAsks) {
  for (const std::size_t count : kCounts) {
    for (const Trigger trigger : {Trigger::kLevel, Trigger::kEdge}) {
      const Mode mode{trigger, Persistence::kOneShot};
      SCOPED_TRACE(ToString(mode));
      Turn();  // what closing the sockets of the last round costs
      std::vector<Socket> sockets = Sockets(count);
      Recorder recorder;
      const std::vector<Registration> registrations =
          RegisterAll(sockets, mode.With(Interest::kWritable), recorder);
      Turn();
      ASSERT_EQ(recorder.count(Events::kWritable), count);
      const std::uint64_t cost = CostOf([&] {
        for (const Registration& registration : registrations) {
          EXPECT_OK(registration.Rearm(Interest::kReadable));
        }
      });
      EXPECT_EQ(cost, 1 + count * Least().rearm);
      EXPECT_EQ(recorder.count(), count);
    }
  }
}

TEST_P(SystemCalls, R12_ModificationsCostNoMoreThanTheMechanismAsks) {
  for (const std::size_t count : kCounts) {
    for (const Mode& mode : kAllModes) {
      SCOPED_TRACE(ToString(mode));
      Turn();  // what closing the sockets of the last round costs
      std::vector<Socket> sockets = Sockets(count);
      Recorder recorder;
      const std::vector<Registration> registrations =
          RegisterAll(sockets, mode.With(Interest::kReadable), recorder);
      Turn();
      std::vector<ModificationRequest> requests;
      for (const Registration& registration : registrations) {
        requests.push_back(
            {registration,
             {.interest = Interest::kReadable | Interest::kWritable}});
      }
      const std::uint64_t cost = CostOf([&] {
        for (const auto& result : loop().ModifyBatch(requests)) {
          EXPECT_OK(result);
        }
      });
      EXPECT_EQ(cost, Least().turn_with_changes + count * Least().change);
      EXPECT_EQ(recorder.count(Events::kWritable), count);
    }
  }
}

// "one epoll_ctl per changed registration however often it changed".
TEST_P(SystemCalls, R12_SeveralChangesOfOneRegistrationInATurnCostOne) {
  for (const std::size_t count : kCounts) {
    for (const Mode& mode : kAllModes) {
      SCOPED_TRACE(ToString(mode));
      Turn();  // what closing the sockets of the last round costs
      std::vector<Socket> sockets = Sockets(count);
      Recorder recorder;
      const std::vector<Registration> registrations =
          RegisterAll(sockets, mode.With(Interest::kReadable), recorder);
      Turn();
      const std::uint64_t cost = CostOf([&] {
        for (const Registration& registration : registrations) {
          EXPECT_OK(registration.Modify({.interest = Interest::kWritable}));
          EXPECT_OK(registration.Disable());
          EXPECT_OK(
              registration.Modify({.persistence = Persistence::kOneShot}));
          EXPECT_OK(
              registration.Rearm(Interest::kReadable | Interest::kWritable));
        }
      });
      EXPECT_EQ(cost, Least().turn_with_changes + count * Least().change);
      EXPECT_EQ(recorder.count(Events::kWritable), count);
    }
  }
}

// Changes that cancel each other leave the kernel as it is, and cost at most
// what one change does.
TEST_P(SystemCalls, R12_ChangesThatCancelEachOtherCostAtMostOne) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    std::vector<Socket> sockets = Sockets(10);
    Recorder recorder;
    const std::vector<Registration> registrations =
        RegisterAll(sockets, mode.With(Interest::kReadable), recorder);
    Turn();
    const std::uint64_t cost = CostOf([&] {
      for (const Registration& registration : registrations) {
        EXPECT_OK(registration.Modify({.interest = Interest::kWritable}));
        EXPECT_OK(registration.Modify({.interest = Interest::kReadable}));
      }
    });
    EXPECT_LE(cost, Least().turn_with_changes + 10 * Least().change);
    EXPECT_THAT(recorder.events(), IsEmpty());
  }
}

TEST_P(SystemCalls, R12_RemovalsCostNoMoreThanTheMechanismAsks) {
  for (const std::size_t count : kCounts) {
    std::vector<Socket> sockets = Sockets(count);
    Recorder recorder;
    const std::vector<Registration> registrations =
        RegisterAll(sockets, {.interest = Interest::kReadable}, recorder);
    Turn();
    const std::uint64_t cost = CostOf([&] {
      for (const Registration& registration : registrations) {
        EXPECT_OK(registration.Remove());
      }
    });
    EXPECT_EQ(cost, 1 + count * Least().removal);
    EXPECT_EQ(recorder.count(), count);
    EXPECT_THAT(recorder.Take(), Each(Events::kRemoved));
  }
}

// Level readiness that stays is told in each turn at no cost beyond the wait,
// on a mechanism with a level of its own; on a ring the polls go with it.
TEST_P(SystemCalls, R12_LevelReadinessThatStaysCostsNoMoreThanTheMechanismAsks) {
  for (const std::size_t count : kCounts) {
    std::vector<Socket> sockets = Sockets(count);
    Recorder recorder;
    RegisterAll(sockets, {.interest = Interest::kWritable}, recorder);
    Turn();
    recorder.Take();
    for (int turn = 0; turn < 3; ++turn) {
      EXPECT_EQ(CostOf([] {}), 1 + count * Least().level_turn);
      EXPECT_EQ(recorder.Take().size(), count);
    }
  }
}

}  // namespace
}  // namespace weir::conformance
