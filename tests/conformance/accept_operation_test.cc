// Accepting by operations, posted one by one or going on (R21).

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/descriptors.h"
#include "tests/conformance/operations.h"
#include "weir/status.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class AcceptOperation : public OperationsTest {
 protected:
  weir::Listener Listening(AddressFamily family = AddressFamily::kIpv4) {
    return Must(weir::Listener::Listen(loop(),
                                       family == AddressFamily::kIpv6
                                           ? SocketAddress::Ipv6Loopback(0)
                                           : SocketAddress::Ipv4Loopback(0)));
  }
  static Socket Client(const weir::Listener& listener) {
    Socket client = Must(Socket::Connect(Must(listener.LocalAddress())));
    AwaitWritable(client);
    return client;
  }
};
WEIR_CONFORMANCE_SUITE(AcceptOperation);

TEST_P(AcceptOperation, R21_PostedAcceptsTakeOneEachInOrder) {
  for (const AddressFamily family :
       {AddressFamily::kIpv4, AddressFamily::kIpv6}) {
    weir::Listener listener = Listening(family);
    Indications told;
    for (int i = 0; i < 3; ++i) {
      ASSERT_OK(listener.Accept(told.ForAccept(absl::StrCat(i))));
    }
    Turn();
    EXPECT_THAT(told.entries(), IsEmpty());
    std::vector<Socket> clients;
    for (int i = 0; i < 2; ++i) clients.push_back(Client(listener));
    TurnUntilCount(told, 2);
    TurnPastSentinel();
    EXPECT_THAT(told.Take(), ElementsAre("0 OK 0", "1 OK 0"));
    std::vector<AcceptedStream> accepted = told.TakeAccepted();
    for (std::size_t i = 0; i < accepted.size(); ++i) {
      EXPECT_EQ(accepted[i].peer, AddressOf(clients[i]));
      EXPECT_EQ(Must(accepted[i].stream.PeerAddress()), accepted[i].peer);
      ASSERT_OK(accepted[i].stream.Send(BytesOf("hello"), told.Handler("s")));
      TurnUntilCount(told, i + 1);
      AwaitReadable(clients[i]);
      EXPECT_EQ(Receive(clients[i]), "hello");
    }
    told.Take();
    // One that was there before the accept.
    for (int i = 2; i < 5; ++i) clients.push_back(Client(listener));
    TurnUntilCount(told, 1);
    EXPECT_THAT(told.Take(), ElementsAre("2 OK 0"));
    ASSERT_OK(listener.Accept(told.ForAccept("3")));
    ASSERT_OK(listener.Accept(told.ForAccept("4")));
    ASSERT_OK(listener.Accept(told.ForAccept("5")));
    TurnUntilCount(told, 2);
    TurnPastSentinel();
    EXPECT_THAT(told.Take(), ElementsAre("3 OK 0", "4 OK 0"));
  }
}

TEST_P(AcceptOperation, R21_ThePeersAddressIsNotToldToWhoDoesNotWantIt) {
  for (const bool wanted : {true, false}) {
    SCOPED_TRACE(wanted);
    weir::Listener listener =
        Must(weir::Listener::Listen(loop(), SocketAddress::Ipv4Loopback(0)));
    Indications told;
    ASSERT_OK(
        listener.StartAccepting(told.ForAccept("a"), {.peer_address = wanted}));
    Socket client = Must(Socket::Connect(Must(listener.LocalAddress())));
    TurnUntilCount(told, 1);
    const std::vector<AcceptedStream> accepted = told.TakeAccepted();
    ASSERT_EQ(accepted.size(), 1u);
    const SocketAddress peer = Must(client.LocalAddress());
    EXPECT_EQ(accepted[0].peer, wanted ? peer : SocketAddress());
    EXPECT_EQ(Must(accepted[0].stream.PeerAddress()), peer);
  }
}

TEST_P(AcceptOperation, R21_UnixListenersAcceptToo) {
  WEIR_SKIP_WITHOUT_UNIX_SOCKETS();
  const std::string path = absl::StrCat(::testing::TempDir(), "/weir-accept-",
                                        test::ProcessId(), ".sock");
  std::remove(path.c_str());
  {
    weir::Listener listener = Must(
        weir::Listener::Listen(loop(), Must(SocketAddress::UnixPath(path))));
    Indications told;
    for (const bool goes_on : {false, true}) {
      if (goes_on) {
        ASSERT_OK(listener.StartAccepting(told.ForAccept("a")));
      } else {
        ASSERT_OK(listener.Accept(told.ForAccept("a")));
      }
      Socket client = Must(Socket::Connect(Must(listener.LocalAddress())));
      TurnUntilCount(told, 1);
      EXPECT_THAT(told.Take(), ElementsAre("a OK 0"));
      std::vector<AcceptedStream> accepted = told.TakeAccepted();
      Room room(8);
      ASSERT_OK(accepted[0].stream.Receive(room, told.Handler("r")));
      Send(client, "hello");
      TurnUntilCount(told, 1);
      EXPECT_THAT(told.Take(), ElementsAre("r OK 5"));
      // What was sent still arrives, unread data or not (C03).
      ASSERT_OK(accepted[0].stream.Send(BytesOf("bye"), told.Handler("s")));
      TurnUntilCount(told, 1);
      Send(client, "unread");
      ASSERT_OK(accepted[0].stream.Close(told.ForClose("closed")));
      TurnUntilCount(told, 2);
      told.Take();
      EXPECT_EQ(Receive(client), "bye");
      AwaitPeerClosed(client);
      EXPECT_OK(client.TakeError());
    }
  }
  std::remove(path.c_str());
}

TEST_P(AcceptOperation, R21_AcceptingGoesOnAndPauses) {
  weir::Listener listener = Listening();
  Indications told, refused;
  EXPECT_CODE(listener.StartAccepting(nullptr), kInvalidArgument);
  EXPECT_CODE(listener.Accept(nullptr), kInvalidArgument);
  EXPECT_CODE(listener.PauseAccepting(), kFailedPrecondition);
  EXPECT_CODE(weir::Listener().Accept(refused.ForAccept("x")),
              kFailedPrecondition);
  std::vector<Socket> clients;
  // More than one round takes.
  for (int i = 0; i < 40; ++i) clients.push_back(Client(listener));
  ASSERT_OK(listener.StartAccepting(told.ForAccept("a")));
  EXPECT_CODE(listener.Accept(refused.ForAccept("x")), kFailedPrecondition);
  EXPECT_CODE(listener.StartAccepting(refused.ForAccept("x")),
              kFailedPrecondition);
  EXPECT_EQ(refused.alive(), 0);
  TurnUntilCount(told, 40);
  EXPECT_THAT(told.Take(), ::testing::Each("a OK 0"));
  ASSERT_OK(listener.PauseAccepting());
  for (int i = 0; i < 5; ++i) clients.push_back(Client(listener));
  TurnPastSentinel();
  EXPECT_THAT(told.entries(), IsEmpty());
  ExpectIdle();
  ASSERT_OK(listener.ResumeAccepting());
  TurnUntilCount(told, 5);
  TurnPastSentinel();
  EXPECT_EQ(told.Take().size(), 5u);
  // Each is itself.
  std::vector<AcceptedStream> accepted = told.TakeAccepted();
  ASSERT_EQ(accepted.size(), clients.size());
  for (std::size_t i = 0; i < clients.size(); ++i) {
    EXPECT_EQ(accepted[i].peer, AddressOf(clients[i]));
  }
}

// Paused in the handler: the very next one waits.
TEST_P(AcceptOperation, R21_PauseInTheHandlerHoldsAtOnce) {
  weir::Listener listener = Listening();
  std::vector<Socket> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(Client(listener));
  std::size_t accepted = 0;
  ASSERT_OK(listener.StartAccepting(
      [&](absl::StatusOr<AcceptedStream>&& connection) {
        if (!connection.ok()) return;
        ++accepted;
        EXPECT_OK(listener.PauseAccepting());
      }));
  for (std::size_t i = 1; i <= clients.size(); ++i) {
    TurnUntil([&] { return accepted == i; });
    TurnPastSentinel();
    EXPECT_EQ(accepted, i);
    ASSERT_OK(listener.ResumeAccepting());
  }
  DestroyLoop();
}

// Survey trap 60.
TEST_P(AcceptOperation, R21_WithoutDescriptorsAPostedAcceptFailsAndLosesNothing) {
  WEIR_SKIP_WITHOUT_DESCRIPTOR_LIMIT();
  weir::Listener listener = Listening();
  Indications told;
  std::vector<Socket> clients;
  for (int i = 0; i < 2; ++i) clients.push_back(Client(listener));
  Turn();
  {
    const NoDescriptorsLeft none;
    ASSERT_OK(listener.Accept(told.ForAccept("a")));
    TurnUntilCount(told, 1);
    EXPECT_THAT(told.Take(), ElementsAre("a RESOURCE_EXHAUSTED 0"));
    EXPECT_EQ(CauseOf(told.last_status()), ErrorCause::kTooManyDescriptors);
    ExpectIdle();
  }
  for (std::size_t i = 1; i <= 2; ++i) {
    ASSERT_OK(listener.Accept(told.ForAccept("a")));
    TurnUntilCount(told, i);
  }
  EXPECT_THAT(told.Take(), ElementsAre("a OK 0", "a OK 0"));
}

// Survey trap 60: an error now and then, no spinning, and it goes on by itself.
TEST_P(AcceptOperation, R21_WithoutDescriptorsAcceptingRestsAndGoesOn) {
  WEIR_SKIP_WITHOUT_DESCRIPTOR_LIMIT();
  weir::Listener listener = Listening();
  Indications told;
  std::vector<Socket> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(Client(listener));
  Turn();
  {
    const NoDescriptorsLeft none;
    ASSERT_OK(listener.StartAccepting(told.ForAccept("a")));
    TurnUntilCount(told, 1);
    const std::uint64_t before = loop().counters().turns;
    TurnUntilCount(told, 2);
    EXPECT_LE(loop().counters().turns - before, 20u);
    EXPECT_THAT(told.Take(), ::testing::Each("a RESOURCE_EXHAUSTED 0"));
  }
  const auto accepted = [&] {
    const auto entries = told.entries();
    return std::count(entries.begin(), entries.end(), "a OK 0");
  };
  TurnUntil([&] { return accepted() == 3; });
  TurnPastSentinel();
  EXPECT_EQ(accepted(), 3);
}

// Closed while it rests: the close is not late, and nothing comes of the rest.
TEST_P(AcceptOperation, R21_AListenerThatRestsCloses) {
  WEIR_SKIP_WITHOUT_DESCRIPTOR_LIMIT();
  const std::size_t before = OpenDescriptors();
  {
    weir::Listener listener = Listening();
    Indications told;
    Socket client = Client(listener);
    Turn();
    {
      const NoDescriptorsLeft none;
      ASSERT_OK(listener.StartAccepting(told.ForAccept("a")));
      TurnUntilCount(told, 1);
    }
    ASSERT_OK(listener.Close(told.ForClose("closed")));
    TurnUntilCount(told, 3);
    EXPECT_THAT(told.entries(), ElementsAre("a RESOURCE_EXHAUSTED 0",
                                            "a CANCELLED 0", "closed"));
  }
  EXPECT_EQ(OpenDescriptors(), before);
  // Beyond the end of the rest.
  StreamAndPeer clock = Connect();
  Indications late;
  Room room(1);
  ASSERT_OK(clock.stream.Receive(room, late.Handler("r"),
                                 {.timeout = absl::Milliseconds(150)}));
  TurnUntilCount(late, 1);
}

// An accepting that the mechanism carries out asks for a descriptor before
// anybody comes (survey 2.2): that it gets none is nothing to tell.
TEST_P(AcceptOperation, R21_WithoutDescriptorsNothingIsToldUntilSomebodyComes) {
  WEIR_SKIP_WITHOUT_DESCRIPTOR_LIMIT();
  weir::Listener listener = Listening();
  Indications told;
  Turn();
  {
    const NoDescriptorsLeft none;
    ASSERT_OK(listener.StartAccepting(told.ForAccept("a")));
    for (int i = 0; i < 5; ++i) Turn();
    ExpectIdle();
    EXPECT_THAT(told.entries(), IsEmpty());
  }
  std::vector<Socket> clients;
  for (std::size_t i = 1; i <= 3; ++i) {
    clients.push_back(Client(listener));
    TurnUntilCount(told, i);
  }
  EXPECT_THAT(told.Take(), ::testing::Each("a OK 0"));
}

// Connections that were accepted, but not told of when the listener is closed or
// the loop is stopped, are closed.
TEST_P(AcceptOperation, R21_WhatNobodyIsToldOfIsClosed) {
  const std::size_t before = OpenDescriptors();
  for (const bool by_stop : {false, true}) {
    auto loop = NewLoop();
    weir::Listener listener = Must(
        weir::Listener::Listen(*loop, SocketAddress::Ipv4Loopback(0)));
    std::vector<Socket> clients;
    for (int i = 0; i < 5; ++i) clients.push_back(Client(listener));
    int accepted = 0;
    bool closed = false;
    ASSERT_OK(listener.StartAccepting(
        [&](absl::StatusOr<AcceptedStream>&& connection) {
          if (!connection.ok()) return;
          ++accepted;
          if (by_stop) {
            loop->Stop();
          } else {
            EXPECT_OK(listener.Close([&] { closed = true; }));
          }
        }));
    while (!closed && loop->RunOnce(kPatience).ok()) {
    }
    EXPECT_EQ(accepted, 1);
    loop.reset();
    for (Socket& client : clients) AwaitPeerClosed(client);
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

// For another loop: the stream is used there from the beginning.
TEST_P(AcceptOperation, R21_AConnectionForAnotherLoop) {
  const auto other = NewLoop();
  weir::Listener listener = Listening();
  Indications told;
  ASSERT_OK(listener.Accept(told.ForAccept("a"), {}, other.get()));
  Socket client = Client(listener);
  TurnUntilCount(told, 1);
  EXPECT_THAT(told.Take(), ElementsAre("a OK 0"));
  std::vector<AcceptedStream> accepted = told.TakeAccepted();
  Room room(8);
  ASSERT_OK(accepted[0].stream.Receive(room, told.Handler("r")));
  Send(client, "abc");
  TurnPastSentinel();
  EXPECT_THAT(told.entries(), IsEmpty());
  while (told.count() == 0) MustOk(other->RunOnce(absl::Seconds(1)).status());
  EXPECT_THAT(told.entries(), ElementsAre("r OK 3"));
}

}  // namespace
}  // namespace weir::conformance
