// Socket notifications for systems that have none (Windows 10, Wine): the
// contract of socket_notifications.h over AFD polls.

#ifndef WEIR_BACKENDS_IOCP_AFD_NOTIFICATIONS_H_
#define WEIR_BACKENDS_IOCP_AFD_NOTIFICATIONS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "backends/iocp/afd_device.h"
#include "backends/iocp/socket_notifications.h"

namespace weir::internal {

// An AFD poll is level and one-shot, and so are the registrations: any other
// trigger is refused with WSAEOPNOTSUPP. A socket has at most one poll under way
// that is not cancelled: with two, events are lost (wepoll #35).
//
//   filter     polled for                          told as
//   IN         RECEIVE, ACCEPT, DISCONNECT         IN
//   OUT        SEND                                OUT
//   HANGUP     DISCONNECT                          HANGUP
//   (always)   ABORT                               ERR, and all of the filter
//   (always)   CONNECT_FAIL                        ERR
//   (always)   LOCAL_CLOSE                         nothing: the registration ends
//
// Of what the contract leaves open it takes the kind side: ENABLE overwrites, and
// no packet tells of an earlier ENABLE. Its packets are those of the polls,
// rewritten where they are; REMOVE is posted. Packets that are not its own are
// left alone, in their order.
class AfdNotifications final : public SocketNotifications {
 public:
  // `port` outlives the result.
  static absl::StatusOr<std::unique_ptr<AfdNotifications>> Create(
      const CompletionPort& port);
  // Nobody may be in Process(). Dequeues what its polls still send; packets that
  // are not its own are lost.
  ~AfdNotifications() override;

  std::string_view name() const override { return "AFD poll"; }
  std::uint32_t Process(std::span<NotificationChange> changes,
                        std::uint32_t timeout_ms,
                        std::span<PortPacket> packets,
                        std::uint32_t* received) override;
  std::uint64_t system_calls() const override {
    return calls_.load(std::memory_order_relaxed);
  }

 private:
  struct Registration;
  struct Poll;

  AfdNotifications(const CompletionPort& port,
                   std::unique_ptr<AfdDevice> device);

  std::uint32_t Change(const NotificationChange& change)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::uint32_t Enable(const NotificationChange& change)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::uint32_t Remove(Registration& registration)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::uint32_t Ask(Registration& registration)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AskAgain(Registration& registration) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AskThoseLeft() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void LetGo(Registration& registration) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Forget(Registration& registration) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void GiveBack(Poll* poll) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::optional<PortPacket> Translate(const PortPacket& packet)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::size_t Keep(std::span<PortPacket> packets, bool* asked_again);
  std::uint32_t Dequeue(std::span<PortPacket> packets, std::uint32_t timeout_ms,
                        std::uint32_t* count);
  void Count() { calls_.fetch_add(1, std::memory_order_relaxed); }

  const CompletionPort& port_;
  std::unique_ptr<AfdDevice> device_;
  std::atomic<std::uint64_t> calls_{0};
  // A registration could not be polled for want of memory.
  std::atomic<bool> some_are_left_{false};

  absl::Mutex mu_;
  absl::flat_hash_map<NativeSocket, std::unique_ptr<Registration>>
      registrations_ ABSL_GUARDED_BY(mu_);
  // All of them; those that are not among the free ones are the kernel's.
  std::vector<std::unique_ptr<Poll>> polls_ ABSL_GUARDED_BY(mu_);
  std::vector<Poll*> free_ ABSL_GUARDED_BY(mu_);
  std::uint64_t polls_begun_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_IOCP_AFD_NOTIFICATIONS_H_
