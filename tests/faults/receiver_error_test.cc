// What goes on by itself, and datagrams, with every error: accepting neither
// spins nor loses the listener, datagrams end one by one.

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "platform/address_changes.h"
#include "tests/faults/fault_test.h"

namespace weir::faults {
namespace {

using conformance::AddressOf;
using conformance::BytesOf;
using conformance::Indications;
using conformance::Must;
using conformance::MustOk;
using conformance::Room;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string CodeOf(int error) {
  return std::string(absl::StatusCodeToString(ExpectedOf(error).code));
}

// Errors of a connection that died, or of the network on its way (accept(2)).
bool IsPassedOver(int error) {
  constexpr int kErrors[] = {
      ECONNABORTED, EHOSTDOWN, EHOSTUNREACH, EINTR,  ENETDOWN,
      ENETUNREACH,  ENONET,    ENOPROTOOPT,  EPROTO, ETIMEDOUT};
  return std::find(std::begin(kErrors), std::end(kErrors), error) !=
         std::end(kErrors);
}

class ReceiverError : public FaultTest {
 protected:
  weir::Listener Listening() {
    const Unfaulted unfaulted;
    TurnPastSentinel();
    return Must(weir::Listener::Listen(loop(), SocketAddress::Ipv4Loopback(0)));
  }
  static Socket Client(const weir::Listener& listener) {
    const Unfaulted unfaulted;
    Socket client = Must(Socket::Connect(Must(listener.LocalAddress())));
    conformance::AwaitWritable(client);
    return client;
  }
  DatagramSocket Datagrams() {
    const Unfaulted unfaulted;
    TurnPastSentinel();
    return Must(DatagramSocket::Bind(loop(), SocketAddress::Ipv4Loopback(0)));
  }
  static void SendTo(const DatagramSocket& to, std::string_view text) {
    const Unfaulted unfaulted;
    Socket from = Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0)));
    MustOk(from.SendTo(BytesOf(text), Must(to.LocalAddress())).status());
  }
  // An accept that goes on: by the mechanism, and by the call that is made when
  // the mechanism cannot.
  void FailAccepting(int error, std::uint64_t times) {
    Clear();
    Inject({.call = Call::k_accept4, .error = error, .times = times});
    if (!on_io_uring()) return;
    Inject({.call = Call::k_ring_entry,
            .error = error,
            .times = times,
            .detail = kAcceptRequest});
  }
};
WEIR_CONFORMANCE_SUITE(ReceiverError);

TEST_P(ReceiverError, R21_APostedAccept) {
  std::vector<int> errors = ErrorsOf(Call::k_accept4);
  if (on_io_uring()) errors.push_back(ECANCELED);
  for (const int error : errors) {
    SCOPED_TRACE(::strerrorname_np(error));
    weir::Listener listener = Listening();
    Socket client = Client(listener);
    Indications told;
    Clear();
    Fault fault = FaultOf(Call::k_accept4, kAcceptRequest);
    fault.error = error;
    Inject(fault);
    MustOk(listener.Accept(told.ForAccept("a")));
    TurnUntilCount(told, 1);
    EXPECT_EQ(Hits(), 1u);
    if (!IsPassedOver(error) && error != EAGAIN && error != ECANCELED) {
      EXPECT_TRUE(TellsError(told.last_status(), error));
      told.Take();
      // The connection has waited.
      MustOk(listener.Accept(told.ForAccept("a")));
      TurnUntilCount(told, 1);
    }
    EXPECT_THAT(told.Take(), ElementsAre("a OK 0"));
    EXPECT_EQ(told.TakeAccepted().at(0).peer, AddressOf(client));
  }
}

// Passed over without a word, and at once; would-block until there is one.
TEST_P(ReceiverError, R21_AcceptingPassesOverWhatDied) {
  for (const int error : ErrorsOf(Call::k_accept4)) {
    if (!IsPassedOver(error) && error != EAGAIN) continue;
    SCOPED_TRACE(::strerrorname_np(error));
    weir::Listener listener = Listening();
    Indications told;
    FailAccepting(error, 3);
    MustOk(listener.StartAccepting(told.ForAccept("a")));
    Socket client = Client(listener);
    TurnUntilCount(told, 1);
    EXPECT_THAT(told.Take(), ElementsAre("a OK 0"));
  }
}

// Told, and after a rest it goes on: the connection is not lost, and neither is
// the listener.
TEST_P(ReceiverError, R21_AcceptingGoesOnAfterAnError) {
  for (const int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM, EINVAL}) {
    SCOPED_TRACE(::strerrorname_np(error));
    weir::Listener listener = Listening();
    Indications told;
    FailAccepting(error, 1);
    MustOk(listener.StartAccepting(told.ForAccept("a")));
    Socket client = Client(listener);
    TurnUntilCount(told, 1);
    EXPECT_TRUE(TellsError(told.last_status(), error));
    TurnUntilCount(told, 2);
    EXPECT_THAT(told.Take(),
                ElementsAre(absl::StrCat("a ", CodeOf(error), " 0"), "a OK 0"));
    Socket second = Client(listener);
    TurnUntilCount(told, 1);
    EXPECT_THAT(told.Take(), ElementsAre("a OK 0"));
    MustOk(listener.Close(told.ForClose("closed")));
    TurnUntilCount(told, 2);
    EXPECT_THAT(told.entries(), ElementsAre("a CANCELLED 0", "closed"));
  }
}

// A listener that always says no, whatever the reason.
TEST_P(ReceiverError, R21_AcceptingThatAlwaysFailsDoesNotSpin) {
  for (const int error : {EMFILE, ENOMEM, EPERM, EINVAL, EBADF, EOPNOTSUPP}) {
    SCOPED_TRACE(::strerrorname_np(error));
    weir::Listener listener = Listening();
    Indications told;
    FailAccepting(error, Fault::kForever);
    Socket client = Client(listener);
    MustOk(listener.StartAccepting(told.ForAccept("a")));
    TurnUntilCount(told, 1);
    const std::uint64_t before = loop().counters().turns;
    TurnUntilCount(told, 2);
    EXPECT_LE(loop().counters().turns - before, 20u);
    EXPECT_THAT(
        told.Take(),
        AllOf(SizeIs(2), Each(absl::StrCat("a ", CodeOf(error), " 0"))));
    MustOk(listener.Close(told.ForClose("closed")));
    TurnUntilCount(told, 2);
    EXPECT_THAT(told.entries(), ElementsAre("a CANCELLED 0", "closed"));
  }
}

// --- datagrams

TEST_P(ReceiverError, O01_AReceiveFrom) {
  for (const int error : ErrorsOf(Call::k_recvmsg)) {
    SCOPED_TRACE(::strerrorname_np(error));
    DatagramSocket socket = Datagrams();
    Indications told;
    Room room(8);
    SendTo(socket, "abc");
    Clear();
    Inject({.call = Call::k_recvmsg, .error = error});
    MustOk(socket.ReceiveFrom(room, told.ForDatagram("r")));
    TurnUntilCount(told, 1);
    EXPECT_EQ(Hits(), 1u);
    if (error != EAGAIN && error != EINTR) {
      EXPECT_TRUE(TellsError(told.last_status(), error));
      told.Take();
      MustOk(socket.ReceiveFrom(room, told.ForDatagram("r")));
      TurnUntilCount(told, 1);
    }
    EXPECT_THAT(told.Take(), ElementsAre("r OK 3"));
    EXPECT_EQ(room.text(3), "abc");
  }
}

// Each ends by itself; those behind it are not held up.
TEST_P(ReceiverError, O05_ADatagramThatIsRefusedEndsAlone) {
  for (const int error : ErrorsOf(Call::k_sendmmsg)) {
    SCOPED_TRACE(::strerrorname_np(error));
    DatagramSocket socket = Datagrams();
    DatagramSocket to = Datagrams();
    const SocketAddress address = Must(to.LocalAddress());
    Indications told;
    Clear();
    // One goes, the second is refused.
    Inject({.call = Call::k_sendmmsg, .most = 1});
    Inject({.call = Call::k_sendmmsg, .error = error});
    for (const char* name : {"1", "2", "3"}) {
      MustOk(socket.SendTo(BytesOf("abc"), address, told.Handler(name)));
    }
    TurnUntilCount(told, 3);
    const bool bridged = error == EAGAIN || error == EINTR;
    EXPECT_THAT(told.Take(),
                ElementsAre("1 OK 3",
                            bridged ? std::string("2 OK 3")
                                    : absl::StrCat("2 ", CodeOf(error), " 0"),
                            "3 OK 3"));
  }
}

class Datagrams {
 public:
  DatagramsHandler Handler() {
    return [log = log_](const ReceivedDatagrams& received) {
      if (!received.status.ok()) {
        log->push_back(
            std::string(absl::StatusCodeToString(received.status.code())));
      }
      for (const ReceivedDatagram& datagram : received.datagrams) {
        log->push_back(conformance::TextOf(datagram.data));
      }
    };
  }
  const std::vector<std::string>& entries() const { return *log_; }

 private:
  std::shared_ptr<std::vector<std::string>> log_ =
      std::make_shared<std::vector<std::string>>();
};

// Told, and the receiving goes on.
TEST_P(ReceiverError, O12_ADatagramReceiverGoesOnAfterAnError) {
  for (const int error : ErrorsOf(Call::k_recvmmsg)) {
    SCOPED_TRACE(::strerrorname_np(error));
    DatagramSocket socket = Datagrams();
    faults::Datagrams told;
    SendTo(socket, "abc");
    Clear();
    Inject({.call = Call::k_recvmmsg, .error = error});
    MustOk(socket.StartReceive(told.Handler()));
    TurnUntil([&] {
      return !told.entries().empty() && told.entries().back() == "abc";
    });
    if (error == EAGAIN || error == EINTR) {
      EXPECT_THAT(told.entries(), ElementsAre("abc"));
    } else {
      EXPECT_THAT(told.entries(), ElementsAre(CodeOf(error), "abc"));
    }
  }
}

// What the network says of datagrams that were sent comes once each, and holds
// up nothing; what this machine lacks may come again and again.
TEST_P(ReceiverError, O12_ADatagramReceiverRestsOnlyOnItsOwnErrors) {
  for (const int error : {ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EACCES}) {
    SCOPED_TRACE(::strerrorname_np(error));
    DatagramSocket socket = Datagrams();
    faults::Datagrams told;
    MustOk(socket.StartReceive(told.Handler()));
    Turn();
    Clear();
    Inject({.call = Call::k_recvmmsg, .error = error, .times = 3});
    SendTo(socket, "abc");
    for (int i = 0; i < 10; ++i) Turn();
    EXPECT_THAT(told.entries(), ElementsAre(CodeOf(error), CodeOf(error),
                                            CodeOf(error), "abc"));
  }
  for (const int error : {ENOMEM, ENOBUFS, EBADF, EINVAL}) {
    SCOPED_TRACE(::strerrorname_np(error));
    DatagramSocket socket = Datagrams();
    faults::Datagrams told;
    SendTo(socket, "abc");
    Clear();
    Inject(
        {.call = Call::k_recvmmsg, .error = error, .times = Fault::kForever});
    MustOk(socket.StartReceive(told.Handler()));
    TurnUntil([&] { return !told.entries().empty(); });
    const std::uint64_t before = loop().counters().turns;
    TurnUntil([&] { return told.entries().size() >= 2; });
    EXPECT_LE(loop().counters().turns - before, 20u);
    EXPECT_THAT(told.entries(), ElementsAre(CodeOf(error), CodeOf(error)));
  }
}

// --- the machine's addresses

// What was told before the error is not lost with it (ENOBUFS: some of it was,
// which is a change).
TEST_P(ReceiverError, O01_AnAddressChangeOutlivesAnError) {
  auto changes = Must(platform::AddressChanges::Open());
  Clear();
  Inject({.call = Call::k_recvmsg, .error = ENOBUFS});
  Inject({.call = Call::k_recvmsg, .error = ENOMEM, .times = 2});
  const auto first = changes.TakeChanged();
  EXPECT_TRUE(first.ok() && *first) << first.status();
  EXPECT_TRUE(TellsError(changes.TakeChanged().status(), ENOMEM));
  const auto last = changes.TakeChanged();
  EXPECT_TRUE(last.ok() && !*last) << last.status();
}

TEST_P(ReceiverError, O01_AWatchOfAddressesIsOpenedWholeOrNotAtAll) {
  for (const Call call : {Call::k_socket, Call::k_bind}) {
    for (const int error : ErrorsOf(call)) {
      SCOPED_TRACE(NameOf(call));
      SCOPED_TRACE(::strerrorname_np(error));
      Clear();
      Inject({.call = call, .error = error});
      EXPECT_TRUE(TellsError(platform::AddressChanges::Open().status(), error));
    }
  }
}

}  // namespace
}  // namespace weir::faults
