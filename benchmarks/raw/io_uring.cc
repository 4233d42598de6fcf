// An echo server by hand on io_uring: multishot accept and receive into a ring
// of provided buffers, sent back from there without a copy, all that a
// connection has in one send. One system call for everything that is ready.

#include <fcntl.h>
#include <liburing.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "benchmarks/server_main.h"

namespace {

constexpr std::size_t kBufferBytes = 16 * 1024;
constexpr unsigned kBuffers = 1024;  // a power of two; used are few of them
constexpr int kGroup = 0;
constexpr std::size_t kMostGathered = 16;
// With so many chunks unsent, no more is received.
constexpr unsigned kMostUnsent = 64;
constexpr std::int32_t kNone = -1;

// Received and not sent yet, in the buffer of the same number.
struct Chunk {
  std::int32_t next;
  std::uint32_t begin;
  std::uint32_t end;
};

struct Connection {
  int socket;
  std::int32_t first_chunk = kNone;
  std::int32_t last_chunk = kNone;
  std::uint16_t chunks = 0;
  bool receiving = false;  // the multishot receive goes on
  bool sending = false;
  bool noted = false;  // in to_send_ or idle_
  bool ended = false;
};

// Of a send that gathers several chunks.
struct Message {
  msghdr header{};
  std::array<iovec, kMostGathered> buffers;
};

// What a completion is for: the accepting, nothing, or the receive or the send
// of a connection, whose address has the lowest bit free.
constexpr std::uint64_t kAccept = 0;
constexpr std::uint64_t kNothing = 1;
constexpr std::uint64_t kSendBit = 1;

class Server {
 public:
  explicit Server(int listener) : listener_(listener) {
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                   IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CQSIZE |
                   IORING_SETUP_SUBMIT_ALL;
    params.cq_entries = 16384;
    Check(io_uring_queue_init_params(4096, &ring_, &params), "io_uring_setup");
    Check(io_uring_register_ring_fd(&ring_), "io_uring_register RING_FDS");
    ProvideBuffers();
    // A request on a non-blocking socket does not wait.
    if (fcntl(listener_, F_SETFL, 0) != 0) benchmarks::Fail("fcntl");
    StartAccept();
  }

  [[noreturn]] void Run() {
    for (;;) {
      io_uring_submit_and_wait(&ring_, 1);
      messages_used_ = 0;
      unsigned head = 0;
      unsigned count = 0;
      io_uring_cqe* completion = nullptr;
      io_uring_for_each_cqe(&ring_, head, completion) {
        ++count;
        Complete(*completion);
      }
      io_uring_cq_advance(&ring_, count);
      // Once all has been received: what came in pieces goes out in one.
      for (Connection* connection : to_send_) {
        connection->noted = false;
        Send(connection);
      }
      to_send_.clear();
      io_uring_buf_ring_advance(buffers_, returned_);
      held_ -= static_cast<unsigned>(returned_);
      returned_ = 0;
      if (!idle_.empty() && held_ < kBuffers) [[unlikely]]
        ReceiveAgain();
    }
  }

 private:
  static void Check(int result, const char* operation) {
    if (result >= 0) return;
    errno = -result;
    benchmarks::Fail(operation);
  }

  void ProvideBuffers() {
    void* ring =
        mmap(nullptr, kBuffers * sizeof(io_uring_buf), PROT_READ | PROT_WRITE,
             MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    void* memory =
        mmap(nullptr, kBuffers * kBufferBytes, PROT_READ | PROT_WRITE,
             MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (ring == MAP_FAILED || memory == MAP_FAILED) benchmarks::Fail("mmap");
    buffers_ = static_cast<io_uring_buf_ring*>(ring);
    memory_ = static_cast<char*>(memory);
    io_uring_buf_reg request{};
    request.ring_addr = reinterpret_cast<std::uintptr_t>(ring);
    request.ring_entries = kBuffers;
    request.bgid = kGroup;
    Check(io_uring_register_buf_ring(&ring_, &request, 0),
          "io_uring_register PBUF_RING");
    io_uring_buf_ring_init(buffers_);
    for (unsigned id = 0; id < kBuffers; ++id) ReturnBuffer(id);
    io_uring_buf_ring_advance(buffers_, returned_);
    returned_ = 0;
  }

  char* BufferOf(std::int32_t id) {
    return memory_ + static_cast<std::size_t>(id) * kBufferBytes;
  }

  void ReturnBuffer(std::uint32_t id) {
    io_uring_buf_ring_add(buffers_, BufferOf(static_cast<std::int32_t>(id)),
                          kBufferBytes, static_cast<unsigned short>(id),
                          io_uring_buf_ring_mask(kBuffers), returned_++);
  }

  io_uring_sqe* NextEntry() {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    while (entry == nullptr) [[unlikely]] {
        io_uring_submit(&ring_);
        entry = io_uring_get_sqe(&ring_);
      }
    return entry;
  }

  static std::uint64_t ReceiveOf(const Connection* connection) {
    return reinterpret_cast<std::uintptr_t>(connection);
  }
  static std::uint64_t SendOf(const Connection* connection) {
    return reinterpret_cast<std::uintptr_t>(connection) | kSendBit;
  }

  void StartAccept() {
    io_uring_sqe* entry = NextEntry();
    io_uring_prep_multishot_accept(entry, listener_, nullptr, nullptr,
                                   SOCK_CLOEXEC);
    io_uring_sqe_set_data64(entry, kAccept);
  }

  void StartReceive(Connection* connection) {
    io_uring_sqe* entry = NextEntry();
    io_uring_prep_recv_multishot(entry, connection->socket, nullptr, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = kGroup;
    io_uring_sqe_set_data64(entry, ReceiveOf(connection));
    connection->receiving = true;
  }

  void Complete(const io_uring_cqe& completion) {
    const std::uint64_t token = completion.user_data;
    auto* connection = reinterpret_cast<Connection*>(
        static_cast<std::uintptr_t>(token & ~kSendBit));
    if (connection == nullptr) [[unlikely]] {
      if (token == kAccept) OnAccepted(completion);
    } else if ((token & kSendBit) != 0) {
      OnSent(connection, completion.res);
    } else {
      OnReceived(connection, completion);
    }
  }

  void OnAccepted(const io_uring_cqe& completion) {
    if (completion.res >= 0) StartReceive(new Connection{completion.res});
    if ((completion.flags & IORING_CQE_F_MORE) == 0) StartAccept();
  }

  void OnReceived(Connection* connection, const io_uring_cqe& completion) {
    const bool more = (completion.flags & IORING_CQE_F_MORE) != 0;
    if (!more) connection->receiving = false;
    if (completion.res > 0) [[likely]] {
      const auto id = static_cast<std::int32_t>(completion.flags >>
                                                IORING_CQE_BUFFER_SHIFT);
      chunks_[static_cast<std::size_t>(id)] = {
          kNone, 0, static_cast<std::uint32_t>(completion.res)};
      if (connection->first_chunk == kNone) {
        connection->first_chunk = id;
      } else {
        chunks_[static_cast<std::size_t>(connection->last_chunk)].next = id;
      }
      connection->last_chunk = id;
      ++held_;
      Note(connection, to_send_);
      if (++connection->chunks >= kMostUnsent && more) [[unlikely]] {
        CancelReceive(connection);
      }
      return;
    }
    if (completion.res == -ENOBUFS || completion.res == -ECANCELED) {
      // It is asked for again when there are buffers, or when all is sent.
      Note(connection, idle_);
      return;
    }
    connection->ended = true;
    CloseIfDone(connection);
  }

  // What sends is looked at again when it has sent.
  void Note(Connection* connection, std::vector<Connection*>& list) {
    if (connection->noted || connection->sending) return;
    connection->noted = true;
    list.push_back(connection);
  }

  void CancelReceive(Connection* connection) {
    io_uring_sqe* entry = NextEntry();
    io_uring_prep_cancel64(entry, ReceiveOf(connection), 0);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(entry, kNothing);
  }

  void ReceiveAgain() {
    for (Connection* connection : idle_) {
      connection->noted = false;
      StartReceive(connection);
    }
    idle_.clear();
  }

  void Send(Connection* connection) {
    if (connection->first_chunk == kNone) return CloseIfDone(connection);
    const Chunk& first =
        chunks_[static_cast<std::size_t>(connection->first_chunk)];
    io_uring_sqe* entry = NextEntry();
    if (first.next == kNone) [[likely]] {
      io_uring_prep_send(entry, connection->socket,
                         BufferOf(connection->first_chunk) + first.begin,
                         first.end - first.begin, MSG_NOSIGNAL);
    } else {
      // The kernel takes it over when it is submitted
      // (IORING_FEAT_SUBMIT_STABLE).
      if (messages_used_ == messages_.size()) messages_.emplace_back();
      Message& message = messages_[messages_used_++];
      message.header = {};
      message.header.msg_iov = message.buffers.data();
      for (std::int32_t id = connection->first_chunk;
           id != kNone && message.header.msg_iovlen < kMostGathered;) {
        const Chunk& chunk = chunks_[static_cast<std::size_t>(id)];
        message.buffers[message.header.msg_iovlen++] = {
            BufferOf(id) + chunk.begin, chunk.end - chunk.begin};
        id = chunk.next;
      }
      io_uring_prep_sendmsg(entry, connection->socket, &message.header,
                            MSG_NOSIGNAL);
    }
    io_uring_sqe_set_data64(entry, SendOf(connection));
    connection->sending = true;
  }

  void OnSent(Connection* connection, int result) {
    connection->sending = false;
    if (result < 0) connection->ended = true;
    auto sent = static_cast<std::uint32_t>(std::max(result, 0));
    while (connection->first_chunk != kNone) {
      const std::int32_t id = connection->first_chunk;
      Chunk& chunk = chunks_[static_cast<std::size_t>(id)];
      const std::uint32_t part = std::min(sent, chunk.end - chunk.begin);
      sent -= part;
      chunk.begin += part;
      if (chunk.begin < chunk.end && result >= 0) break;
      connection->first_chunk = chunk.next;
      --connection->chunks;
      ReturnBuffer(static_cast<std::uint32_t>(id));
    }
    if (connection->first_chunk != kNone) {
      Note(connection, to_send_);
    } else if (connection->ended) [[unlikely]] {
      CloseIfDone(connection);
    } else if (!connection->receiving) [[unlikely]] {
      Note(connection, idle_);
    }
  }

  void CloseIfDone(Connection* connection) {
    if (!connection->ended || connection->sending || connection->noted ||
        connection->first_chunk != kNone) {
      return;
    }
    if (connection->receiving) {
      // A send has failed: the receive goes too, and comes back here.
      shutdown(connection->socket, SHUT_RDWR);
      return;
    }
    io_uring_sqe* entry = NextEntry();
    io_uring_prep_close(entry, connection->socket);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(entry, kNothing);
    delete connection;
  }

  io_uring ring_{};
  const int listener_;
  io_uring_buf_ring* buffers_ = nullptr;
  char* memory_ = nullptr;
  std::array<Chunk, kBuffers> chunks_;
  unsigned held_ = 0;  // filled, or being returned
  int returned_ = 0;   // not yet shown to the kernel
  // Since the last submission.
  std::deque<Message> messages_;
  std::size_t messages_used_ = 0;
  std::vector<Connection*> to_send_;
  // Open, and not receiving.
  std::vector<Connection*> idle_;
};

}  // namespace

int main(int argc, char** argv) {
  benchmarks::Serve<Server>(
      benchmarks::ListenOn(benchmarks::ParseServerFlags(argc, argv)));
}
