// A UDP echo server by hand on epoll, level-triggered: what waits is received
// in one call and sent back in one.

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "benchmarks/server_main.h"

namespace {

constexpr unsigned kBatch = 64;
constexpr std::size_t kMostBytes = 64 * 1024;

class Server {
 public:
  explicit Server(int socket) : socket_(socket) {
    for (unsigned i = 0; i < kBatch; ++i) {
      vectors_[i] = {buffers_[i].data(), kMostBytes};
      headers_[i].msg_hdr.msg_name = &sources_[i];
      headers_[i].msg_hdr.msg_iov = &vectors_[i];
      headers_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  [[noreturn]] void Run() {
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_event event{};
    event.events = EPOLLIN;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, socket_, &event) != 0) {
      benchmarks::Fail("epoll_ctl");
    }
    for (;;) {
      if (epoll_wait(epoll, &event, 1, -1) == 1) Echo();
    }
  }

 private:
  void Echo() {
    for (unsigned i = 0; i < kBatch; ++i) {
      headers_[i].msg_hdr.msg_namelen = sizeof(sources_[i]);
    }
    const int received = recvmmsg(socket_, headers_.data(), kBatch, 0, nullptr);
    if (received <= 0) return;
    const auto count = static_cast<unsigned>(received);
    for (unsigned i = 0; i < count; ++i) {
      vectors_[i].iov_len = headers_[i].msg_len;
    }
    for (unsigned sent = 0; sent < count;) {
      const int now = sendmmsg(socket_, &headers_[sent], count - sent, 0);
      // What cannot go out is lost, as it would be on the way.
      sent += now > 0 ? static_cast<unsigned>(now) : 1;
    }
    for (unsigned i = 0; i < count; ++i) vectors_[i].iov_len = kMostBytes;
  }

  const int socket_;
  std::array<mmsghdr, kBatch> headers_{};
  std::array<iovec, kBatch> vectors_{};
  std::array<sockaddr_storage, kBatch> sources_{};
  std::array<std::array<char, kMostBytes>, kBatch> buffers_;
};

}  // namespace

int main(int argc, char** argv) {
  benchmarks::Serve<Server>(
      benchmarks::BindDatagram(benchmarks::ParseServerFlags(argc, argv)));
}
