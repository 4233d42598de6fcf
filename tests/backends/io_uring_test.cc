// What io_uring makes special: its queues fill up, its cancellations race, and
// a kernel can refuse it.

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/conformance/descriptors.h"
#include "weir/status.h"

namespace weir::conformance {
namespace {

constexpr Watch WatchFor(Condition conditions) {
  return {.present = true,
          .conditions = conditions,
          .trigger = Trigger::kLevel,
          .persistence = Persistence::kOneShot};
}

// A record of the core's, without the core.
class Watched : public WatchedSocket {
 public:
  explicit Watched(const Socket& socket) : WatchedSocket(socket.native()) {}
  using WatchedSocket::pins;
};

// The parameter: for how many threads the backend is made.
class IoUring : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    const auto names = BackendsUnderTest();
    if (std::find(names.begin(), names.end(), "io_uring") == names.end()) {
      GTEST_SKIP() << "io_uring is not under test";
    }
  }
  std::unique_ptr<Backend> NewBackend(int max_events) {
    return Must(CreateBackend(
        "io_uring", {.threads = GetParam(), .max_events = max_events}));
  }
  // One turn, as the core does it.
  void Turn(Backend& backend, std::int64_t timeout_ns) {
    if (GetParam() > 1) {
      ASSERT_OK(backend.Submit());
    }
    ASSERT_OK(backend.Wait(timeout_ns));
    backend.Collect(ready_);
  }
  // How often each record was reported by then; the conditions are taken.
  std::vector<Watched*> TakeReports() {
    std::vector<Watched*> reports;
    while (WatchedSocket* socket = ready_.Pop()) {
      reports.push_back(static_cast<Watched*>(socket));
    }
    return reports;
  }

  ReadyList ready_;
};
INSTANTIATE_TEST_SUITE_P(, IoUring, ::testing::Values(1, 2),
                         [](const auto& parameter) {
                           return "for_" + std::to_string(parameter.param);
                         });

// Survey trap 45: more is ready at once than the completion queue has entries,
// the loop's own wake-up included. Nothing is lost, and the wake-up works on.
TEST_P(IoUring, R05_MoreReadyThanCompletionEntries) {
  constexpr std::size_t kSockets = 20'000;
  for (const int max_events : {256, 65536}) {
    SCOPED_TRACE(max_events);
    const auto backend = NewBackend(max_events);
    // Always writable; the records share it.
    const Socket socket =
        Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0)));
    std::deque<Watched> records;
    Turn(*backend, 0);
    for (std::size_t i = 0; i < kSockets; ++i) {
      records.emplace_back(socket);
      ASSERT_OK(backend->Arm(records.back(), Watch{},
                             WatchFor(Condition::kWritable)));
      if (i % 1000 == 0) backend->Wake();
    }
    std::size_t reported = 0;
    for (int turn = 0; reported < kSockets && turn < 1000; ++turn) {
      Turn(*backend, Backend::kForever);
      if (ready_.TakeLoss()) ADD_FAILURE() << "reports were lost";
      for (Watched* record : TakeReports()) {
        EXPECT_EQ(ReadyList::TakeConditions(*record), Condition::kWritable);
        ++reported;
      }
    }
    EXPECT_EQ(reported, kSockets);
    for (const Watched& record : records) EXPECT_EQ(record.pins(), 0u);
    // Quiet, and still to be woken.
    for (int i = 0; i < 50; ++i) Turn(*backend, 1'000'000);
    EXPECT_TRUE(TakeReports().empty());
    for (int i = 0; i < 10; ++i) {
      backend->Wake();
      Turn(*backend, Backend::kForever);
    }
  }
}

// Survey trap 52 and 45 through the loop: thousands of changes in one turn,
// more than submission entries; every one takes effect, once.
TEST_P(IoUring, R12_MoreChangesInATurnThanSubmissionEntries) {
  constexpr std::size_t kSockets = 5000;
  const DescriptorRoom room(kSockets + 200);
  EventLoopOptions options;
  options.backend = "io_uring";
  options.threads = GetParam();
  const auto loop = Must(EventLoop::Create(options));
  std::vector<Socket> sockets;
  std::vector<Recorder> recorders(kSockets);
  std::vector<Registration> registrations;
  std::vector<RegistrationRequest> requests(kSockets);
  for (std::size_t i = 0; i < kSockets; ++i) {
    sockets.push_back(
        Must(Socket::Open(AddressFamily::kIpv4, SocketType::kDatagram)));
  }
  for (std::size_t i = 0; i < kSockets; ++i) {
    requests[i] = {.socket = &sockets[i],
                   .options = {.interest = Interest::kWritable,
                               .persistence = Persistence::kOneShot},
                   .handler = recorders[i].Handler()};
  }
  for (auto& result : loop->RegisterBatch(requests)) {
    registrations.push_back(Must(std::move(result)));
  }
  std::uint64_t expected = 0;
  const auto run = [&] {
    expected += kSockets;
    for (int turn = 0; loop->counters().events < expected && turn < 1000;
         ++turn) {
      Must(loop->RunOnce(kPatience));
    }
  };
  run();
  for (const Registration& registration : registrations) {
    ASSERT_OK(registration.Rearm());
  }
  run();
  for (const Registration& registration : registrations) {
    ASSERT_OK(registration.Remove());
  }
  run();
  for (const Recorder& recorder : recorders) {
    ASSERT_THAT(recorder.events(),
                ::testing::ElementsAre(Events::kWritable, Events::kWritable,
                                       Events::kRemoved));
  }
  EXPECT_EQ(loop->counters().events, expected);
  EXPECT_EQ(loop->counters().registrations, 0u);
}

// Survey trap 49: however the removal of a poll and its completion meet, the
// poll ends once: the record is unpinned, and reported at most once.
TEST_P(IoUring, R09_EachPollEndsOnceHoweverItsRemovalEnds) {
  const auto backend = NewBackend(256);
  enum class Meeting {
    kDataFirst,
    kDataSubmittedFirst,
    kRemovalFirst,
    kNoData
  };
  for (const Meeting meeting :
       {Meeting::kDataFirst, Meeting::kDataSubmittedFirst,
        Meeting::kRemovalFirst, Meeting::kNoData}) {
    for (int round = 0; round < 70; ++round) {
      SCOPED_TRACE(static_cast<int>(meeting));
      Connection connection = Connected(test::LocalFamily());
      Watched record(connection.server);
      ASSERT_OK(backend->Arm(record, Watch{}, WatchFor(Condition::kReadable)));
      Turn(*backend, 0);
      EXPECT_EQ(record.pins(), 1u);
      if (meeting == Meeting::kDataFirst) Send(connection.client, "x");
      if (meeting == Meeting::kDataSubmittedFirst) {
        Send(connection.client, "x");
        ASSERT_OK(backend->Submit());
      }
      ASSERT_OK(backend->Arm(record, WatchFor(Condition::kReadable), Watch{}));
      ASSERT_OK(backend->Submit());
      if (meeting == Meeting::kRemovalFirst) Send(connection.client, "x");
      std::size_t reported = 0;
      for (int turn = 0; record.pins() != 0 && turn < 1000; ++turn) {
        Turn(*backend, 10'000'000);
        reported += TakeReports().size();
      }
      Turn(*backend, 0);
      reported += TakeReports().size();
      EXPECT_EQ(record.pins(), 0u);
      EXPECT_LE(reported, 1u);
    }
  }
}

// Whoever ends an embedded loop ends what is under way.
TEST_P(IoUring, C04_ThatOfAnEmbeddedLoopIsAnyThreads) {
  const auto backend = Must(
      CreateBackend("io_uring", {.threads = GetParam(), .embedded = true}));
  EXPECT_TRUE(backend->capabilities().usable_by_any_thread);
  Connection connection = Connected();
  Watched watched(connection.server);
  const Watch watch = WatchFor(Condition::kReadable);
  ASSERT_OK(backend->Arm(watched, Watch{}, watch));
  Turn(*backend, 0);
  ASSERT_EQ(watched.pins(), 1u);
  std::thread([&] {
    ASSERT_OK(backend->Arm(watched, watch, Watch{}));
    ASSERT_OK(backend->Submit());
    for (int turn = 0; watched.pins() != 0 && turn < 1000; ++turn) {
      Turn(*backend, 10'000'000);
    }
  }).join();
  EXPECT_EQ(watched.pins(), 0u);
}

// The completion of a poll that was removed is not taken for one of its
// successor's.
TEST_P(IoUring, R05_ALateCompletionIsNotItsSuccessors) {
  const auto backend = NewBackend(256);
  for (int round = 0; round < 70; ++round) {
    Connection connection = Connected(test::LocalFamily());
    Watched record(connection.server);
    ASSERT_OK(backend->Arm(record, Watch{}, WatchFor(Condition::kReadable)));
    Turn(*backend, 0);
    ASSERT_OK(backend->Arm(record, WatchFor(Condition::kReadable), Watch{}));
    ASSERT_OK(backend->Arm(record, Watch{}, WatchFor(Condition::kReadable)));
    Turn(*backend, 0);
    EXPECT_TRUE(TakeReports().empty());
    Send(connection.client, "x");
    for (int turn = 0; record.pins() != 0 && turn < 1000; ++turn) {
      Turn(*backend, 10'000'000);
    }
    EXPECT_EQ(record.pins(), 0u);
    ASSERT_EQ(TakeReports().size(), 1u);
    EXPECT_EQ(ReadyList::TakeConditions(record), Condition::kReadable);
  }
}

// A change of the conditions of an armed poll, which may have fired already.
TEST_P(IoUring, R08_AChangedPollReportsWhatItWasChangedTo) {
  const auto backend = NewBackend(256);
  Connection connection = Connected(test::LocalFamily());
  Watched record(connection.server);
  ASSERT_OK(backend->Arm(record, Watch{}, WatchFor(Condition::kReadable)));
  Turn(*backend, 0);
  EXPECT_TRUE(TakeReports().empty());
  ASSERT_OK(backend->Arm(record, WatchFor(Condition::kReadable),
                         WatchFor(Condition::kWritable)));
  Turn(*backend, Backend::kForever);
  ASSERT_EQ(TakeReports().size(), 1u);
  EXPECT_EQ(ReadyList::TakeConditions(record), Condition::kWritable);
  EXPECT_EQ(record.pins(), 0u);
}

// --- refusal of the mechanism (survey trap 53)

void InChild(bool condition, const std::string& what) {
  if (condition) return;
  std::fprintf(stderr, "in the child: %s\n", what.c_str());
  std::_Exit(1);
}

// Makes io_uring_setup(2) fail with `error` in this process, for good.
void RefuseIoUring(int error) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K,
               SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program{.len = std::size(filter), .filter = filter};
  InChild(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
  InChild(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0,
          "seccomp");
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

[[noreturn]] void CheckRefusal(int error, const std::string& words,
                               int threads) {
  RefuseIoUring(error);
  EventLoopOptions options;
  options.threads = threads;
  options.backend = "io_uring";
  const auto by_name = EventLoop::Create(options);
  const std::string told(by_name.status().message());
  InChild(absl::IsUnavailable(by_name.status()), by_name.status().ToString());
  InChild(SystemCodeOf(by_name.status()) == error, "the system's number");
  InChild(Contains(told, "io_uring_setup"), told);
  InChild(Contains(told, words), told);

  options.backend = "auto";
  const auto best = EventLoop::Create(options);
  const auto compiled = CompiledBackends();
  if (std::find(compiled.begin(), compiled.end(), "epoll") == compiled.end()) {
    InChild(absl::IsUnavailable(best.status()), best.status().ToString());
    std::_Exit(0);
  }
  InChild(best.ok(), best.status().ToString());
  InChild((*best)->backend_name() == "epoll", "the fallback's name");
  const std::string reason((*best)->backend_reason());
  InChild(Contains(reason, "epoll"), reason);
  InChild(Contains(reason, "io_uring"), reason);
  InChild(Contains(reason, words), reason);
  // And it works.
  bool posted = false;
  InChild((*best)->Post([&] { posted = true; }).ok(), "post");
  InChild((*best)->RunOnce(absl::ZeroDuration()).ok() && posted, "run");
  std::_Exit(0);
}

TEST_P(IoUring, P05_ForbiddenByAFilterOrTheSysctl) {
  EXPECT_EXIT(CheckRefusal(EPERM, "seccomp", GetParam()),
              ::testing::ExitedWithCode(0), "");
}

TEST_P(IoUring, P05_AKernelWithoutIoUring) {
  EXPECT_EXIT(CheckRefusal(ENOSYS, "no io_uring", GetParam()),
              ::testing::ExitedWithCode(0), "");
}

TEST_P(IoUring, P05_AKernelWithAnOldIoUring) {
  EXPECT_EXIT(CheckRefusal(EINVAL, "older", GetParam()),
              ::testing::ExitedWithCode(0), "");
}

// A want of descriptors is not a refusal of the mechanism: there is no falling
// back, and what was opened before the failure is closed.
TEST_P(IoUring, P05_WithoutDescriptorsNothingFallsBack) {
  const std::size_t before = OpenDescriptors();
  for (const char* name : {"io_uring", "epoll", "auto"}) {
    for (int left = 0; left < 2; ++left) {
      SCOPED_TRACE(std::string(name) + ", descriptors left: " +
                   std::to_string(left));
      if (std::string(name) == "epoll" && CompiledBackends().size() == 1) {
        continue;
      }
      absl::Status status;
      {
        const int placeholder = dup(0);
        const NoDescriptorsLeft none;
        if (left == 1) close(placeholder);
        EventLoopOptions options;
        options.backend = name;
        options.threads = GetParam();
        status = EventLoop::Create(options).status();
        if (left == 0) close(placeholder);
      }
      EXPECT_CODE(status, kResourceExhausted);
      EXPECT_EQ(CauseOf(status), ErrorCause::kTooManyDescriptors);
      EXPECT_EQ(OpenDescriptors(), before);
    }
  }
}

}  // namespace
}  // namespace weir::conformance
