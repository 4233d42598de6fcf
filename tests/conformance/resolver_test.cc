// Names to addresses: answers, refusals, cancelling and timeouts (P03).

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/failure.h"
#include "tests/conformance/resolver_answers.h"
#include "weir/resolver.h"
#include "weir/socket_address.h"
#include "weir/status.h"

namespace weir::conformance {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ResolverTest : public Conformance {
 protected:
  std::unique_ptr<Resolver> NewResolver(int threads = 1,
                                        int max_queued = 1024) {
    return Must(Resolver::Create(loop(), {.threads = threads,
                                          .max_queued = max_queued,
                                          .lookup = gate_.Lookup()}));
  }
  void TurnUntilAnswered(std::size_t count) {
    TurnUntil([&] { return answers_.count() >= count; });
  }
  // The thread of a resolver with one thread has done with what it had before.
  void AwaitDone(Resolver& resolver) {
    Answers later;
    Must(resolver.Resolve("later", 1, later.Handler()));
    TurnUntil([&] { return later.count() == 1; });
  }

  Gate gate_;
  Answers answers_;
};
WEIR_CONFORMANCE_SUITE(ResolverTest);

TEST_P(ResolverTest, P03_AnAddressIsAnsweredThroughTheLoopWithoutAThread) {
  auto resolver = NewResolver();
  const struct {
    const char* host;
    const char* address;
  } kCases[] = {
      {"127.0.0.1", "127.0.0.1:80"},
      {"::1", "[::1]:80"},
      {"[::1]", "[::1]:80"},
      {"fe80::1%7", "[fe80::1%7]:80"},
      {"[fe80::1%7]", "[fe80::1%7]:80"},
      {"0.0.0.0", "0.0.0.0:80"},
  };
  for (const auto& row : kCases) {
    SCOPED_TRACE(row.host);
    Must(resolver->Resolve(row.host, 80, answers_.Handler()));
    EXPECT_EQ(answers_.count(), 0u) << "from inside Resolve";
    EXPECT_EQ(Turn(), 1);
    const std::vector<Answer> told = answers_.Take();
    ASSERT_EQ(told.size(), 1u);
    ASSERT_OK(told[0]);
    EXPECT_THAT(*told[0], ElementsAre(Must(SocketAddress::Parse(row.address))));
    EXPECT_EQ(answers_.handlers(), 0);
  }
  TurnPastSentinel();
  EXPECT_EQ(answers_.count(), 0u);
  EXPECT_THAT(gate_.hosts(), IsEmpty());
}

// A literal of the other family, and one at an interface that is not there.
TEST_P(ResolverTest, P03_AnAddressThatCannotBeUsedIsNotFound) {
  auto resolver = NewResolver();
  Must(resolver->Resolve("::1", 80, answers_.Handler(),
                         {.family = AddressFamily::kIpv4}));
  Must(resolver->Resolve("127.0.0.1", 80, answers_.Handler(),
                         {.family = AddressFamily::kIpv6}));
  Must(resolver->Resolve("fe80::1%no-such-if", 80, answers_.Handler()));
  TurnUntilAnswered(3);
  EXPECT_THAT(answers_.codes(), Each(absl::StatusCode::kNotFound));
  EXPECT_THAT(gate_.hosts(), IsEmpty());
}

// The system's own lookup. Every machine has localhost (RFC 6761).
TEST_P(ResolverTest, P03_LocalhostIsFound) {
  auto resolver = Must(Resolver::Create(loop()));
  for (AddressFamily family :
       {AddressFamily::kUnspecified, AddressFamily::kIpv4}) {
    Must(resolver->Resolve("localhost", 8080, answers_.Handler(),
                           {.family = family}));
    TurnUntilAnswered(1);
    const std::vector<Answer> told = answers_.Take();
    ASSERT_OK(told[0]);
    ASSERT_FALSE(told[0]->empty());
    for (const SocketAddress& address : *told[0]) {
      EXPECT_TRUE(address.is_loopback()) << address.ToString();
      EXPECT_EQ(address.port(), 8080);
      if (family == AddressFamily::kIpv4) {
        EXPECT_TRUE(address.is_ipv4());
      }
    }
  }
}

TEST_P(ResolverTest, P03_TheLookupGetsNameAndFamilyAndItsAnswerThePort) {
  std::string name;
  AddressFamily family = AddressFamily::kUnspecified;
  const auto v6 = Must(SocketAddress::Parse("[fe80::1%3]:1"));
  auto resolver = Must(Resolver::Create(
      loop(),
      {.lookup = [&](const std::string& host, AddressFamily wanted) -> Answer {
        name = host;
        family = wanted;
        return std::vector<SocketAddress>{v6, SocketAddress::Ipv6Loopback(0)};
      }}));
  Must(resolver->Resolve("Name.example.", 443, answers_.Handler(),
                         {.family = AddressFamily::kIpv6}));
  TurnUntilAnswered(1);
  const std::vector<Answer> told = answers_.Take();
  ASSERT_OK(told[0]);
  EXPECT_THAT(*told[0],
              ElementsAre(v6.with_port(443), SocketAddress::Ipv6Loopback(443)));
  EXPECT_EQ(name, "Name.example.");
  EXPECT_EQ(family, AddressFamily::kIpv6);
}

TEST_P(ResolverTest, P03_AFailureOfTheLookupIsTold) {
  auto resolver = Must(Resolver::Create(
      loop(), {.lookup = [](const std::string& host, AddressFamily) -> Answer {
        if (host == "empty") return std::vector<SocketAddress>();
        return StatusWithCause(absl::StatusCode::kUnavailable,
                               ErrorCause::kProtocolError, "resolve it: no");
      }}));
  Must(resolver->Resolve("failing", 1, answers_.Handler()));
  TurnUntilAnswered(1);
  EXPECT_TRUE(IsFailure(answers_.Take()[0].status(),
                        absl::StatusCode::kUnavailable,
                        ErrorCause::kProtocolError, {"resolve it: no"}));
  Must(resolver->Resolve("empty", 1, answers_.Handler()));
  TurnUntilAnswered(1);
  EXPECT_TRUE(IsFailure(answers_.Take()[0].status(),
                        absl::StatusCode::kNotFound, ErrorCause::kNotFound,
                        {"resolve empty: "}));
}

TEST_P(ResolverTest, P03_BadInputIsRefusedAtOnce) {
  auto resolver = NewResolver();
  const std::string longest(253, 'a');
  for (const std::string& host :
       {std::string(), std::string("a\0b", 3), longest + "a", longest + "a.",
        longest + "..", std::string("::g"), std::string("a:b"),
        std::string("[::1"), std::string("[127.0.0.1]"), std::string("[]"),
        std::string("[")}) {
    SCOPED_TRACE(host);
    EXPECT_CODE(resolver->Resolve(host, 1, answers_.Handler()),
                kInvalidArgument);
  }
  EXPECT_CODE(resolver->Resolve("a", 1, nullptr), kInvalidArgument);
  EXPECT_CODE(resolver->Resolve("a", 1, answers_.Handler(),
                                {.family = AddressFamily::kUnix}),
              kInvalidArgument);
  EXPECT_EQ(answers_.handlers(), 0);
  TurnPastSentinel();
  EXPECT_EQ(answers_.count(), 0u);
  EXPECT_THAT(gate_.hosts(), IsEmpty());

  Must(resolver->Resolve(longest, 1, answers_.Handler()));
  Must(resolver->Resolve(longest + ".", 1, answers_.Handler()));
  TurnUntilAnswered(2);
  EXPECT_THAT(answers_.codes(), Each(absl::StatusCode::kOk));
}

TEST_P(ResolverTest, P03_BadOptionsAreRefused) {
  EXPECT_CODE(Resolver::Create(loop(), {.threads = 0}), kInvalidArgument);
  EXPECT_CODE(Resolver::Create(loop(), {.threads = 257}), kInvalidArgument);
  EXPECT_CODE(Resolver::Create(loop(), {.max_queued = -1}), kInvalidArgument);
  loop().Stop();
  EXPECT_CODE(Resolver::Create(loop()), kFailedPrecondition);
}

TEST_P(ResolverTest, P03_ABlockedLookupHoldsUpNeitherLoopNorOtherLookups) {
  auto resolver = NewResolver(/*threads=*/2);
  Must(resolver->Resolve("blocked", 1, answers_.Handler()));
  gate_.AwaitBegun(1);
  TurnPastSentinel();
  Answers other;
  Must(resolver->Resolve("other", 1, other.Handler()));
  TurnUntil([&] { return other.count() == 1; });
  EXPECT_EQ(answers_.count(), 0u);
  ExpectIdle();
  gate_.Open();
  TurnUntilAnswered(1);
  EXPECT_THAT(answers_.codes(), ElementsAre(absl::StatusCode::kOk));
}

TEST_P(ResolverTest, P03_TooManyThatWaitAreRefused) {
  auto resolver = NewResolver(/*threads=*/1, /*max_queued=*/2);
  Must(resolver->Resolve("blocked", 1, answers_.Handler()));
  gate_.AwaitBegun(1);
  Must(resolver->Resolve("second", 1, answers_.Handler()));
  const Lookup third = Must(resolver->Resolve("third", 1, answers_.Handler()));
  EXPECT_CODE(resolver->Resolve("fourth", 1, answers_.Handler()),
              kResourceExhausted);
  EXPECT_EQ(answers_.handlers(), 3);
  // An address needs no thread.
  Answers address;
  Must(resolver->Resolve("::1", 1, address.Handler()));
  // One that is cancelled gives its place up at once.
  EXPECT_OK(third.Cancel());
  Must(resolver->Resolve("fifth", 1, answers_.Handler()));
  EXPECT_CODE(resolver->Resolve("sixth", 1, answers_.Handler()),
              kResourceExhausted);
  gate_.Open();
  TurnUntilAnswered(4);
  EXPECT_EQ(address.count(), 1u);
  EXPECT_THAT(gate_.hosts(), ElementsAre("blocked", "second", "fifth"));
}

// With no queue at all, a lookup still gets a thread that is free.
TEST_P(ResolverTest, P03_WithoutQueueEachHandlerCanBeginTheNextLookup) {
  auto resolver = NewResolver(/*threads=*/1, /*max_queued=*/0);
  int answered = 0;
  std::function<void(Answer)> next = [&](Answer answer) {
    EXPECT_OK(answer);
    if (++answered == 100) return;
    EXPECT_OK(resolver->Resolve("next", 1, next));
  };
  Must(resolver->Resolve("first", 1, next));
  TurnUntil([&] { return answered == 100; });
}

TEST_P(ResolverTest, P03_ACancelledLookupIsToldOnceAndItsResultDropped) {
  auto resolver = NewResolver();
  const Lookup lookup =
      Must(resolver->Resolve("blocked", 1, answers_.Handler()));
  gate_.AwaitBegun(1);
  const Lookup copy = lookup;
  EXPECT_OK(copy.Cancel());
  EXPECT_OK(lookup.Cancel()) << "not told yet";
  EXPECT_EQ(answers_.count(), 0u) << "from inside Cancel";
  EXPECT_EQ(Turn(), 1);
  const std::vector<Answer> told = answers_.Take();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(IsFailure(told[0].status(), absl::StatusCode::kCancelled,
                        ErrorCause::kCancelled, {"resolve blocked: "}));
  EXPECT_EQ(answers_.handlers(), 0);
  EXPECT_CODE(lookup.Cancel(), kFailedPrecondition);
  gate_.Open();
  AwaitDone(*resolver);
  TurnPastSentinel();
  EXPECT_EQ(answers_.count(), 0u);
}

TEST_P(ResolverTest, P03_ALookupThatWaitsForAThreadIsCancelledUnasked) {
  auto resolver = NewResolver();
  Answers first;
  Must(resolver->Resolve("blocked", 1, first.Handler()));
  gate_.AwaitBegun(1);
  EXPECT_OK(Must(resolver->Resolve("waits", 1, answers_.Handler())).Cancel());
  TurnUntilAnswered(1);
  EXPECT_THAT(answers_.codes(), ElementsAre(absl::StatusCode::kCancelled));
  gate_.Open();
  AwaitDone(*resolver);
  EXPECT_THAT(gate_.hosts(), ElementsAre("blocked", "later"));
  EXPECT_THAT(first.codes(), ElementsAre(absl::StatusCode::kOk));
}

TEST_P(ResolverTest, P03_AnAnswerNotDeliveredYetCanBeCancelled) {
  auto resolver = NewResolver();
  const Lookup literal = Must(resolver->Resolve("::1", 1, answers_.Handler()));
  EXPECT_OK(literal.Cancel());
  const Lookup name = Must(resolver->Resolve("name", 1, answers_.Handler()));
  gate_.AwaitReturned(1);
  EXPECT_OK(name.Cancel());
  TurnUntilAnswered(2);
  AwaitDone(*resolver);
  TurnPastSentinel();
  EXPECT_THAT(answers_.codes(), ElementsAre(absl::StatusCode::kCancelled,
                                            absl::StatusCode::kCancelled));
}

TEST_P(ResolverTest, P03_CancellingWhatIsFinishedOrEmptyIsRefused) {
  auto resolver = NewResolver();
  EXPECT_CODE(Lookup().Cancel(), kFailedPrecondition);
  std::optional<Lookup> lookup;
  bool called = false;
  lookup = Must(resolver->Resolve("::1", 1, [&](Answer answer) {
    EXPECT_OK(answer);
    EXPECT_CODE(lookup->Cancel(), kFailedPrecondition);
    called = true;
  }));
  TurnUntil([&] { return called; });
  resolver.reset();
  EXPECT_CODE(lookup->Cancel(), kFailedPrecondition);
}

TEST_P(ResolverTest, P03_ATimeoutEndsALookupWhereverItIs) {
  auto resolver = NewResolver(/*threads=*/1, /*max_queued=*/1);
  const ResolveOptions soon = {.timeout = absl::Milliseconds(5)};
  Must(resolver->Resolve("blocked", 1, answers_.Handler(), soon));
  gate_.AwaitBegun(1);
  Must(resolver->Resolve("waits", 1, answers_.Handler(), soon));
  TurnUntilAnswered(2);
  for (const Answer& answer : answers_.Take()) {
    EXPECT_TRUE(IsFailure(answer.status(), absl::StatusCode::kDeadlineExceeded,
                          ErrorCause::kTimedOut, {"resolve ", "5ms"}));
  }
  EXPECT_EQ(answers_.handlers(), 0);
  // The thread is still busy, and the place in the queue free.
  const Lookup third = Must(resolver->Resolve("third", 1, answers_.Handler()));
  EXPECT_CODE(resolver->Resolve("fourth", 1, answers_.Handler()),
              kResourceExhausted);
  gate_.Open();
  TurnUntilAnswered(1);
  TurnPastSentinel();
  EXPECT_THAT(answers_.codes(), ElementsAre(absl::StatusCode::kOk));
  EXPECT_THAT(gate_.hosts(), ElementsAre("blocked", "third"));
}

TEST_P(ResolverTest, P03_ATimeoutOfNothingIsOverInTheNextTurn) {
  auto resolver = NewResolver();
  for (absl::Duration timeout :
       {absl::ZeroDuration(), -absl::Seconds(1), -absl::InfiniteDuration()}) {
    Must(resolver->Resolve("blocked", 1, answers_.Handler(),
                           {.timeout = timeout}));
    EXPECT_EQ(Turn(), 1);
    EXPECT_THAT(answers_.codes(),
                ElementsAre(absl::StatusCode::kDeadlineExceeded));
    answers_.Take();
  }
}

// The answer was in time; that the loop looks late is not the lookup's fault.
TEST_P(ResolverTest, P03_AnAnswerInTimeCountsThoughTheLoopIsLate) {
  auto resolver = NewResolver();
  absl::Duration timeout = absl::Milliseconds(20);
  absl::Time over;
  std::size_t lookups = 0;
  // Longer, until this machine is fast enough for an answer in time.
  do {
    answers_ = Answers();
    timeout *= 2;
    over = absl::Now() + timeout;
    Must(
        resolver->Resolve("name", 1, answers_.Handler(), {.timeout = timeout}));
    // A thread begins another lookup when the loop has the answer to this one.
    Answers next;
    Must(resolver->Resolve("next", 1, next.Handler()));
    gate_.AwaitReturned(lookups += 2);
  } while (absl::Now() >= over);
  while (absl::Now() <= over) std::this_thread::yield();
  TurnUntilAnswered(1);
  EXPECT_THAT(answers_.codes(), ElementsAre(absl::StatusCode::kOk));
}

}  // namespace
}  // namespace weir::conformance
