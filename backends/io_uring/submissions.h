// Transfers that the kernel carries out: their requests and what those point
// to.

#ifndef WEIR_BACKENDS_IO_URING_SUBMISSIONS_H_
#define WEIR_BACKENDS_IO_URING_SUBMISSIONS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "backends/accepted_sockets.h"
#include "backends/io_uring/lent_buffers.h"
#include "backends/io_uring/ring.h"
#include "weir/backend.h"

namespace weir::internal {

class Submissions {
 public:
  Submissions();
  ~Submissions();

  // Whether a completion with this user data is for Complete().
  static bool Owns(std::uint64_t user_data) { return (user_data & kMark) != 0; }

  // Unavailable: the submission queue takes nothing. Unimplemented: the kernel
  // does not do that.
  absl::Status Start(Ring& ring, Submission& submission,
                     std::span<const std::span<std::byte>> buffers);
  // A kReceiveMany: its user data names the socket.
  absl::Status StartReceiveMany(Ring& ring, WatchedSocket& socket);
  // `ignored` is the user data of requests whose completion says nothing.
  void Cancel(Ring& ring, Submission& submission, std::uint64_t ignored);
  // Asks for the end of those for which the queue had no room. Unavailable: it
  // still has none.
  absl::Status CancelRest(Ring& ring, std::uint64_t ignored);
  void Complete(Ring& ring, const io_uring_cqe& completion, ReadyList& ready,
                std::uint64_t ignored);
  // The completion queue was found empty.
  void EndBurst() { ++burst_; }
  // Gives back what a completion brings that nobody will be told of.
  static void Discard(const io_uring_cqe& completion);

  std::optional<ReceivedChunk> NextChunk(Submission& submission) {
    if (lent_ == nullptr) return std::nullopt;
    return lent_->Next(submission);
  }
  bool KeepChunk(std::int32_t id) { return lent_->Keep(id); }
  void ReturnChunk(std::int32_t id) { lent_->Return(id); }
  std::optional<NativeSocket> NextAccepted(Submission& submission) {
    return accepted_.Next(submission);
  }

 private:
  struct Message;
  // User space has no addresses with the highest bit.
  static constexpr std::uint64_t kMark = std::uint64_t{1} << 63;

  // Of a kReceiveMany: the address is the socket's.
  static constexpr std::uint64_t kReceiveMark = std::uint64_t{1} << 62;

  static std::uint64_t TokenOf(const WatchedSocket& receiving) {
    return reinterpret_cast<std::uintptr_t>(&receiving) | kReceiveMark | kMark;
  }
  static std::uint64_t TokenOf(const Submission& submission) {
    return submission.kind == Submission::Kind::kReceiveMany
               ? TokenOf(*submission.socket)
               : reinterpret_cast<std::uintptr_t>(&submission) | kMark;
  }
  static bool IsOfReceiveMany(const io_uring_cqe& completion) {
    return (completion.user_data & kReceiveMark) != 0;
  }
  template <typename Named>
  static Named& NamedBy(const io_uring_cqe& completion) {
    return *reinterpret_cast<Named*>(static_cast<std::uintptr_t>(
        completion.user_data & ~(kReceiveMark | kMark)));
  }
  Message* TakeMessage(Submission& submission);
  bool IsLongBurst(Submission& submission) const;

  std::vector<std::unique_ptr<Message>> messages_;
  // Those of them that no submission has. One whose completion was lost has its
  // for ever.
  std::vector<Message*> free_;
  // In flight, to be cancelled when there is room.
  std::vector<Submission*> to_cancel_;
  std::uint32_t burst_ = 0;
  // Made for the first kReceiveMany.
  std::unique_ptr<LentBuffers> lent_;
  AcceptedSockets accepted_;
};

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_IO_URING_SUBMISSIONS_H_
