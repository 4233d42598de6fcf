// Connecting to a name, and what is told when the resolver or the loop ends.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/conformance/connecting.h"
#include "tests/conformance/descriptors.h"
#include "tests/conformance/resolver_answers.h"
#include "weir/connector.h"
#include "weir/task.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class NameConnectorTest : public ConnectorTest {
 protected:
  void SetUp() override {
    ConnectorTest::SetUp();
    resolver_ = NewResolver(loop());
  }
  void TearDown() override { gate_.Open(); }

  std::unique_ptr<Resolver> NewResolver(EventLoop& loop) {
    return Must(
        Resolver::Create(loop, {.threads = 2, .lookup = gate_.Lookup()}));
  }
  void Connect(std::string_view host, const ConnectOptions& options = {},
               std::uint16_t port = 1) {
    MustOk(ConnectStream(loop(), *resolver_, host, port, outcomes_.Handler(),
                         options));
  }

  Gate gate_;
  std::unique_ptr<Resolver> resolver_;
};
WEIR_CONFORMANCE_SUITE(NameConnectorTest);

TEST_P(NameConnectorTest, P03_TheAddressesOfANameAreTried) {
  Socket listener = Listener();
  for (const char* host : {"name", "127.0.0.1"}) {
    SCOPED_TRACE(host);
    Connect(host, {}, AddressOf(listener).port());
    const std::size_t told = outcomes_.count();
    TurnUntilTold(told + 1);
    ExpectConnectedTo(AddressOf(listener));
  }
  ExpectTold({StatusCode::kOk, StatusCode::kOk});
}

TEST_P(NameConnectorTest, P03_WhatTheResolverSaysIsTold) {
  resolver_ = Must(Resolver::Create(
      loop(), {.lookup = [](const std::string&, AddressFamily) -> Answer {
        return absl::NotFoundError("nobody knows it");
      }}));
  Connecting handle;
  Connect("unknown", {.handle = &handle});
  EXPECT_EQ(outcomes_.count(), 0u);
  TurnUntilTold();
  ExpectTold({StatusCode::kNotFound});
  EXPECT_EQ(outcomes_.TakeLast().status(),
            absl::NotFoundError("nobody knows it"));
  EXPECT_CODE(handle.Cancel(), kFailedPrecondition);
}

TEST_P(NameConnectorTest, R13_ABadNameIsRefusedAtOnce) {
  EXPECT_CODE(
      ConnectStream(loop(), *resolver_, "", 1, outcomes_.Handler()),
      kInvalidArgument);
  EXPECT_CODE(
      ConnectStream(loop(), *resolver_, "[::1", 1, outcomes_.Handler(),
                    {.timeout = absl::Seconds(1)}),
      kInvalidArgument);
  EXPECT_EQ(outcomes_.handlers(), 0);
  TurnPastSentinel();
  EXPECT_EQ(outcomes_.count(), 0u);
}

// The time for resolving counts.
TEST_P(NameConnectorTest, O11_TheTimeOfTheLookupCounts) {
  Connect("blocked", {.timeout = absl::Milliseconds(10)});
  gate_.AwaitBegun(1);
  TurnUntilTold();
  ExpectTold({StatusCode::kDeadlineExceeded});
  gate_.Open();
  gate_.AwaitReturned(1);
  ExpectTold({StatusCode::kDeadlineExceeded});
}

// The lookup is cancelled too: one that has no thread yet is not made.
TEST_P(NameConnectorTest, O10_CancellingCancelsTheLookup) {
  resolver_ =
      Must(Resolver::Create(loop(), {.threads = 1, .lookup = gate_.Lookup()}));
  Connecting first;
  Connecting second;
  Connect("blocked", {.handle = &first});
  gate_.AwaitBegun(1);
  Connect("waits", {.handle = &second});
  EXPECT_OK(first.Cancel());
  EXPECT_OK(second.Cancel());
  TurnUntilTold(2);
  ExpectTold({StatusCode::kCancelled, StatusCode::kCancelled});
  gate_.Open();
  gate_.AwaitReturned(1);
  resolver_.reset();
  EXPECT_THAT(gate_.hosts(), ElementsAre("blocked"));
}

TEST_P(NameConnectorTest, P03_TheEndOfTheResolverIsTold) {
  Connect("blocked");
  gate_.AwaitBegun(1);
  resolver_.reset();
  EXPECT_EQ(outcomes_.count(), 0u);
  TurnUntilTold();
  ExpectTold({StatusCode::kCancelled});
}

Task<StatusCode> CodeOf(EventLoop& loop, Resolver& resolver,
                        std::string_view host, std::uint16_t port) {
  absl::StatusOr<Stream> stream =
      co_await ConnectedStream(loop, resolver, host, port);
  co_return stream.status().code();
}

TEST_P(NameConnectorTest, O08_ItCanBeAwaited) {
  Socket listener = Listener();
  std::vector<StatusCode> codes;
  const auto note = [&](StatusCode code) { codes.push_back(code); };
  Spawn(CodeOf(loop(), *resolver_, "name", AddressOf(listener).port()), note);
  EXPECT_THAT(codes, IsEmpty());
  TurnUntil([&] { return codes.size() == 1; });
  Spawn(CodeOf(loop(), *resolver_, "", 1), note);
  EXPECT_THAT(codes,
              ElementsAre(StatusCode::kOk, StatusCode::kInvalidArgument));
}

// --- the end of the loop (C04)

TEST_P(NameConnectorTest, C04_AllAreToldWhenTheLoopEnds) {
  // A thread that has just started may have a file open for a moment that is
  // not ours: one of the system's, which says how many processors there are,
  // when Abseil first has to wait for a lock; or the program, when
  // ThreadSanitizer looks up names. So the gate holds every thread while
  // descriptors are counted.
  Must(resolver_->Resolve("blocked", 1, [](Answer) {}));
  Must(resolver_->Resolve("blocked", 1, [](Answer) {}));
  gate_.AwaitBegun(2);
  SilentAddress silent;
  const std::size_t before = OpenDescriptors();
  auto own = NewLoop();
  auto resolver = NewResolver(*own);
  Must(own->RunOnce(absl::ZeroDuration()));
  std::vector<Connecting> handles(4);
  const auto addresses = {silent.address(), RefusedAddress()};
  // Racing; resolving; awaited; not begun.
  MustOk(ConnectStream(*own, addresses, outcomes_.Handler(),
                       {.attempt_delay = kNever, .handle = &handles[0]}));
  MustOk(ConnectStream(*own, {RefusedAddress(), RefusedAddress()},
                       outcomes_.Handler(), {.attempt_delay = kNever}));
  Must(own->RunOnce(absl::ZeroDuration()));
  MustOk(ConnectStream(*own, *resolver, "blocked", 1, outcomes_.Handler(),
                       {.timeout = absl::Hours(1), .handle = &handles[1]}));
  StatusCode awaited = StatusCode::kOk;
  Spawn(CodeOf(*own, *resolver, "blocked", 1),
        [&](StatusCode code) { awaited = code; });
  gate_.AwaitBegun(4);
  MustOk(ConnectStream(*own, addresses, outcomes_.Handler(),
                       {.timeout = absl::Hours(1), .handle = &handles[2]}));
  const std::size_t told = outcomes_.count();
  own->Stop();
  EXPECT_OK(handles[0].Cancel());
  EXPECT_EQ(outcomes_.count(), told) << "nobody runs it";
  own.reset();
  EXPECT_EQ(outcomes_.count(), 4u);
  for (std::size_t i = told; i < outcomes_.count(); ++i) {
    EXPECT_EQ(outcomes_.codes()[i], StatusCode::kCancelled);
  }
  EXPECT_EQ(awaited, StatusCode::kCancelled);
  EXPECT_EQ(outcomes_.handlers(), 0);
  for (const Connecting& handle : handles) {
    EXPECT_CODE(handle.Cancel(), kFailedPrecondition);
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace weir::conformance
