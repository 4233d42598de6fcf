// A mechanism that refuses a change, for good or for want of memory: told where
// it has to be, tried again where that mends it, and never mistaken for another
// socket's affair.

#include <sys/epoll.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
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

std::string CodeOf(int error) {
  return std::string(absl::StatusCodeToString(ExpectedOf(error).code));
}

std::vector<int> ErrorsOfOperation(int operation) {
  for (const CallErrors& row : DocumentedErrors()) {
    if (row.call == Call::k_epoll_ctl && row.detail == operation) {
      return row.errors;
    }
  }
  return {};
}

// What epoll(7) refuses, it refuses at once.
class EpollRefusal : public FaultTest {
 protected:
  void Begin(int operation, int error, std::uint64_t times = 1) {
    // What was closed before is over.
    {
      const Unfaulted unfaulted;
      TurnPastSentinel();
    }
    Clear();
    Inject({.call = Call::k_epoll_ctl,
            .error = error,
            .times = times,
            .detail = operation});
  }
  static Connection Pair() {
    const Unfaulted unfaulted;
    return conformance::Connected(AddressFamily::kUnix);
  }
  StreamAndPeer Streams() {
    const Unfaulted unfaulted;
    return Connect();
  }
  static void SendFrom(Socket& peer, std::string_view text) {
    const Unfaulted unfaulted;
    conformance::Send(peer, text);
  }
};

std::vector<std::string> EpollUnderTest() {
  std::vector<std::string> names = conformance::BackendsUnderTest();
  std::erase_if(names, [](const auto& name) { return name != "epoll"; });
  return names;
}
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EpollRefusal);
INSTANTIATE_TEST_SUITE_P(, EpollRefusal, ::testing::ValuesIn(EpollUnderTest()),
                         [](const auto& parameter) { return parameter.param; });

TEST_P(EpollRefusal, R13_ARegistrationThatIsRefusedLeavesEverythingAsItWas) {
  for (const int error : ErrorsOfOperation(EPOLL_CTL_ADD)) {
    SCOPED_TRACE(::strerrorname_np(error));
    Connection pair = Pair();
    Recorder recorder;
    Begin(EPOLL_CTL_ADD, error);
    const auto refused = loop().Register(
        pair.server, {.interest = Interest::kReadable}, recorder.Handler());
    EXPECT_TRUE(TellsError(refused.status(), error));
    EXPECT_TRUE(recorder.handler_destroyed());
    EXPECT_EQ(loop().counters().registrations, 0u);
    Register(pair.server, {.interest = Interest::kReadable}, recorder);
    SendFrom(pair.client, "x");
    TurnUntil([&] { return recorder.count() > 0; });
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  }
}

TEST_P(EpollRefusal, R13_AChangeThatIsRefusedEndsTheRegistration) {
  for (const int error : ErrorsOfOperation(EPOLL_CTL_MOD)) {
    SCOPED_TRACE(::strerrorname_np(error));
    Connection pair = Pair();
    Recorder recorder;
    const Registration registration =
        Register(pair.server, {.interest = Interest::kReadable}, recorder);
    // Want of memory mends.
    Begin(EPOLL_CTL_MOD, error, error == ENOMEM ? 3 : 1);
    MustOk(registration.Modify({.interest = Interest::kWritable}));
    TurnUntil([&] { return recorder.count() > 0; });
    if (error == ENOMEM) {
      EXPECT_EQ(Hits(), 3u);
      EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
      EXPECT_TRUE(registration.is_live());
      continue;
    }
    EXPECT_THAT(recorder.Take(),
                ElementsAre(Events::kError | Events::kRemoved));
    EXPECT_TRUE(TellsError(recorder.errors().at(0), error));
    EXPECT_TRUE(recorder.handler_destroyed());
    Register(pair.server, {.interest = Interest::kWritable}, recorder);
    TurnUntil([&] { return recorder.count() > 0; });
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
  }
}

// Whatever the kernel says of it, a registration that was removed is over.
TEST_P(EpollRefusal, R09_ARemovalThatIsRefused) {
  for (const int error : ErrorsOfOperation(EPOLL_CTL_DEL)) {
    SCOPED_TRACE(::strerrorname_np(error));
    Connection pair = Pair();
    Recorder recorder;
    const Registration registration =
        Register(pair.server, {.interest = Interest::kReadable}, recorder);
    Begin(EPOLL_CTL_DEL, error, 3);
    SendFrom(pair.client, "x");
    MustOk(registration.Remove());
    const std::uint64_t tries = error == ENOMEM ? 3 : 1;
    PumpUntil([&] { return recorder.handler_destroyed() && Hits() == tries; });
    {
      const Unfaulted unfaulted;
      TurnPastSentinel();
    }
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kRemoved));
    Register(pair.server, {.interest = Interest::kReadable}, recorder);
    TurnUntil([&] { return recorder.count() > 0; });
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  }
}

// Closing makes the kernel forget, too: what could not be told of an old
// descriptor is not told of the one that has its number now.
TEST_P(EpollRefusal, R10_ADescriptorUsedAgainKeepsItsWatch) {
  for (const bool stream : {false, true}) {
    Connection first = Pair();
    Recorder recorder;
    Indications told;
    Room room(4);
    int number = Descriptor(first.server);
    std::optional<StreamAndPeer> streams;
    if (stream) {
      streams = Streams();
      MustOk(streams->stream.Receive(room, told.Handler("r")));
    } else {
      Register(first.server, {.interest = Interest::kReadable}, recorder);
    }
    Turn();
    Begin(EPOLL_CTL_DEL, ENOMEM, 2);
    const std::size_t open = conformance::OpenDescriptors();
    if (stream) {
      MustOk(streams->stream.Close());
      while (conformance::OpenDescriptors() == open) Turn();
    } else {
      first.server.Close();
    }
    EXPECT_EQ(Hits(), 1u);
    Connection second = Pair();
    if (!stream) {
      ASSERT_TRUE(number == Descriptor(second.client) ||
                  number == Descriptor(second.server));
    }
    Recorder client, server;
    Register(second.client, {.interest = Interest::kReadable}, client);
    Register(second.server, {.interest = Interest::kReadable}, server);
    for (int i = 0; i < 5; ++i) {
      MustOk(loop().RunOnce(absl::Milliseconds(12)).status());
    }
    SendFrom(second.server, "x");
    SendFrom(second.client, "x");
    TurnUntil([&] { return client.count() > 0 && server.count() > 0; });
  }
}

// An operation whose socket cannot be watched ends, and so does every later
// one.
TEST_P(EpollRefusal, O02_AnOperationWhoseSocketIsRefusedEnds) {
  for (const int error : ErrorsOfOperation(EPOLL_CTL_ADD)) {
    SCOPED_TRACE(::strerrorname_np(error));
    StreamAndPeer pair = Streams();
    Indications told;
    Room room(4);
    Begin(EPOLL_CTL_ADD, error, error == ENOMEM ? 3 : 1);
    MustOk(pair.stream.Receive(room, told.Handler("r")));
    if (error == ENOMEM) {
      PumpUntil([&] { return Hits() == 3; });
      EXPECT_EQ(told.count(), 0u);
      SendFrom(pair.peer, "abc");
      TurnUntilCount(told, 1);
      EXPECT_THAT(told.Take(), ElementsAre("r OK 3"));
      continue;
    }
    TurnUntilCount(told, 1);
    EXPECT_EQ(Hits(), 1u);
    EXPECT_TRUE(TellsError(told.last_status(), error));
    MustOk(pair.stream.Send(BytesOf("x"), told.Handler("s")));
    TurnUntilCount(told, 2);
    EXPECT_TRUE(TellsError(told.last_status(), error));
    MustOk(pair.stream.StartReceive(told.ForReceived("l")));
    TurnUntilCount(told, 3);
    EXPECT_TRUE(TellsError(told.last_status(), error));
    MustOk(pair.stream.Close(told.ForClose("closed")));
    TurnUntilCount(told, 4);
    EXPECT_THAT(told.Take(),
                ElementsAre(absl::StrCat("r ", CodeOf(error), " 0"),
                            absl::StrCat("s ", CodeOf(error), " 0"),
                            absl::StrCat("l ", CodeOf(error), " 0"), "closed"));
  }
}

// What goes on by itself is told why it does not, and, last, of the close.
TEST_P(EpollRefusal, R21_AListenerThatIsRefusedIsTold) {
  for (const int error : ErrorsOfOperation(EPOLL_CTL_ADD)) {
    if (error == ENOMEM) continue;
    SCOPED_TRACE(::strerrorname_np(error));
    weir::Listener listener =
        Must(weir::Listener::Listen(loop(), SocketAddress::Ipv4Loopback(0)));
    DatagramSocket datagrams =
        Must(DatagramSocket::Bind(loop(), SocketAddress::Ipv4Loopback(0)));
    Indications told;
    Begin(EPOLL_CTL_ADD, error, 2);
    MustOk(listener.StartAccepting(told.ForAccept("a")));
    MustOk(datagrams.StartReceive(
        [told = &told](const ReceivedDatagrams& received) {
          told->Note(conformance::Entry("d", received.status,
                                        received.datagrams.size()));
        }));
    TurnUntilCount(told, 2);
    EXPECT_THAT(told.Take(), ::testing::UnorderedElementsAre(
                                 absl::StrCat("a ", CodeOf(error), " 0"),
                                 absl::StrCat("d ", CodeOf(error), " 0")));
    ExpectIdle();
    MustOk(listener.Close(told.ForClose("closed")));
    TurnUntilCount(told, 2);
    EXPECT_THAT(told.Take(), ElementsAre("a CANCELLED 0", "closed"));
    MustOk(datagrams.Close(told.ForClose("closed")));
    TurnUntilCount(told, 2);
    EXPECT_THAT(told.Take(), ElementsAre("d CANCELLED 0", "closed"));
  }
}

}  // namespace
}  // namespace weir::faults
