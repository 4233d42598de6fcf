// Asks a real Windows what Microsoft's pages on socket notifications leave open
// (backends/iocp/socket_notifications.h), and prints what it answers. Tests
// nothing: the code works under every answer. Exits with 2 where the system has no
// ProcessSocketNotifications (before build 20348; Wine).

#include <winsock2.h>
#include <ws2tcpip.h>
#include <mswsock.h>
#include <afunix.h>
#include <windows.h>

#include <array>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "backends/iocp/completion_port.h"
#include "backends/iocp/native_notifications.h"
#include "platform/clock.h"

namespace weir::internal {
namespace {

constexpr std::uint8_t kLevelOneShot = kTriggerLevel | kTriggerOneShot;
constexpr std::uint8_t kLevelPersistent = kTriggerLevel | kTriggerPersistent;
constexpr std::uint8_t kEdgePersistent = kTriggerEdge | kTriggerPersistent;
constexpr std::uint32_t kSoonMs = 100;

std::string Name(NotifyEvents events) {
  constexpr struct {
    NotifyEvents bit;
    const char* name;
  } kNames[] = {{kNotifyIn, "IN"},
                {kNotifyOut, "OUT"},
                {kNotifyHangup, "HANGUP"},
                {kNotifyError, "ERR"},
                {kNotifyRemove, "REMOVE"}};
  std::string text;
  for (const auto& row : kNames) {
    if ((events & row.bit) == 0) continue;
    if (!text.empty()) text += '|';
    text += row.name;
    events &= ~row.bit;
  }
  if (events != 0) text += " and " + std::to_string(events);
  return text.empty() ? "0" : text;
}

const char* NameOfTrigger(std::uint8_t trigger) {
  switch (trigger) {
    case kLevelOneShot:
      return "level one-shot";
    case kLevelPersistent:
      return "level persistent";
    case kEdgePersistent:
      return "edge persistent";
    default:
      return "edge one-shot";
  }
}

void Section(const char* title) { std::printf("\n%s\n", title); }
void Say(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  std::printf("  ");
  std::vprintf(format, arguments);
  std::printf("\n");
  va_end(arguments);
  std::fflush(stdout);
}

// --- sockets

struct Pair {
  SOCKET ours = INVALID_SOCKET;
  SOCKET peer = INVALID_SOCKET;
};

void MakeNonBlocking(SOCKET socket) {
  u_long on = 1;
  ioctlsocket(socket, FIONBIO, &on);
}

sockaddr_in LoopbackOf(SOCKET socket) {
  sockaddr_in address{};
  int length = sizeof(address);
  getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length);
  return address;
}

SOCKET Bound(int type) {
  const SOCKET made = socket(AF_INET, type, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(made, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  return made;
}

Pair Connected() {
  const SOCKET listener = Bound(SOCK_STREAM);
  listen(listener, 1);
  sockaddr_in address = LoopbackOf(listener);
  Pair pair;
  pair.peer = socket(AF_INET, SOCK_STREAM, 0);
  connect(pair.peer, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  pair.ours = accept(listener, nullptr, nullptr);
  closesocket(listener);
  MakeNonBlocking(pair.ours);
  return pair;
}

void Reset(SOCKET socket) {
  const linger abort{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket, SOL_SOCKET, SO_LINGER,
             reinterpret_cast<const char*>(&abort), sizeof(abort));
  closesocket(socket);
}

void Drain(SOCKET socket) {
  char buffer[4096];
  while (recv(socket, buffer, sizeof(buffer), 0) > 0) {
  }
}

// --- one port, and what comes to it

class Port {
 public:
  Port()
      : port_(*CompletionPort::Create()),
        source_(CreateNativeNotifications(port_.handle())) {}

  bool works() const { return source_ != nullptr; }
  void* handle() const { return port_.handle(); }

  // Returns the element's result, or the call's, which is above 1000000 then.
  std::uint32_t Change(NotifyOperation operation, SOCKET socket,
                       std::uintptr_t key, NotifyEvents filter = 0,
                       std::uint8_t trigger = 0) {
    NotificationChange change{.socket = static_cast<NativeSocket>(socket),
                              .key = key,
                              .filter = static_cast<std::uint16_t>(filter),
                              .operation = operation,
                              .trigger = trigger};
    const std::uint32_t code =
        source_->Process(std::span(&change, 1), 0, {}, nullptr);
    return NotifyCallSucceeded(code) ? change.result : 1'000'000 + code;
  }
  std::uint32_t Enable(SOCKET socket, std::uintptr_t key, NotifyEvents filter,
                       std::uint8_t trigger) {
    return Change(NotifyOperation::kEnable, socket, key, filter, trigger);
  }

  std::optional<PortPacket> Next(std::uint32_t timeout_ms = kSoonMs) {
    PortPacket packet;
    std::uint32_t received = 0;
    code_ = source_->Process({}, timeout_ms, std::span(&packet, 1), &received);
    if (code_ != kNotifySuccess || received == 0) return std::nullopt;
    return packet;
  }
  // All that comes soon, in words.
  std::string Packets(int most = 4) {
    std::string text;
    for (int i = 0; i < most; ++i) {
      const auto packet = Next();
      if (!packet.has_value()) break;
      if (i > 0) text += ", then ";
      text += "key " + std::to_string(packet->key) + " " + Name(packet->bytes);
    }
    return text.empty() ? "nothing" : text;
  }
  std::uint32_t last_code() const { return code_; }
  SocketNotifications& source() { return *source_; }

 private:
  CompletionPort port_;
  std::unique_ptr<SocketNotifications> source_;
  std::uint32_t code_ = 0;
};

// --- the questions

void TimeoutCode() {
  Section("Which code a wait returns that is over (WAIT_TIMEOUT 258, "
          "ERROR_TIMEOUT 1460)");
  Port port;
  (void)port.Next(0);
  Say("timeout 0: %u", port.last_code());
  (void)port.Next(20);
  Say("timeout 20 ms: %u", port.last_code());
}

void HangupAndReset() {
  Section("What the peer's end and reset are told as");
  for (const std::uint8_t trigger : {kLevelOneShot, kEdgePersistent}) {
    for (const NotifyEvents filter :
         {kNotifyNone, kNotifyIn, kNotifyOut, kNotifyHangup,
          kNotifyIn | kNotifyHangup, kNotifyIn | kNotifyOut | kNotifyHangup}) {
      for (const bool reset : {false, true}) {
        Port port;
        const Pair pair = Connected();
        const std::uint32_t result =
            port.Enable(pair.ours, 1, filter, trigger);
        std::string before;
        if ((filter & kNotifyOut) != 0) before = " (before: " + port.Packets() + ")";
        if ((filter & kNotifyOut) != 0 && trigger == kLevelOneShot) {
          port.Enable(pair.ours, 1, filter & ~kNotifyOut, trigger);
        }
        if (reset) {
          Reset(pair.peer);
        } else {
          shutdown(pair.peer, SD_SEND);
        }
        Say("%s, filter %s, %s: ENABLE %u; %s%s", NameOfTrigger(trigger),
            Name(filter).c_str(), reset ? "RST" : "FIN", result,
            port.Packets().c_str(), before.c_str());
        if (reset) {
          int error = 0;
          int length = sizeof(error);
          getsockopt(pair.ours, SOL_SOCKET, SO_ERROR,
                     reinterpret_cast<char*>(&error), &length);
          char byte = 0;
          const int got = recv(pair.ours, &byte, 1, 0);
          Say("    SO_ERROR %d, recv %d, error %d", error, got,
              got < 0 ? WSAGetLastError() : 0);
          port.Enable(pair.ours, 1, filter, trigger);
          Say("    enabled again: %s", port.Packets(2).c_str());
        } else {
          closesocket(pair.peer);
        }
        closesocket(pair.ours);
      }
    }
  }
}

void RefusedConnect() {
  Section("A refused connect, filter OUT");
  Port port;
  const SOCKET nobody = Bound(SOCK_STREAM);
  sockaddr_in address = LoopbackOf(nobody);
  const SOCKET client = socket(AF_INET, SOCK_STREAM, 0);
  MakeNonBlocking(client);
  port.Enable(client, 1, kNotifyOut, kLevelOneShot);
  connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  const auto packet = port.Next(10'000);
  Say("%s", packet.has_value() ? Name(packet->bytes).c_str() : "nothing");
  closesocket(client);
  closesocket(nobody);
}

void EnableOverEnabled() {
  Section("ENABLE over an enabled registration");
  {
    Port port;
    const Pair pair = Connected();
    port.Enable(pair.ours, 1, kNotifyIn, kLevelOneShot);
    Say("IN, then OUT: %u; %s",
        port.Enable(pair.ours, 1, kNotifyOut, kLevelOneShot),
        port.Packets().c_str());
    closesocket(pair.ours);
    closesocket(pair.peer);
  }
  {
    Port port;
    const Pair pair = Connected();
    port.Enable(pair.ours, 1, kNotifyIn, kLevelOneShot);
    Say("level, then edge: %u",
        port.Enable(pair.ours, 1, kNotifyIn, kEdgePersistent));
    send(pair.peer, "x", 1, 0);
    Say("    data: %s", port.Packets().c_str());
    closesocket(pair.ours);
    closesocket(pair.peer);
  }
  {
    Port port;
    const Pair pair = Connected();
    port.Enable(pair.ours, 1, kNotifyIn, kLevelOneShot);
    Say("with another key: %u",
        port.Enable(pair.ours, 3, kNotifyOut, kLevelOneShot));
    Say("    %s", port.Packets().c_str());
    closesocket(pair.ours);
    closesocket(pair.peer);
  }
  {
    Port port;
    Port other;
    const Pair pair = Connected();
    port.Enable(pair.ours, 1, kNotifyIn, kLevelOneShot);
    Say("with another port: %u",
        other.Enable(pair.ours, 1, kNotifyIn, kLevelOneShot));
    closesocket(pair.ours);
    closesocket(pair.peer);
  }
}

void StalePackets() {
  Section("Packets that are queued, and then overtaken");
  for (const std::uint8_t trigger : {kLevelOneShot, kEdgePersistent}) {
    Port port;
    const Pair pair = Connected();
    port.Enable(pair.ours, 1, kNotifyIn, trigger);
    send(pair.peer, "x", 1, 0);
    Sleep(kSoonMs);
    Drain(pair.ours);
    Say("%s, drained before it was dequeued: %s", NameOfTrigger(trigger),
        port.Packets().c_str());
    closesocket(pair.ours);
    closesocket(pair.peer);
  }
  {
    Port port;
    const Pair pair = Connected();
    port.Enable(pair.ours, 1, kNotifyIn, kLevelOneShot);
    send(pair.peer, "x", 1, 0);
    Sleep(kSoonMs);
    Say("DISABLE after it was queued: %u; %s",
        port.Change(NotifyOperation::kDisable, pair.ours, 1),
        port.Packets().c_str());
    closesocket(pair.ours);
    closesocket(pair.peer);
  }
  {
    Port port;
    const Pair pair = Connected();
    port.Enable(pair.ours, 1, kNotifyIn, kLevelOneShot);
    send(pair.peer, "x", 1, 0);
    Sleep(kSoonMs);
    const std::uint32_t again =
        port.Enable(pair.ours, 1, kNotifyIn | kNotifyOut, kLevelOneShot);
    Say("one-shot enabled again, for OUT too, before it was dequeued: %u; %s",
        again, port.Packets().c_str());
    Drain(pair.ours);
    send(pair.peer, "y", 1, 0);
    Say("    data after that (a packet: it was still enabled): %s",
        port.Packets().c_str());
    closesocket(pair.ours);
    closesocket(pair.peer);
  }
}

void LevelPersistentRate() {
  Section("LEVEL|PERSISTENT when nobody drains: packets in 100 waits of 1 ms");
  Port port;
  const Pair pair = Connected();
  port.Enable(pair.ours, 1, kNotifyIn, kLevelPersistent);
  send(pair.peer, "x", 1, 0);
  Sleep(kSoonMs);
  int packets = 0;
  for (int i = 0; i < 100; ++i) packets += port.Next(1).has_value() ? 1 : 0;
  Say("%d", packets);
  closesocket(pair.ours);
  closesocket(pair.peer);
}

void Removal() {
  Section("REMOVE");
  {
    Port port;
    const Pair pair = Connected();
    port.Enable(pair.ours, 1, kNotifyIn, kLevelOneShot);
    send(pair.peer, "x", 1, 0);
    Sleep(kSoonMs);
    Say("with a packet queued: %u; %s",
        port.Change(NotifyOperation::kRemove, pair.ours, 1),
        port.Packets().c_str());
    Say("again: %u", port.Change(NotifyOperation::kRemove, pair.ours, 1));
    closesocket(pair.ours);
    closesocket(pair.peer);
  }
  {
    Port port;
    const Pair pair = Connected();
    port.Enable(pair.ours, 1, kNotifyIn, kLevelOneShot);
    port.Change(NotifyOperation::kRemove, pair.ours, 1);
    Say("ENABLE with another key before the packet is dequeued: %u; %s",
        port.Enable(pair.ours, 3, kNotifyOut, kLevelOneShot),
        port.Packets().c_str());
    closesocket(pair.ours);
    closesocket(pair.peer);
  }
  {
    Port port;
    const Pair pair = Connected();
    port.Enable(pair.ours, 1, kNotifyIn, kLevelOneShot);
    port.Change(NotifyOperation::kRemove, pair.ours, 1);
    closesocket(pair.ours);
    Say("closesocket before it is dequeued: %s", port.Packets().c_str());
    closesocket(pair.peer);
  }
  {
    Port port;
    const Pair pair = Connected();
    port.Enable(pair.ours, 1, kNotifyIn, kLevelOneShot);
    send(pair.peer, "x", 1, 0);
    Sleep(kSoonMs);
    closesocket(pair.ours);
    Say("closesocket alone, with a packet queued: %s", port.Packets().c_str());
    closesocket(pair.peer);
  }
}

void Elements() {
  Section("Two elements in one call");
  Port port;
  const Pair pair = Connected();
  const SOCKET gone = Bound(SOCK_STREAM);
  closesocket(gone);
  std::array<NotificationChange, 2> changes;
  changes[0] = {.socket = static_cast<NativeSocket>(gone),
                .key = 3,
                .filter = kNotifyIn,
                .operation = NotifyOperation::kEnable,
                .trigger = kLevelOneShot};
  changes[1] = {.socket = static_cast<NativeSocket>(pair.ours),
                .key = 1,
                .filter = kNotifyOut,
                .operation = NotifyOperation::kEnable,
                .trigger = kLevelOneShot};
  const std::uint32_t code = port.source().Process(changes, 0, {}, nullptr);
  Say("one of a closed socket: call %u, elements %u and %u; %s", code,
      changes[0].result, changes[1].result, port.Packets().c_str());
  changes[0] = {.socket = static_cast<NativeSocket>(pair.ours),
                .key = 1,
                .operation = NotifyOperation::kDisable};
  changes[1].filter = kNotifyOut;
  port.source().Process(changes, 0, {}, nullptr);
  Say("DISABLE and ENABLE of one socket, in this order: %u and %u; %s",
      changes[0].result, changes[1].result, port.Packets().c_str());
  closesocket(pair.ours);
  closesocket(pair.peer);
}

void OtherSockets() {
  Section("Datagram sockets, Unix sockets");
  {
    Port port;
    const SOCKET udp = Bound(SOCK_DGRAM);
    Say("UDP, filter IN|HANGUP: %u",
        port.Enable(udp, 1, kNotifyIn | kNotifyHangup, kLevelOneShot));
    closesocket(udp);
  }
  const SOCKET unix_socket = socket(AF_UNIX, SOCK_STREAM, 0);
  if (unix_socket == INVALID_SOCKET) {
    Say("AF_UNIX: no such sockets (%d)", WSAGetLastError());
    return;
  }
  Port port;
  Say("AF_UNIX: %u", port.Enable(unix_socket, 1, kNotifyIn, kLevelOneShot));
  closesocket(unix_socket);
}

void WithOverlapped() {
  Section("A socket that is associated with the port, too");
  Port port;
  const Pair pair = Connected();
  Say("CreateIoCompletionPort: %s",
      CreateIoCompletionPort(reinterpret_cast<HANDLE>(pair.ours),
                             port.handle(), 8, 0) != nullptr
          ? "done"
          : "refused");
  Say("ENABLE: %u", port.Enable(pair.ours, 1, kNotifyIn, kLevelOneShot));
  OVERLAPPED overlapped{};
  char byte = 0;
  WSABUF buffer{.len = 1, .buf = &byte};
  DWORD flags = 0;
  WSARecv(pair.ours, &buffer, 1, nullptr, &flags, &overlapped, nullptr);
  send(pair.peer, "xy", 2, 0);
  Say("two bytes for a WSARecv of one: %s", port.Packets().c_str());
  CancelIoEx(reinterpret_cast<HANDLE>(pair.ours), nullptr);
  closesocket(pair.ours);
  closesocket(pair.peer);
}

void EdgeAndPoll() {
  Section("EDGE and what holds already, with a WSAPoll after ENABLE");
  Port port;
  const Pair pair = Connected();
  send(pair.peer, "x", 1, 0);
  Sleep(kSoonMs);
  port.Enable(pair.ours, 1, kNotifyIn, kEdgePersistent);
  WSAPOLLFD poll{.fd = pair.ours, .events = POLLRDNORM, .revents = 0};
  WSAPoll(&poll, 1, 0);
  Say("WSAPoll %#x; %s", poll.revents, port.Packets().c_str());
  Drain(pair.ours);
  send(pair.peer, "x", 1, 0);
  Say("drained, and data: %s", port.Packets().c_str());
  send(pair.peer, "x", 1, 0);
  Say("not drained, and data: %s", port.Packets().c_str());
  closesocket(pair.ours);
  closesocket(pair.peer);
}

void Cost() {
  Section("Cost of one byte there, told, and taken");
  constexpr int kTimes = 10'000;
  for (const std::uint8_t trigger : {kLevelOneShot, kEdgePersistent}) {
    Port port;
    const Pair pair = Connected();
    NotificationChange change{.socket = static_cast<NativeSocket>(pair.ours),
                              .key = 1,
                              .filter = kNotifyIn,
                              .operation = NotifyOperation::kEnable,
                              .trigger = trigger};
    port.source().Process(std::span(&change, 1), 0, {}, nullptr);
    const bool again = trigger == kLevelOneShot;
    const std::int64_t start = platform::MonotonicNanoseconds();
    for (int i = 0; i < kTimes; ++i) {
      send(pair.peer, "x", 1, 0);
      PortPacket packet;
      std::uint32_t received = 0;
      const std::span changes(&change, again && i > 0 ? 1u : 0u);
      port.source().Process(changes, 1000, std::span(&packet, 1), &received);
      Drain(pair.ours);
    }
    Say("%s: %lld ns", again ? "level one-shot, enabled by the next wait"
                             : "edge persistent",
        static_cast<long long>(
            (platform::MonotonicNanoseconds() - start) / kTimes));
    closesocket(pair.ours);
    closesocket(pair.peer);
  }
}

int Main() {
  WSADATA data;
  WSAStartup(MAKEWORD(2, 2), &data);
  if (!Port().works()) {
    std::printf("This system has no ProcessSocketNotifications: neither "
                "ws2_32.dll nor mswsock.dll exports it (Windows before build "
                "20348, or Wine). There is nothing to ask; Weir takes AFD polls "
                "here.\n");
    return 2;
  }
  std::printf("ProcessSocketNotifications is there, and Weir uses it.\n"
              "0 is success; a number above 1000000 is of the whole call.\n");
  TimeoutCode();
  HangupAndReset();
  RefusedConnect();
  EnableOverEnabled();
  StalePackets();
  LevelPersistentRate();
  Removal();
  Elements();
  OtherSockets();
  WithOverlapped();
  EdgeAndPoll();
  Cost();
  return 0;
}

}  // namespace
}  // namespace weir::internal

int main() { return weir::internal::Main(); }
