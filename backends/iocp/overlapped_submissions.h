// Transfers that the kernel carries out by overlapped calls.

#ifndef WEIR_BACKENDS_IOCP_OVERLAPPED_SUBMISSIONS_H_
#define WEIR_BACKENDS_IOCP_OVERLAPPED_SUBMISSIONS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "backends/accepted_sockets.h"
#include "backends/iocp/completion_port.h"
#include "backends/iocp/notification_slot.h"
#include "backends/iocp/overlapped_call.h"
#include "backends/iocp/receive_buffers.h"
#include "backends/iocp/socket_notifications.h"
#include "weir/backend.h"

namespace weir::internal {

//   kind          calls
//   kReceive      WSARecv
//   kSend         WSASend, which ends when all is taken
//   kSendFile     TransmitFile; the core gives it no small files
//   kConnect      bind, ConnectEx, SO_UPDATE_CONNECT_CONTEXT
//   kAccept       AcceptEx, SO_UPDATE_ACCEPT_CONTEXT
//   kAcceptMany   several of these, posted again when they end; a connection
//                 that died while it waited is passed over, by both
//   kReceiveFrom, kSendTo  WSARecvFrom; WSASendTo, or WSASend to the peer
//   kAwaitDatagram  WSARecv into nothing, with MSG_PEEK
//   kReceiveMany  WSARecv into nothing, which waits and holds no buffer; then
//                 receives that do not wait, for as long as there is something
//
// Datagrams that are there are received by WSARecvMsg, and sent by WSASendMsg, in
// calls that do not wait, several in one turn; what has to wait is one of the
// above. SIO_ADDRESS_LIST_CHANGE is an overlapped call of the system's pool of
// threads, because an address watch belongs to no port
// (platform/windows/address_changes.cc). The end of sending is shutdown() behind
// the last WSASend: DisconnectEx ends receiving too.
//
// A call that succeeds at once ends at once, where the handle sends no packet
// then. Every other one, also one that was cancelled, ends with its packet.
class OverlappedSubmissions {
 public:
  explicit OverlappedSubmissions(const CompletionPort& port) : port_(port) {}
  // Nobody waits on the port any more; what Discard() has not seen is lost.
  ~OverlappedSubmissions() = default;

  // FailedPrecondition: the handle belongs to another port, or its provider has
  // no such call. ResourceExhausted: no memory, for now.
  absl::Status Start(Submission& submission,
                     std::span<const std::span<std::byte>> buffers);
  void Cancel(Submission& submission);
  // A packet with PortKey::kOverlapped.
  void Complete(const PortPacket& packet, ReadyList& ready);
  // Reports what has ended without a packet.
  void ReportUntold(ReadyList& ready);
  // Whether that would report anything. Any thread.
  bool has_untold() const {
    return has_untold_.load(std::memory_order_seq_cst);
  }

  std::optional<ReceivedChunk> NextChunk(Submission& submission);
  void ReturnChunk(std::int32_t id) { buffers_.Return(id); }
  std::optional<NativeSocket> NextAccepted(Submission& submission) {
    return accepted_.Next(submission);
  }

  // For the end: asks for that of all calls, and takes a packet that nobody will
  // be told of.
  void CancelAll() { calls_.CancelAll(); }
  void Discard(const PortPacket& packet);
  std::size_t in_flight() const { return calls_.in_flight(); }
  std::uint64_t system_calls() const {
    return system_calls_.load(std::memory_order_relaxed);
  }

 private:
  static constexpr std::int64_t kCancelled =
      -std::int64_t{ERROR_OPERATION_ABORTED};
  static bool SkipsPackets(const WatchedSocket& socket) {
    return (socket.backend_data & kSkipsPackets) != 0;
  }

  // How many connections are taken, or found dead, at a time: the others have
  // their turn.
  static constexpr int kEnoughAccepts = 64;

  // Of a kReceiveMany, in Submission::burst.
  enum class Reading : std::uint32_t { kWaits, kReads, kDrained };

  absl::Status Associate(WatchedSocket& socket);
  StartedCall Call(OverlappedCall& call,
                   std::span<const std::span<std::byte>> buffers);
  StartedCall Receive(OverlappedCall& call,
                      std::span<const std::span<std::byte>> buffers);
  StartedCall Send(OverlappedCall& call,
                   std::span<const std::span<std::byte>> buffers);
  StartedCall Connect(OverlappedCall& call);
  StartedCall Accept(OverlappedCall& call);
  std::int64_t Finish(OverlappedCall& call, std::int64_t result);
  void End(Submission& submission, std::int64_t result);

  // --- without end: overlapped_endless.cc
  void PostAccepts(Submission& submission);
  bool PostAccept(Submission& submission, OverlappedCall* call);
  void CompleteAccept(OverlappedCall* call, std::int64_t result,
                      ReadyList& ready);
  void EndAccepts(Submission& submission, ReadyList* ready);

  bool WaitForData(Submission& submission);
  void NoteWaited(Submission& submission, std::int64_t result);
  void CompleteWait(OverlappedCall* call, std::int64_t result,
                    ReadyList& ready);
  void Count() { system_calls_.fetch_add(1, std::memory_order_relaxed); }

  const CompletionPort& port_;
  OverlappedCalls calls_;
  ReceiveBuffers buffers_;
  AcceptedSockets accepted_;
  std::vector<Submission*> untold_;
  std::atomic<bool> has_untold_{false};
  std::atomic<std::uint64_t> system_calls_{0};
};

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_IOCP_OVERLAPPED_SUBMISSIONS_H_
