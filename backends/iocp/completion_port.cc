#include "backends/iocp/completion_port.h"

#include <winsock2.h>
#include <windows.h>

#include "platform/error.h"

namespace weir::internal {

absl::StatusOr<CompletionPort> CompletionPort::Create() {
  // A concurrency of 0 lets as many threads run as there are processors; the loop
  // has one that waits, and does not rest on it.
  HANDLE handle = CreateIoCompletionPort(INVALID_HANDLE_VALUE, nullptr, 0, 0);
  if (handle == nullptr) {
    return platform::SystemError(static_cast<int>(GetLastError()),
                                 "CreateIoCompletionPort");
  }
  return CompletionPort(handle);
}

CompletionPort::~CompletionPort() {
  if (handle_ != nullptr) CloseHandle(handle_);
}

bool CompletionPort::Associate(void* handle, PortKey key) const {
  return CreateIoCompletionPort(handle, handle_,
                                static_cast<ULONG_PTR>(key), 0) != nullptr;
}

void CompletionPort::Post(PortKey key) const {
  while (!PostQueuedCompletionStatus(handle_, 0, static_cast<ULONG_PTR>(key),
                                     nullptr)) {
    Sleep(1);
  }
}

}  // namespace weir::internal
