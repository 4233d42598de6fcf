// Every operation, with every error that is documented for the call, or the
// request, that carries it out: indicated once, as what it is, and what can go
// on goes on.

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/faults/fault_test.h"
#include "weir/file.h"

namespace weir::faults {
namespace {

using conformance::AddressOf;
using conformance::AwaitReadable;
using conformance::BytesOf;
using conformance::Connection;
using conformance::Indications;
using conformance::Must;
using conformance::MustOk;
using conformance::Room;
using conformance::StreamAndPeer;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class OperationError : public FaultTest {
 protected:
  // A connection whose peer is played without faults, once those before it are
  // closed.
  StreamAndPeer Pair(AddressFamily family = AddressFamily::kUnix) {
    const Unfaulted unfaulted;
    TurnPastSentinel();
    return Connect(family);
  }
  static Socket PlainListener() {
    const Unfaulted unfaulted;
    return conformance::Listener();
  }
  static void SendFrom(Socket& peer, std::string_view text) {
    const Unfaulted unfaulted;
    conformance::Send(peer, text);
  }
  static std::string ReceiveAt(Socket& peer, std::size_t bytes) {
    const Unfaulted unfaulted;
    std::string got;
    while (got.size() < bytes) {
      AwaitReadable(peer);
      got += conformance::Receive(peer);
    }
    return got;
  }

  void Begin(Fault fault, int error, std::uint64_t times = 1) {
    Clear();
    fault.error = error;
    fault.times = times;
    Inject(fault);
  }
  // `told` has exactly one entry, which tells of `error` or, if that is
  // bridged, of success.
  void ExpectTold(Indications& told, int error, bool bridged) {
    TurnUntilCount(told, 1);
    EXPECT_EQ(Hits(), 1u);
    if (bridged) {
      EXPECT_TRUE(told.last_status().ok()) << told.last_status();
    } else {
      EXPECT_TRUE(TellsError(told.last_status(), error));
    }
    EXPECT_EQ(told.count(), 1u);
  }

  // The errors of a call, and of the request if that carries it out.
  std::vector<int> Errors(Call call) const {
    std::vector<int> errors = ErrorsOf(call);
    if (on_io_uring()) errors.push_back(ECANCELED);
    return errors;
  }
  // What a transfer is made again for.
  static bool IsMadeAgain(int error) {
    return error == EINTR || error == EAGAIN || error == ECANCELED;
  }
};
WEIR_CONFORMANCE_SUITE(OperationError);

#define SCOPED_ERROR(error) SCOPED_TRACE(::strerrorname_np(error))

TEST_P(OperationError, O04_AReceive) {
  for (const bool vector : {false, true}) {
    const Call call = vector ? Call::k_recvmsg : Call::k_recv;
    for (const int error : Errors(call)) {
      SCOPED_ERROR(error);
      StreamAndPeer pair = Pair();
      Indications told;
      Room room(4), second(4);
      const std::array<MutableBuffer, 2> rooms = {room, second};
      const auto receive = [&] {
        return vector ? pair.stream.ReceiveVector(rooms, told.Handler("r"))
                      : pair.stream.Receive(room, told.Handler("r"));
      };
      Begin(FaultOf(call, vector ? kReceiveMessageRequest : kReceiveRequest),
            error);
      SendFrom(pair.peer, "abc");
      MustOk(receive());
      ExpectTold(told, error, IsMadeAgain(error));
      told.Take();
      // What was made again has the data; want of memory has lost nothing;
      // another failure stays one, and is not the end of the stream.
      if (IsMadeAgain(error)) {
        EXPECT_EQ(room.text(3), "abc");
        continue;
      }
      MustOk(receive());
      TurnUntilCount(told, 1);
      if (ExpectedOf(error).code == absl::StatusCode::kResourceExhausted) {
        EXPECT_THAT(told.Take(), ElementsAre("r OK 3"));
        EXPECT_EQ(room.text(3), "abc");
      } else {
        EXPECT_TRUE(TellsError(told.last_status(), error));
      }
      // The other direction is as it was, unless the connection has failed.
      if (ExpectedOf(error).code == absl::StatusCode::kResourceExhausted) {
        told.Take();
        MustOk(pair.stream.Send(BytesOf("xyz"), told.Handler("s")));
        TurnUntilCount(told, 1);
        EXPECT_THAT(told.Take(), ElementsAre("s OK 3"));
        EXPECT_EQ(ReceiveAt(pair.peer, 3), "xyz");
      }
    }
  }
}

// Into buffers of the runtime: an error is the last indication; what has not
// been told of waits, and can be had by starting anew if the stream has not
// failed.
TEST_P(OperationError, O12_AReceiver) {
  for (const int error : Errors(Call::k_recv)) {
    SCOPED_ERROR(error);
    StreamAndPeer pair = Pair();
    Indications told;
    SendFrom(pair.peer, "abc");
    Begin(FaultOf(Call::k_recv, kReceiveRequest), error);
    MustOk(pair.stream.StartReceive(told.ForReceived("r")));
    TurnUntilCount(told, 1);
    const bool exhausted =
        ExpectedOf(error).code == absl::StatusCode::kResourceExhausted;
    // io_uring: by another way (no buffers, no memory, an old kernel).
    const bool bridged =
        IsMadeAgain(error) ||
        (on_io_uring() && (exhausted || ExpectedOf(error).cause ==
                                            ErrorCause::kInvalidArgument));
    EXPECT_EQ(Hits(), 1u);
    if (bridged) {
      EXPECT_THAT(told.Take(), ElementsAre("r OK 3"));
      continue;
    }
    EXPECT_TRUE(TellsError(told.last_status(), error));
    EXPECT_EQ(told.alive(), 0);
    told.Take();
    MustOk(pair.stream.StartReceive(told.ForReceived("r")));
    TurnUntilCount(told, 1);
    if (exhausted) {
      EXPECT_THAT(told.Take(), ElementsAre("r OK 3"));
    } else {
      EXPECT_TRUE(TellsError(told.last_status(), error));
    }
  }
}

// The sends behind it end as well, since the stream has a hole; how much went
// out before is said.
TEST_P(OperationError, O05_ASend) {
  for (const bool vector : {false, true}) {
    const Call call = vector ? Call::k_sendmsg : Call::k_send;
    for (const int error : Errors(call)) {
      SCOPED_ERROR(error);
      StreamAndPeer pair = Pair();
      Indications told;
      Fault fault = FaultOf(call, vector ? kSendMessageRequest : kSendRequest);
      Clear();
      // The first goes out in part.
      fault.most = 2;
      Inject(fault);
      fault.most = Fault::kAll;
      fault.error = error;
      Inject(fault);
      const std::array<ConstBuffer, 2> parts = {BytesOf("abc"), BytesOf("def")};
      MustOk(vector ? pair.stream.SendVector(parts, told.Handler("s"))
                    : pair.stream.Send(BytesOf("abcdef"), told.Handler("s")));
      if (!vector) {
        TurnUntil([&] { return Hits() == 2 || told.count() > 0; });
      }
      MustOk(pair.stream.Flush(told.Handler("f")));
      TurnUntilCount(told, 2);
      const std::string code(absl::StatusCodeToString(ExpectedOf(error).code));
      if (IsMadeAgain(error)) {
        EXPECT_THAT(told.Take(), ElementsAre("s OK 6", "f OK 0"));
        EXPECT_EQ(ReceiveAt(pair.peer, 6), "abcdef");
        continue;
      }
      EXPECT_THAT(told.Take(), ElementsAre(absl::StrCat("s ", code, " 2"),
                                           absl::StrCat("f ", code, " 0")));
      EXPECT_TRUE(TellsError(told.last_status(), error));
      EXPECT_EQ(ReceiveAt(pair.peer, 2), "ab");
      // Nothing more goes out.
      MustOk(pair.stream.Send(BytesOf("x"), told.Handler("s")));
      TurnUntilCount(told, 1);
      EXPECT_TRUE(TellsError(told.last_status(), error));
      // The peer has ended its side in order: an error of the sending call
      // alone does not make another end of that.
      told.Take();
      {
        const Unfaulted unfaulted;
        MustOk(pair.peer.Shutdown(ShutdownDirection::kSend));
      }
      Room room(4);
      MustOk(pair.stream.Receive(room, told.Handler("r")));
      TurnUntilCount(told, 1);
      switch (ExpectedOf(error).code) {
        case absl::StatusCode::kUnavailable:
        case absl::StatusCode::kDeadlineExceeded:
        case absl::StatusCode::kPermissionDenied:
          EXPECT_TRUE(TellsError(told.last_status(), error));
          break;
        default:
          EXPECT_THAT(told.Take(), ElementsAre("r OK 0"));
          break;
      }
    }
  }
}

// A copy is told of by the next operation.
TEST_P(OperationError, O05_ACopyThatIsNotSent) {
  for (const std::size_t size : {3, 5000}) {
    for (const int error : Errors(Call::k_send)) {
      SCOPED_ERROR(error);
      StreamAndPeer pair = Pair();
      Indications told;
      // A large one is tried at once.
      Begin(size > 4096 ? Fault{.call = Call::k_send}
                        : FaultOf(Call::k_send, kSendRequest),
            error);
      if (size > 4096 && error == ECANCELED) continue;
      const std::string text = conformance::Pattern(size);
      EXPECT_OK(pair.stream.SendCopy(BytesOf(text)));
      MustOk(pair.stream.Flush(told.Handler("f")));
      ExpectTold(told, error, IsMadeAgain(error));
      if (IsMadeAgain(error)) {
        EXPECT_EQ(ReceiveAt(pair.peer, size), text);
      }
    }
  }
}

TEST_P(OperationError, O01_ASendFromAFile) {
  const File file = Must(File::Open("/proc/self/exe"));
  for (const int error : ErrorsOf(Call::k_sendfile)) {
    SCOPED_ERROR(error);
    StreamAndPeer pair = Pair();
    Indications told;
    Clear();
    Inject({.call = Call::k_sendfile, .most = 100});
    // sigtimedwait(2) takes off the signal that a broken pipe raises here.
    Inject({.call = Call::k_sigtimedwait, .error = EINTR, .times = 2});
    Inject({.call = Call::k_sendfile, .error = error});
    MustOk(pair.stream.SendFile(file, 0, 1000, told.Handler("f")));
    TurnUntilCount(told, 1);
    if (IsMadeAgain(error)) {
      EXPECT_THAT(told.Take(), ElementsAre("f OK 1000"));
      EXPECT_EQ(ReceiveAt(pair.peer, 1000).size(), 1000u);
    } else {
      EXPECT_TRUE(TellsError(told.last_status(), error));
      EXPECT_THAT(
          told.Take(),
          ElementsAre(absl::StrCat(
              "f ", absl::StatusCodeToString(ExpectedOf(error).code), " 100")));
    }
  }
}

TEST_P(OperationError, O01_AConnect) {
  std::vector<int> errors = ErrorsOf(Call::k_connect);
  if (on_io_uring()) {
    std::erase(errors, EINPROGRESS);
    std::erase(errors, ECONNABORTED);
    errors.push_back(ECANCELED);
  }
  for (const int error : errors) {
    SCOPED_ERROR(error);
    const Socket listener = PlainListener();
    Stream stream = Must(Stream::Open(loop(), AddressFamily::kIpv4));
    Indications told;
    Begin(FaultOf(Call::k_connect, kConnectRequest), error);
    MustOk(stream.Connect(AddressOf(listener), told.Handler("c")));
    const bool bridged = error == EINPROGRESS || error == EINTR ||
                         error == ECANCELED || error == ECONNABORTED;
    ExpectTold(told, error, bridged);
    if (bridged) continue;
    // A failed stream can only be closed.
    EXPECT_CODE(stream.Connect(AddressOf(listener), told.Handler("c")),
                kFailedPrecondition);
    told.Take();
    MustOk(stream.Close(told.ForClose("closed")));
    TurnUntilCount(told, 1);
  }
  // A mechanism that connects by itself tells the outcome, too.
  if (on_io_uring()) return;
  for (const int error : ErrorsOf(Call::k_getsockopt)) {
    SCOPED_ERROR(error);
    const Socket listener = PlainListener();
    Stream stream = Must(Stream::Open(loop(), AddressFamily::kIpv4));
    Indications told;
    Begin({.call = Call::k_getsockopt}, error);
    MustOk(stream.Connect(AddressOf(listener), told.Handler("c")));
    ExpectTold(told, error, /*bridged=*/false);
  }
}

TEST_P(OperationError, C03_ADisconnect) {
  for (const int error : ErrorsOf(Call::k_shutdown)) {
    SCOPED_ERROR(error);
    StreamAndPeer pair = Pair();
    Indications told;
    Begin({.call = Call::k_shutdown}, error);
    MustOk(pair.stream.Disconnect(told.Handler("d")));
    ExpectTold(told, error, /*bridged=*/false);
  }
}

// Closing does what it can: the close is told, the descriptor is gone, and what
// was sent arrives, whatever the calls on the way say.
TEST_P(OperationError, C01_AClose) {
  struct Step {
    Call call;
    CloseMode mode;
  };
  for (const Step& step : {Step{Call::k_shutdown, CloseMode::kGraceful},
                           Step{Call::k_recv, CloseMode::kGraceful},
                           Step{Call::k_setsockopt, CloseMode::kAbortive},
                           Step{Call::k_close, CloseMode::kGraceful}}) {
    for (const int error : ErrorsOf(step.call)) {
      if (error == EINTR && step.call == Call::k_recv) continue;
      SCOPED_TRACE(NameOf(step.call));
      SCOPED_ERROR(error);
      StreamAndPeer pair = Pair(AddressFamily::kIpv4);
      Indications told;
      Room room(4);
      MustOk(pair.stream.Receive(room, told.Handler("r")));
      MustOk(pair.stream.Send(BytesOf("abc"), told.Handler("s")));
      TurnUntilCount(told, 1);
      Begin({.call = step.call}, error);
      MustOk(pair.stream.Close(told.ForClose("closed"), step.mode));
      TurnUntilCount(told, 3);
      EXPECT_EQ(Hits(), 1u);
      EXPECT_THAT(told.Take(),
                  ElementsAre("s OK 3", "r CANCELLED 0", "closed"));
      const Unfaulted unfaulted;
      EXPECT_EQ(ReceiveAt(pair.peer, 3), "abc");
      conformance::AwaitPeerClosed(pair.peer);
    }
  }
}

}  // namespace
}  // namespace weir::faults
