#include "backends/iocp/native_notifications.h"

#include <winsock2.h>
#include <windows.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "backends/iocp/port_packets.h"

namespace weir::internal {
namespace {

// SOCK_NOTIFY_REGISTRATION of winsock2.h, which headers before those of Windows 11
// do not have.
struct SockNotifyRegistration {
  SOCKET socket;
  PVOID completion_key;
  UINT16 event_filter;
  UINT8 operation;
  UINT8 trigger_flags;
  DWORD registration_result;
};
static_assert(sizeof(NotificationChange) == sizeof(SockNotifyRegistration) &&
              offsetof(NotificationChange, socket) ==
                  offsetof(SockNotifyRegistration, socket) &&
              offsetof(NotificationChange, key) ==
                  offsetof(SockNotifyRegistration, completion_key) &&
              offsetof(NotificationChange, filter) ==
                  offsetof(SockNotifyRegistration, event_filter) &&
              offsetof(NotificationChange, operation) ==
                  offsetof(SockNotifyRegistration, operation) &&
              offsetof(NotificationChange, trigger) ==
                  offsetof(SockNotifyRegistration, trigger_flags) &&
              offsetof(NotificationChange, result) ==
                  offsetof(SockNotifyRegistration, registration_result));

using ProcessSocketNotificationsFunction =
    DWORD(WSAAPI*)(HANDLE port, UINT32 registration_count,
                   SockNotifyRegistration* registrations, UINT32 timeout_ms,
                   ULONG completion_count, OVERLAPPED_ENTRY* entries,
                   UINT32* received);

// Exported by ws2_32.dll; import libraries name mswsock.dll as well.
ProcessSocketNotificationsFunction Find() {
  for (const wchar_t* library : {L"ws2_32.dll", L"mswsock.dll"}) {
    const HMODULE module = LoadLibraryW(library);
    if (module == nullptr) continue;
    if (const FARPROC found =
            GetProcAddress(module, "ProcessSocketNotifications")) {
      return reinterpret_cast<ProcessSocketNotificationsFunction>(
          reinterpret_cast<void*>(found));
    }
  }
  return nullptr;
}

class NativeNotifications final : public SocketNotifications {
 public:
  NativeNotifications(void* port, ProcessSocketNotificationsFunction function)
      : port_(port), function_(function) {}

  std::string_view name() const override {
    return "ProcessSocketNotifications";
  }

  std::uint32_t Process(std::span<NotificationChange> changes,
                        std::uint32_t timeout_ms,
                        std::span<PortPacket> packets,
                        std::uint32_t* received) override {
    calls_.fetch_add(1, std::memory_order_relaxed);
    // A pointer to nothing has to be null.
    return function_(
        port_, static_cast<UINT32>(changes.size()),
        changes.empty()
            ? nullptr
            : reinterpret_cast<SockNotifyRegistration*>(changes.data()),
        timeout_ms, static_cast<ULONG>(packets.size()),
        packets.empty() ? nullptr : AsOverlappedEntries(packets.data()),
        packets.empty() ? nullptr : received);
  }

  std::uint64_t system_calls() const override {
    return calls_.load(std::memory_order_relaxed);
  }

 private:
  void* const port_;
  const ProcessSocketNotificationsFunction function_;
  std::atomic<std::uint64_t> calls_{0};
};

}  // namespace

std::unique_ptr<SocketNotifications> CreateNativeNotifications(void* port) {
  static const ProcessSocketNotificationsFunction function = Find();
  if (function == nullptr) return nullptr;
  return std::make_unique<NativeNotifications>(port, function);
}

}  // namespace weir::internal
