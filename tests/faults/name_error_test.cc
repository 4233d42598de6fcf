// Names that the system cannot resolve, and a machine without threads.

#include <netdb.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/resolver_answers.h"
#include "tests/faults/fault_test.h"
#include "weir/resolver.h"

namespace weir::faults {
namespace {

using conformance::Answers;
using conformance::Must;
using conformance::MustOk;

// getaddrinfo(3), as weir/resolver.h tells of it.
struct NameError {
  int error;
  absl::StatusCode code;
  ErrorCause cause;
};
constexpr NameError kNameErrors[] = {
    {EAI_ADDRFAMILY, absl::StatusCode::kNotFound, ErrorCause::kNotFound},
    {EAI_AGAIN, absl::StatusCode::kUnavailable, ErrorCause::kUnknown},
    {EAI_BADFLAGS, absl::StatusCode::kInvalidArgument,
     ErrorCause::kInvalidArgument},
    {EAI_FAIL, absl::StatusCode::kUnavailable, ErrorCause::kProtocolError},
    {EAI_FAMILY, absl::StatusCode::kUnimplemented, ErrorCause::kNotSupported},
    {EAI_MEMORY, absl::StatusCode::kResourceExhausted, ErrorCause::kNoMemory},
    {EAI_NODATA, absl::StatusCode::kNotFound, ErrorCause::kNotFound},
    {EAI_NONAME, absl::StatusCode::kNotFound, ErrorCause::kNotFound},
    {EAI_SERVICE, absl::StatusCode::kInvalidArgument,
     ErrorCause::kInvalidArgument},
    {EAI_SOCKTYPE, absl::StatusCode::kInvalidArgument,
     ErrorCause::kInvalidArgument},
    // EAI_SYSTEM with these.
    {EMFILE, absl::StatusCode::kResourceExhausted,
     ErrorCause::kTooManyDescriptors},
    {ENOMEM, absl::StatusCode::kResourceExhausted, ErrorCause::kNoMemory},
};

class NameFault : public FaultTest {
 protected:
  absl::Status Resolve(Resolver& resolver) {
    Answers answers;
    MustOk(resolver.Resolve("localhost", 80, answers.Handler()).status());
    TurnUntil([&] { return answers.count() == 1; });
    return answers.Take().at(0).status();
  }
};
WEIR_CONFORMANCE_SUITE(NameFault);

TEST_P(NameFault, P03_EveryErrorOfALookup) {
  const auto resolver = Must(Resolver::Create(loop()));
  std::size_t checked = 0;
  for (const int error : ErrorsOf(Call::k_getaddrinfo)) {
    SCOPED_TRACE(error);
    Clear();
    Inject({.call = Call::k_getaddrinfo, .error = error});
    const absl::Status status = Resolve(*resolver);
    EXPECT_EQ(Hits(), 1u);
    ++checked;
    if (error == EINTR) {
      EXPECT_TRUE(status.ok()) << status;
      continue;
    }
    const auto row = std::find_if(
        std::begin(kNameErrors), std::end(kNameErrors),
        [&](const NameError& name) { return name.error == error; });
    ASSERT_NE(row, std::end(kNameErrors));
    EXPECT_EQ(status.code(), row->code) << status;
    EXPECT_EQ(CauseOf(status), row->cause) << status;
    EXPECT_EQ(SystemCodeOf(status), error) << status;
    EXPECT_OK(Resolve(*resolver));
  }
  EXPECT_EQ(checked, std::size(kNameErrors) + 1);
}

// Those threads that could be started end.
TEST_P(NameFault, P03_AResolverIsMadeWholeOrNotAtAll) {
  for (std::uint64_t skip = 0; skip < 3; ++skip) {
    for (const int error : ErrorsOf(Call::k_pthread_create)) {
      SCOPED_TRACE(skip);
      SCOPED_TRACE(error);
      Clear();
      Inject({.call = Call::k_pthread_create, .error = error, .skip = skip});
      const auto made = Resolver::Create(loop(), {.threads = 3});
      EXPECT_EQ(Hits(), 1u);
      EXPECT_CODE(made, kResourceExhausted);
      EXPECT_EQ(SystemCodeOf(made.status()), error);
      const auto resolver = Must(Resolver::Create(loop(), {.threads = 3}));
      EXPECT_OK(Resolve(*resolver));
    }
  }
}

}  // namespace
}  // namespace weir::faults
