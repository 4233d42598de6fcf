// Registrations and changes in batches, and what becomes of a bad element
// (R12, R13). What batches cost is in system_calls_test.cc.

#include <memory>
#include <utility>
#include <vector>

#include "platform/sockets.h"
#include "tests/conformance/conformance.h"

namespace weir::conformance {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Batch : public Conformance {
 protected:
  // Datagram sockets, which are writable and never readable.
  std::vector<Socket> Sockets(std::size_t count) {
    std::vector<Socket> sockets;
    for (std::size_t i = 0; i < count; ++i) {
      sockets.push_back(
          Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0))));
    }
    return sockets;
  }
};
WEIR_CONFORMANCE_SUITE(Batch);

// Survey trap 41.
TEST_P(Batch, R13_BadElementsOfARegistrationFailAloneEachWithItsError) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection good_first = Connected();
    Connection good_last = Connected();
    Connection present = Connected();
    Connection elsewhere = Connected();
    Connection closed = Connected();
    Connection no_interest = Connected();
    Connection no_handler = Connected();
    Socket empty;
    closed.server.Close();

    // Gone behind the library's back.
    Socket gone = Must(Socket::Adopt(Must(
        platform::OpenSocket(AddressFamily::kIpv4, SocketType::kDatagram))));
    MustOk(platform::Close(gone.native()));

    Recorder present_told;
    const Registration present_registration =
        Register(present.server, mode.With(Interest::kReadable), present_told);
    const std::unique_ptr<EventLoop> other_loop = NewLoop();
    Recorder elsewhere_told;
    Must(other_loop->Register(elsewhere.server, mode.With(Interest::kReadable),
                              elsewhere_told.Handler()));
    Turn();

    Recorder first_told, last_told, never;
    const RegistrationOptions readable = mode.With(Interest::kReadable);
    RegistrationRequest requests[] = {
        {&good_first.server, readable, first_told.Handler()},
        {nullptr, readable, never.Handler()},
        {&empty, readable, never.Handler()},
        {&closed.server, readable, never.Handler()},
        {&gone, readable, never.Handler()},
        {&no_interest.server, mode.With(Interest::kNone), never.Handler()},
        {&no_handler.server, readable, nullptr},
        {&present.server, readable, never.Handler()},
        {&elsewhere.server, readable, never.Handler()},
        {&good_first.server, readable, never.Handler()},
        {&good_last.server, readable, last_told.Handler()},
    };
    const auto results = loop().RegisterBatch(requests);
    // The number may be somebody else's from here on.
    (void)Must(gone.Release());
    ASSERT_EQ(results.size(), std::size(requests));
    EXPECT_OK(results[0]);
    EXPECT_CODE(results[1], kFailedPrecondition);
    EXPECT_CODE(results[2], kFailedPrecondition);
    EXPECT_CODE(results[3], kFailedPrecondition);
    EXPECT_CODE(results[4], kInvalidArgument);
    EXPECT_CODE(results[5], kInvalidArgument);
    EXPECT_CODE(results[6], kInvalidArgument);
    EXPECT_CODE(results[7], kAlreadyExists);
    EXPECT_CODE(results[8], kFailedPrecondition);
    EXPECT_CODE(results[9], kAlreadyExists);
    EXPECT_OK(results[10]);
    // "The handlers of those that succeed are moved from", the others not.
    EXPECT_FALSE(requests[0].handler);
    EXPECT_FALSE(requests[10].handler);
    for (const int i : {1, 2, 3, 4, 5, 7, 8, 9}) {
      EXPECT_TRUE(requests[i].handler) << i;
    }

    // The good ones are registered, the old ones as they were.
    Send(good_first.client, "x");
    Send(good_last.client, "x");
    Send(present.client, "x");
    Send(elsewhere.client, "x");
    AwaitReadable(good_first.server);
    AwaitReadable(good_last.server);
    AwaitReadable(present.server);
    AwaitReadable(elsewhere.server);
    EXPECT_EQ(Turn(), 3);
    EXPECT_EQ(Must(other_loop->RunOnce(absl::ZeroDuration())), 1);
    EXPECT_THAT(first_told.events(), ElementsAre(Events::kReadable));
    EXPECT_THAT(last_told.events(), ElementsAre(Events::kReadable));
    EXPECT_THAT(present_told.events(), ElementsAre(Events::kReadable));
    EXPECT_THAT(elsewhere_told.events(), ElementsAre(Events::kReadable));
    EXPECT_THAT(never.events(), IsEmpty());
    EXPECT_TRUE(present_registration.is_live());

    // What was refused for its request alone can be registered.
    Recorder later;
    Register(no_interest.server, mode.With(Interest::kWritable), later);
    Register(no_handler.server, mode.With(Interest::kWritable), later);
    Turn();
    EXPECT_THAT(later.events(),
                ElementsAre(Events::kWritable, Events::kWritable));
    // The other loop's handler is destroyed before its recorder's frame ends.
    elsewhere.server.Close();
    Must(other_loop->RunOnce(absl::ZeroDuration()));
    EXPECT_TRUE(elsewhere_told.handler_destroyed());
  }
}

// R13 for one registration by itself: nothing is left behind by a refusal.
TEST_P(Batch, R13_ARefusedRegistrationLeavesNothingBehind) {
  Socket gone = Must(Socket::Adopt(
      Must(platform::OpenSocket(AddressFamily::kIpv4, SocketType::kDatagram))));
  MustOk(platform::Close(gone.native()));
  Recorder recorder;
  EXPECT_CODE(loop().Register(gone, {.interest = Interest::kWritable},
                              recorder.Handler()),
              kInvalidArgument);
  (void)Must(gone.Release());
  EXPECT_TRUE(recorder.handler_destroyed());
  EXPECT_EQ(loop().counters().registrations, 0u);
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
}

// Survey trap 41, for changes.
TEST_P(Batch, R13_BadElementsOfAModificationFailAlone) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connections[4] = {Connected(), Connected(), Connected(),
                                 Connected()};
    Connection elsewhere = Connected();
    Recorder told[4], new_told, elsewhere_told, never;
    Registration registrations[4];
    for (int i = 0; i < 4; ++i) {
      registrations[i] = Register(connections[i].server,
                                  mode.With(Interest::kReadable), told[i]);
    }
    const std::unique_ptr<EventLoop> other_loop = NewLoop();
    const Registration other = Must(
        other_loop->Register(elsewhere.server, mode.With(Interest::kReadable),
                             elsewhere_told.Handler()));
    ASSERT_OK(registrations[3].Remove());
    Turn();
    EXPECT_THAT(told[3].Take(), ElementsAre(Events::kRemoved));

    const auto writable = [] {
      RegistrationChange change;
      change.interest = Interest::kWritable;
      return change;
    };
    ModificationRequest requests[] = {
        {registrations[0], writable()},
        {Registration(), writable()},
        {registrations[3], writable()},
        {other, writable()},
        {registrations[1],
         {.interest = Interest::kWritable, .handler = new_told.Handler()}},
        {registrations[2], {.interest = Interest::kNone}},
    };
    requests[2].change.handler = never.Handler();
    requests[3].change.handler = never.Handler();
    const auto results = loop().ModifyBatch(requests);
    ASSERT_EQ(results.size(), std::size(requests));
    EXPECT_OK(results[0]);
    EXPECT_CODE(results[1], kFailedPrecondition);
    EXPECT_CODE(results[2], kFailedPrecondition);
    EXPECT_CODE(results[3], kFailedPrecondition);
    EXPECT_OK(results[4]);
    EXPECT_OK(results[5]);
    EXPECT_EQ(Turn(), 2);
    EXPECT_EQ(Must(other_loop->RunOnce(absl::ZeroDuration())), 0);
    EXPECT_THAT(told[0].events(), ElementsAre(Events::kWritable));
    EXPECT_THAT(told[1].events(), IsEmpty());
    EXPECT_THAT(told[2].events(), IsEmpty());
    EXPECT_THAT(told[3].events(), IsEmpty());
    EXPECT_THAT(new_told.events(), ElementsAre(Events::kWritable));
    EXPECT_THAT(elsewhere_told.events(), IsEmpty());
    EXPECT_THAT(never.events(), IsEmpty());
  }
}

TEST_P(Batch, R12_AnEmptyBatchIsNothing) {
  EXPECT_THAT(loop().RegisterBatch({}), IsEmpty());
  EXPECT_THAT(loop().ModifyBatch({}), IsEmpty());
  TurnPastSentinel();
  EXPECT_EQ(loop().counters().registrations, 0u);
}

TEST_P(Batch, R12_AfterStopEachElementIsRefused) {
  std::vector<Socket> sockets = Sockets(2);
  Recorder recorder;
  loop().Stop();
  RegistrationRequest requests[] = {
      {&sockets[0], {.interest = Interest::kWritable}, recorder.Handler()},
      {&sockets[1], {.interest = Interest::kWritable}, recorder.Handler()},
  };
  for (const auto& result : loop().RegisterBatch(requests)) {
    EXPECT_CODE(result, kFailedPrecondition);
  }
}

// R03 for a batch, made in a handler: told in the turn after, never inside.
TEST_P(Batch, R12_ABatchMadeInAHandlerIsInForceInTheNextTurn) {
  std::vector<Socket> sockets = Sockets(10);
  Recorder recorder;
  ASSERT_OK(loop().Post([&] {
    std::vector<RegistrationRequest> requests;
    for (Socket& socket : sockets) {
      requests.push_back({&socket,
                          {.interest = Interest::kWritable,
                           .persistence = Persistence::kOneShot},
                          recorder.Handler()});
    }
    for (const auto& result : loop().RegisterBatch(requests)) {
      EXPECT_OK(result);
    }
    EXPECT_THAT(recorder.events(), IsEmpty());
  }));
  EXPECT_EQ(Turn(), 1);
  EXPECT_EQ(Turn(), 10);
  EXPECT_EQ(recorder.count(), 10u);
  EXPECT_THAT(recorder.Take(), Each(Events::kWritable));
}

// As many as fit into one batch come in one turn, also when they have become
// ready since they were armed.
TEST_P(Batch, R04_AsManyAsMaxEventsAreToldInOneTurn) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    std::vector<Socket> sockets = Sockets(200);
    Recorder recorder;
    for (Socket& socket : sockets) {
      Register(socket, mode.With(Interest::kReadable), recorder);
    }
    Turn();
    Turn();
    Socket sender = Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0)));
    for (const Socket& socket : sockets) {
      const std::byte text[1] = {};
      ASSERT_OK(sender.SendTo(text, AddressOf(socket)));
      AwaitReadable(socket);
    }
    EXPECT_EQ(Turn(), 200);
    EXPECT_THAT(recorder.Take(), Each(Events::kReadable));
    sockets.clear();
    TurnPastSentinel();
  }
}

}  // namespace
}  // namespace weir::conformance
