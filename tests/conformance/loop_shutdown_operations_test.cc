// The end of a loop with operations of every kind pending (C04).

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/descriptors.h"
#include "tests/conformance/operations.h"
#include "weir/file.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class OperationsEnd : public OperationsTest {
 protected:
  // Objects with all sorts of things pending on `loop`.
  struct Population {
    std::vector<Socket> peers;
    std::vector<Stream> streams;
    std::vector<weir::Listener> listeners;
    std::vector<DatagramSocket> datagrams;
    std::vector<Operation> operations;
    Room room{64};
    std::string data = Pattern(4 << 20);
    File file = Must(File::Open(test::ThisProgram()));
    Indications told;
    Indications ends;
    std::size_t started = 0;
    std::size_t receivers = 0;
  };

  Stream& AddStream(EventLoop& on, Population& all, AddressFamily family) {
    StreamAndPeer pair = Connect(on, family);
    all.peers.push_back(std::move(pair.peer));
    all.streams.push_back(std::move(pair.stream));
    return all.streams.back();
  }

  OperationOptions Options(Population& all, int round) {
    ++all.started;
    OperationOptions options;
    if (round % 2 == 0) options.timeout = absl::Hours(1);
    if (round % 3 == 0) {
      all.operations.emplace_back();
      options.handle = &all.operations.back();
    }
    return options;
  }

  void Populate(EventLoop& on, Population& all) {
    all.operations.reserve(1000);
    all.streams.reserve(1000);
    for (int round = 0; round < 6; ++round) {
      const AddressFamily family =
          round % 2 == 0 ? test::LocalFamily() : AddressFamily::kIpv4;
      const auto handler = [&] { return all.told.Handler("o"); };
      Stream& stream = AddStream(on, all, family);
      MustOk(stream.Receive(all.room, handler(), Options(all, round)));
      MustOk(stream.Receive(all.room, handler(), Options(all, round)));
      MustOk(stream.Send(BytesOf(all.data), handler(), Options(all, round)));
      MustOk(stream.SendFile(all.file, 0, 1000, handler(),
                             Options(all, round)));
      MustOk(stream.SendCopy(BytesOf("copy")).status());
      MustOk(stream.Flush(handler(), Options(all, round)));
      MustOk(stream.Disconnect(handler(), Options(all, round)));
      Stream& receiving = AddStream(on, all, family);
      MustOk(receiving.StartReceive(all.ends.ForReceived("e")));
      if (round % 3 == 1) MustOk(receiving.PauseReceive());
      AddStream(on, all, family);  // nothing pending
      all.streams.push_back(Must(Stream::Open(on, AddressFamily::kIpv4)));
      MustOk(all.streams.back().Connect(full_, handler(), Options(all, round)));
      for (const bool goes_on : {false, true}) {
        all.listeners.push_back(Must(
            weir::Listener::Listen(on, SocketAddress::Ipv4Loopback(0))));
        if (goes_on) {
          MustOk(all.listeners.back().StartAccepting(all.ends.ForAccept("e")));
        } else {
          ++all.started;
          MustOk(all.listeners.back().Accept(all.told.ForAccept("o")));
        }
        all.datagrams.push_back(Must(
            DatagramSocket::Bind(on, SocketAddress::Ipv4Loopback(0))));
        if (goes_on) {
          MustOk(all.datagrams.back().StartReceive(
              [ends = all.ends](const ReceivedDatagrams& got) {
                ends.Note(Entry("e", got.status, got.datagrams.size()));
              }));
        } else {
          MustOk(all.datagrams.back().ReceiveFrom(
              all.room, all.told.ForDatagram("o"), Options(all, round)));
        }
      }
      all.receivers += 3;
    }
  }

  const Socket listener_ =
      Must(Socket::Listen(SocketAddress::Ipv4Loopback(0), {.backlog = 0}));
  const SocketAddress full_ = AddressOf(listener_);
};
WEIR_CONFORMANCE_SUITE(OperationsEnd);

// Survey trap 42.
TEST_P(OperationsEnd, C04_EachOperationIsIndicatedOnceAndAllIsGivenBack) {
  for (const int threads : {1, 4}) {
    for (const bool turned : {false, true}) {
      SCOPED_TRACE(absl::StrCat(threads, turned));
      const std::size_t before = OpenDescriptors();
      {
        std::unique_ptr<EventLoop> ended = NewLoop(threads);
        auto all = std::make_unique<Population>();
        Populate(*ended, *all);
        if (turned) {
          MustOk(ended->RunOnce(absl::ZeroDuration()).status());
          MustOk(ended->RunOnce(absl::ZeroDuration()).status());
        }
        ended.reset();
        EXPECT_EQ(all->told.count(), all->started);
        EXPECT_EQ(all->ends.count(), all->receivers);
        EXPECT_THAT(all->ends.entries(),
                    ::testing::Each("e CANCELLED 0"));
        EXPECT_EQ(all->told.alive(), 0);
        EXPECT_EQ(all->ends.alive(), 0);
        // The sockets are closed though their objects live on; the peers' and
        // the file are the test's.
        EXPECT_EQ(OpenDescriptors(), before + all->peers.size() + 1);
        // So do the handles.
        for (Operation& operation : all->operations) {
          EXPECT_TRUE(operation.done());
          EXPECT_OK(operation.Result());
          EXPECT_OK(operation.Wait(absl::ZeroDuration()));
          EXPECT_CODE(operation.Cancel(), kFailedPrecondition);
        }
        for (Stream& stream : all->streams) {
          EXPECT_FALSE(stream.is_open());
          EXPECT_CODE(stream.Flush(nullptr), kFailedPrecondition);
          EXPECT_CODE(stream.Cancel(), kFailedPrecondition);
          EXPECT_CODE(stream.SendCopy(BytesOf("x")), kFailedPrecondition);
          EXPECT_CODE(stream.Close(all->told.ForClose("x")),
                      kFailedPrecondition);
          EXPECT_CODE(stream.LocalAddress(), kFailedPrecondition);
          EXPECT_CODE(stream.Detach(), kFailedPrecondition);
        }
        EXPECT_EQ(all->told.count(), all->started);
      }
      EXPECT_EQ(OpenDescriptors(), before);
    }
  }
}

// The peers see the end.
TEST_P(OperationsEnd, C04_PeersSeeTheEndOfEveryStream) {
  std::unique_ptr<EventLoop> ended = NewLoop();
  auto all = std::make_unique<Population>();
  Populate(*ended, *all);
  ended.reset();
  for (Socket& peer : all->peers) {
    Drain(peer);
    AwaitPeerClosed(peer);
  }
}

// Handlers that are called at the end can close, and are told of it; they
// cannot start anything.
TEST_P(OperationsEnd, C04_AHandlerAtTheEndCanCloseAndNothingElse) {
  for (const int threads : {1, 4}) {
    std::unique_ptr<EventLoop> ended = NewLoop(threads);
    StreamAndPeer pair = Connect(*ended);
    weir::Listener listener = Must(
        weir::Listener::Listen(*ended, SocketAddress::Ipv4Loopback(0)));
    Indications told;
    Room room(4);
    ASSERT_OK(pair.stream.Receive(
        room, told.Handler("r", [&](const Completion&) {
          EXPECT_CODE(pair.stream.Receive(room, told.Handler("x")),
                      kFailedPrecondition);
          EXPECT_CODE(pair.stream.SendCopy(BytesOf("x")), kFailedPrecondition);
          EXPECT_CODE(pair.stream.StartReceive(told.ForReceived("x")),
                      kFailedPrecondition);
          EXPECT_OK(pair.stream.Close(told.ForClose("closed")));
          // Another one's, which may have ended before.
          (void)listener.Close();
        })));
    ended.reset();
    EXPECT_THAT(told.entries(), ElementsAre("r CANCELLED 0", "closed"));
    EXPECT_EQ(told.alive(), 0);
  }
}

// A close that was asked for before is told, and so is what waited for it.
TEST_P(OperationsEnd, C04_ACloseThatIsUnderWayIsToldAtTheEnd) {
  for (const int threads : {1, 4}) {
    std::unique_ptr<EventLoop> ended = NewLoop(threads);
    StreamAndPeer pair = Connect(*ended);
    Indications told;
    Room room(4);
    ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
    ASSERT_OK(pair.stream.Close(told.ForClose("closed")));
    ended->Stop();
    ended.reset();
    EXPECT_THAT(told.entries(), ElementsAre("r CANCELLED 0", "closed"));
  }
}

// Streams are destroyed by the handlers of others, and by their own.
TEST_P(OperationsEnd, C04_HandlersAtTheEndDestroyStreams) {
  std::unique_ptr<EventLoop> ended = NewLoop();
  auto streams = std::make_unique<std::vector<Stream>>();
  std::vector<Socket> peers;
  Room room(4);
  Indications told;
  for (int i = 0; i < 5; ++i) {
    StreamAndPeer pair = Connect(*ended);
    peers.push_back(std::move(pair.peer));
    streams->push_back(std::move(pair.stream));
  }
  for (Stream& stream : *streams) {
    ASSERT_OK(stream.Receive(
        room, told.Handler("r", [&](const Completion&) { streams.reset(); })));
  }
  ended.reset();
  EXPECT_EQ(told.count(), 5u);
  EXPECT_EQ(told.alive(), 0);
}

// The loop goes in the handler of one of its operations.
TEST_P(OperationsEnd, C04_TheLoopIsDestroyedInAHandler) {
  for (const int threads : {1, 4}) {
    std::unique_ptr<EventLoop> ended = NewLoop(threads);
    StreamAndPeer pair = Connect(*ended);
    StreamAndPeer other = Connect(*ended);
    Indications told;
    Room first(1), second(4), third(4);
    ASSERT_OK(pair.stream.Receive(
        first,
        told.Handler("1", [&](const Completion&) { ended.reset(); })));
    ASSERT_OK(pair.stream.Receive(second, told.Handler("2")));
    ASSERT_OK(other.stream.Receive(third, told.Handler("3")));
    Send(pair.peer, "a");
    EventLoop& running = *ended;
    const auto turned = running.RunOnce(kPatience);
    EXPECT_OK(turned);
    EXPECT_EQ(told.count(), 3u);
    EXPECT_EQ(told.entries()[0], "1 OK 1");
    EXPECT_EQ(told.alive(), 0);
    EXPECT_FALSE(pair.stream.is_open());
  }
}

// A stopped loop starts nothing, and does not lose what it had.
TEST_P(OperationsEnd, C04_AStoppedLoopRefusesToStart) {
  std::unique_ptr<EventLoop> ended = NewLoop();
  StreamAndPeer pair = Connect(*ended);
  Connection loose = Connected(test::LocalFamily());
  Indications told, refused;
  Room room(4);
  ASSERT_OK(pair.stream.Receive(room, told.Handler("r")));
  ended->Stop();
  EXPECT_CODE(pair.stream.Receive(room, refused.Handler("x")),
              kFailedPrecondition);
  EXPECT_CODE(pair.stream.Send(BytesOf("x"), refused.Handler("x")),
              kFailedPrecondition);
  EXPECT_CODE(Stream::Attach(*ended, std::move(loose.server)),
              kFailedPrecondition);
  EXPECT_TRUE(loose.server.is_open());  // NOLINT: left as it was
  EXPECT_CODE(Stream::Open(*ended, AddressFamily::kIpv4), kFailedPrecondition);
  EXPECT_EQ(refused.alive(), 0);
  ended.reset();
  EXPECT_THAT(told.entries(), ElementsAre("r CANCELLED 0"));
  EXPECT_THAT(refused.entries(), IsEmpty());
}

// A connection that was accepted for a loop that is gone is closed.
TEST_P(OperationsEnd, C04_AcceptingForALoopThatIsGone) {
  const std::size_t before = OpenDescriptors();
  std::unique_ptr<EventLoop> other = NewLoop();
  weir::Listener listener = Must(
      weir::Listener::Listen(loop(), SocketAddress::Ipv4Loopback(0)));
  Indications told;
  Operation accept;
  ASSERT_OK(listener.Accept(told.ForAccept("a"), {.handle = &accept},
                            other.get()));
  other.reset();
  {
    Socket client = Must(Socket::Connect(Must(listener.LocalAddress())));
    TurnUntilCount(told, 1);
    EXPECT_THAT(told.entries(), ElementsAre("a FAILED_PRECONDITION 0"));
    // Whoever asks the handle is told the same.
    EXPECT_CODE(Must(accept.Result()).status, kFailedPrecondition);
    AwaitPeerClosed(client);
  }
  ASSERT_OK(listener.Close(told.ForClose("closed")));
  TurnUntilCount(told, 2);
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace weir::conformance
