// The system tells of a change by completing a request (SIO_ADDRESS_LIST_CHANGE),
// which no loop can wait for. So a thread of the system's pool waits for it, asks
// anew, and sends a datagram over loopback to a socket that anybody can wait for.

#include "platform/address_changes.h"

#include <array>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "platform/error.h"
#include "platform/socket_io.h"
#include "platform/sockets.h"
#include "platform/windows/winsock.h"
#include "weir/native_socket.h"
#include "weir/socket_address.h"

namespace weir::platform {
namespace {

// One family's request, asked again and again.
class ChangeRequest {
 public:
  // `bell` is sent to at each change, and outlives this.
  explicit ChangeRequest(NativeSocket bell) : bell_(bell) {}
  ChangeRequest(const ChangeRequest&) = delete;
  ChangeRequest& operator=(const ChangeRequest&) = delete;
  ~ChangeRequest() {
    // Returns when a callback that runs has returned.
    if (wait_ != nullptr) ::UnregisterWaitEx(wait_, INVALID_HANDLE_VALUE);
    if (pending_) {
      HANDLE const handle = reinterpret_cast<HANDLE>(ToSocket(socket_));
      DWORD bytes = 0;
      ::CancelIoEx(handle, &overlapped_);
      ::GetOverlappedResult(handle, &overlapped_, &bytes, TRUE);
    }
    if (socket_ != kInvalidSocket) (void)Close(socket_);
    if (event_ != nullptr) ::CloseHandle(event_);
  }

  absl::Status Start(AddressFamily family) {
    const auto socket = OpenSocket(family, SocketType::kDatagram);
    if (!socket.ok()) return socket.status();
    socket_ = *socket;
    event_ = ::CreateEventW(nullptr, /*bManualReset=*/FALSE, FALSE, nullptr);
    if (event_ == nullptr) return LastError("CreateEvent");
    if (const int error = Ask()) {
      return SystemError(error, "WSAIoctl", "SIO_ADDRESS_LIST_CHANGE");
    }
    if (::RegisterWaitForSingleObject(&wait_, event_, &OnChange, this, INFINITE,
                                      WT_EXECUTEDEFAULT) == FALSE) {
      wait_ = nullptr;
      return LastError("RegisterWaitForSingleObject");
    }
    return absl::OkStatus();
  }

 private:
  static absl::Status LastError(const char* operation) {
    return SystemError(static_cast<int>(::GetLastError()), operation);
  }

  // Returns 0 or an error number.
  int Ask() {
    overlapped_ = {};
    overlapped_.hEvent = event_;
    DWORD bytes = 0;
    if (::WSAIoctl(ToSocket(socket_), SIO_ADDRESS_LIST_CHANGE, nullptr, 0,
                   nullptr, 0, &bytes, &overlapped_, nullptr) == 0) {
      pending_ = true;
      return 0;
    }
    const int error = ::WSAGetLastError();
    pending_ = error == WSA_IO_PENDING;
    return pending_ ? 0 : error;
  }

  // On a thread of the pool, one call at a time.
  static void CALLBACK OnChange(void* context, BOOLEAN) {
    auto* const self = static_cast<ChangeRequest*>(context);
    // First: what changes from here on is told again.
    (void)self->Ask();
    constexpr std::array<std::byte, 1> kMark{};
    // A full socket tells already.
    (void)Send(self->bell_, kMark);
  }

  const NativeSocket bell_;
  NativeSocket socket_ = kInvalidSocket;
  HANDLE event_ = nullptr;
  HANDLE wait_ = nullptr;
  OVERLAPPED overlapped_ = {};
  bool pending_ = false;
};

// What sends to the socket that is waited for.
class ChangeSource {
 public:
  ChangeSource() = default;
  ChangeSource(const ChangeSource&) = delete;
  ChangeSource& operator=(const ChangeSource&) = delete;
  ~ChangeSource() {
    ipv6_.reset();
    ipv4_.reset();
    if (bell_ != kInvalidSocket) (void)Close(bell_);
  }

  // Connects with `ear`, both ways: nobody else reaches it.
  absl::Status Start(NativeSocket ear) {
    const auto bell = OpenSocket(AddressFamily::kIpv4, SocketType::kDatagram);
    if (!bell.ok()) return bell.status();
    bell_ = *bell;
    for (const NativeSocket socket : {ear, bell_}) {
      if (absl::Status status = Bind(socket, SocketAddress::Ipv4Loopback(0));
          !status.ok()) {
        return status;
      }
    }
    if (absl::Status status = ConnectTo(bell_, ear); !status.ok()) {
      return status;
    }
    if (absl::Status status = ConnectTo(ear, bell_); !status.ok()) {
      return status;
    }
    ipv4_ = std::make_unique<ChangeRequest>(bell_);
    if (absl::Status status = ipv4_->Start(AddressFamily::kIpv4);
        !status.ok()) {
      return status;
    }
    ipv6_ = std::make_unique<ChangeRequest>(bell_);
    absl::Status status = ipv6_->Start(AddressFamily::kIpv6);
    // A machine without IPv6.
    return absl::IsUnimplemented(status) ? absl::OkStatus() : status;
  }

 private:
  static absl::Status ConnectTo(NativeSocket from, NativeSocket to) {
    const auto address = LocalAddress(to);
    if (!address.ok()) return address.status();
    return Connect(from, *address).status();
  }

  NativeSocket bell_ = kInvalidSocket;
  std::unique_ptr<ChangeRequest> ipv4_;
  std::unique_ptr<ChangeRequest> ipv6_;
};

}  // namespace

absl::StatusOr<AddressChanges> AddressChanges::Open() {
  const auto ear = OpenSocket(AddressFamily::kIpv4, SocketType::kDatagram);
  if (!ear.ok()) return ear.status();
  AddressChanges changes(*ear);
  const auto source = std::make_shared<ChangeSource>();
  if (absl::Status status = source->Start(*ear); !status.ok()) return status;
  changes.source_ = source;
  return changes;
}

AddressChanges::AddressChanges(AddressChanges&& other) noexcept
    : socket_(std::exchange(other.socket_, kInvalidSocket)),
      source_(std::move(other.source_)) {}

AddressChanges& AddressChanges::operator=(AddressChanges&& other) noexcept {
  std::swap(socket_, other.socket_);
  std::swap(source_, other.source_);
  return *this;
}

AddressChanges::~AddressChanges() {
  source_ = nullptr;
  if (socket_ != kInvalidSocket) (void)Close(socket_);
}

absl::StatusOr<bool> AddressChanges::TakeChangedFrom(NativeSocket socket) {
  bool changed = false;
  while (true) {
    std::array<std::byte, 1> mark;
    const IoOutcome outcome = Receive(socket, mark);
    if (outcome.would_block) return changed;
    if (outcome.error != 0) {
      // What has been read is not to be lost; the next call meets the error.
      if (changed) return true;
      return SystemError(outcome.error, "recv");
    }
    changed = true;
  }
}

}  // namespace weir::platform
