// One overlapped call, and what the kernel writes to until its packet has come.

#ifndef WEIR_BACKENDS_IOCP_OVERLAPPED_CALL_H_
#define WEIR_BACKENDS_IOCP_OVERLAPPED_CALL_H_

#include <winsock2.h>
#include <windows.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "weir/backend.h"
#include "weir/native_socket.h"

namespace weir::internal {

struct OverlappedCall {
  // First: the address of the whole is that of the packet's `overlapped`.
  OVERLAPPED overlapped;
  Submission* submission = nullptr;
  NativeSocket socket = kInvalidSocket;
  // Of an accept: the socket that becomes the connection, and where AcceptEx
  // writes both addresses, each with 16 bytes to spare.
  NativeSocket accepted = kInvalidSocket;
  static constexpr std::size_t kAddressBytes = sizeof(SOCKADDR_STORAGE) + 16;
  std::unique_ptr<std::array<std::byte, 2 * kAddressBytes>> addresses;
  std::byte* OwnAddresses() {
    if (addresses == nullptr) {
      addresses = std::make_unique<decltype(addresses)::element_type>();
    }
    return addresses->data();
  }
  // Of a datagram: where its sender is written, at the beginning of `addresses`.
  INT address_length = 0;
  DWORD flags = 0;
  OverlappedCall* next = nullptr;

  // Bytes moved, or the system's number, negative: by the status alone, which is
  // right even if the socket has gone (WSAGetOverlappedResult is not).
  std::int64_t Result() const;
  std::int64_t bytes() const {
    return static_cast<std::int64_t>(overlapped.InternalHigh);
  }
};

// Calls are used again, and stay where they are.
class OverlappedCalls {
 public:
  OverlappedCalls() = default;
  OverlappedCalls(const OverlappedCalls&) = delete;
  OverlappedCalls& operator=(const OverlappedCalls&) = delete;
  // Those that are still the kernel's are given away.
  ~OverlappedCalls();

  OverlappedCall* Take(Submission& submission);
  void Give(OverlappedCall* call);
  // The same of one that has ended at once with a warning, of which the system
  // may send a packet, or not: it is used again when that has come, or when many
  // others have been given like this since.
  void GiveDoubtful(OverlappedCall* call);
  // That its packet has come. False: it is no such call.
  bool TakeDoubt(OverlappedCall* call);
  std::size_t in_flight() const {
    return all_.size() - free_count_ - doubtful_.size();
  }
  // Asks for the end of all that are under way.
  void CancelAll();

 private:
  std::vector<std::unique_ptr<OverlappedCall>> all_;
  OverlappedCall* free_ = nullptr;
  std::size_t free_count_ = 0;
  std::deque<OverlappedCall*> doubtful_;
};

// How a call was started: what it has ended with, or nothing if its packet is to
// come.
using StartedCall = std::optional<std::int64_t>;

// What the overlapped functions return, for a call on a handle that sends no
// packet for what succeeds at once, or does.
StartedCall Started(bool succeeded, const OverlappedCall& call,
                    bool skips_packets);

// Asks for the end of `call`; its packet comes in any case.
void CancelCall(OverlappedCall& call);

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_IOCP_OVERLAPPED_CALL_H_
