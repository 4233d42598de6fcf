#include "backends/iocp/afd_device.h"

#include <mswsock.h>

#include <limits>

#include "platform/error.h"
#include "platform/windows/nt_status.h"
#include "platform/windows/winsock.h"

namespace weir::internal {
namespace {

constexpr ULONG kIoctlPoll = 0x00012024;  // IOCTL_AFD_POLL
constexpr LONG kStatusPending = 0x00000103;

// Exported by every ntdll.dll; headers and import libraries know only some.
struct NtFunctions {
  decltype(&::NtCreateFile) create_file;
  decltype(&::NtDeviceIoControlFile) device_io_control;
  NTSTATUS(NTAPI* cancel_io)(HANDLE, IO_STATUS_BLOCK*, IO_STATUS_BLOCK*);
};

template <typename Function>
void Find(HMODULE module, const char* name, Function& function) {
  function = reinterpret_cast<Function>(
      reinterpret_cast<void*>(GetProcAddress(module, name)));
}

const NtFunctions& Nt() {
  static const NtFunctions functions = [] {
    NtFunctions found;
    const HMODULE module = GetModuleHandleW(L"ntdll.dll");
    Find(module, "NtCreateFile", found.create_file);
    Find(module, "NtDeviceIoControlFile", found.device_io_control);
    Find(module, "NtCancelIoFileEx", found.cancel_io);
    return found;
  }();
  return functions;
}

}  // namespace

absl::StatusOr<std::unique_ptr<AfdDevice>> AfdDevice::Open(
    const CompletionPort& port) {
  // What follows the device's name is anything.
  wchar_t name[] = L"\\Device\\Afd\\Weir";
  UNICODE_STRING path{.Length = sizeof(name) - sizeof(wchar_t),
                      .MaximumLength = sizeof(name),
                      .Buffer = name};
  OBJECT_ATTRIBUTES attributes;
  InitializeObjectAttributes(&attributes, &path, 0, nullptr, nullptr);
  IO_STATUS_BLOCK status;
  HANDLE handle = nullptr;
  const NTSTATUS result = Nt().create_file(
      &handle, SYNCHRONIZE, &attributes, &status, nullptr, 0,
      FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_OPEN, 0, nullptr, 0);
  if (result < 0) {
    return platform::SystemError(platform::CodeOfNtStatus(result),
                                 "NtCreateFile", "\\Device\\Afd");
  }
  std::unique_ptr<AfdDevice> device(new AfdDevice(handle));
  if (!port.Associate(handle, PortKey::kAfdPoll) ||
      !SetFileCompletionNotificationModes(handle,
                                          FILE_SKIP_SET_EVENT_ON_HANDLE)) {
    return platform::SystemError(static_cast<int>(GetLastError()),
                                 "CreateIoCompletionPort", "\\Device\\Afd");
  }
  return device;
}

AfdDevice::~AfdDevice() { CloseHandle(handle_); }

std::uint32_t AfdDevice::FindBase(NativeSocket socket, SOCKET* base) {
  // Some providers hide the one and leave the other.
  for (const DWORD question : {SIO_BASE_HANDLE, SIO_BSP_HANDLE_POLL}) {
    DWORD written = 0;
    if (WSAIoctl(static_cast<SOCKET>(socket), question, nullptr, 0, base,
                 sizeof(*base), &written, nullptr, nullptr) == 0) {
      return 0;
    }
    if (WSAGetLastError() == WSAENOTSOCK) break;
  }
  return static_cast<std::uint32_t>(platform::LastErrorOf(socket));
}

std::uint32_t AfdDevice::Start(AfdPoll& poll, SOCKET base,
                               AfdEvents events) const {
  poll.status.Status = kStatusPending;
  poll.status.Information = 0;
  poll.info.timeout.QuadPart = std::numeric_limits<LONGLONG>::max();
  poll.info.handle_count = 1;
  poll.info.exclusive = 0;
  poll.info.handles[0] = {.handle = reinterpret_cast<HANDLE>(base),
                          .events = events,
                          .status = 0};
  const NTSTATUS result = Nt().device_io_control(
      handle_, nullptr, nullptr, &poll, &poll.status, kIoctlPoll, &poll.info,
      sizeof(poll.info), &poll.info, sizeof(poll.info));
  // What succeeds at once sends its packet like what is pending.
  return result < 0 ? static_cast<std::uint32_t>(
                          platform::CodeOfNtStatus(result))
                    : 0;
}

// STATUS_NOT_FOUND: it has ended already.
void AfdDevice::Cancel(AfdPoll& poll) const {
  Nt().cancel_io(handle_, &poll.status, &poll.cancel_status);
}

}  // namespace weir::internal
