// Level registrations (R04, R02).

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "platform/socket_io.h"
#include "platform/sockets.h"
#include "tests/conformance/conformance.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Level : public Conformance {};
WEIR_CONFORMANCE_SUITE(Level);

// By recv(2) on the native handle, behind the library's back.
std::string DrainNatively(const Socket& socket) {
  std::string all;
  while (true) {
    char buffer[4096];
    const platform::IoOutcome outcome = platform::Receive(
        socket.native(), std::as_writable_bytes(std::span(buffer)));
    if (!outcome.ok() || outcome.bytes == 0) return all;
    all.append(buffer, outcome.bytes);
  }
}

// Survey trap 3.
TEST_P(Level, R04_UnreadDataIsToldOnceInEveryTurn) {
  Connection connection = Connected();
  Recorder recorder;
  Register(connection.server, {.interest = Interest::kReadable}, recorder);
  Send(connection.client, "abc");
  TurnUntilSeen(recorder, Events::kReadable);
  recorder.Take();
  for (int turn = 0; turn < 5; ++turn) {
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  }
  EXPECT_EQ(Drain(connection.server), "abc");
  Turn();
  TurnPastSentinel();
  EXPECT_EQ(recorder.count(), 0u);
}

// Survey trap 3: what was left unread, also after a short receive of some.
TEST_P(Level, R04_PartlyReadDataAreToldInEveryTurn) {
  Connection connection = Connected();
  Recorder recorder;
  Register(connection.server, {.interest = Interest::kReadable}, recorder);
  Send(connection.client, "abc");
  AwaitReadable(connection.server);
  for (const char* expected : {"a", "b", "c"}) {
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    EXPECT_EQ(Receive(connection.server, 1), expected);
  }
  Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
}

// Survey trap 3, for room to send.
TEST_P(Level, R04_WritableIsToldInEveryTurnUntilTheSocketIsFull) {
  Connection connection = Connected(test::LocalFamily());
  Recorder recorder;
  Register(connection.server, {.interest = Interest::kWritable}, recorder);
  for (int turn = 0; turn < 3; ++turn) {
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
  }
  Fill(connection.server);
  Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
  Drain(connection.client);
  AwaitWritable(connection.server);
  for (int turn = 0; turn < 3; ++turn) {
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
  }
}

// Survey trap 3, a mask of more than one bit, for sockets of every kind.
TEST_P(Level, R02_EverythingThatHoldsIsToldAsOneMaskInEveryTurn) {
  const Interest all =
      Interest::kReadable | Interest::kWritable | Interest::kHangup;
  Connection stream = Connected();
  Send(stream.client, "x");
  MustOk(stream.client.Shutdown(ShutdownDirection::kSend));
  AwaitReadable(stream.server);
  AwaitPeerClosed(stream.server);
  Connection datagrams = DatagramPair();
  Send(datagrams.client, "x");
  AwaitReadable(datagrams.server);
  Recorder stream_told, datagrams_told;
  Register(stream.server, {.interest = all}, stream_told);
  Register(datagrams.server, {.interest = all}, datagrams_told);
  const Events both = Events::kReadable | Events::kWritable;
  for (int turn = 0; turn < 3; ++turn) {
    EXPECT_EQ(Turn(), 2);
    EXPECT_THAT(stream_told.Take(), ElementsAre(both | HangupBehindData()));
    EXPECT_THAT(datagrams_told.Take(), ElementsAre(both));
  }
}

// Survey trap 4: drained before the wait, through the library.
TEST_P(Level, R04_DataDrainedBeforeTheWaitAreNotTold) {
  Connection connection = Connected();
  Recorder recorder;
  Register(connection.server, {.interest = Interest::kReadable}, recorder);
  Turn();
  Send(connection.client, "abc");
  AwaitReadable(connection.server);
  EXPECT_EQ(Drain(connection.server), "abc");
  Turn();
  TurnPastSentinel();
  EXPECT_EQ(recorder.count(), 0u);
}

// Survey trap 4, with as many bytes asked for as there are: neither a
// would-block nor a short receive says that the socket is empty.
TEST_P(Level, R04_DataReadToTheLastByteBeforeTheWaitAreNotTold) {
  for (const bool datagrams : {false, true}) {
    Connection connection = datagrams ? DatagramPair() : Connected();
    Recorder recorder;
    Register(connection.server, {.interest = Interest::kReadable}, recorder);
    Turn();
    Send(connection.client, "abc");
    AwaitReadable(connection.server);
    EXPECT_EQ(Receive(connection.server, 3), "abc");
    Turn();
    TurnPastSentinel();
    EXPECT_EQ(recorder.count(), 0u);
  }
}

// Survey trap 4, survey 2.1: the poll was armed in an earlier turn and has
// fired; nobody but the kernel knows that its report is out of date.
TEST_P(Level, R04_DataDrainedThroughTheNativeHandleAreNotTold) {
  for (const Persistence persistence :
       {Persistence::kPersistent, Persistence::kOneShot}) {
    SCOPED_TRACE(ToString(Mode{Trigger::kLevel, persistence}));
    Connection connection = Connected();
    Recorder recorder;
    Register(connection.server,
             {.interest = Interest::kReadable, .persistence = persistence},
             recorder);
    Turn();
    TurnPastSentinel();
    for (int round = 0; round < 3; ++round) {
      Send(connection.client, "abc");
      AwaitReadable(connection.server);
      EXPECT_EQ(DrainNatively(connection.server), "abc");
      Turn();
      TurnPastSentinel();
      EXPECT_THAT(recorder.events(), IsEmpty());
    }
    // The out-of-date report has not used up the arm: the next is told.
    Send(connection.client, "d");
    AwaitReadable(connection.server);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  }
}

// Survey trap 4, for room to send: taken again by sends through the native
// handle.
TEST_P(Level, R04_RoomTakenThroughTheNativeHandleIsNotTold) {
  Connection connection = Connected(test::LocalFamily());
  Fill(connection.server);
  Recorder recorder;
  Register(connection.server, {.interest = Interest::kWritable}, recorder);
  Turn();
  Drain(connection.client);
  AwaitWritable(connection.server);
  const std::string block(65536, 'x');
  while (platform::Send(connection.server.native(),
                        std::as_bytes(std::span(block)))
             .ok()) {
  }
  Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
}

// Survey trap 4: one bit of a mask is out of date, the other is not.
TEST_P(Level, R04_OnlyTheDrainedDirectionIsLeftOut) {
  Connection connection = Connected(test::LocalFamily());
  Fill(connection.server);
  Recorder recorder;
  Register(connection.server,
           {.interest = Interest::kReadable | Interest::kWritable}, recorder);
  Turn();
  Send(connection.client, "x");
  AwaitReadable(connection.server);
  Drain(connection.client);
  AwaitWritable(connection.server);
  EXPECT_EQ(DrainNatively(connection.server), "x");
  Turn();
  EXPECT_THAT(recorder.Take(), ElementsAre(Events::kWritable));
}

// Survey trap 4: arrived and drained inside a turn, by a message.
TEST_P(Level, R04_DataThatCameAndWentInsideATurnAreNotTold) {
  Connection connection = Connected();
  Recorder recorder;
  Register(connection.server, {.interest = Interest::kReadable}, recorder);
  Turn();
  ASSERT_OK(loop().Post([&] {
    Send(connection.client, "abc");
    AwaitReadable(connection.server);
    EXPECT_EQ(DrainNatively(connection.server), "abc");
  }));
  EXPECT_EQ(Turn(), 1);
  Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
}

// Survey trap 4: accepted before the wait.
TEST_P(Level, R04_AConnectionAcceptedBeforeTheWaitIsNotTold) {
  Socket listener = Listener();
  Recorder recorder;
  Register(listener, {.interest = Interest::kReadable}, recorder);
  Turn();
  Socket client = Must(Socket::Connect(AddressOf(listener)));
  AwaitReadable(listener);
  EXPECT_TRUE(Must(listener.Accept()).has_value());
  Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
  Socket another = Must(Socket::Connect(AddressOf(listener)));
  AwaitReadable(listener);
  for (int turn = 0; turn < 3; ++turn) {
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  }
}

// --- survey trap 4 once more, where nobody has asked for the native handle

// A Unix pair delivers within send(2), so nothing has to be awaited: the
// library sees every call that can drain these sockets, and has to.
TEST_P(Level, R04_EveryWayToReceiveIsSeenToDrain) {
  const struct {
    const char* name;
    std::function<std::size_t(Socket&)> receive;  // exactly three bytes
  } ways[] = {
      {"receive",
       [](Socket& socket) {
         std::byte buffer[3];
         return Must(socket.Receive(buffer)).bytes;
       }},
      {"receive, short",
       [](Socket& socket) {
         std::byte buffer[30];
         return Must(socket.Receive(buffer)).bytes;
       }},
      {"receive vector",
       [](Socket& socket) {
         std::byte one[1], two[2];
         const std::span<std::byte> buffers[] = {one, two};
         return Must(socket.ReceiveVector(buffers)).bytes;
       }},
      {"receive from",
       [](Socket& socket) {
         std::byte buffer[3];
         return Must(socket.ReceiveFrom(buffer)).bytes;
       }},
  };
  for (const auto& way : ways) {
    SCOPED_TRACE(way.name);
    Connection connection = Connected(test::LocalFamily());
    Recorder recorder;
    Register(connection.server, {.interest = Interest::kReadable}, recorder);
    Turn();
    Turn();
    for (int round = 0; round < 3; ++round) {
      Send(connection.client, "abc");
      AwaitReadable(connection.server);
      EXPECT_EQ(way.receive(connection.server), 3u);
      Turn();
      TurnPastSentinel();
      EXPECT_THAT(recorder.events(), IsEmpty());
    }
    Send(connection.client, "def");
    AwaitReadable(connection.server);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
  }
}

// The data were there when the poll was armed, and are drained by the handler
// that they were told to.
TEST_P(Level, R04_DataDrainedByTheHandlerAreNotToldAgain) {
  Connection connection = Connected(test::LocalFamily());
  Recorder recorder;
  Must(loop().Register(connection.server, {.interest = Interest::kReadable},
                       recorder.Handler([&](const Event& event) {
                         if (event.removed()) return;
                         EXPECT_EQ(Receive(connection.server, 3), "abc");
                       })));
  for (int round = 0; round < 3; ++round) {
    Send(connection.client, "abc");
    AwaitReadable(connection.server);
    Turn();
    EXPECT_THAT(recorder.Take(), ElementsAre(Events::kReadable));
    Turn();
    TurnPastSentinel();
    EXPECT_THAT(recorder.events(), IsEmpty());
  }
}

TEST_P(Level, R04_RoomTakenThroughTheLibraryIsNotTold) {
  // Of TCP, the system may take some more once all was full.
  WEIR_SKIP_WITHOUT_UNIX_SOCKETS();
  Connection connection = Connected(test::LocalFamily());
  Fill(connection.server);
  Recorder recorder;
  Register(connection.server, {.interest = Interest::kWritable}, recorder);
  Turn();
  Drain(connection.client);
  Fill(connection.server);
  Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
}

TEST_P(Level, R04_AUnixConnectionAcceptedBeforeTheWaitIsNotTold) {
  WEIR_SKIP_WITHOUT_UNIX_SOCKETS();
  Socket listener = Must(Socket::Listen(Must(SocketAddress::UnixAbstract(
      absl::StrCat("weir-level-test-", absl::ToUnixNanos(absl::Now()))))));
  const SocketAddress address = AddressOf(listener);
  Recorder recorder;
  Register(listener, {.interest = Interest::kReadable}, recorder);
  Turn();
  Socket client = Must(Socket::Connect(address));
  EXPECT_TRUE(Must(listener.Accept()).has_value());
  Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
}

// An adopted socket has a handle that somebody knew before.
TEST_P(Level, R04_AnAdoptedSocketDrainedThroughItsOldHandleIsNotTold) {
  Connection connection = Connected(test::LocalFamily());
  const NativeSocket old_handle = Must(connection.server.Release());
  Socket server = Must(Socket::Adopt(old_handle));
  Socket& client = connection.client;
  Recorder recorder;
  Register(server, {.interest = Interest::kReadable}, recorder);
  Turn();
  Send(client, "abc");
  AwaitReadable(server);
  std::byte buffer[3];
  EXPECT_EQ(platform::Receive(old_handle, buffer).bytes, 3u);
  Turn();
  TurnPastSentinel();
  EXPECT_THAT(recorder.events(), IsEmpty());
}

}  // namespace
}  // namespace weir::conformance
