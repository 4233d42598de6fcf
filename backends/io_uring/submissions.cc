#include "backends/io_uring/submissions.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "platform/posix/accept_errors.h"
#include "platform/posix/sockaddr.h"
#include "platform/socket_io.h"

namespace weir::internal {
namespace {

// Not MSG_WAITALL: a send that went on by itself would take a reset's error off
// the socket and report only what it had sent before.
constexpr int kSendFlags = MSG_NOSIGNAL;

// Whether what ended with `error` did nothing, and another one goes on instead: a
// signal came before anything was moved, or a connection died while it waited. An
// interrupted connect goes on by itself (connect(2)).
bool IsToGoOn(const Submission& submission, int error) {
  switch (submission.kind) {
    case Submission::Kind::kConnect:
      return false;
    case Submission::Kind::kAccept:
    case Submission::Kind::kAcceptMany:
      return error == EINTR || platform::IsOfAcceptedConnection(error);
    default:
      return error == EINTR;
  }
}

}  // namespace

// What a request points to besides the caller's buffers.
struct Submissions::Message {
  msghdr header{};
  std::array<iovec, platform::kMaxVectorBuffers> buffers;
  sockaddr_storage address{};
  socklen_t address_length = sizeof(address);
};

Submissions::Submissions() = default;
Submissions::~Submissions() = default;

Submissions::Message* Submissions::TakeMessage(Submission& submission) {
  if (free_.empty()) {
    messages_.push_back(std::make_unique<Message>());
    free_.push_back(messages_.back().get());
  }
  Message* message = free_.back();
  free_.pop_back();
  submission.backend_data = message;
  return message;
}

absl::Status Submissions::Start(
    Ring& ring, Submission& submission,
    std::span<const std::span<std::byte>> buffers) {
  if (submission.kind == Submission::Kind::kReceiveMany) {
    absl::Status status = StartReceiveMany(ring, *submission.socket);
    submission.in_flight = status.ok();
    submission.backend_data = nullptr;
    return status;
  }
  if (absl::Status status = ring.MakeRoom(1); !status.ok()) return status;
  const int socket = static_cast<int>(submission.socket->socket());
  io_uring_sqe* entry = ring.NextEntry();
  submission.backend_data = nullptr;
  switch (submission.kind) {
    case Submission::Kind::kReceive:
    case Submission::Kind::kSend: {
      const bool receives = submission.kind == Submission::Kind::kReceive;
      if (buffers.size() == 1) {
        if (receives) {
          io_uring_prep_recv(entry, socket, buffers[0].data(),
                             buffers[0].size(), 0);
        } else if (submission.zero_copy) {
          io_uring_prep_send_zc(entry, socket, buffers[0].data(),
                                buffers[0].size(), kSendFlags, 0);
        } else {
          io_uring_prep_send(entry, socket, buffers[0].data(),
                             buffers[0].size(), kSendFlags);
        }
        break;
      }
      Message* message = TakeMessage(submission);
      for (std::size_t i = 0; i < buffers.size(); ++i) {
        message->buffers[i] = {.iov_base = buffers[i].data(),
                               .iov_len = buffers[i].size()};
      }
      message->header = {};
      message->header.msg_iov = message->buffers.data();
      message->header.msg_iovlen = buffers.size();
      if (receives) {
        io_uring_prep_recvmsg(entry, socket, &message->header, 0);
      } else if (submission.zero_copy) {
        io_uring_prep_sendmsg_zc(entry, socket, &message->header, kSendFlags);
      } else {
        io_uring_prep_sendmsg(entry, socket, &message->header, kSendFlags);
      }
      break;
    }
    case Submission::Kind::kAccept: {
      Message* message = TakeMessage(submission);
      message->address_length = sizeof(message->address);
      io_uring_prep_accept(entry, socket,
                           reinterpret_cast<sockaddr*>(&message->address),
                           &message->address_length,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
      break;
    }
    case Submission::Kind::kAcceptMany:
      // Without an address: one place for it would be shared by all
      // (io_uring_prep_accept(3)).
      io_uring_prep_multishot_accept(entry, socket, nullptr, nullptr,
                                     SOCK_NONBLOCK | SOCK_CLOEXEC);
      break;
    case Submission::Kind::kConnect: {
      Message* message = TakeMessage(submission);
      message->address_length =
          platform::ToSockaddr(*submission.address, message->address);
      io_uring_prep_connect(entry, socket,
                            reinterpret_cast<sockaddr*>(&message->address),
                            message->address_length);
      break;
    }
    case Submission::Kind::kReceiveMany:
    case Submission::Kind::kReceiveFrom:
    case Submission::Kind::kAwaitDatagram:
    case Submission::Kind::kSendTo:
    case Submission::Kind::kSendFile:
      // The first is started above, the others are never given: there are no
      // Capabilities of that kind here.
      io_uring_prep_nop(entry);
      break;
  }
  io_uring_sqe_set_data64(entry, TokenOf(submission));
  submission.in_flight = true;
  submission.socket->Pin();
  return absl::OkStatus();
}

absl::Status Submissions::StartReceiveMany(Ring& ring, WatchedSocket& socket) {
  if (lent_ == nullptr) {
    auto lent = LentBuffers::Create(ring);
    if (!lent.ok()) return lent.status();
    lent_ = *std::move(lent);
  }
  if (absl::Status status = ring.MakeRoom(1); !status.ok()) return status;
  lent_->Join();
  io_uring_sqe* entry = ring.NextEntry();
  io_uring_prep_recv_multishot(entry, static_cast<int>(socket.socket()),
                               nullptr, 0, 0);
  entry->flags |= IOSQE_BUFFER_SELECT;
  entry->buf_group = LentBuffers::kGroup;
  io_uring_sqe_set_data64(entry, TokenOf(socket));
  socket.Pin();
  return absl::OkStatus();
}

void Submissions::Cancel(Ring& ring, Submission& submission,
                         std::uint64_t ignored) {
  to_cancel_.push_back(&submission);
  (void)CancelRest(ring, ignored);
}

absl::Status Submissions::CancelRest(Ring& ring, std::uint64_t ignored) {
  while (!to_cancel_.empty()) {
    if (absl::Status status = ring.MakeRoom(1); !status.ok()) return status;
    ring.PrepareCancel(TokenOf(*to_cancel_.back()), ignored);
    to_cancel_.pop_back();
  }
  return absl::OkStatus();
}

// A multishot receive that has gone round 32 times is put off (MULTISHOT_MAX_RETRY
// in Linux), and when it goes on and finds everything read it waits for a wake-up
// without another look: a reset that came before that is never told (measured on
// Linux 6.18). One that may have been there is started anew, which looks.
bool Submissions::IsLongBurst(Submission& submission) const {
  constexpr std::uint32_t kLong = 16;
  if (submission.burst != burst_) {
    submission.burst = burst_;
    submission.burst_chunks = 0;
  }
  return ++submission.burst_chunks == kLong;
}

void Submissions::Complete(Ring& ring, const io_uring_cqe& completion,
                           ReadyList& ready, std::uint64_t ignored) {
  Submission& submission =
      IsOfReceiveMany(completion)
          ? ready.ReceiveOf(NamedBy<WatchedSocket>(completion))
          : NamedBy<Submission>(completion);
  std::int64_t result = completion.res;
  if (submission.kind == Submission::Kind::kAcceptMany && result >= 0) {
    accepted_.Append(submission, static_cast<NativeSocket>(result));
    result = 0;
  }
  if ((completion.flags & IORING_CQE_F_BUFFER) != 0) {
    lent_->Append(submission,
                  static_cast<std::int32_t>(completion.flags >>
                                            IORING_CQE_BUFFER_SHIFT),
                  static_cast<std::size_t>(completion.res));
  }
  if ((completion.flags & IORING_CQE_F_MORE) != 0) {
    if (submission.zero_copy) {
      // What was sent. That the buffers are free is told by another completion
      // (io_uring_prep_send_zc(3)).
      submission.result = result;
      return;
    }
    ready.Push(*submission.socket);
    if (submission.kind == Submission::Kind::kReceiveMany &&
        IsLongBurst(submission)) {
      Cancel(ring, submission, ignored);
    }
    return;
  }
  if ((completion.flags & IORING_CQE_F_NOTIF) != 0) result = submission.result;
  if (submission.backend_data != nullptr) {
    auto* message =
        static_cast<Message*>(std::exchange(submission.backend_data, nullptr));
    if (submission.kind == Submission::Kind::kAccept && completion.res >= 0) {
      *submission.address =
          platform::FromSockaddr(message->address, message->address_length);
    }
    free_.push_back(message);
  }
  submission.socket->Unpin();
  std::erase(to_cancel_, &submission);
  bool goes_on = result < 0 && IsToGoOn(submission, -completion.res);
  if (submission.kind == Submission::Kind::kReceiveMany) {
    lent_->Leave();
    goes_on = goes_on || (result == -ENOBUFS && lent_->AddForMembers());
  }
  // As if it had been cancelled by nobody: the core starts it anew.
  if (goes_on) result = -ECANCELED;
  ready.Report(submission, result);
}

void Submissions::Discard(const io_uring_cqe& completion) {
  if (IsOfReceiveMany(completion)) return;
  const Submission::Kind kind = NamedBy<Submission>(completion).kind;
  if ((kind == Submission::Kind::kAccept ||
       kind == Submission::Kind::kAcceptMany) &&
      completion.res >= 0) {
    (void)platform::Close(static_cast<NativeSocket>(completion.res));
  }
}

}  // namespace weir::internal
