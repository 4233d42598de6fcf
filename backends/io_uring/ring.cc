#include "backends/io_uring/ring.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "platform/error.h"
#include "weir/backend.h"
#include "weir/status.h"

namespace weir::internal {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

// What every kernel since Linux 5.18 has, and this backend builds on.
constexpr struct {
  unsigned flag;
  const char* name;
} kNeededFeatures[] = {
    {IORING_FEAT_NODROP, "lossless completion queue"},
    {IORING_FEAT_EXT_ARG, "waits with a timeout"},
    {IORING_FEAT_CQE_SKIP, "silent success"},
    {IORING_FEAT_LINKED_FILE, "files resolved at execution"},
};

// Short of memory, or completions are to be reaped first (io_uring_enter(2)).
bool IsTransient(int error) {
  return error == EAGAIN || error == EBUSY || error == ENOMEM;
}

absl::Status QueueFull() {
  return absl::UnavailableError("io_uring_enter: the submission queue is full");
}

absl::Status Refused(int error) {
  const absl::Status system = platform::SystemError(error, "io_uring_setup");
  const char* advice = nullptr;
  switch (error) {
    case EPERM:
      advice =
          "the sysctl kernel.io_uring_disabled or a seccomp filter forbids it";
      break;
    case ENOSYS:
      advice = "the kernel has no io_uring, or a seccomp filter hides it";
      break;
    case EINVAL:
      advice = "the kernel is older than Linux 6.1";
      break;
    default:
      return system;
  }
  return StatusWithCause(absl::StatusCode::kUnavailable, CauseOf(system),
                         std::string(system.message()) + ": " + advice, error);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Ring>> Ring::Create(const Options& options) {
  std::unique_ptr<Ring> ring(new Ring);
  io_uring_params params{};
  params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  params.cq_entries = options.completion_entries;
  // Not IORING_SETUP_COOP_TASKRUN for any thread: what has come would wait
  // until the thread that asked for it enters the kernel, which may be running
  // a handler while another waits (io_uring_setup(2)).
  if (!options.any_thread) {
    params.flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_R_DISABLED |
                    IORING_SETUP_DEFER_TASKRUN;
  }
  const int result = io_uring_queue_init_params(options.submission_entries,
                                                &ring->ring_, &params);
  if (result < 0) return Refused(-result);
  ring->initialised_ = true;
  ring->enabled_ = options.any_thread;
  for (const auto& feature : kNeededFeatures) {
    if ((params.features & feature.flag) == 0) {
      return absl::UnavailableError(
          absl::StrCat("io_uring_setup: the kernel's io_uring lacks: ",
                       feature.name, " (Linux 6.1 has it)"));
    }
  }
  if (io_uring_probe* probe = io_uring_get_probe_ring(&ring->ring_)) {
    ring->sends_without_copy_ =
        io_uring_opcode_supported(probe, IORING_OP_SENDMSG_ZC) != 0;
    io_uring_free_probe(probe);
  }
  return ring;
}

Ring::~Ring() {
  if (initialised_) io_uring_queue_exit(&ring_);
}

absl::Status Ring::Enable() {
  if (enabled_) return absl::OkStatus();
  CountSystemCall();
  // liburing 2.3 declares io_uring_enable_rings but does not export it.
  const int result = io_uring_register(static_cast<unsigned>(ring_.ring_fd),
                                       IORING_REGISTER_ENABLE_RINGS, nullptr,
                                       0);
  if (result < 0) {
    return platform::SystemError(-result, "io_uring_register ENABLE_RINGS");
  }
  enabled_ = true;
  return absl::OkStatus();
}

absl::Status Ring::MakeRoom(unsigned entries) {
  if (io_uring_sq_space_left(&ring_) >= entries) return absl::OkStatus();
  const absl::Status status = Submit();
  if (io_uring_sq_space_left(&ring_) >= entries) return absl::OkStatus();
  return status.ok() ? QueueFull() : status;
}

// The kernel may take only some, and then goes on with the next call: it stops at
// a request that it refuses, or when it is out of memory (io_submit_sqes() in
// Linux).
absl::Status Ring::Submit() {
  if (!enabled_) return absl::OkStatus();
  while (io_uring_sq_ready(&ring_) > 0) {
    CountSystemCall();
    const int result = io_uring_submit_and_get_events(&ring_);
    if (result == 0) return QueueFull();
    if (result == -EBADR) {
      lost_ = true;
    } else if (result < 0 && result != -EINTR) {
      return Refusal(-result);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int> Ring::EndAll(int most) {
  if (absl::Status status = Submit(); !status.ok()) return status;
  io_uring_sync_cancel_reg request{};
  request.flags = IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY;
  request.timeout = {.tv_sec = -1, .tv_nsec = -1};
  CountSystemCall();
  const int result = io_uring_register_sync_cancel(&ring_, &request);
  if (result < 0 && result != -ENOENT) {
    return platform::SystemError(-result, "io_uring_register SYNC_CANCEL");
  }
  if (absl::Status status = SubmitAndWait(0, most); !status.ok()) return status;
  return std::max(result, 0);
}

absl::Status Ring::Refusal(int error) {
  const absl::Status system = platform::SystemError(error, "io_uring_enter");
  return IsTransient(error)
             ? StatusWithCause(absl::StatusCode::kUnavailable, CauseOf(system),
                               std::string(system.message()), error)
             : system;
}

absl::Status Ring::SubmitAndWait(std::int64_t timeout_ns, int most) {
  CountSystemCall();
  const auto all = static_cast<unsigned>(most);
  __kernel_timespec timeout{timeout_ns / kNsPerSecond,
                            timeout_ns % kNsPerSecond};
  io_uring_cqe* first = nullptr;
  return FromWait(io_uring_submit_and_wait_timeout(
      &ring_, &first, timeout_ns == 0 ? all : 1,
      timeout_ns == Backend::kForever ? nullptr : &timeout, nullptr));
}

void Ring::Pause() { poll(nullptr, 0, 1); }

absl::Status Ring::WaitOnly(std::int64_t timeout_ns) {
  CountSystemCall();
  __kernel_timespec timeout{timeout_ns / kNsPerSecond,
                            timeout_ns % kNsPerSecond};
  io_uring_cqe* first = nullptr;
  return FromWait(io_uring_wait_cqes(
      &ring_, &first, 1,
      timeout_ns == Backend::kForever ? nullptr : &timeout, nullptr));
}

absl::Status Ring::FromWait(int result) {
  switch (-result) {
    case ETIME:
    case EINTR:
      return absl::OkStatus();
    case EBADR:
      lost_ = true;
      return absl::OkStatus();
    default:
      break;
  }
  if (result >= 0) return absl::OkStatus();
  if (!IsTransient(-result)) return Refusal(-result);
  // What was not taken stays queued for the next wait.
  Pause();
  return absl::OkStatus();
}

}  // namespace weir::internal
