#include "backends/iocp/afd_notifications.h"

#include <algorithm>
#include <utility>

#include "backends/iocp/port_packets.h"
#include "platform/clock.h"

namespace weir::internal {
namespace {

constexpr std::uint32_t kRetryMs = 10;
constexpr AfdEvents kAlways = kAfdAbort | kAfdConnectFail | kAfdLocalClose;

AfdEvents PolledFor(std::uint16_t filter) {
  AfdEvents events = kAlways;
  if ((filter & kNotifyIn) != 0) {
    events |= kAfdReceive | kAfdAccept | kAfdDisconnect;
  }
  if ((filter & kNotifyOut) != 0) events |= kAfdSend;
  if ((filter & kNotifyHangup) != 0) events |= kAfdDisconnect;
  return events;
}

NotifyEvents ToldAs(AfdEvents events, std::uint16_t filter) {
  NotifyEvents told = kNotifyNone;
  if ((events & (kAfdReceive | kAfdAccept | kAfdDisconnect)) != 0) {
    told |= kNotifyIn;
  }
  if ((events & kAfdSend) != 0) told |= kNotifyOut;
  if ((events & kAfdDisconnect) != 0) told |= kNotifyHangup;
  if ((events & kAfdAbort) != 0) told |= kNotifyIn | kNotifyOut | kNotifyHangup;
  told &= filter;
  if ((events & (kAfdAbort | kAfdConnectFail)) != 0) told |= kNotifyError;
  return told;
}

}  // namespace

struct AfdNotifications::Registration {
  NativeSocket socket = kInvalidSocket;
  SOCKET base = INVALID_SOCKET;
  std::uintptr_t key = 0;
  std::uint16_t filter = 0;
  bool enabled = false;
  // Counts what was enabled: a poll that was begun before does not speak of it.
  std::uint32_t serial = 0;
  Poll* poll = nullptr;
};

struct AfdNotifications::Poll : AfdPoll {
  // Null: its registration has gone.
  Registration* registration = nullptr;
  AfdEvents asked = 0;
  std::uint32_t serial = 0;
  bool cancelled = false;
};

absl::StatusOr<std::unique_ptr<AfdNotifications>> AfdNotifications::Create(
    const CompletionPort& port) {
  auto device = AfdDevice::Open(port);
  if (!device.ok()) return device.status();
  return std::unique_ptr<AfdNotifications>(
      new AfdNotifications(port, *std::move(device)));
}

AfdNotifications::AfdNotifications(const CompletionPort& port,
                                   std::unique_ptr<AfdDevice> device)
    : port_(port), device_(std::move(device)) {}

AfdNotifications::~AfdNotifications() {
  absl::MutexLock lock(&mu_);
  for (const auto& [socket, registration] : registrations_) {
    LetGo(*registration);
  }
  device_ = nullptr;
  // The kernel writes to the polls until their packets are here.
  while (free_.size() < polls_.size()) {
    constexpr std::size_t kBatch = 64;
    PortPacket packets[kBatch];
    constexpr std::uint32_t kPatienceMs = 10'000;
    std::uint32_t count = 0;
    if (Dequeue(packets, kPatienceMs, &count) != kNotifySuccess) {
      // Given away rather than freed under the kernel's hands.
      for (auto& poll : polls_) (void)poll.release();
      return;
    }
    for (std::uint32_t i = 0; i < count; ++i) (void)Translate(packets[i]);
  }
}

// --- the way down

std::uint32_t AfdNotifications::Change(const NotificationChange& change) {
  if (change.operation == NotifyOperation::kEnable) return Enable(change);
  if (change.operation == NotifyOperation::kNone) return kNotifySuccess;
  const auto found = registrations_.find(change.socket);
  if (found == registrations_.end()) return ERROR_NOT_FOUND;
  if (change.operation == NotifyOperation::kRemove) {
    return Remove(*found->second);
  }
  // Its poll goes on: one that is over is passed over, and one that is not can
  // be used again.
  found->second->enabled = false;
  return kNotifySuccess;
}

std::uint32_t AfdNotifications::Enable(const NotificationChange& change) {
  if (change.trigger != (kTriggerLevel | kTriggerOneShot)) {
    return WSAEOPNOTSUPP;
  }
  auto found = registrations_.find(change.socket);
  if (found != registrations_.end() && found->second->key != change.key) {
    // Of a socket that was closed and whose number is another's.
    Forget(*found->second);
    found = registrations_.end();
  }
  const bool is_new = found == registrations_.end();
  if (is_new) {
    auto made = std::make_unique<Registration>();
    made->socket = change.socket;
    made->key = change.key;
    Count();
    if (const std::uint32_t error =
            AfdDevice::FindBase(change.socket, &made->base)) {
      return error;
    }
    found = registrations_.emplace(change.socket, std::move(made)).first;
  }
  Registration& registration = *found->second;
  registration.filter = change.filter;
  registration.enabled = true;
  ++registration.serial;
  const std::uint32_t error = Ask(registration);
  if (error != 0) {
    registration.enabled = false;
    if (is_new) Forget(registration);
  }
  return error;
}

// Sees to it that a poll is under way that asks for enough, or will be.
std::uint32_t AfdNotifications::Ask(Registration& registration) {
  const AfdEvents events = PolledFor(registration.filter);
  if (Poll* poll = registration.poll) {
    if (!poll->cancelled && (events & ~poll->asked) != 0) {
      poll->cancelled = true;
      Count();
      device_->Cancel(*poll);
    }
    return 0;
  }
  if (free_.empty()) {
    polls_.push_back(std::make_unique<Poll>());
    free_.push_back(polls_.back().get());
  }
  Poll* poll = free_.back();
  Count();
  if (const std::uint32_t error =
          device_->Start(*poll, registration.base, events)) {
    return error;
  }
  free_.pop_back();
  ++polls_begun_;
  poll->registration = &registration;
  poll->asked = events;
  poll->serial = registration.serial;
  poll->cancelled = false;
  registration.poll = poll;
  return 0;
}

// A poll has ended without an answer.
void AfdNotifications::AskAgain(Registration& registration) {
  const std::uint32_t error = Ask(registration);
  if (error == 0) return;
  if (IsTransientNotifyError(error)) {
    some_are_left_.store(true, std::memory_order_relaxed);
  } else {
    // The handle was closed, and perhaps duplicated before.
    Forget(registration);
  }
}

void AfdNotifications::AskThoseLeft() {
  if (!some_are_left_.exchange(false, std::memory_order_relaxed)) return;
  std::vector<Registration*> left;
  for (const auto& [socket, registration] : registrations_) {
    if (registration->enabled && registration->poll == nullptr) {
      left.push_back(registration.get());
    }
  }
  for (Registration* registration : left) AskAgain(*registration);
}

std::uint32_t AfdNotifications::Remove(Registration& registration) {
  Count();
  // Nothing of it comes after this: what its poll still sends is not told.
  if (!PostQueuedCompletionStatus(port_.handle(), kNotifyRemove,
                                  registration.key, nullptr)) {
    return GetLastError();
  }
  Forget(registration);
  return kNotifySuccess;
}

void AfdNotifications::LetGo(Registration& registration) {
  Poll* poll = std::exchange(registration.poll, nullptr);
  if (poll == nullptr) return;
  poll->registration = nullptr;
  if (poll->cancelled) return;
  poll->cancelled = true;
  Count();
  device_->Cancel(*poll);
}

void AfdNotifications::Forget(Registration& registration) {
  LetGo(registration);
  registrations_.erase(registration.socket);
}

void AfdNotifications::GiveBack(Poll* poll) { free_.push_back(poll); }

// --- the way up

// The notification that a poll's packet makes, if it makes one.
std::optional<PortPacket> AfdNotifications::Translate(
    const PortPacket& packet) {
  if (packet.key != static_cast<std::uintptr_t>(PortKey::kAfdPoll)) {
    return packet;
  }
  auto* poll = static_cast<Poll*>(static_cast<AfdPoll*>(packet.overlapped));
  const AfdEvents events = poll->events();
  const bool failed = poll->failed() && !poll->cancelled_by_anyone();
  Registration* registration = std::exchange(poll->registration, nullptr);
  const std::uint32_t serial = poll->serial;
  GiveBack(poll);
  if (registration == nullptr) return std::nullopt;
  registration->poll = nullptr;
  if (failed || (events & kAfdLocalClose) != 0) {
    Forget(*registration);
    return std::nullopt;
  }
  if (!registration->enabled) return std::nullopt;
  const NotifyEvents told = serial == registration->serial
                                ? ToldAs(events, registration->filter)
                                : kNotifyNone;
  if (told == kNotifyNone) {
    AskAgain(*registration);
    return std::nullopt;
  }
  registration->enabled = false;
  return PortPacket{.key = registration->key, .bytes = told};
}

// Puts those of `packets` that are told together; returns how many.
// `*asked_again` is set if that has begun another poll.
std::size_t AfdNotifications::Keep(std::span<PortPacket> packets,
                                   bool* asked_again) {
  absl::MutexLock lock(&mu_);
  const std::uint64_t begun = polls_begun_;
  std::size_t kept = 0;
  for (const PortPacket& packet : packets) {
    const std::optional<PortPacket> translated = Translate(packet);
    if (translated.has_value()) packets[kept++] = *translated;
  }
  *asked_again = polls_begun_ != begun;
  return kept;
}

std::uint32_t AfdNotifications::Dequeue(std::span<PortPacket> packets,
                                        std::uint32_t timeout_ms,
                                        std::uint32_t* count) {
  Count();
  ULONG received = 0;
  if (!GetQueuedCompletionStatusEx(
          port_.handle(), AsOverlappedEntries(packets.data()),
          static_cast<ULONG>(packets.size()), &received, timeout_ms, FALSE)) {
    *count = 0;
    return GetLastError();
  }
  *count = received;
  return kNotifySuccess;
}

std::uint32_t AfdNotifications::Process(std::span<NotificationChange> changes,
                                        std::uint32_t timeout_ms,
                                        std::span<PortPacket> packets,
                                        std::uint32_t* received) {
  {
    absl::MutexLock lock(&mu_);
    AskThoseLeft();
    for (NotificationChange& change : changes) {
      change.result = Change(change);
      // Whoever asked wants to know.
      if (change.result != kNotifySuccess) timeout_ms = 0;
    }
  }
  if (packets.empty()) return kNotifySuccess;
  constexpr std::int64_t kNsPerMs = 1'000'000;
  const std::int64_t deadline =
      timeout_ms == 0 || timeout_ms == kNotifyForever
          ? 0
          : platform::MonotonicNanoseconds() + timeout_ms * kNsPerMs;
  std::size_t kept = 0;
  std::uint32_t wait_ms = timeout_ms;
  for (;;) {
    const bool some_are_left = some_are_left_.load(std::memory_order_relaxed);
    if (some_are_left) wait_ms = std::min(wait_ms, kRetryMs);
    const std::span<PortPacket> room = packets.subspan(kept);
    std::uint32_t count = 0;
    const std::uint32_t code = Dequeue(room, wait_ms, &count);
    if (code != kNotifySuccess && code != kNotifyWaitTimeout) {
      if (kept == 0) return code;
      break;
    }
    bool asked_again = false;
    kept += Keep(room.first(count), &asked_again);
    if (kept == packets.size()) break;
    // What has been asked again may have its answer already; and a call that
    // fills its room may have left something.
    if (asked_again || count == room.size()) {
      wait_ms = 0;
      continue;
    }
    if (kept > 0) break;
    if (some_are_left) {
      absl::MutexLock lock(&mu_);
      AskThoseLeft();
    }
    // Nothing that is told: the rest of the time.
    wait_ms = timeout_ms;
    if (deadline != 0) {
      const std::int64_t left = deadline - platform::MonotonicNanoseconds();
      wait_ms = left <= 0 ? 0
                          : static_cast<std::uint32_t>(
                                (left + kNsPerMs - 1) / kNsPerMs);
    }
    if (wait_ms == 0) return kNotifyWaitTimeout;
  }
  *received = static_cast<std::uint32_t>(kept);
  return kNotifySuccess;
}

}  // namespace weir::internal
