// Being told that this machine's addresses change (O01), in a network of the
// test's own.

#include "weir/address_watch.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "tests/conformance/conformance.h"
#include "tests/conformance/descriptors.h"
#include "tests/conformance/loop_threads.h"
#include "tests/support/addresses.h"
#include "weir/task.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* kAddress = "127.0.0.53";

class AddressWatchTest : public Conformance {
 protected:
  // The child makes the loop.
  void SetUp() override {}

  // `body` changes addresses.
  void InNetwork(const std::function<void()>& body) {
    if (!test::CanChangeAddresses()) {
      GTEST_SKIP() << "addresses cannot be changed here";
    }
    Undisturbed(body);
  }

  // It does not.
  void Undisturbed(const std::function<void()>& body) {
    test::InOwnNetwork([&] {
      Conformance::SetUp();
      body();
      DestroyLoop();
    });
  }

  void Wait(AddressWatch& watch, std::string name = "wait",
            const OperationOptions& options = {}) {
    MustOk(watch.WaitForChange(Handler(std::move(name)), options));
  }
  CompletionHandler Handler(std::string name) {
    return [this, name = std::move(name)](const Completion& done) {
      told_.push_back(absl::StrCat(
          name, " ", absl::StatusCodeToString(done.status.code())));
    };
  }
  void ExpectTold(const std::string& entry) {
    TurnUntil([&] { return !told_.empty(); });
    TurnPastSentinel();
    EXPECT_THAT(std::exchange(told_, {}), ElementsAre(entry));
  }
  void ExpectNothingTold() {
    TurnPastSentinel();
    EXPECT_THAT(told_, IsEmpty());
  }

  static void Add(const char* address = kAddress) {
    ASSERT_EQ(test::AddAddress(address), 0);
  }
  static void Remove(const char* address = kAddress) {
    ASSERT_EQ(test::RemoveAddress(address), 0);
  }

  std::vector<std::string> told_;
};
WEIR_CONFORMANCE_SUITE(AddressWatchTest);

TEST_P(AddressWatchTest, O01_CompletesWhenAnAddressIsAddedOrRemoved) {
  InNetwork([&] {
    AddressWatch watch = Must(AddressWatch::Open(loop()));
    for (int i = 0; i < 3; ++i) {
      Wait(watch);
      ExpectNothingTold();
      ExpectIdle();
      Add();
      ExpectTold("wait OK");
      Wait(watch);
      ExpectNothingTold();
      Remove();
      ExpectTold("wait OK");
    }
  });
}

TEST_P(AddressWatchTest, O01_OfBothFamilies) {
  InNetwork([&] {
    AddressWatch watch = Must(AddressWatch::Open(loop()));
    Wait(watch);
    const int added = test::AddAddress("fd00::53");
    // A machine without IPv6.
    if (test::IsWantOfFamily(added)) return;
    ASSERT_EQ(added, 0);
    ExpectTold("wait OK");
    Wait(watch);
    ASSERT_EQ(test::RemoveAddress("fd00::53"), 0);
    ExpectTold("wait OK");
  });
}

TEST_P(AddressWatchTest, O03_AChangeBetweenTwoWaitsIsNotLost) {
  InNetwork([&] {
    AddressWatch watch = Must(AddressWatch::Open(loop()));
    // Before the first, and then, with the mechanism watching, after another.
    for (int i = 0; i < 3; ++i) {
      Add();
      ExpectNothingTold();
      Wait(watch);
      ExpectTold("wait OK");
      // Several are one.
      Remove();
      Add();
      Remove();
      Wait(watch);
      ExpectTold("wait OK");
      Wait(watch);
      ExpectNothingTold();
      Add();
      ExpectTold("wait OK");
      Remove();
      Wait(watch);
      ExpectTold("wait OK");
    }
  });
}

TEST_P(AddressWatchTest, O01_WhatWasRefusedIsNoChange) {
  InNetwork([&] {
    AddressWatch watch = Must(AddressWatch::Open(loop()));
    Wait(watch);
    EXPECT_NE(test::RemoveAddress(kAddress), 0);
    ExpectNothingTold();
  });
}

// "Since the last of these completed": each takes one.
TEST_P(AddressWatchTest, O06_SeveralWaitsCompleteInTheirOrder) {
  InNetwork([&] {
    AddressWatch watch = Must(AddressWatch::Open(loop()));
    Wait(watch, "first");
    Wait(watch, "second");
    Add();
    ExpectTold("first OK");
    Remove();
    ExpectTold("second OK");
  });
}

TEST_P(AddressWatchTest, O07_ItsHandlerMayWaitAgain) {
  InNetwork([&] {
    AddressWatch watch = Must(AddressWatch::Open(loop()));
    MustOk(watch.WaitForChange([&](const Completion& done) {
      EXPECT_OK(done.status);
      Wait(watch, "again");
      Remove();
    }));
    Add();
    ExpectTold("again OK");
  });
}

TEST_P(AddressWatchTest, O10_ItCanBeCancelled) {
  Undisturbed([&] {
    AddressWatch watch = Must(AddressWatch::Open(loop()));
    Operation one;
    Wait(watch, "one", {.handle = &one});
    Wait(watch, "other");
    TurnPastSentinel();
    EXPECT_OK(one.Cancel());
    ExpectTold("one CANCELLED");
    EXPECT_OK(watch.Cancel());
    ExpectTold("other CANCELLED");
    EXPECT_CODE(one.Cancel(), kFailedPrecondition);
  });
}

TEST_P(AddressWatchTest, O10_AfterACancelItGoesOn) {
  InNetwork([&] {
    AddressWatch watch = Must(AddressWatch::Open(loop()));
    Wait(watch, "one");
    EXPECT_OK(watch.Cancel());
    ExpectTold("one CANCELLED");
    // What happened meanwhile is told.
    Add();
    Wait(watch);
    ExpectTold("wait OK");
  });
}

TEST_P(AddressWatchTest, O11_ItsTimeCanBeOver) {
  Undisturbed([&] {
    AddressWatch watch = Must(AddressWatch::Open(loop()));
    Wait(watch, "wait", {.timeout = absl::Milliseconds(2)});
    ExpectTold("wait DEADLINE_EXCEEDED");
  });
}

TEST_P(AddressWatchTest, O11_ItsTimeNeedNotBeUsedUp) {
  InNetwork([&] {
    AddressWatch watch = Must(AddressWatch::Open(loop()));
    Wait(watch, "wait", {.timeout = absl::Hours(1)});
    Add();
    ExpectTold("wait OK");
  });
}

TEST_P(AddressWatchTest, C01_ClosingEndsWhatIsPending) {
  Undisturbed([&] {
    const std::size_t before = OpenDescriptors();
    AddressWatch watch = Must(AddressWatch::Open(loop()));
    Wait(watch, "first");
    Wait(watch, "second");
    TurnPastSentinel();
    EXPECT_OK(watch.Close([&] { told_.push_back("closed"); }));
    EXPECT_THAT(told_, IsEmpty());
    TurnUntil([&] { return told_.size() >= 3; });
    EXPECT_THAT(told_,
                ElementsAre("first CANCELLED", "second CANCELLED", "closed"));
    EXPECT_EQ(OpenDescriptors(), before);
    EXPECT_CODE(watch.WaitForChange(nullptr), kFailedPrecondition);
    EXPECT_CODE(watch.Cancel(), kFailedPrecondition);
    EXPECT_CODE(watch.Close(), kFailedPrecondition);
  });
}

TEST_P(AddressWatchTest, C01_DestroyingClosesIt) {
  Undisturbed([&] {
    const std::size_t before = OpenDescriptors();
    {
      AddressWatch watch = Must(AddressWatch::Open(loop()));
      Wait(watch, "destroyed");
      AddressWatch moved = std::move(watch);
      EXPECT_FALSE(watch);  // NOLINT: as documented.
      ExpectNothingTold();
    }
    ExpectTold("destroyed CANCELLED");
    AddressWatch watch = Must(AddressWatch::Open(loop()));
    Wait(watch, "replaced");
    watch = Must(AddressWatch::Open(loop()));
    ExpectTold("replaced CANCELLED");
    watch = AddressWatch();
    Turn();
    EXPECT_EQ(OpenDescriptors(), before);
  });
}

TEST_P(AddressWatchTest, C04_ItEndsWithTheLoop) {
  Undisturbed([&] {
    const std::size_t before = OpenDescriptors();
    auto own = NewLoop();
    AddressWatch watch = Must(AddressWatch::Open(*own));
    Wait(watch);
    Must(own->RunOnce(absl::ZeroDuration()));
    own.reset();
    EXPECT_THAT(told_, ElementsAre("wait CANCELLED"));
    EXPECT_CODE(watch.WaitForChange(nullptr), kFailedPrecondition);
    EXPECT_EQ(OpenDescriptors(), before);
  });
}

TEST_P(AddressWatchTest, R13_BadUseIsRefused) {
  Undisturbed([&] {
    AddressWatch none;
    EXPECT_FALSE(none);
    EXPECT_CODE(none.WaitForChange(nullptr), kFailedPrecondition);
    EXPECT_CODE(none.Cancel(), kFailedPrecondition);
    EXPECT_CODE(none.Close(), kFailedPrecondition);
    const std::size_t before = OpenDescriptors();
    if (HasDescriptorLimit()) {
      const NoDescriptorsLeft exhausted;
      EXPECT_CODE(AddressWatch::Open(loop()), kResourceExhausted);
    }
    AddressWatch watch = Must(AddressWatch::Open(loop()));
    EXPECT_CODE(watch.WaitForChange(nullptr, {.timeout = -absl::Seconds(1)}),
                kInvalidArgument);
    watch = AddressWatch();
    loop().Stop();
    EXPECT_CODE(AddressWatch::Open(loop()), kFailedPrecondition);
    DestroyLoop();
    EXPECT_LT(OpenDescriptors(), before);
  });
}

Task<absl::Status> NextChange(AddressWatch& watch) {
  const Completion done = co_await watch.Change();
  co_return done.status;
}

TEST_P(AddressWatchTest, O08_ItCanBeAwaited) {
  InNetwork([&] {
    AddressWatch watch = Must(AddressWatch::Open(loop()));
    Spawn(NextChange(watch), [&](const absl::Status& status) {
      told_.push_back(absl::StatusCodeToString(status.code()));
    });
    ExpectNothingTold();
    Add();
    ExpectTold("OK");
  });
}

// Waited for, and asked for, by a thread that does not run the loop.
TEST_P(AddressWatchTest, O09_AThreadOfItsOwnIsWoken) {
  InNetwork([&] {
    auto own = NewLoop();
    AddressWatch watch = Must(AddressWatch::Open(*own));
    {
      LoopThreads threads(*own, 1);
      for (int i = 0; i < 3; ++i) {
        LetItWait(*own);
        Operation wait;
        MustOk(watch.WaitForChange(nullptr, {.handle = &wait}));
        LetItWait(*own);
        EXPECT_FALSE(wait.done());
        if (i % 2 == 0) {
          Add();
        } else {
          Remove();
        }
        EXPECT_OK(Must(wait.Wait(kPatience)).status);
      }
      absl::Notification closed;
      MustOk(watch.Close([&] { closed.Notify(); }));
      EXPECT_TRUE(Await(closed));
    }
  });
}

}  // namespace
}  // namespace weir::conformance
