// Overlapped calls by themselves, through the interface that the core uses:
// every submission ends once, and nothing of it is touched afterwards, also if
// the backend goes first.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/clock.h"
#include "platform/error.h"
#include "platform/sockets.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/descriptors.h"
#include "tests/conformance/operations.h"
#include "tests/support/system.h"
#include "weir/file.h"
#include "weir/status.h"

namespace weir::conformance {
namespace {

using Kind = Submission::Kind;

constexpr std::size_t kMuch = 48 << 20;

class Watched : public WatchedSocket {
 public:
  explicit Watched(const Socket& socket) : WatchedSocket(socket.native()) {}
  using WatchedSocket::pins;
};

// A submission, and what it needs.
struct Call {
  Call(const Socket& socket, Kind kind, std::size_t room = 0)
      : record(socket), text(room, '.') {
    submission.kind = kind;
    submission.socket = &record;
    submission.address = &address;
  }
  std::span<const std::span<std::byte>> buffers() {
    bytes = std::as_writable_bytes(std::span(text.data(), text.size()));
    return text.empty() ? std::span<const std::span<std::byte>>()
                        : std::span<const std::span<std::byte>>(&bytes, 1);
  }

  Watched record;
  Submission submission;
  SocketAddress address;
  std::string text;
  std::span<std::byte> bytes;
};

ErrorCause CauseOfResult(std::int64_t result) {
  return result >= 0 ? ErrorCause::kNone
                     : platform::CauseOfSystemCode(static_cast<int>(-result));
}

// The parameter: for how many threads the backend is made.
class Overlapped : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    const auto names = BackendsUnderTest();
    if (std::find(names.begin(), names.end(), "iocp-overlapped") ==
        names.end()) {
      GTEST_SKIP() << "iocp-overlapped is not under test";
    }
    backend_ = NewBackend();
  }
  std::unique_ptr<Backend> NewBackend() {
    return Must(CreateBackend("iocp-overlapped", {.threads = GetParam()}));
  }
  void Start(Call& call) {
    known_.insert(&call.submission);
    ASSERT_OK(backend_->Start(call.submission, call.buffers()));
    if (call.submission.reported) NoteReport(call.submission);
  }
  void Turn(std::int64_t timeout_ns) {
    if (GetParam() > 1) {
      ASSERT_OK(backend_->Submit());
    }
    ASSERT_OK(backend_->Wait(timeout_ns));
    backend_->Collect(ready_);
    while (WatchedSocket* socket = ready_.Pop()) {
      for (Submission* at : known_) {
        if (at->socket == socket && at->reported) NoteReport(*at);
      }
    }
  }
  // Turns until `call` has ended, and returns how.
  std::int64_t AwaitEnd(Call& call) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (call.submission.in_flight && absl::Now() < deadline) {
      Turn(10'000'000);
    }
    EXPECT_FALSE(call.submission.in_flight) << "it has not ended";
    return call.submission.result;
  }
  void NoteReport(Submission& submission) {
    submission.reported = false;
    ++reports_[&submission];
  }
  static Socket Datagrams() {
    return Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0)));
  }
  // It has ended once, and more does not come.
  void ExpectReportedOnce(Call& call) {
    for (int i = 0; i < 3; ++i) Turn(0);
    EXPECT_EQ(reports_[&call.submission], 1);
    EXPECT_EQ(call.record.pins(), 0u);
  }

  std::unique_ptr<Backend> backend_;
  ReadyList ready_;
  std::set<Submission*> known_;
  std::map<Submission*, int> reports_;
};
INSTANTIATE_TEST_SUITE_P(, Overlapped, ::testing::Values(1, 2),
                         [](const auto& parameter) {
                           return "for_" + std::to_string(parameter.param);
                         });

// With a packet or without one.
TEST_P(Overlapped, O02_WhatEndsAtOnceEndsOnce) {
  Connection pair = Connected();
  Call receive(pair.client, Kind::kReceive, 8);
  for (int round = 0; round < 20; ++round) {
    Send(pair.server, "abc");
    AwaitReadable(pair.client);
    receive.text.assign(8, '.');
    Start(receive);
    EXPECT_EQ(AwaitEnd(receive), 3);
    ExpectReportedOnce(receive);
    EXPECT_EQ(receive.text, "abc.....");
    reports_.clear();
  }
}

TEST_P(Overlapped, O10_EveryKindEndsOnceWhenItIsCancelled) {
  Connection pair = Connected();
  Connection other = Connected();
  Connection third = Connected();
  Socket listener = Listener();
  Socket many = Listener();
  Call receive(pair.client, Kind::kReceive, 8);
  Call send(other.client, Kind::kSend, kMuch);
  Call endless(third.client, Kind::kReceiveMany);
  Call accept(listener, Kind::kAccept);
  Call accepts(many, Kind::kAcceptMany);
  Socket datagrams = Datagrams();
  Socket others = Datagrams();
  Call receive_from(datagrams, Kind::kReceiveFrom, 8);
  Call await(others, Kind::kAwaitDatagram);
  const std::array all = {&receive, &send,         &endless, &accept,
                          &accepts, &receive_from, &await};
  for (Call* call : all) {
    Start(*call);
  }
  Turn(0);
  for (Call* call : all) {
    EXPECT_TRUE(call->submission.in_flight);
    backend_->Cancel(call->submission);
    // Asked twice, it ends once.
    backend_->Cancel(call->submission);
  }
  for (Call* call : all) {
    const std::int64_t result = AwaitEnd(*call);
    if (call == &send && result > 0) {
      // Some went before.
      EXPECT_LT(result, static_cast<std::int64_t>(kMuch));
    } else {
      EXPECT_EQ(CauseOfResult(result), ErrorCause::kCancelled);
    }
    ExpectReportedOnce(*call);
  }
}

// Nothing of a cancelled send is sent on a socket that has the handle's
// number afterwards.
TEST_P(Overlapped, R10_ACancelledSendSendsNothingOnTheNextOfItsNumber) {
  for (int round = 0; round < 5; ++round) {
    Connection old = Connected();
    Call send(old.client, Kind::kSend, kMuch);
    Start(send);
    EXPECT_TRUE(send.submission.in_flight);
    backend_->Cancel(send.submission);
    old.client.Close();
    Connection fresh = Connected();
    (void)AwaitEnd(send);
    ExpectReportedOnce(send);
    old.server.Close();
    Send(fresh.client, "fresh");
    AwaitReadable(fresh.server);
    EXPECT_EQ(Drain(fresh.server), "fresh");
    known_.clear();
    reports_.clear();
  }
}

TEST_P(Overlapped, R21_AllThatWaitAreAccepted) {
  Socket listener = Listener();
  constexpr std::size_t kClients = 20;
  std::vector<Socket> clients;
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.push_back(Must(Socket::Connect(AddressOf(listener))));
  }
  Call accepts(listener, Kind::kAcceptMany);
  Start(accepts);
  std::size_t accepted = 0;
  const absl::Time deadline = absl::Now() + kPatience;
  while (accepted < kClients && absl::Now() < deadline) {
    while (const auto native = backend_->NextAccepted(accepts.submission)) {
      ++accepted;
      EXPECT_OK(platform::PeerAddress(*native));
      EXPECT_OK(platform::Close(*native));
    }
    if (accepted < kClients) Turn(10'000'000);
  }
  EXPECT_EQ(accepted, kClients);
  backend_->Cancel(accepts.submission);
  EXPECT_EQ(CauseOfResult(AwaitEnd(accepts)), ErrorCause::kCancelled);
  ExpectReportedOnce(accepts);
}

TEST_P(Overlapped, R21_AnAcceptSaysWhoItIs) {
  Socket listener = Listener();
  Call accept(listener, Kind::kAccept);
  Start(accept);
  Socket client = Must(Socket::Connect(AddressOf(listener)));
  const std::int64_t result = AwaitEnd(accept);
  ASSERT_GE(result, 0);
  EXPECT_EQ(accept.address, AddressOf(client));
  EXPECT_OK(platform::Close(static_cast<NativeSocket>(result)));
}

// One that waits, and one that ends at once.
TEST_P(Overlapped, O01_AReceiveTakesOneDatagramAndSaysWhose) {
  for (const bool waits : {true, false}) {
    Socket socket = Datagrams();
    Socket peer = Datagrams();
    Call receive(socket, Kind::kReceiveFrom, 8);
    Call send(peer, Kind::kSendTo, 3);
    send.address = AddressOf(socket);
    send.text = "abc";
    if (waits) Start(receive);
    Start(send);
    EXPECT_EQ(AwaitEnd(send), 3);
    if (!waits) {
      AwaitReadable(socket);
      Start(receive);
    }
    EXPECT_EQ(AwaitEnd(receive), 3);
    EXPECT_EQ(receive.text, "abc.....");
    EXPECT_EQ(receive.address, AddressOf(peer));
    EXPECT_FALSE(receive.submission.truncated);
    ExpectReportedOnce(receive);
    ExpectReportedOnce(send);
    known_.clear();
    reports_.clear();
  }
}

TEST_P(Overlapped, O01_ADatagramThatIsTooLongIsCut) {
  for (const bool waits : {true, false}) {
    Socket socket = Datagrams();
    Socket peer = Datagrams();
    Call receive(socket, Kind::kReceiveFrom, 2);
    // At once, it may send a packet or not: ten of them, one after the other.
    for (int round = 0; round < 10; ++round) {
      receive.text.assign(2, '.');
      if (waits) Start(receive);
      EXPECT_OK(peer.SendTo(BytesOf("abc"), AddressOf(socket)));
      if (!waits) {
        AwaitReadable(socket);
        Start(receive);
      }
      EXPECT_EQ(AwaitEnd(receive), 2);
      EXPECT_EQ(receive.text, "ab");
      EXPECT_TRUE(receive.submission.truncated);
      EXPECT_EQ(receive.address, AddressOf(peer));
      ExpectReportedOnce(receive);
      reports_.clear();
    }
    known_.clear();
  }
}

// Who waits for a datagram finds it where it is.
TEST_P(Overlapped, R20_AWaitForADatagramTakesNothing) {
  for (const char* text : {"abc", ""}) {
    Socket socket = Datagrams();
    Socket peer = Datagrams();
    Call await(socket, Kind::kAwaitDatagram);
    Start(await);
    Turn(0);
    EXPECT_TRUE(await.submission.in_flight);
    EXPECT_OK(peer.SendTo(BytesOf(text), AddressOf(socket)));
    EXPECT_GE(AwaitEnd(await), 0);
    ExpectReportedOnce(await);
    EXPECT_EQ(Receive(socket), text);
    known_.clear();
    reports_.clear();
  }
}

TEST_P(Overlapped, O01_AFileIsSentInParts) {
  const File file = Must(File::Open(test::ThisProgram()));
  Connection pair = Connected();
  Call send(pair.client, Kind::kSendFile);
  FilePart part{.file = file.native(), .offset = 1, .length = 1000};
  send.submission.part = &part;
  Start(send);
  EXPECT_EQ(AwaitEnd(send), 1000);
  ExpectReportedOnce(send);
  std::string arrived;
  while (arrived.size() < 1000) {
    AwaitReadable(pair.server);
    arrived += Drain(pair.server);
  }
  // "MZ" begins every program.
  EXPECT_EQ(arrived.front(), 'Z');
  // Behind its end there is nothing.
  part.offset = std::uint64_t{1} << 40;
  reports_.clear();
  Start(send);
  EXPECT_EQ(AwaitEnd(send), 0);
  ExpectReportedOnce(send);
}

// A handle belongs to one port for ever: on another, the core does without.
TEST_P(Overlapped, O13_WhatBelongsToAnotherPortIsRefused) {
  Connection pair = Connected();
  Call here(pair.client, Kind::kReceive, 8);
  Start(here);
  const auto elsewhere = NewBackend();
  Call there(pair.client, Kind::kReceive, 8);
  for (int i = 0; i < 2; ++i) {
    EXPECT_CODE(elsewhere->Start(there.submission, there.buffers()),
                kFailedPrecondition);
    EXPECT_FALSE(there.submission.in_flight);
    EXPECT_EQ(there.record.pins(), 0u);
  }
  Send(pair.server, "abc");
  EXPECT_EQ(AwaitEnd(here), 3);
}

// Nothing is left open, and nothing is written any more.
TEST_P(Overlapped, C04_TheBackendEndsWithEverythingUnderWay) {
  const std::size_t before = OpenDescriptors();
  backend_ = NewBackend();
  {
    Connection pair = Connected();
    Connection other = Connected();
    Socket listener = Listener();
    Socket many = Listener();
    Call receive(pair.client, Kind::kReceive, 8);
    Call send(other.client, Kind::kSend, kMuch);
    Call endless(other.server, Kind::kReceiveMany);
    Call accept(listener, Kind::kAccept);
    Call accepts(many, Kind::kAcceptMany);
    for (Call* call : {&receive, &send, &endless, &accept, &accepts}) {
      Start(*call);
    }
    // Accepted, and told to nobody.
    Socket client = Must(Socket::Connect(AddressOf(many)));
    AwaitWritable(client);
    known_.clear();
    backend_ = nullptr;
    Send(pair.server, "late");
    AwaitReadable(pair.client);
    EXPECT_EQ(Receive(pair.client), "late");
    EXPECT_EQ(receive.text, "........");
  }
  backend_ = NewBackend();
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace weir::conformance
