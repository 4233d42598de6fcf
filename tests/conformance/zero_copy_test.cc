// Sends whose bytes are not copied (O01, O05): what is seen of them is the same
// with and without, but for the moment of the completion.

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "tests/conformance/descriptors.h"
#include "tests/conformance/operations.h"

namespace weir::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr OperationOptions kZeroCopy{.zero_copy = true};

class ZeroCopy : public OperationsTest {
 protected:
  // Starts sends of `data` until one has to wait, and returns that: a system may
  // take one that is larger than its buffers (send() of Windows). Nothing but
  // that one is left to be told.
  static Operation SendUntilOneWaits(EventLoop& on, Stream& stream,
                                     std::string_view data, Indications& told) {
    Operation last;
    do {
      told.Take();
      MustOk(stream.Send(BytesOf(data), told.Handler("s"),
                         {.handle = &last, .zero_copy = true}));
      for (int i = 0; i < 5; ++i) Must(on.RunOnce(absl::ZeroDuration()));
    } while (last.done());
    EXPECT_THAT(told.entries(), IsEmpty());
    return last;
  }
};
WEIR_CONFORMANCE_SUITE(ZeroCopy);

TEST_P(ZeroCopy, O05_AllBytesArriveInOrder) {
  for (const AddressFamily family :
       test::Available({AddressFamily::kUnix, AddressFamily::kIpv4})) {
    StreamAndPeer pair = Connect(family);
    Indications told;
    const std::string first = Pattern(3 << 20), second = Pattern(1000),
                      third = Pattern(2 << 20);
    const std::array<ConstBuffer, 3> parts = {
        BytesOf(third).first(10), BytesOf(third).subspan(10, 0),
        BytesOf(third).subspan(10)};
    // With copies among them.
    ASSERT_OK(pair.stream.Send(BytesOf(first), told.Handler("1"), kZeroCopy));
    ASSERT_OK(pair.stream.Send(BytesOf(second), told.Handler("2")));
    ASSERT_OK(pair.stream.SendCopy(BytesOf(second)));
    ASSERT_OK(pair.stream.SendVector(parts, told.Handler("3"), kZeroCopy));
    ASSERT_OK(pair.stream.Disconnect(told.Handler("d")));
    const std::string all = first + second + second + third;
    std::string arrived;
    PumpUntil([&] {
      arrived += Drain(pair.peer);
      return arrived.size() >= all.size() && told.count() == 4;
    });
    EXPECT_TRUE(arrived == all);
    EXPECT_THAT(told.entries(),
                ElementsAre(absl::StrCat("1 OK ", first.size()),
                            absl::StrCat("2 OK ", second.size()),
                            absl::StrCat("3 OK ", third.size()), "d OK 0"));
  }
}

// The bytes may be changed as soon as the completion has come.
TEST_P(ZeroCopy, O05_TheBufferIsFreeAfterTheCompletion) {
  StreamAndPeer pair = Connect(AddressFamily::kIpv4);
  std::string buffer(100'000, ' ');
  std::string arrived, expected;
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    buffer.assign(buffer.size(), letter);
    expected += buffer;
    Indications told;
    ASSERT_OK(pair.stream.Send(BytesOf(buffer), told.Handler("s"), kZeroCopy));
    PumpUntil([&] {
      // Reads late: what was told to be free is overwritten before.
      if (told.count() == 0) arrived += Receive(pair.peer, 50'000);
      return told.count() == 1;
    });
    EXPECT_THAT(told.entries(), ElementsAre(absl::StrCat("s OK ", buffer.size())));
  }
  PumpUntil([&] {
    arrived += Drain(pair.peer);
    return arrived.size() >= expected.size();
  });
  EXPECT_TRUE(arrived == expected);
}

TEST_P(ZeroCopy, O10_CancelledOnceOrDone) {
  StreamAndPeer pair = Connect(AddressFamily::kIpv4);
  const std::string much = Pattern(kMoreThanFits);
  Indications told;
  const Operation send = SendUntilOneWaits(loop(), pair.stream, much, told);
  ASSERT_OK(send.Cancel());
  // Before there is room for the rest, which the kernel may send by itself.
  Turn();
  // Its end may wait for what the peer has not taken yet.
  PumpUntil([&] {
    (void)Drain(pair.peer);
    return told.count() == 1;
  });
  EXPECT_EQ(told.last_status().code(), absl::StatusCode::kCancelled);
  EXPECT_CODE(pair.stream.Send(BytesOf("x"), told.Handler("x")),
              kFailedPrecondition);
}

// Nobody reads, and nobody will: neither the close nor the end of the loop waits
// for that.
TEST_P(ZeroCopy, C01_ClosingDoesNotWaitForAPeerThatStalls) {
  const std::size_t before = OpenDescriptors();
  const std::string much = Pattern(kMoreThanFits);
  for (const bool by_loop : {false, true}) {
    auto loop = NewLoop();
    StreamAndPeer pair = Connect(*loop, AddressFamily::kIpv4);
    Indications told;
    SendUntilOneWaits(*loop, pair.stream, much, told);
    if (by_loop) {
      loop.reset();
    } else {
      ASSERT_OK(pair.stream.Close(told.ForClose("closed")));
      while (told.count() < 2) ASSERT_OK(loop->RunOnce(kPatience));
      EXPECT_EQ(told.entries().back(), "closed");
    }
    EXPECT_EQ(told.entries().front().substr(0, 11), "s CANCELLED");
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace weir::conformance
