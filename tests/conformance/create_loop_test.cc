// Making a loop on one of Weir's own mechanisms, by name (P05).

#include <cstddef>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/conformance/descriptors.h"
#include "tests/conformance/failure.h"

namespace weir::conformance {
namespace {

class CreateLoop : public Conformance {
 protected:
  void SetUp() override {}
};
WEIR_CONFORMANCE_SUITE(CreateLoop);

TEST_P(CreateLoop, P05_ALoopThatGetsNoDescriptorsSaysSoAndLeaksNothing) {
  WEIR_SKIP_WITHOUT_DESCRIPTOR_LIMIT();
  const std::size_t before = OpenDescriptors();
  EventLoopOptions options;
  options.backend = GetParam();
  // With room for the mechanism's first descriptors and not for all.
  std::size_t failures = 0;
  for (std::size_t room = 0; room < 8; ++room) {
    std::vector<Socket> reserved;
    for (std::size_t i = 0; i < room; ++i) {
      reserved.push_back(
          Must(Socket::Open(AddressFamily::kIpv4, SocketType::kStream)));
    }
    absl::Status status;
    {
      NoDescriptorsLeft none;
      reserved.clear();
      status = EventLoop::Create(options).status();
    }
    EXPECT_EQ(OpenDescriptors(), before);
    if (status.ok()) break;
    ++failures;
    EXPECT_TRUE(IsFailure(status, absl::StatusCode::kResourceExhausted,
                          ErrorCause::kTooManyDescriptors,
                          {test::WordsFor(ErrorCause::kTooManyDescriptors)}));
  }
  EXPECT_GE(failures, 2u);
  EXPECT_LT(failures, 8u);
}

TEST_P(CreateLoop, P05_OptionsOutOfRangeAreRefused) {
  const struct {
    int threads;
    int max_events;
    const char* named;
  } cases[] = {{0, 256, "threads"},
               {-1, 256, "threads"},
               {1, 0, "max_events"},
               {1, 65537, "max_events"}};
  const std::size_t before = OpenDescriptors();
  for (const auto& bad : cases) {
    EventLoopOptions options;
    options.backend = GetParam();
    options.threads = bad.threads;
    options.max_events = bad.max_events;
    EXPECT_TRUE(IsFailure(EventLoop::Create(options).status(),
                          absl::StatusCode::kInvalidArgument,
                          ErrorCause::kUnknown,
                          {"create event loop", bad.named}));
  }
  EventLoopOptions unknown;
  unknown.backend = GetParam() + "2";
  EXPECT_TRUE(IsFailure(EventLoop::Create(unknown).status(),
                        absl::StatusCode::kInvalidArgument,
                        ErrorCause::kUnknown, {unknown.backend, GetParam()}));
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace weir::conformance
