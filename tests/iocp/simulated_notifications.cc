#include "tests/iocp/simulated_notifications.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace weir::test {
namespace {

using internal::kNotifyError;
using internal::kNotifyHangup;
using internal::kNotifyIn;
using internal::kNotifyRemove;
using internal::NotificationChange;
using internal::NotifyEvents;
using internal::NotifyOperation;
using internal::PortPacket;

constexpr std::uint32_t kNotEnoughMemory = 8;
constexpr std::uint32_t kNotFound = 1168;
constexpr std::uint32_t kInvalid = 10022;
constexpr std::uint32_t kNotASocket = 10038;
constexpr std::uint32_t kNoBuffers = 10055;
constexpr int kLongestPutOff = 3;

}  // namespace

NotificationReading NotificationReading::FromSeed(std::uint64_t seed) {
  std::mt19937_64 random(seed * 0x9e3779b97f4a7c15u + 1);
  const auto flip = [&] { return (random() & 0x10000) != 0; };
  NotificationReading reading;
  reading.enable_overwrites = flip();
  reading.disabled_when_queued = flip();
  reading.disable_takes_back = flip();
  reading.early_enable = static_cast<Early>(random() % 3);
  reading.remove_is_coalesced = flip();
  reading.remove_lateness = flip() ? static_cast<int>(random() % 12) : 0;
  reading.close_takes_back = flip();
  reading.hangup_without_in = flip();
  reading.none_tells_errors = flip();
  reading.bad_element_fails_call = flip();
  if (flip()) reading.timeout_code = internal::kNotifyErrorTimeout;
  return reading;
}

std::string NotificationReading::ToString() const {
  return absl::StrCat(
      "enable_overwrites=", enable_overwrites,
      " disabled_when_queued=", disabled_when_queued,
      " disable_takes_back=", disable_takes_back,
      " early_enable=", static_cast<int>(early_enable),
      " remove_is_coalesced=", remove_is_coalesced,
      " remove_lateness=", remove_lateness,
      " close_takes_back=", close_takes_back,
      " hangup_without_in=", hangup_without_in,
      " none_tells_errors=", none_tells_errors,
      " bad_element_fails_call=", bad_element_fails_call,
      " timeout_code=", timeout_code);
}

// --- the world

void SimulatedNotifications::Open(NativeSocket socket) {
  sockets_[socket] = Socket{};
  sockets_[socket].open = true;
}

void SimulatedNotifications::Close(NativeSocket socket) {
  Socket& closed = sockets_.at(socket);
  if (closed.registration.has_value()) {
    const Registration& registration = *closed.registration;
    if (reading_.close_takes_back) {
      std::erase_if(queue_, [&](const Queued& queued) {
        return registration.packet != 0 &&
               queued.number == registration.packet;
      });
    }
    // A REMOVE that was under way comes late, or is lost with the socket.
    if (registration.leaves_in.has_value() && Chance(500)) {
      late_removals_.emplace_back(*registration.leaves_in, registration.key);
    }
  }
  closed = Socket{};
}

void SimulatedNotifications::Set(NativeSocket socket, NotifyEvents events) {
  Socket& changed = sockets_.at(socket);
  changed.state |= events;
  if (changed.registration.has_value() && Chance(faults_.put_off)) {
    changed.registration->put_off = UpTo(kLongestPutOff);
  }
  Notice();
}

void SimulatedNotifications::Clear(NativeSocket socket, NotifyEvents events) {
  sockets_.at(socket).state &= ~events;
}

NotifyEvents SimulatedNotifications::StateOf(NativeSocket socket) const {
  const auto found = sockets_.find(socket);
  return found == sockets_.end() ? 0 : found->second.state;
}

void SimulatedNotifications::Post(const PortPacket& packet) {
  queue_.push_back({.number = ++last_number_, .packet = packet});
}

void SimulatedNotifications::Settle() {
  settled_ = true;
  faults_ = {};
  hold_back_removals_ = false;
}

bool SimulatedNotifications::IsRegistered(NativeSocket socket) const {
  const auto found = sockets_.find(socket);
  return found != sockets_.end() && found->second.registration.has_value();
}

bool SimulatedNotifications::IsEnabled(NativeSocket socket) const {
  return IsRegistered(socket) && sockets_.at(socket).registration->enabled;
}

// --- the call

std::uint32_t SimulatedNotifications::Process(
    std::span<NotificationChange> changes, std::uint32_t timeout_ms,
    std::span<PortPacket> packets, std::uint32_t* received) {
  ++calls_;
  if (packets.empty() && (timeout_ms != 0 || received != nullptr)) {
    misuse_.push_back("a wait without room for a packet");
  }
  if (next_call_ != 0) return std::exchange(next_call_, 0u);
  if (Chance(faults_.call_fails)) {
    return Chance(500) ? kNotEnoughMemory : kNoBuffers;
  }
  if (reading_.bad_element_fails_call) {
    for (const NotificationChange& change : changes) {
      const auto found = sockets_.find(change.socket);
      if (found == sockets_.end() || !found->second.open) return kNotASocket;
    }
  }
  std::vector<std::size_t> order(changes.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), random_);
  for (const std::size_t i : order) changes[i].result = Change(changes[i]);
  Notice();
  if (packets.empty()) return internal::kNotifySuccess;
  *received = Dequeue(packets);
  // While it waits, what was put off is noticed.
  for (int i = 0; i < 100 && *received == 0 && timeout_ms > 0; ++i) {
    Notice();
    *received = Dequeue(packets);
  }
  if (*received > 0) return internal::kNotifySuccess;
  if (timeout_ms == internal::kNotifyForever) ++blocked_;
  return reading_.timeout_code;
}

std::uint32_t SimulatedNotifications::Change(const NotificationChange& change) {
  if (next_element_.second != 0 && next_element_.first == change.operation) {
    return std::exchange(next_element_.second, 0u);
  }
  if (Chance(faults_.element_fails)) return kNotEnoughMemory;
  const auto found = sockets_.find(change.socket);
  if (found == sockets_.end() || !found->second.open) return kNotASocket;
  Socket& socket = found->second;
  switch (change.operation) {
    case NotifyOperation::kNone:
      return internal::kNotifySuccess;
    case NotifyOperation::kEnable:
      return Enable(socket, change);
    case NotifyOperation::kDisable:
      if (!socket.registration.has_value()) return kNotFound;
      socket.registration->enabled = false;
      if (reading_.disable_takes_back && socket.registration->packet != 0) {
        std::erase_if(queue_, [&](const Queued& queued) {
          return queued.number == socket.registration->packet;
        });
        socket.registration->packet = 0;
      }
      return internal::kNotifySuccess;
    case NotifyOperation::kRemove:
      if (!socket.registration.has_value() ||
          socket.registration->leaves_in.has_value()) {
        return kNotFound;
      }
      socket.registration->leaves_in = UpTo(reading_.remove_lateness);
      return internal::kNotifySuccess;
  }
  return kInvalid;
}

std::uint32_t SimulatedNotifications::Enable(Socket& socket,
                                             const NotificationChange& change) {
  const bool one_persistence = ((change.trigger & internal::kTriggerOneShot) !=
                                0) !=
                               ((change.trigger &
                                 internal::kTriggerPersistent) != 0);
  const bool one_trigger = ((change.trigger & internal::kTriggerLevel) != 0) !=
                           ((change.trigger & internal::kTriggerEdge) != 0);
  if (!one_persistence || !one_trigger) {
    misuse_.push_back("ENABLE without one trigger flag of each pair");
  }
  if (socket.registration.has_value() &&
      socket.registration->leaves_in.has_value()) {
    switch (reading_.early_enable) {
      case NotificationReading::Early::kRefused:
        return kInvalid;
      case NotificationReading::Early::kGoesWithIt:
        socket.registration->filter = change.filter;
        socket.registration->enabled = true;
        return internal::kNotifySuccess;
      case NotificationReading::Early::kNew:
        late_removals_.emplace_back(*socket.registration->leaves_in,
                                    socket.registration->key);
        socket.registration.reset();
        break;
    }
  }
  if (!socket.registration.has_value()) {
    socket.registration.emplace().key = change.key;
  } else if (socket.registration->key != change.key) {
    misuse_.push_back("ENABLE with another key");
    return kInvalid;
  } else if (socket.registration->enabled && !reading_.enable_overwrites) {
    return kInvalid;
  }
  Registration& registration = *socket.registration;
  registration.enabled = true;
  registration.filter = change.filter;
  registration.one_shot = (change.trigger & internal::kTriggerOneShot) != 0;
  if (Chance(faults_.put_off)) registration.put_off = UpTo(kLongestPutOff);
  return internal::kNotifySuccess;
}

// Which events `socket` is to be notified of.
NotifyEvents SimulatedNotifications::Due(const Socket& socket) const {
  if (!socket.registration.has_value() || !socket.registration->enabled) {
    return 0;
  }
  const std::uint16_t filter = socket.registration->filter;
  if (filter == 0) {
    return reading_.none_tells_errors ? socket.state & kNotifyError : 0;
  }
  NotifyEvents due = socket.state & (filter | kNotifyError);
  // An abort is a hang-up as well; an end of stream can be read at once.
  if ((socket.state & kNotifyError) != 0) due |= filter & kNotifyHangup;
  if ((socket.state & kNotifyHangup) != 0 && (filter & kNotifyIn) != 0 &&
      !reading_.hangup_without_in) {
    due |= kNotifyIn;
  }
  return due;
}

// One call's worth of time passes.
void SimulatedNotifications::Notice() {
  for (auto& [handle, socket] : sockets_) {
    if (!socket.registration.has_value()) continue;
    Registration& registration = *socket.registration;
    if (registration.put_off > 0 && !settled_) {
      --registration.put_off;
    } else if (const NotifyEvents due = Due(socket); due != 0) {
      Queue(handle, socket, due);
    }
    if (registration.leaves_in.has_value() && !hold_back_removals_ &&
        (*registration.leaves_in)-- <= 0) {
      Remove(handle, socket);
    }
  }
  if (hold_back_removals_) return;
  std::erase_if(late_removals_, [this](auto& removal) {
    if (removal.first-- > 0) return false;
    AddRemoved(removal.second, 0);
    return true;
  });
}

void SimulatedNotifications::Remove(NativeSocket, Socket& socket) {
  const Registration gone = *socket.registration;
  socket.registration.reset();
  AddRemoved(gone.key, gone.packet);
}

void SimulatedNotifications::AddRemoved(std::uintptr_t key,
                                        std::uint64_t beside) {
  if (reading_.remove_is_coalesced) {
    for (Queued& queued : queue_) {
      if (queued.number != beside) continue;
      queued.packet.bytes |= kNotifyRemove;
      return;
    }
  }
  queue_.push_back({.number = ++last_number_,
                    .packet = {.key = key, .bytes = kNotifyRemove}});
}

void SimulatedNotifications::Queue(NativeSocket handle, Socket& socket,
                                   NotifyEvents events) {
  Registration& registration = *socket.registration;
  if (registration.one_shot && reading_.disabled_when_queued) {
    registration.enabled = false;
  }
  for (Queued& queued : queue_) {
    if (registration.packet == 0 || queued.number != registration.packet) {
      continue;
    }
    queued.packet.bytes |= events;
    return;
  }
  registration.packet = ++last_number_;
  queue_.push_back({.number = registration.packet,
                    .packet = {.key = registration.key, .bytes = events},
                    .socket = handle});
}

std::uint32_t SimulatedNotifications::Dequeue(std::span<PortPacket> packets) {
  std::uint32_t count = 0;
  while (count < packets.size() && !queue_.empty()) {
    const Queued queued = queue_.front();
    queue_.pop_front();
    const auto found = sockets_.find(queued.socket);
    if (found != sockets_.end() && found->second.registration.has_value() &&
        found->second.registration->packet == queued.number) {
      found->second.registration->packet = 0;
      if (found->second.registration->one_shot) {
        // When it was queued, or now; one that was enabled since stays so, in
        // the former case.
        if (!reading_.disabled_when_queued) {
          found->second.registration->enabled = false;
        }
      }
    }
    packets[count++] = queued.packet;
  }
  return count;
}

}  // namespace weir::test
