// Every call of a scenario, one at a time, with every error that is documented
// for it, and cut short: whatever fails, each thing that was started ends once,
// nothing spins or hangs or leaks, and what arrives is what was sent.

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/conformance/conformance.h"
#include "tests/faults/documented_errors.h"
#include "tests/faults/fault_points.h"
#include "tests/faults/request_kinds.h"
#include "tests/faults/scenario.h"
#include "weir/status.h"

namespace weir::faults {
namespace {

using ::testing::IsEmpty;

bool IsTransfer(const Fault& fault) {
  switch (fault.call) {
    case Call::k_accept4:
    case Call::k_recv:
    case Call::k_recvmmsg:
    case Call::k_recvmsg:
    case Call::k_send:
    case Call::k_sendfile:
    case Call::k_sendmmsg:
    case Call::k_sendmsg:
    case Call::k_sendto:
      return true;
    case Call::k_ring_entry:
      return fault.detail != kConnectRequest;
    default:
      return false;
  }
}

// Errors of one connection, or of the network, that an accept passes over
// (accept(2)).
bool IsOfAcceptedConnection(int error) {
  switch (error) {
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ETIMEDOUT:
      return true;
    default:
      return false;
  }
}

// What nobody is to notice.
bool IsBridged(const Fault& fault) {
  const int error = fault.error;
  if (error == 0) return true;
  switch (fault.call) {
    case Call::k_close:
    case Call::k_poll:
    case Call::k_mmap:
    case Call::k_io_uring_get_probe_ring:
    case Call::k_io_uring_register_buf_ring:
      return true;
    case Call::k_accept4:
      if (IsOfAcceptedConnection(error)) return true;
      break;
    case Call::k_connect:
      if (error == EINPROGRESS) return true;
      if (error == ECONNABORTED && fault.times == 1) return true;
      break;
    case Call::k_epoll_ctl:
      return fault.detail == EPOLL_CTL_DEL ||
             (fault.detail == EPOLL_CTL_MOD && error == ENOMEM);
    case Call::k_epoll_pwait2:
      if (error == ENOSYS) return true;
      break;
    case Call::k_io_uring_submit_and_get_events:
    case Call::k_io_uring_submit_and_wait_timeout:
    case Call::k_io_uring_wait_cqes:
      if (error == EAGAIN || error == EBUSY || error == ENOMEM) return true;
      break;
    case Call::k_ring_entry:
      if (error == ECANCELED || fault.detail == kPollRequest) return true;
      // Then it is copied.
      if ((fault.detail == kZeroCopySendRequest ||
           fault.detail == kZeroCopySendMessageRequest) &&
          (error == ENOMEM || error == ENOBUFS || error == EOPNOTSUPP)) {
        return true;
      }
      if (fault.detail == kAcceptRequest && IsOfAcceptedConnection(error)) {
        return true;
      }
      break;
    default:
      break;
  }
  return error == EINTR || (error == EAGAIN && IsTransfer(fault));
}

std::string Describe(const Fault& fault, std::uint64_t of) {
  const std::string_view name = NameOf(fault.call);
  return absl::StrCat(
      absl::string_view(name.data(), name.size()),
      fault.detail == Fault::kAny ? "" : absl::StrCat(" ", fault.detail), ", ",
      fault.skip + 1, " of ", of, ": ",
      fault.error != 0 ? absl::StrCat(strerrorname_np(fault.error))
      : fault.once     ? "ends early"
                       : absl::StrCat("at most ", fault.most));
}

bool TellsOf(const std::vector<absl::Status>& failures, const Fault& fault) {
  // Told as "not a regular file".
  if (fault.call == Call::k_open &&
      (fault.error == ENXIO || fault.error == ENODEV))
    return !failures.empty();
  return std::any_of(failures.begin(), failures.end(),
                     [&fault](const absl::Status& status) {
                       return SystemCodeOf(status) == fault.error;
                     });
}

class FaultSweep : public ::testing::TestWithParam<std::string> {
 protected:
  ScenarioResult Run(int threads) {
    return RunScenario({.backend = GetParam(), .threads = threads});
  }

  // How many calls a run makes that `fault` is for.
  std::uint64_t Matches(Fault fault, int threads) {
    Clear();
    fault.times = 0;
    const std::size_t rule = Inject(fault);
    const ScenarioResult result = Run(threads);
    EXPECT_TRUE(result.through);
    EXPECT_THAT(result.wrong, IsEmpty());
    return MatchesOf(rule);
  }

  // Each call of the kind, with each of `variants`.
  struct Case {
    Fault fault;
    std::uint64_t of;
  };
  void Collect(const std::vector<Fault>& variants, int threads,
               std::vector<Case>& cases) {
    const std::uint64_t count = Matches(variants.front(), threads);
    for (std::uint64_t at = 0; at < count; ++at) {
      for (Fault fault : variants) {
        fault.skip = at;
        cases.push_back({fault, count});
      }
    }
  }

  void Check(const Case& test, int threads) {
    Clear();
    Inject(test.fault);
    const ScenarioResult result = Run(threads);
    if (Hits() == 0) return;
    std::vector<std::string> wrong = result.wrong;
    if (IsBridged(test.fault)) {
      if (!result.through) wrong.push_back("it did not get through");
    } else if (!result.through && !TellsOf(result.failures, test.fault)) {
      wrong.push_back("nobody was told why");
    }
    if (wrong.empty()) return;
    std::vector<std::string> told;
    for (const absl::Status& status : result.failures) {
      told.push_back(status.ToString());
    }
    ADD_FAILURE() << Describe(test.fault, test.of) << "\n  "
                  << absl::StrJoin(wrong, "\n  ") << "\n  told:\n  "
                  << absl::StrJoin(told, "\n  ");
  }

  // All of them, or, unless the environment asks for all, a sample.
  void CheckAll(std::vector<Case> cases, int threads) {
    constexpr std::size_t kSample = 300;
    if (std::getenv("WEIR_FAULTS_ALL") == nullptr) {
      std::shuffle(cases.begin(), cases.end(), std::mt19937(20260));
      if (cases.size() > kSample) cases.resize(kSample);
    }
    RecordProperty("cases", static_cast<int>(cases.size()));
    for (const Case& test : cases) {
      Check(test, threads);
      if (HasFatalFailure()) return;
    }
  }
};
WEIR_CONFORMANCE_SUITE(FaultSweep);

// Those of an error that comes again and again.
bool EndsSometime(const Fault& fault) {
  switch (fault.call) {
    // A change waits for memory as long as it takes.
    case Call::k_epoll_ctl:
      return fault.error != ENOMEM;
    // The loop does not run without.
    case Call::k_epoll_pwait2:
    case Call::k_epoll_wait:
    case Call::k_io_uring_register:
    case Call::k_io_uring_submit_and_get_events:
    case Call::k_io_uring_submit_and_wait_timeout:
    case Call::k_io_uring_wait_cqes:
      return false;
    default:
      // To be tried again, without end.
      return fault.error != EINTR && fault.error != ECANCELED &&
             !(fault.error == EAGAIN && IsTransfer(fault)) &&
             !(fault.call == Call::k_accept4 &&
               IsOfAcceptedConnection(fault.error)) &&
             !(fault.detail == kAcceptRequest &&
               IsOfAcceptedConnection(fault.error)) &&
             fault.detail != kPollRequest;
  }
}

TEST_P(FaultSweep, O02_EveryErrorOfEveryCall) {
  for (const int threads : {1, 2}) {
    SCOPED_TRACE(threads);
    std::vector<Case> cases;
    for (const CallErrors& row : DocumentedErrors()) {
      std::vector<Fault> variants;
      for (const int error : row.errors) {
        variants.push_back(
            {.call = row.call, .error = error, .detail = row.detail});
      }
      Collect(variants, threads, cases);
    }
    CheckAll(std::move(cases), threads);
  }
}

// And then every call like it, for ever.
TEST_P(FaultSweep, O02_EveryErrorFromSomeCallOn) {
  for (const int threads : {1, 2}) {
    SCOPED_TRACE(threads);
    std::vector<Case> cases;
    for (const CallErrors& row : DocumentedErrors()) {
      std::vector<Fault> variants;
      for (const int error : row.errors) {
        const Fault fault = {.call = row.call,
                             .error = error,
                             .times = Fault::kForever,
                             .detail = row.detail};
        if (EndsSometime(fault)) variants.push_back(fault);
      }
      if (!variants.empty()) Collect(variants, threads, cases);
    }
    CheckAll(std::move(cases), threads);
  }
}

// Less is moved than could be, once or always.
TEST_P(FaultSweep, O05_EveryTransferCutShort) {
  struct Kind {
    Call call;
    int detail = Fault::kAny;
  };
  constexpr Kind kKinds[] = {
      {Call::k_recv},
      {Call::k_recvmmsg},
      {Call::k_recvmsg},
      {Call::k_send},
      {Call::k_sendfile},
      {Call::k_sendmmsg},
      {Call::k_sendmsg},
      {Call::k_epoll_wait},
      {Call::k_epoll_pwait2},
      {Call::k_io_uring_submit_and_get_events},
      {Call::k_io_uring_submit_and_wait_timeout},
      {Call::k_ring_entry, kReceiveRequest},
      {Call::k_ring_entry, kReceiveMessageRequest},
      {Call::k_ring_entry, kSendRequest},
      {Call::k_ring_entry, kSendMessageRequest},
      {Call::k_ring_entry, kZeroCopySendRequest},
      {Call::k_ring_entry, kZeroCopySendMessageRequest},
  };
  for (const int threads : {1, 2}) {
    SCOPED_TRACE(threads);
    std::vector<Case> cases;
    for (const Kind& kind : kKinds) {
      std::vector<Fault> variants;
      for (const std::size_t most : {1, 2, 300}) {
        // Byte by byte it would take too long.
        const std::uint64_t many = most < 300 ? 20 : Fault::kForever;
        for (const std::uint64_t times : {std::uint64_t{1}, many}) {
          variants.push_back({.call = kind.call,
                              .most = most,
                              .times = times,
                              .detail = kind.detail});
        }
      }
      Collect(variants, threads, cases);
    }
    CheckAll(std::move(cases), threads);
  }
}

// Through a submission queue of two entries, which the kernel takes at its own
// pace: nothing that was noted is dropped, and nothing is noted twice.
TEST_P(FaultSweep, R12_ANarrowSubmissionQueue) {
  constexpr Call kCalls[] = {Call::k_io_uring_submit_and_get_events,
                             Call::k_io_uring_submit_and_wait_timeout,
                             Call::k_io_uring_wait_cqes};
  LimitSubmissionEntries(2);
  for (const int threads : {1, 2}) {
    SCOPED_TRACE(threads);
    std::vector<Case> cases;
    for (const Call call : kCalls) {
      std::vector<Fault> variants;
      for (const std::uint64_t times : {1, 4}) {
        for (const int error : {EAGAIN, EBUSY, EINTR, ENOMEM}) {
          variants.push_back({.call = call, .error = error, .times = times});
        }
        variants.push_back({.call = call, .most = 1, .times = times});
      }
      Collect(variants, threads, cases);
    }
    CheckAll(std::move(cases), threads);
  }
  LimitSubmissionEntries(0);
}

}  // namespace
}  // namespace weir::faults
