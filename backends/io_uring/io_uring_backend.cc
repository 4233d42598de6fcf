#include "backends/io_uring/io_uring_backend.h"

#include <cerrno>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

#include "backends/io_uring/ring.h"
#include "backends/io_uring/submissions.h"
#include "backends/poll_mask.h"
#include "platform/posix/wake_up.h"

namespace weir::internal {
namespace {

// What a completion is for. A poll of a socket carries the record's address
// and, in bits that no address of user space has, which of its successive polls
// it is: the completion of one that was cancelled can come after the next has
// been armed. Below Submissions::kMark; x86-64 gives user space 56 bits at most
// (Documentation/arch/x86/x86_64/5level-paging.rst), arm64 52.
constexpr int kSerialShift = 57;
constexpr std::uint32_t kSerialMask = 63;
constexpr std::uint64_t kAddressMask = (std::uint64_t{1} << kSerialShift) - 1;
// Control requests whose own completions say nothing that the poll's do not
// (survey trap 49): not found and already running both mean that the poll's
// completion is on its way.
constexpr std::uint64_t kIgnored = 0;
constexpr std::uint64_t kWakeUp = 1;

// WatchedSocket::backend_data: the serial number of the present poll and, above
// it, the conditions that it was asked for, kQuiet for those of a quiet watch.
constexpr int kAskedShift = 8;
constexpr std::uint32_t kQuiet = 1u << 16;

constexpr std::uint32_t SerialOf(std::uint32_t data) {
  return data & kSerialMask;
}
constexpr Condition AskedOf(std::uint32_t data) {
  return static_cast<Condition>((data >> kAskedShift) & 0xff);
}
constexpr std::uint32_t MakeData(std::uint32_t serial, Condition asked) {
  return (serial & kSerialMask) |
         (static_cast<std::uint32_t>(asked) << kAskedShift);
}

// Of a poll that says nothing of its socket: the thread that armed it has ended
// (ECANCELED), or the kernel had no memory for it.
constexpr bool IsToBeArmedAgain(int error) {
  return error == ECANCELED || error == ENOMEM || error == EINTR;
}

class IoUringBackend final : public Backend {
 public:
  IoUringBackend(std::unique_ptr<Ring> ring, platform::WakeUp wake_up,
                 const BackendOptions& options)
      : ring_(std::move(ring)),
        wake_up_(std::move(wake_up)),
        several_threads_(options.threads > 1),
        max_events_(options.max_events) {}
  // Completions that were never collected hold connections.
  ~IoUringBackend() override {
    constexpr int kAll = std::numeric_limits<int>::max();
    ring_->Reap(kAll, [](const io_uring_cqe& completion) {
      if (Submissions::Owns(completion.user_data)) {
        Submissions::Discard(completion);
      }
      return false;
    });
  }

  std::string_view name() const override { return "io_uring"; }

  Capabilities capabilities() const override {
    return {.readiness_model = ReadinessModel::kSingleShot,
            .submissions = true,
            .zero_copy_sends = ring_->sends_without_copy(),
            .receives_by_socket = true,
            .receives_miss_ends = true,
            .usable_by_any_thread = ring_->for_any_thread()};
  }

  //   from     to       requests
  //   absent   present  POLL_ADD, single-shot: checks the present state
  //   present  absent   ASYNC_CANCEL; the poll's completion is then stale
  //   any      quiet    the same with a multishot POLL_ADD
  //   present  present  both: an update in place would tell apart neither
  //                     whether the old poll had completed already, nor which
  //                     of the two a completion is of
  absl::Status Arm(WatchedSocket& socket, const Watch& from,
                   const Watch& to) override {
    if (absl::Status status = Prepare(); !status.ok()) return status;
    const unsigned entries = (from.present ? 1u : 0u) + (to.present ? 1u : 0u);
    if (absl::Status status = ring_->MakeRoom(entries); !status.ok()) {
      return status;
    }
    if (from.present) RemovePoll(socket);
    if (to == kQuietWatch) {
      AddPoll(socket, Condition::kNone, /*multishot=*/true);
      socket.backend_data |= kQuiet;
    } else if (to.present) {
      AddPoll(socket, to.conditions, /*multishot=*/false);
    }
    return absl::OkStatus();
  }

  absl::Status Start(Submission& submission,
                     std::span<const std::span<std::byte>> buffers) override {
    if (absl::Status status = Prepare(); !status.ok()) return status;
    return submissions_.Start(*ring_, submission, buffers);
  }
  absl::Status StartReceiveMany(WatchedSocket& socket) override {
    if (absl::Status status = Prepare(); !status.ok()) return status;
    return submissions_.StartReceiveMany(*ring_, socket);
  }
  void Cancel(Submission& submission) override {
    submissions_.Cancel(*ring_, submission, kIgnored);
  }
  std::optional<ReceivedChunk> NextChunk(Submission& submission) override {
    return submissions_.NextChunk(submission);
  }
  bool KeepChunk(std::int32_t id) override {
    return submissions_.KeepChunk(id);
  }
  void ReturnChunk(std::int32_t id) override { submissions_.ReturnChunk(id); }
  std::optional<NativeSocket> NextAccepted(Submission& submission) override {
    return submissions_.NextAccepted(submission);
  }

  absl::Status Submit() override {
    if (several_threads_) {
      if (absl::Status status = Prepare(); !status.ok()) return status;
    }
    if (absl::Status status = submissions_.CancelRest(*ring_, kIgnored);
        !status.ok()) {
      return status;
    }
    return ring_->Submit();
  }

  absl::Status Wait(std::int64_t timeout_ns) override {
    if (several_threads_) return ring_->WaitOnly(timeout_ns);
    if (absl::Status status = Prepare(); !status.ok()) return status;
    // When the wait has handed the queue over, there is room.
    if (!submissions_.CancelRest(*ring_, kIgnored).ok()) timeout_ns = 0;
    return ring_->SubmitAndWait(timeout_ns, max_events_);
  }

  void Collect(ReadyList& ready) override {
    Reap(ready);
    if (ring_->empty()) submissions_.EndBurst();
    // The polls will be armed again at once.
    if (std::exchange(short_of_memory_, false)) Ring::Pause();
    if (ring_->TakeLostCompletions()) Recover(ready);
  }

  void Wake() override { wake_up_.Signal(); }

  NativeSocket native_handle() const override {
    return static_cast<NativeSocket>(ring_->descriptor());
  }

  std::uint64_t system_calls() const override {
    return ring_->system_calls();
  }

 private:
  static std::uint64_t TokenOf(const WatchedSocket& socket) {
    return reinterpret_cast<std::uintptr_t>(&socket) |
           std::uint64_t{SerialOf(socket.backend_data)} << kSerialShift;
  }

  // Takes the ring for this thread, and arms the wake-up if it is not.
  absl::Status Prepare() {
    if (wake_up_armed_) return absl::OkStatus();
    if (absl::Status status = ring_->Enable(); !status.ok()) return status;
    if (absl::Status status = ring_->MakeRoom(1); !status.ok()) return status;
    // Multishot tells each signal, as an edge, so none has to be read back.
    io_uring_sqe* entry = ring_->NextEntry();
    io_uring_prep_poll_multishot(entry, wake_up_.descriptor(), POLLIN);
    io_uring_sqe_set_data64(entry, kWakeUp);
    wake_up_armed_ = true;
    return absl::OkStatus();
  }

  int Reap(ReadyList& ready) {
    return ring_->Reap(max_events_, [&](const io_uring_cqe& completion) {
      return Translate(completion, ready);
    });
  }

  // Ends every request that the kernel has, so that those are left over whose
  // completions were lost. One that is just being carried out is nowhere to be
  // found: when nothing more has come, they are ended once more.
  void Recover(ReadyList& ready) {
    wake_up_armed_ = false;
    for (int in_vain = 0; in_vain < 2;) {
      const absl::StatusOr<int> ended = ring_->EndAll(max_events_);
      if (!ended.ok()) {
        // In the next turn, or never.
        if (absl::IsUnavailable(ended.status())) {
          ring_->NoteLostCompletions();
        } else {
          ready.ReportLoss();
        }
        return;
      }
      in_vain = Reap(ready) + *ended == 0 ? in_vain + 1 : 0;
    }
    ready.ReportLoss(EBADR);
  }

  // Whether it was an event of a socket.
  bool Translate(const io_uring_cqe& completion, ReadyList& ready) {
    if (completion.user_data == kIgnored) return false;
    if (Submissions::Owns(completion.user_data)) {
      submissions_.Complete(*ring_, completion, ready, kIgnored);
      return true;
    }
    if (completion.user_data == kWakeUp) {
      // Ended by itself, as after an overflow (survey trap 45).
      if ((completion.flags & IORING_CQE_F_MORE) == 0) wake_up_armed_ = false;
      return false;
    }
    auto& socket = *reinterpret_cast<WatchedSocket*>(
        static_cast<std::uintptr_t>(completion.user_data & kAddressMask));
    const bool more = (completion.flags & IORING_CQE_F_MORE) != 0;
    if (!more) socket.Unpin();
    if (completion.user_data >> kSerialShift != SerialOf(socket.backend_data)) {
      // A stale multishot that could not be cancelled when it was meant to be.
      if (more && ring_->MakeRoom(1).ok()) CancelPoll(completion.user_data);
      return false;
    }
    if (completion.res < 0) {
      if (!IsToBeArmedAgain(-completion.res)) {
        ready.ReportRefusal(socket, -completion.res);
        return true;
      }
      ready.Report(socket, Condition::kNone);
      short_of_memory_ |= completion.res == -ENOMEM;
      return true;
    }
    const Condition conditions =
        ConditionsFromPollMask(static_cast<std::uint32_t>(completion.res));
    if (Has(conditions, WorthReporting(socket.backend_data))) {
      ready.Report(socket, conditions);
      if (more) StopMultishot(socket);
      return true;
    }
    if (!more) Outwait(socket, ready);
    return false;
  }

  // Both with room in the submission queue.
  void AddPoll(WatchedSocket& socket, Condition asked, bool multishot) {
    socket.backend_data = MakeData(SerialOf(socket.backend_data) + 1, asked);
    io_uring_sqe* entry = ring_->NextEntry();
    io_uring_prep_poll_add(entry, static_cast<int>(socket.socket()),
                           PollMaskFor(asked));
    if (multishot) entry->len |= IORING_POLL_ADD_MULTI;
    io_uring_sqe_set_data64(entry, TokenOf(socket));
    socket.Pin();
  }
  // Not POLL_REMOVE: that leaves a multishot poll alive, and the file open, when
  // its report is just being made (-EALREADY, measured on Linux 6.18).
  void CancelPoll(std::uint64_t token) {
    ring_->PrepareCancel(token, kIgnored);
  }
  void RemovePoll(WatchedSocket& socket) {
    CancelPoll(TokenOf(socket));
    socket.backend_data = MakeData(SerialOf(socket.backend_data) + 1,
                                   AskedOf(socket.backend_data));
  }

  static constexpr Condition WorthReporting(std::uint32_t data) {
    return (data & kQuiet) != 0 ? Condition::kError
                                : ~Condition::kPeerClosed | AskedOf(data);
  }

  // The kernel adds POLLRDHUP to every poll's mask (io_uring/poll.c,
  // IO_POLL_UNMASK), so once the peer has closed its side a single-shot poll for
  // anything else is over at once, again and again; one for an error alone is,
  // once both sides are closed. A multishot poll reports it once and then what
  // wakes it. It is submitted with the next wait: what holds by now is looked
  // for in this turn.
  void Outwait(WatchedSocket& socket, ReadyList& ready) {
    if (!ring_->MakeRoom(1).ok()) {
      ready.Report(socket, Condition::kNone);
      return;
    }
    const std::uint32_t quiet = socket.backend_data & kQuiet;
    AddPoll(socket, AskedOf(socket.backend_data), /*multishot=*/true);
    socket.backend_data |= quiet;
    ready.Push(socket);
  }

  // The next poll, if there is one, looks at the present state: nothing that
  // this one would report is lost.
  void StopMultishot(WatchedSocket& socket) {
    if (ring_->MakeRoom(1).ok()) {
      RemovePoll(socket);
    } else {
      // It goes on; what it reports is stale.
      socket.backend_data = MakeData(SerialOf(socket.backend_data) + 1,
                                     AskedOf(socket.backend_data));
    }
  }

  const std::unique_ptr<Ring> ring_;
  Submissions submissions_;
  platform::WakeUp wake_up_;
  const bool several_threads_;
  const int max_events_;
  bool wake_up_armed_ = false;
  bool short_of_memory_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> CreateIoUringBackend(
    const BackendOptions& options) {
  auto ring =
      Ring::Create({.any_thread = options.threads > 1 || options.embedded});
  if (!ring.ok()) return ring.status();
  auto wake_up = platform::WakeUp::Create();
  if (!wake_up.ok()) return wake_up.status();
  return std::make_unique<IoUringBackend>(*std::move(ring),
                                          *std::move(wake_up), options);
}

}  // namespace weir::internal
