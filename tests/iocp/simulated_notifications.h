// Socket notifications without Windows: sockets whose state the test sets, and a
// source that behaves in any way that the contract allows
// (backends/iocp/socket_notifications.h), as unkindly as it allows, the same for
// the same seed.

#ifndef WEIR_TESTS_IOCP_SIMULATED_NOTIFICATIONS_H_
#define WEIR_TESTS_IOCP_SIMULATED_NOTIFICATIONS_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/iocp/socket_notifications.h"
#include "weir/native_socket.h"

namespace weir::test {

// Where the documents can be read in more than one way, one of them.
struct NotificationReading {
  // ENABLE of what is enabled: overwrites, or fails.
  bool enable_overwrites = true;
  // A one-shot is disabled when its packet is queued, or when it is dequeued.
  bool disabled_when_queued = true;
  // DISABLE takes back what is queued, or leaves it.
  bool disable_takes_back = false;
  // ENABLE before the REMOVE packet: fails, goes with the old registration, or
  // makes a new one.
  enum class Early { kRefused, kGoesWithIt, kNew } early_enable = Early::kNew;
  // REMOVE shares the packet that is queued, or has one of its own.
  bool remove_is_coalesced = false;
  // How many calls a REMOVE packet can be late.
  int remove_lateness = 0;
  // closesocket() takes back what is queued, or leaves it.
  bool close_takes_back = false;
  // The peer's end of stream: HANGUP alone, or IN as well.
  bool hangup_without_in = false;
  // A filter of nothing: errors are told nevertheless, or not.
  bool none_tells_errors = true;
  // A call that names what is no socket fails, or the element alone.
  bool bad_element_fails_call = false;
  std::uint32_t timeout_code = internal::kNotifyWaitTimeout;

  static NotificationReading FromSeed(std::uint64_t seed);
  std::string ToString() const;
};

// Chances in a thousand.
struct NotificationFaults {
  int call_fails = 0;
  int element_fails = 0;
  // That a notification is put off until a later call.
  int put_off = 0;
};

class SimulatedNotifications final : public internal::SocketNotifications {
 public:
  SimulatedNotifications(std::uint64_t seed, const NotificationReading& reading)
      : reading_(reading), random_(seed) {}

  // --- the world

  void Open(NativeSocket socket);
  // closesocket()
  void Close(NativeSocket socket);
  void Set(NativeSocket socket, internal::NotifyEvents events);
  void Clear(NativeSocket socket, internal::NotifyEvents events);
  internal::NotifyEvents StateOf(NativeSocket socket) const;
  // PostQueuedCompletionStatus()
  void Post(const internal::PortPacket& packet);
  void SetFaults(const NotificationFaults& faults) { faults_ = faults; }
  // The next call fails as a whole; the next element that is a `operation` fails.
  void FailNextCall(std::uint32_t code) { next_call_ = code; }
  void FailNext(internal::NotifyOperation operation, std::uint32_t code) {
    next_element_ = {operation, code};
  }
  // REMOVE packets do not come until the opposite is said.
  void HoldBackRemovals(bool hold_back) { hold_back_removals_ = hold_back; }
  // What is put off is not, any more.
  void Settle();

  // --- what has become of it

  bool IsRegistered(NativeSocket socket) const;
  bool IsEnabled(NativeSocket socket) const;
  std::size_t queued() const { return queue_.size(); }
  // Calls that would have waited for ever.
  int blocked() const { return blocked_; }
  int calls() const { return calls_; }
  // What a user of the contract may not do.
  const std::vector<std::string>& misuse() const { return misuse_; }

  // --- SocketNotifications

  std::string_view name() const override { return "simulated"; }
  std::uint32_t Process(std::span<internal::NotificationChange> changes,
                        std::uint32_t timeout_ms,
                        std::span<internal::PortPacket> packets,
                        std::uint32_t* received) override;
  std::uint64_t system_calls() const override {
    return static_cast<std::uint64_t>(calls_);
  }

 private:
  struct Registration {
    std::uintptr_t key = 0;
    std::uint16_t filter = 0;
    bool enabled = false;
    bool one_shot = true;
    // Its packet in the queue, by number; 0: none.
    std::uint64_t packet = 0;
    // REMOVE was called: in so many calls it is done.
    std::optional<int> leaves_in;
    // For how many calls what holds is not noticed.
    int put_off = 0;
  };
  struct Socket {
    bool open = false;
    internal::NotifyEvents state = 0;
    std::optional<Registration> registration;
  };
  struct Queued {
    std::uint64_t number = 0;
    internal::PortPacket packet;
    // Whose notification it is.
    NativeSocket socket = kInvalidSocket;
  };

  bool Chance(int in_a_thousand) {
    return std::uniform_int_distribution<int>(0, 999)(random_) < in_a_thousand;
  }
  int UpTo(int most) {
    return std::uniform_int_distribution<int>(0, most)(random_);
  }
  std::uint32_t Change(const internal::NotificationChange& change);
  std::uint32_t Enable(Socket& socket,
                       const internal::NotificationChange& change);
  internal::NotifyEvents Due(const Socket& socket) const;
  void Notice();
  void Remove(NativeSocket handle, Socket& socket);
  void AddRemoved(std::uintptr_t key, std::uint64_t beside);
  void Queue(NativeSocket handle, Socket& socket, internal::NotifyEvents events);
  std::uint32_t Dequeue(std::span<internal::PortPacket> packets);

  const NotificationReading reading_;
  std::mt19937_64 random_;
  NotificationFaults faults_;
  std::uint32_t next_call_ = 0;
  std::pair<internal::NotifyOperation, std::uint32_t> next_element_{};
  bool hold_back_removals_ = false;
  bool settled_ = false;
  std::map<NativeSocket, Socket> sockets_;
  std::deque<Queued> queue_;
  // REMOVE packets of registrations whose place is taken, and when they come.
  std::vector<std::pair<int, std::uintptr_t>> late_removals_;
  std::uint64_t last_number_ = 0;
  int blocked_ = 0;
  int calls_ = 0;
  std::vector<std::string> misuse_;
};

}  // namespace weir::test

#endif  // WEIR_TESTS_IOCP_SIMULATED_NOTIFICATIONS_H_
