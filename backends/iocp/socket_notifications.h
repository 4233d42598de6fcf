// Winsock's socket state notifications as a contract: the one call, its two
// structures and its constants, without a header of the system, so that what
// stands on them is compiled and tested everywhere. Three things fulfil it: the
// system's ProcessSocketNotifications (native_notifications.h), our own on the
// AFD poll request (afd_notifications.h), and a simulation that does whatever
// the contract allows (tests/iocp/simulated_notifications.h).
//
// Sources, all at learn.microsoft.com/windows/win32:
//   [W] winsock/winsock-socket-state-notifications
//   [P] api/winsock2/nf-winsock2-processsocketnotifications
//   [R] api/winsock2/ns-winsock2-sock_notify_registration
//   [E] api/winsock2/nf-winsock2-socketnotificationretrieveevents

#ifndef WEIR_BACKENDS_IOCP_SOCKET_NOTIFICATIONS_H_
#define WEIR_BACKENDS_IOCP_SOCKET_NOTIFICATIONS_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "weir/native_socket.h"

namespace weir::internal {

// SOCK_NOTIFY_REGISTER_EVENT_*: what to be notified of, and SOCK_NOTIFY_EVENT_*,
// what has happened; kNotifyError and kNotifyRemove come unasked. [R] [E]
using NotifyEvents = std::uint32_t;
inline constexpr NotifyEvents kNotifyNone = 0;
inline constexpr NotifyEvents kNotifyIn = 0x01;
inline constexpr NotifyEvents kNotifyOut = 0x02;
inline constexpr NotifyEvents kNotifyHangup = 0x04;
inline constexpr NotifyEvents kNotifyError = 0x40;
inline constexpr NotifyEvents kNotifyRemove = 0x80;

// SOCK_NOTIFY_OP_*
enum class NotifyOperation : std::uint8_t {
  kNone = 0x00,
  kEnable = 0x01,
  kDisable = 0x02,
  kRemove = 0x04,
};

// SOCK_NOTIFY_TRIGGER_*, one of each pair. [R] wants "one of edge- or
// level-triggered"; Microsoft's samples name no persistence, other users found
// that one is needed.
inline constexpr std::uint8_t kTriggerOneShot = 0x01;
inline constexpr std::uint8_t kTriggerPersistent = 0x02;
inline constexpr std::uint8_t kTriggerLevel = 0x04;
inline constexpr std::uint8_t kTriggerEdge = 0x08;

// SOCK_NOTIFY_REGISTRATION, field by field: a change to one socket's
// registration.
struct NotificationChange {
  NativeSocket socket = kInvalidSocket;
  // Which packets are this registration's.
  std::uintptr_t key = 0;
  std::uint16_t filter = 0;
  NotifyOperation operation = NotifyOperation::kNone;
  std::uint8_t trigger = 0;
  // Set by the call: 0, or why this one failed.
  std::uint32_t result = 0;
};

// OVERLAPPED_ENTRY, field by field: a packet of the port, a notification or not.
struct PortPacket {
  std::uintptr_t key = 0;
  void* overlapped = nullptr;
  std::uintptr_t internal = 0;
  // Of a notification: its events.
  std::uint32_t bytes = 0;
};

// Codes that the call returns besides those of winsock2.h: the numbers are
// Windows', wherever this is compiled.
inline constexpr std::uint32_t kNotifySuccess = 0;
inline constexpr std::uint32_t kNotifyWaitTimeout = 258;    // WAIT_TIMEOUT
inline constexpr std::uint32_t kNotifyErrorTimeout = 1460;  // ERROR_TIMEOUT
inline constexpr std::uint32_t kNotifyForever = 0xffffffff;  // INFINITE

// Whether the call ran to its end, and the elements of `changes` have results.
constexpr bool NotifyCallSucceeded(std::uint32_t code) {
  return code == kNotifySuccess || code == kNotifyWaitTimeout ||
         code == kNotifyErrorTimeout;
}

// Want of memory or of quota: the same call may succeed a little later.
constexpr bool IsTransientNotifyError(std::uint32_t code) {
  switch (code) {
    case 8:      // ERROR_NOT_ENOUGH_MEMORY, WSA_NOT_ENOUGH_MEMORY
    case 14:     // ERROR_OUTOFMEMORY
    case 1450:   // ERROR_NO_SYSTEM_RESOURCES
    case 1453:   // ERROR_WORKING_SET_QUOTA
    case 1816:   // ERROR_NOT_ENOUGH_QUOTA
    case 10055:  // WSAENOBUFS
      return true;
    default:
      return false;
  }
}

// A source of notifications for one completion port.
//
// What the documents promise:
//
// - A socket can be registered with one port at a time, once. [P] [W]
// - The key is that of the first ENABLE; to change it, remove the registration,
//   wait for its REMOVE packet, and register anew. [R] [W]
// - Notifications of one socket that wait in the port are coalesced into one
//   packet. [R]
// - Level: a packet "whenever the desired conditions hold" while enabled, so
//   also if they held before. Edge: only for a change while enabled. [R]
// - One-shot: "disabled (not removed) upon delivery of the next notification".
//   While disabled nothing is queued. [R]
// - ERR and REMOVE may come whatever the filter. [E]
// - REMOVE can follow ENABLE and DISABLE alike; its packet is the last for that
//   key. [R]
// - closesocket() removes the registration and sends no REMOVE packet; packets
//   that are queued already still come. [W]
// - A call that fails as a whole has changed nothing, and says nothing about the
//   elements; it "can fail due to transient memory conditions". One that
//   succeeds has a result for each element. [P] [W]
// - Other packets of the port come with the notifications. [P]
//
// What they leave open, and whoever uses this must therefore bear:
//
// - A packet tells of when it was queued: what it says may be over. It may come
//   after DISABLE, "until the SOCK_NOTIFY_EVENT_DISABLE event is received" [R],
//   which no header defines, and so it may be taken for one of a later ENABLE.
// - "Delivery" of a one-shot may be when its packet is queued or when it is
//   dequeued: after a packet that was queued before the last ENABLE, the
//   registration may be enabled or not.
// - ENABLE of what is enabled "overwrites the existing registration" [P]; or
//   fails, since a socket may be registered "only once" [W], and "must not be
//   re-enabled until" disabled [R].
// - The REMOVE packet may come late; never, if the socket is closed first.
// - A call that times out returns WAIT_TIMEOUT, or ERROR_TIMEOUT: [P] says both.
// - Elements of one call may be carried out in any order.
// - HANGUP, on the peer's end of stream: with IN, without it, or only IN. A
//   failed connect: ERR, perhaps without OUT. ENABLE for no events at all may
//   still tell ERR, or nothing.
class SocketNotifications {
 public:
  virtual ~SocketNotifications() = default;

  // What it is, for people: "ProcessSocketNotifications".
  virtual std::string_view name() const = 0;

  // ProcessSocketNotifications: carries out `changes`, setting their results,
  // then dequeues up to packets.size() packets of the port, of which it sets
  // `*received`. Waits until there is one, or for `timeout_ms`, which must be 0
  // if `packets` is empty. Any thread, several at a time.
  virtual std::uint32_t Process(std::span<NotificationChange> changes,
                                std::uint32_t timeout_ms,
                                std::span<PortPacket> packets,
                                std::uint32_t* received) = 0;

  // How often the system was called.
  virtual std::uint64_t system_calls() const = 0;
};

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_IOCP_SOCKET_NOTIFICATIONS_H_
