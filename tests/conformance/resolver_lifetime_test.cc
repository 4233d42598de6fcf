// How the resolver, its lookups and the loop end, and threads (P03).

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/loop_threads.h"
#include "tests/conformance/resolver_answers.h"
#include "weir/resolver.h"

namespace weir::conformance {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

class ResolverLifetimeTest : public Conformance {
 protected:
  std::unique_ptr<Resolver> NewResolver(EventLoop& loop, int threads = 1) {
    return Must(
        Resolver::Create(loop, {.threads = threads, .lookup = gate_.Lookup()}));
  }
  // Lookups in every state before delivery: in the hands of a thread, waiting
  // for one, and answered.
  void ResolveThree(Resolver& resolver) {
    Must(resolver.Resolve("blocked", 1, answers_.Handler()));
    gate_.AwaitBegun(1);
    Must(resolver.Resolve("waits", 1, answers_.Handler()));
    Must(resolver.Resolve("::1", 1, answers_.Handler()));
  }

  Gate gate_;
  Answers answers_;
};
WEIR_CONFORMANCE_SUITE(ResolverLifetimeTest);

// Without waiting for the lookup that is blocked, which is let go only later.
TEST_P(ResolverLifetimeTest, P03_DestroyingTheResolverCancelsInEveryState) {
  auto resolver = NewResolver(loop());
  Answers delivered;
  Must(resolver->Resolve("::1", 1, delivered.Handler()));
  TurnUntil([&] { return delivered.count() == 1; });
  ResolveThree(*resolver);
  resolver.reset();
  EXPECT_EQ(answers_.count(), 0u) << "from inside the destructor";
  TurnUntil([&] { return answers_.count() == 3; });
  EXPECT_EQ(answers_.handlers(), 0);
  gate_.Open();
  gate_.AwaitReturned(1);
  TurnPastSentinel();
  EXPECT_THAT(answers_.codes(), ElementsAre(absl::StatusCode::kCancelled,
                                            absl::StatusCode::kCancelled,
                                            absl::StatusCode::kCancelled));
  EXPECT_EQ(delivered.count(), 1u);
  EXPECT_THAT(gate_.hosts(), ElementsAre("blocked"));
}

TEST_P(ResolverLifetimeTest, P03_TheResolverCanBeDestroyedInAHandler) {
  auto resolver = NewResolver(loop());
  bool called = false;
  Must(resolver->Resolve("blocked", 1, answers_.Handler()));
  Must(resolver->Resolve("::1", 1, [&](Answer answer) {
    EXPECT_OK(answer);
    resolver.reset();
    EXPECT_EQ(answers_.count(), 0u);
    called = true;
  }));
  TurnUntil([&] { return called && answers_.count() == 1; });
  EXPECT_THAT(answers_.codes(), ElementsAre(absl::StatusCode::kCancelled));
  gate_.Open();
}

// C04: handlers go with the loop, without having been called.
TEST_P(ResolverLifetimeTest, C04_HandlersGoWithTheLoop) {
  auto resolver = NewResolver(loop());
  ResolveThree(*resolver);
  const Lookup fourth =
      Must(resolver->Resolve("fourth", 1, answers_.Handler()));
  DestroyLoop();
  EXPECT_EQ(answers_.handlers(), 0);
  EXPECT_CODE(fourth.Cancel(), kFailedPrecondition);
  EXPECT_CODE(resolver->Resolve("::1", 1, answers_.Handler()),
              kFailedPrecondition);
  EXPECT_CODE(resolver->Resolve("name", 1, answers_.Handler()),
              kFailedPrecondition);
  gate_.Open();
  gate_.AwaitReturned(1);
  resolver.reset();
  EXPECT_EQ(answers_.handlers(), 0);
  EXPECT_EQ(answers_.count(), 0u);
  EXPECT_THAT(gate_.hosts(), ElementsAre("blocked"));
}

TEST_P(ResolverLifetimeTest, C04_HandlersGoWithAStoppedLoop) {
  auto resolver = NewResolver(loop());
  ResolveThree(*resolver);
  const Lookup fourth =
      Must(resolver->Resolve("fourth", 1, answers_.Handler()));
  loop().Stop();
  EXPECT_CODE(resolver->Resolve("::1", 1, answers_.Handler()),
              kFailedPrecondition);
  EXPECT_OK(fourth.Cancel());
  gate_.Open();
  gate_.AwaitReturned(1);
  resolver.reset();
  EXPECT_EQ(answers_.handlers(), 4);
  DestroyLoop();
  EXPECT_EQ(answers_.handlers(), 0);
  EXPECT_EQ(answers_.count(), 0u);
}

// First the resolver, with answers on their way, then the loop.
TEST_P(ResolverLifetimeTest, C04_HandlersOfADestroyedResolverGoWithTheLoop) {
  auto resolver = NewResolver(loop());
  ResolveThree(*resolver);
  resolver.reset();
  EXPECT_EQ(answers_.handlers(), 3);
  DestroyLoop();
  EXPECT_EQ(answers_.handlers(), 0);
  EXPECT_EQ(answers_.count(), 0u);
  gate_.Open();
}

// What a handler holds may be the resolver itself, or the loop's last friend.
TEST_P(ResolverLifetimeTest, C04_AHandlerThatOwnsTheResolverGoesWithTheLoop) {
  std::shared_ptr<Resolver> resolver = NewResolver(loop());
  const std::weak_ptr<Resolver> watch = resolver;
  Resolver& borrowed = *resolver;
  Must(borrowed.Resolve("blocked", 1, [resolver](Answer) { FAIL(); }));
  Must(borrowed.Resolve("waits", 1, answers_.Handler()));
  resolver.reset();
  EXPECT_FALSE(watch.expired());
  DestroyLoop();
  EXPECT_TRUE(watch.expired());
  EXPECT_EQ(answers_.handlers(), 0);
  gate_.Open();
}

// The loop is destroyed in a handler: it is gone from then on.
TEST_P(ResolverLifetimeTest, C04_TheLoopIsDestroyedInAHandler) {
  auto own = NewLoop();
  auto resolver = NewResolver(*own);
  EventLoop* running = own.get();
  Must(resolver->Resolve("::1", 1, [&](Answer) {
    own.reset();
    EXPECT_CODE(resolver->Resolve("::1", 1, answers_.Handler()),
                kFailedPrecondition);
  }));
  Must(resolver->Resolve("blocked", 1, answers_.Handler()));
  EXPECT_OK(running->Run());
  EXPECT_EQ(own, nullptr);
  EXPECT_EQ(answers_.handlers(), 0);
  EXPECT_EQ(answers_.count(), 0u);
  gate_.Open();
}

TEST_P(ResolverLifetimeTest, P03_HandlersRunOnTheThreadThatRunsTheLoop) {
  auto own = NewLoop();
  auto resolver = NewResolver(*own);
  LoopThreads threads(*own, 1);
  std::thread::id thread;
  absl::Notification known;
  ASSERT_OK(own->Post([&] {
    thread = std::this_thread::get_id();
    known.Notify();
  }));
  ASSERT_TRUE(Await(known));
  for (const char* host : {"::1", "name", "cancelled"}) {
    SCOPED_TRACE(host);
    // The loop waits for ever, and is told from here.
    LetItWait(*own);
    absl::Notification called;
    const Lookup lookup = Must(resolver->Resolve(host, 1, [&](Answer) {
      EXPECT_EQ(std::this_thread::get_id(), thread);
      called.Notify();
    }));
    if (host == std::string("cancelled")) (void)lookup.Cancel();
    ASSERT_TRUE(Await(called));
  }
}

// On a loop of several threads, from several others, each once, with its own
// port.
TEST_P(ResolverLifetimeTest, P03_AThousandAtOnce) {
  constexpr int kResolving = 4;
  constexpr int kEach = 250;
  auto own = NewLoop(/*threads=*/2);
  auto resolver = NewResolver(*own, /*threads=*/4);
  LoopThreads threads(*own, 2);
  std::vector<std::atomic<int>> calls(kResolving * kEach);
  Tally answered;
  std::vector<std::thread> resolving;
  for (int t = 0; t < kResolving; ++t) {
    resolving.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const int port = t * kEach + i;
        Must(resolver->Resolve(
            i % 5 == 0 ? "127.0.0.1" : "name", static_cast<std::uint16_t>(port),
            [&, port](Answer answer) {
              ASSERT_OK(answer);
              EXPECT_EQ(answer->front(), SocketAddress::Ipv4Loopback(
                                             static_cast<std::uint16_t>(port)));
              calls[static_cast<std::size_t>(port)].fetch_add(1);
              answered.Add();
            }));
      }
    });
  }
  for (std::thread& thread : resolving) thread.join();
  EXPECT_TRUE(answered.AwaitAtLeast(kResolving * kEach));
  threads.StopAndJoin();
  for (const auto& count : calls) EXPECT_EQ(count.load(), 1);
}

// Answer, timeout and cancelling meet: one of them is told, once, and always
// the cancelling if Cancel said so.
TEST_P(ResolverLifetimeTest, P03_CancellingRacesWithAnswersAndTimeouts) {
  constexpr int kLookups = 1000;
  // Of what a call adds: with its code, which is less, how many there were.
  constexpr int kCall = 100;
  auto own = NewLoop(/*threads=*/2);
  auto resolver = NewResolver(*own, /*threads=*/2);
  LoopThreads threads(*own, 2);
  std::vector<std::atomic<int>> told(kLookups);
  Tally answered;
  std::vector<bool> cancelled(kLookups);
  for (std::size_t i = 0; i < kLookups; ++i) {
    const ResolveOptions options = {.timeout = i % 3 == 0
                                                   ? absl::Microseconds(50)
                                                   : absl::InfiniteDuration()};
    const Lookup lookup = Must(resolver->Resolve(
        i % 7 == 0 ? "::1" : "name", 1,
        [&, i](Answer answer) {
          told[i].fetch_add(kCall + static_cast<int>(answer.status().code()));
          answered.Add();
        },
        options));
    if (i % 2 == 0) std::this_thread::yield();
    cancelled[i] = lookup.Cancel().ok();
  }
  EXPECT_TRUE(answered.AwaitAtLeast(kLookups));
  resolver.reset();
  threads.StopAndJoin();
  for (std::size_t i = 0; i < kLookups; ++i) {
    const auto code = static_cast<absl::StatusCode>(told[i].load() - kCall);
    if (cancelled[i]) {
      EXPECT_EQ(code, absl::StatusCode::kCancelled) << i;
    } else {
      EXPECT_TRUE(code == absl::StatusCode::kOk ||
                  (i % 3 == 0 && code == absl::StatusCode::kDeadlineExceeded))
          << i << ": " << absl::StatusCodeToString(code);
    }
  }
}

// Resolvers that come and go while their answers arrive.
TEST_P(ResolverLifetimeTest, P03_DestroyingRacesWithAnswers) {
  auto own = NewLoop(/*threads=*/2);
  LoopThreads threads(*own, 2);
  constexpr int kRounds = 50;
  constexpr int kEach = 20;
  Tally answered;
  for (int round = 0; round < kRounds; ++round) {
    auto resolver = NewResolver(*own, /*threads=*/2);
    for (int i = 0; i < kEach; ++i) {
      Must(resolver->Resolve("name", 1, [&](Answer answer) {
        if (!answer.ok()) {
          EXPECT_CODE(answer, kCancelled);
        }
        answered.Add();
      }));
    }
  }
  EXPECT_TRUE(answered.AwaitAtLeast(kRounds * kEach));
  threads.StopAndJoin();
  EXPECT_EQ(answered.value(), kRounds * kEach);
}

}  // namespace
}  // namespace weir::conformance
