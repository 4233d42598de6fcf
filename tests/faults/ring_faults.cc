#include "tests/faults/ring_faults.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "tests/faults/fault_points.h"
#include "tests/faults/request_kinds.h"

int real_connect(int socket, const sockaddr* address,
                 socklen_t length) asm("__real_connect");
int real_close(int descriptor) asm("__real_close");

namespace weir::faults {
namespace {

static_assert(kPollRequest == IORING_OP_POLL_ADD);
static_assert(kSendMessageRequest == IORING_OP_SENDMSG);
static_assert(kReceiveMessageRequest == IORING_OP_RECVMSG);
static_assert(kAcceptRequest == IORING_OP_ACCEPT);
static_assert(kConnectRequest == IORING_OP_CONNECT);
static_assert(kSendRequest == IORING_OP_SEND);
static_assert(kReceiveRequest == IORING_OP_RECV);
static_assert(kZeroCopySendRequest == IORING_OP_SEND_ZC);
static_assert(kZeroCopySendMessageRequest == IORING_OP_SENDMSG_ZC);

struct Edited {
  // Entries before this one have been looked at.
  unsigned tail = 0;
  // Results to come, by user data.
  std::vector<std::pair<std::uint64_t, int>> results;
  // The user data of accepts.
  std::set<std::uint64_t> accepts;
};

struct Memory {
  std::mutex mu;
  std::map<const io_uring*, Edited> rings;
};

Memory& TheMemory() {
  static Memory& memory = *new Memory;
  return memory;
}

void CutVectors(io_uring_sqe& entry, std::size_t most) {
  auto& message =
      *reinterpret_cast<msghdr*>(static_cast<std::uintptr_t>(entry.addr));
  for (std::size_t i = 0; i < message.msg_iovlen; ++i) {
    iovec& vector = message.msg_iov[i];
    vector.iov_len = std::min(vector.iov_len, most);
    most -= vector.iov_len;
  }
}

void CutShort(io_uring_sqe& entry, std::size_t most) {
  switch (entry.opcode) {
    case IORING_OP_RECV:
      if ((entry.flags & IOSQE_BUFFER_SELECT) != 0) return;
      [[fallthrough]];
    case IORING_OP_SEND:
    case IORING_OP_SEND_ZC:
      entry.len =
          static_cast<std::uint32_t>(std::min<std::size_t>(entry.len, most));
      return;
    case IORING_OP_RECVMSG:
    case IORING_OP_SENDMSG:
    case IORING_OP_SENDMSG_ZC:
      CutVectors(entry, most);
      return;
    default:
      return;
  }
}

// One completion is the last: without IORING_CQE_F_MORE.
void MakeSingle(io_uring_sqe& entry) {
  switch (entry.opcode) {
    case IORING_OP_POLL_ADD:
      entry.len &= ~IORING_POLL_ADD_MULTI;
      return;
    case IORING_OP_RECV:
      entry.ioprio &= static_cast<std::uint16_t>(~IORING_RECV_MULTISHOT);
      return;
    case IORING_OP_ACCEPT:
      entry.ioprio &= static_cast<std::uint16_t>(~IORING_ACCEPT_MULTISHOT);
      return;
    default:
      return;
  }
}

void Edit(io_uring_sqe& entry, Edited& edited) {
  if (entry.opcode == IORING_OP_ACCEPT) {
    edited.accepts.insert(entry.user_data);
  } else {
    edited.accepts.erase(entry.user_data);
  }
  const Verdict verdict = Decide(Call::k_ring_entry, entry.fd, entry.opcode);
  if (verdict.error != 0) {
    // One that is interrupted goes on by itself (connect(2)).
    if (entry.opcode == IORING_OP_CONNECT && verdict.error == EINTR) {
      (void)real_connect(entry.fd,
                         reinterpret_cast<const sockaddr*>(entry.addr),
                         static_cast<socklen_t>(entry.off));
    }
    const std::uint64_t data = entry.user_data;
    entry = {};
    entry.opcode = IORING_OP_NOP;
    entry.fd = -1;
    entry.user_data = data;
    edited.results.emplace_back(data, -verdict.error);
    return;
  }
  if (verdict.most != Fault::kAll) CutShort(entry, verdict.most);
  if (verdict.once) MakeSingle(entry);
}

}  // namespace

void EditEntries(io_uring& ring) {
  Memory& memory = TheMemory();
  const std::lock_guard lock(memory.mu);
  Edited& edited = memory.rings[&ring];
  for (; edited.tail != ring.sq.sqe_tail; ++edited.tail) {
    Edit(ring.sq.sqes[edited.tail & ring.sq.ring_mask], edited);
  }
}

void RewriteResults(io_uring& ring) {
  Memory& memory = TheMemory();
  const std::lock_guard lock(memory.mu);
  const auto found = memory.rings.find(&ring);
  if (found == memory.rings.end()) return;
  auto& results = found->second.results;
  unsigned head = 0;
  io_uring_cqe* completion = nullptr;
  io_uring_for_each_cqe(&ring, head, completion) {
    const auto result = std::find_if(
        results.begin(), results.end(), [&](const auto& candidate) {
          return candidate.first == completion->user_data;
        });
    if (result == results.end()) continue;
    completion->res = result->second;
    results.erase(result);
  }
}

void LoseCompletions(io_uring& ring) {
  Memory& memory = TheMemory();
  const std::lock_guard lock(memory.mu);
  const Edited& edited = memory.rings[&ring];
  unsigned head = 0;
  io_uring_cqe* completion = nullptr;
  io_uring_for_each_cqe(&ring, head, completion) {
    if (completion->res >= 0 &&
        edited.accepts.contains(completion->user_data)) {
      (void)real_close(completion->res);
    }
  }
  io_uring_cq_advance(&ring, io_uring_cq_ready(&ring));
}

void ForgetRing(io_uring& ring) {
  Memory& memory = TheMemory();
  const std::lock_guard lock(memory.mu);
  memory.rings.erase(&ring);
}

}  // namespace weir::faults
