// Datagrams that wait to be sent leave together, and end each by itself.
// Counted at sendmmsg(2), which this program stands in front of.

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "platform/datagram_io.h"
#include "tests/conformance/conformance.h"
#include "weir/datagram_socket.h"
#include "weir/status.h"

namespace {

// How many datagrams each call offered, and how many the system took of them:
// -1 for an error.
struct Call {
  int offered;
  int taken;
  friend bool operator==(const Call&, const Call&) = default;
};
std::vector<Call> calls;

// How many datagrams the next calls may take; 0: the socket is full.
std::deque<unsigned> limits;

// What the next calls fail with; 0: they do not.
std::deque<int> errors;

// Whether what is to be cut into several datagrams is refused, as by an
// interface that cannot compute their checksums (EIO, udp(7)).
bool cuts_nothing = false;

// A control message is for that here.
bool IsToBeCut(const mmsghdr& message) {
  return message.msg_hdr.msg_controllen > 0;
}

}  // namespace

extern "C" int sendmmsg(int descriptor, mmsghdr* messages, unsigned count,
                        int flags) {
  unsigned most = count;
  if (!limits.empty()) {
    most = std::min(most, limits.front());
    limits.pop_front();
  }
  int result = -1;
  int injected = 0;
  if (!errors.empty()) {
    injected = errors.front();
    errors.pop_front();
  }
  if (injected != 0) {
    errno = injected;
  } else if (most == 0) {
    errno = EAGAIN;
  } else if (cuts_nothing && IsToBeCut(messages[0])) {
    errno = EIO;
  } else {
    result = static_cast<int>(
        ::syscall(SYS_sendmmsg, descriptor, messages, most, flags));
  }
  const int error = errno;
  calls.push_back({static_cast<int>(count), result});
  errno = error;
  return result;
}

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

ConstBuffer BytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

class DatagramBatchTest : public Conformance {
 protected:
  void SetUp() override {
    Conformance::SetUp();
    receiver_ = Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0)));
    sender_ =
        Must(DatagramSocket::Bind(loop(), SocketAddress::Ipv4Loopback(0)));
    // Of the tests that do not count.
    TurnPastSentinel();
    calls.clear();
    limits.clear();
    errors.clear();
    cuts_nothing = false;
  }

  SocketAddress destination() const { return AddressOf(receiver_); }

  CompletionHandler Handler(std::string name) {
    return [this, name = std::move(name)](const Completion& done) {
      told_.push_back(absl::StrCat(name, " ",
                                   absl::StatusCodeToString(done.status.code()),
                                   " ", done.bytes));
      causes_.push_back(CauseOf(done.status));
    };
  }
  void SendTo(std::string_view text, Operation* handle = nullptr) {
    MustOk(sender_.SendTo(BytesOf(text), destination(),
                          Handler(std::string(text.substr(0, 8))),
                          {.handle = handle}));
  }
  void TurnUntilTold(std::size_t count) {
    TurnUntil([&] { return told_.size() >= count; });
  }
  // What has arrived at `socket`.
  static std::vector<std::string> Arrived(Socket& socket) {
    std::vector<std::string> all;
    std::string buffer(65536, '\0');
    while (true) {
      const auto received = Must(socket.Receive(
          std::as_writable_bytes(std::span(buffer.data(), buffer.size()))));
      if (received.would_block) return all;
      all.push_back(buffer.substr(0, received.bytes));
    }
  }

  Socket receiver_;
  DatagramSocket sender_;
  std::vector<std::string> told_;
  std::vector<ErrorCause> causes_;
};
WEIR_CONFORMANCE_SUITE(DatagramBatchTest);

TEST_P(DatagramBatchTest, O06_DatagramsThatWaitLeaveInOneCall) {
  std::vector<std::string> texts;
  std::vector<std::string> expected;
  for (int i = 0; i < 64; ++i) {
    texts.push_back(absl::StrCat("d", i));
    expected.push_back(absl::StrCat(texts.back(), " OK ", texts.back().size()));
  }
  for (const std::string& text : texts) SendTo(text);
  EXPECT_THAT(calls, IsEmpty());
  TurnUntilTold(texts.size());
  EXPECT_THAT(calls, ElementsAre(Call{64, 64}));
  EXPECT_EQ(told_, expected);
  EXPECT_EQ(Arrived(receiver_), texts);
}

TEST_P(DatagramBatchTest, O06_ACallTakesAtMostSixtyFour) {
  for (int i = 0; i < 150; ++i) SendTo("x");
  TurnUntilTold(150);
  EXPECT_THAT(calls, ElementsAre(Call{64, 64}, Call{64, 64}, Call{22, 22}));
  EXPECT_EQ(Arrived(receiver_).size(), 150u);
}

// To the peer and elsewhere, gathered, copied and empty.
TEST_P(DatagramBatchTest, O06_AllKindsLeaveTogether) {
  Socket elsewhere = Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0)));
  MustOk(sender_.Connect(destination()));
  const std::vector<ConstBuffer> parts = {BytesOf("a"), BytesOf(""),
                                          BytesOf("bc")};
  MustOk(sender_.Send(BytesOf("peer"), Handler("send")));
  MustOk(sender_.SendTo(BytesOf("other"), AddressOf(elsewhere),
                        Handler("send to")));
  MustOk(sender_.SendVector(parts, Handler("vector")));
  Must(sender_.SendCopy(BytesOf("copy"), SocketAddress()));
  Must(sender_.SendCopy(BytesOf("copied"), AddressOf(elsewhere)));
  MustOk(sender_.Send({}, Handler("empty")));
  MustOk(sender_.SendVector({}, Handler("no parts")));
  TurnUntilTold(5);
  EXPECT_THAT(calls, ElementsAre(Call{7, 7}));
  EXPECT_THAT(told_, ElementsAre("send OK 4", "send to OK 5", "vector OK 3",
                                 "empty OK 0", "no parts OK 0"));
  EXPECT_THAT(Arrived(receiver_), ElementsAre("peer", "abc", "copy", "", ""));
  EXPECT_THAT(Arrived(elsewhere), ElementsAre("other", "copied"));
}

// A call has room for so many buffers: those of four such datagrams.
TEST_P(DatagramBatchTest, O06_ManyBuffersLeaveInSeveralCalls) {
  MustOk(sender_.Connect(destination()));
  const std::vector<ConstBuffer> parts(64, BytesOf("x"));
  for (int i = 0; i < 10; ++i) MustOk(sender_.SendVector(parts, Handler("v")));
  TurnUntilTold(10);
  EXPECT_THAT(calls, ElementsAre(Call{4, 4}, Call{4, 4}, Call{2, 2}));
  EXPECT_EQ(Arrived(receiver_),
            std::vector<std::string>(10, std::string(64, 'x')));
}

// More than a datagram can have (EMSGSIZE), at each place.
TEST_P(DatagramBatchTest, O05_ARefusedDatagramEndsAlone) {
  constexpr std::size_t kPlaces[] = {0, 1, 5, 9};
  const std::string too_long(70000, 'l');
  for (const std::size_t place : kPlaces) {
    SCOPED_TRACE(place);
    told_.clear();
    causes_.clear();
    calls.clear();
    std::vector<std::string> expected;
    for (std::size_t i = 0; i < 10; ++i) {
      SendTo(i == place ? std::string_view(too_long) : "x");
      expected.push_back(i == place ? "llllllll INVALID_ARGUMENT 0" : "x OK 1");
    }
    TurnUntilTold(10);
    EXPECT_EQ(told_, expected);
    EXPECT_EQ(causes_[place], ErrorCause::kMessageTooLong);
    EXPECT_EQ(Arrived(receiver_), std::vector<std::string>(9, "x"));
    const int before = static_cast<int>(place);
    std::vector<Call> expected_calls;
    if (before > 0) expected_calls.push_back({10, before});
    expected_calls.push_back({10 - before, -1});
    if (before < 9) expected_calls.push_back({9 - before, 9 - before});
    EXPECT_EQ(calls, expected_calls);
  }
}

TEST_P(DatagramBatchTest, O05_AllMayBeRefused) {
  const std::string too_long(70000, 'l');
  for (int i = 0; i < 3; ++i) SendTo(too_long);
  Must(sender_.SendCopy(BytesOf(too_long), destination()));
  SendTo("last");
  TurnUntilTold(4);
  EXPECT_THAT(told_, ElementsAre("llllllll INVALID_ARGUMENT 0",
                                 "llllllll INVALID_ARGUMENT 0",
                                 "llllllll INVALID_ARGUMENT 0", "last OK 4"));
  EXPECT_THAT(Arrived(receiver_), ElementsAre("last"));
  // Nothing of them counts as still to be sent.
  EXPECT_EQ(Must(sender_.SendCopy(BytesOf("abc"), destination())), 3u);
}

// The socket takes three, and then no more for a while.
TEST_P(DatagramBatchTest, O05_WhatDoesNotFitWaits) {
  limits = {3, 0};
  std::vector<std::string> texts;
  for (int i = 0; i < 10; ++i) texts.push_back(absl::StrCat(i));
  for (const std::string& text : texts) SendTo(text);
  Turn();
  EXPECT_EQ(told_.size(), 3u);
  EXPECT_THAT(calls, ElementsAre(Call{10, 3}, Call{7, -1}));
  TurnUntilTold(10);
  EXPECT_THAT(calls, ElementsAre(Call{10, 3}, Call{7, -1}, Call{7, 7}));
  EXPECT_EQ(Arrived(receiver_), texts);
}

TEST_P(DatagramBatchTest, O10_WhatIsCancelledDoesNotLeave) {
  limits = {2, 0};
  std::vector<std::string> texts;
  std::vector<Operation> handles(6);
  for (int i = 0; i < 6; ++i) texts.push_back(absl::StrCat(i));
  for (std::size_t i = 0; i < 6; ++i) SendTo(texts[i], &handles[i]);
  EXPECT_OK(handles[0].Cancel());
  Turn();
  EXPECT_THAT(told_, ElementsAre("0 CANCELLED 0", "1 OK 1", "2 OK 1"));
  EXPECT_CODE(handles[1].Cancel(), kFailedPrecondition);
  EXPECT_OK(handles[4].Cancel());
  TurnUntilTold(6);
  EXPECT_THAT(told_, ElementsAre("0 CANCELLED 0", "1 OK 1", "2 OK 1",
                                 "4 CANCELLED 0", "3 OK 1", "5 OK 1"));
  EXPECT_THAT(Arrived(receiver_), ElementsAre("1", "2", "3", "5"));
}

TEST_P(DatagramBatchTest, O05_WhatHasLeftIsNoLongerToBeSent) {
  limits = {1, 0};
  EXPECT_EQ(Must(sender_.SendCopy(BytesOf("123"), destination())), 3u);
  EXPECT_EQ(Must(sender_.SendCopy(BytesOf("4567"), destination())), 7u);
  Turn();
  EXPECT_EQ(Must(sender_.SendCopy(BytesOf("89abc"), destination())), 9u);
  SendTo("last");
  TurnUntilTold(1);
  EXPECT_THAT(calls, ElementsAre(Call{2, 1}, Call{1, -1}, Call{3, 3}));
  EXPECT_EQ(Must(sender_.SendCopy(BytesOf("0"), destination())), 1u);
  EXPECT_THAT(Arrived(receiver_), ElementsAre("123", "4567", "89abc", "last"));
}

// The system cuts them; the last may be shorter.
TEST_P(DatagramBatchTest, O06_CopiesOfOneLengthLeaveAsOne) {
  if (!platform::SendOffloadSupported()) {
    GTEST_SKIP() << "the system cannot cut datagrams";
  }
  std::vector<std::string> texts(63, "abcd");
  texts.push_back("e");
  for (const std::string& text : texts) {
    Must(sender_.SendCopy(BytesOf(text), destination()));
  }
  SendTo("last");
  TurnUntilTold(1);
  EXPECT_THAT(calls, ElementsAre(Call{2, 2}));
  texts.push_back("last");
  EXPECT_EQ(Arrived(receiver_), texts);
  EXPECT_EQ(Must(sender_.SendCopy(BytesOf("0"), destination())), 1u);
}

// The same of one copy, and of copies that go on where it ends.
TEST_P(DatagramBatchTest, O06_SeveralOfOneCopyLeaveAsOne) {
  if (!platform::SendOffloadSupported()) {
    GTEST_SKIP() << "the system cannot cut datagrams";
  }
  Must(sender_.SendCopy(BytesOf("abcdefgh"), destination(), 4));
  Must(sender_.SendCopy(BytesOf("ijkl"), destination()));
  Must(sender_.SendCopy(BytesOf("mnopqr"), destination(), 4));
  // The end of the one before is shorter, and these are of another length.
  Must(sender_.SendCopy(BytesOf("stuvwx"), destination(), 3));
  SendTo("last");
  TurnUntilTold(1);
  EXPECT_THAT(calls, ElementsAre(Call{3, 3}));
  EXPECT_THAT(Arrived(receiver_), ElementsAre("abcd", "efgh", "ijkl", "mnop",
                                              "qr", "stu", "vwx", "last"));
  EXPECT_EQ(Must(sender_.SendCopy(BytesOf("0"), destination())), 1u);
}

// More than one walk through the network stack takes, and longer than every way
// takes whole.
TEST_P(DatagramBatchTest, O06_MuchOfOneCopyLeavesInSeveral) {
  if (!platform::SendOffloadSupported()) {
    GTEST_SKIP() << "the system cannot cut datagrams";
  }
  const std::string many(130, 'm');
  Must(sender_.SendCopy(BytesOf(many), destination(), 1));
  SendTo("last");
  TurnUntilTold(1);
  EXPECT_THAT(calls, ElementsAre(Call{4, 4}));
  EXPECT_EQ(Arrived(receiver_).size(), 131u);
  calls.clear();
  const std::string longer(3000, 'l');
  Must(sender_.SendCopy(BytesOf(longer), destination(), 1400));
  SendTo("last");
  TurnUntilTold(2);
  EXPECT_THAT(calls, ElementsAre(Call{2, 2}));
  EXPECT_THAT(Arrived(receiver_),
              ElementsAre(std::string(1400, 'l'), std::string(1400, 'l'),
                          std::string(200, 'l'), "last"));
}

// Too long for the way: these are sent one by one, the next ones are not.
TEST_P(DatagramBatchTest, O06_OnlyWhatIsTooLongLeavesOneByOne) {
  if (!platform::SendOffloadSupported()) {
    GTEST_SKIP() << "the system cannot cut datagrams";
  }
  const std::string longer(3000, 'l');
  errors = {EINVAL};
  Must(sender_.SendCopy(BytesOf(longer), destination(), 1400));
  SendTo("last");
  TurnUntilTold(1);
  Must(sender_.SendCopy(BytesOf("abcdefgh"), destination(), 4));
  SendTo("last");
  TurnUntilTold(2);
  EXPECT_THAT(calls, ElementsAre(Call{2, -1}, Call{4, 4}, Call{2, 2}));
  EXPECT_EQ(Arrived(receiver_).size(), 7u);
}

// A refusal that one datagram alone meets as well is not for being together.
TEST_P(DatagramBatchTest, O06_ARefusedDestinationDoesNotEndTheJoining) {
  if (!platform::SendOffloadSupported()) {
    GTEST_SKIP() << "the system cannot cut datagrams";
  }
  const SocketAddress nowhere = SocketAddress::Ipv4Loopback(0);
  Must(sender_.SendCopy(BytesOf("abcdefgh"), nowhere, 4));
  Must(sender_.SendCopy(BytesOf("ijklmnop"), destination(), 4));
  SendTo("last");
  TurnUntilTold(1);
  EXPECT_THAT(Arrived(receiver_), ElementsAre("ijkl", "mnop", "last"));
  EXPECT_EQ(calls.back(), (Call{2, 2}));
}

// One by one, from there on.
TEST_P(DatagramBatchTest, O05_WhatCannotBeCutLeavesOneByOne) {
  if (!platform::SendOffloadSupported()) {
    GTEST_SKIP() << "the system cannot cut datagrams";
  }
  cuts_nothing = true;
  const std::vector<std::string> texts(10, "abcd");
  for (int time = 0; time < 2; ++time) {
    for (const std::string& text : texts) {
      Must(sender_.SendCopy(BytesOf(text), destination()));
    }
    SendTo("last");
    TurnUntilTold(static_cast<std::size_t>(time + 1));
  }
  EXPECT_THAT(calls, ElementsAre(Call{2, -1}, Call{11, 11}, Call{11, 11}));
  EXPECT_EQ(Arrived(receiver_).size(), 22u);
}

// What the network says of an earlier datagram costs one, not all of them.
TEST_P(DatagramBatchTest, O05_OneOfSeveralIsRefused) {
  if (!platform::SendOffloadSupported()) {
    GTEST_SKIP() << "the system cannot cut datagrams";
  }
  errors = {ECONNREFUSED};
  Must(sender_.SendCopy(BytesOf("abcdefghij"), destination(), 4));
  SendTo("last");
  TurnUntilTold(1);
  EXPECT_THAT(Arrived(receiver_), ElementsAre("efgh", "ij", "last"));
  EXPECT_THAT(told_, ElementsAre("last OK 4"));
  EXPECT_EQ(Must(sender_.SendCopy(BytesOf("0"), destination())), 1u);
}

// Several that wait are given up together, and are no longer to be sent.
TEST_P(DatagramBatchTest, O10_SeveralThatWaitAreCancelled) {
  limits = {0};
  EXPECT_EQ(Must(sender_.SendCopy(BytesOf("abcdefgh"), destination(), 3)), 8u);
  Turn();
  ASSERT_OK(sender_.Cancel());
  SendTo("last");
  TurnUntilTold(1);
  EXPECT_THAT(Arrived(receiver_), ElementsAre("last"));
  EXPECT_EQ(Must(sender_.SendCopy(BytesOf("0"), destination())), 1u);
  // By the close, and by the end of the loop.
  limits = {0};
  Must(sender_.SendCopy(BytesOf("abcdefgh"), destination(), 3));
  Turn();
  bool closed = false;
  ASSERT_OK(sender_.Close([&] { closed = true; }));
  TurnUntil([&] { return closed; });
  sender_ = Must(DatagramSocket::Bind(loop(), SocketAddress::Ipv4Loopback(0)));
  limits = {0};
  Must(sender_.SendCopy(BytesOf("abcdefgh"), destination(), 3));
  Turn();
  DestroyLoop();
  EXPECT_THAT(Arrived(receiver_), IsEmpty());
}

// Each of them, and before what was sent after it.
TEST_P(DatagramBatchTest, O05_SeveralThatCannotBeCutLeaveOneByOne) {
  if (!platform::SendOffloadSupported()) {
    GTEST_SKIP() << "the system cannot cut datagrams";
  }
  cuts_nothing = true;
  for (int time = 0; time < 2; ++time) {
    Must(sender_.SendCopy(BytesOf("abcdefgh"), destination(), 3));
    SendTo("between");
    EXPECT_EQ(Must(sender_.SendCopy(BytesOf("ijkl"), destination(), 2)), 19u);
    TurnUntilTold(static_cast<std::size_t>(time + 1));
    TurnUntil([&] { return calls.back() == Call{2, 2}; });
    EXPECT_THAT(Arrived(receiver_),
                ElementsAre("abc", "def", "gh", "between", "ij", "kl"));
  }
  EXPECT_EQ(calls.front(), (Call{3, -1}));
  EXPECT_EQ(std::count(calls.begin(), calls.end(), Call{3, -1}), 1);
  EXPECT_EQ(Must(sender_.SendCopy(BytesOf("0"), destination())), 1u);
}

}  // namespace
}  // namespace weir::conformance
