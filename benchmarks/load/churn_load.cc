// Connections that come and go at a TCP echo server, written without Weir: each
// is made, sends one message, receives it back, and is closed; so many at a
// time. With --size=0 each is closed as soon as it is made. One line of JSON
// says how many there were in what time, and what the server has used
// meanwhile.

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "benchmarks/flags.h"
#include "benchmarks/load/server_usage.h"

namespace {

using benchmarks::Fail;

double Now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) +
         static_cast<double>(time.tv_nsec) / 1e9;
}

// One connection after the other.
struct Slot {
  // Of its own: what lingers in TIME_WAIT keeps ports from nobody else.
  sockaddr_in source{};
  int socket = -1;
  bool connected = false;
  std::size_t received = 0;
};

class Churn {
 public:
  Churn(const sockaddr_in& server, std::size_t slots, std::size_t size)
      : server_(server),
        slots_(slots),
        message_(size, 'x'),
        answer_(size, '\0') {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      slots_[i].source.sin_family = AF_INET;
      slots_[i].source.sin_addr.s_addr =
          htonl(kFirstSource + static_cast<std::uint32_t>(i));
    }
  }

  std::uint64_t RunFor(double seconds) {
    end_ = Now() + seconds;
    made_ = 0;
    live_ = slots_.size();
    for (Slot& slot : slots_) Connect(slot);
    while (live_ > 0) {
      epoll_event events[256];
      const int ready = epoll_wait(epoll_, events, 256, 10'000);
      if (ready == 0) {
        std::fputs("the server does not answer\n", stderr);
        std::exit(1);
      }
      for (int i = 0; i < ready; ++i) {
        OnReady(*static_cast<Slot*>(events[i].data.ptr), events[i].events);
      }
    }
    return made_;
  }

  // Whether the server has taken all connections so far: those that wait to be
  // accepted are accepted in order.
  void AwaitServer() {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(socket, reinterpret_cast<const sockaddr*>(&server_),
                sizeof(server_)) != 0 ||
        send(socket, "x", 1, 0) != 1) {
      Fail("connect");
    }
    char answer = 0;
    if (recv(socket, &answer, 1, 0) != 1) Fail("recv");
    close(socket);
  }

 private:
  void Connect(Slot& slot) {
    slot.connected = false;
    slot.received = 0;
    slot.socket =
        ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (slot.socket < 0) Fail("socket");
    const int on = 1;
    setsockopt(slot.socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(slot.socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
               sizeof(on));
    if (bind(slot.socket, reinterpret_cast<const sockaddr*>(&slot.source),
             sizeof(slot.source)) != 0) {
      Fail("bind");
    }
    if (connect(slot.socket, reinterpret_cast<const sockaddr*>(&server_),
                sizeof(server_)) != 0 &&
        errno != EINPROGRESS) {
      Fail("connect");
    }
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.ptr = &slot;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, slot.socket, &event) != 0) {
      Fail("epoll_ctl");
    }
  }

  void OnReady(Slot& slot, std::uint32_t events) {
    if ((events & EPOLLERR) != 0) {
      std::fputs("a connection has failed\n", stderr);
      std::exit(1);
    }
    if (!slot.connected && (events & EPOLLOUT) != 0) {
      slot.connected = true;
      if (message_.empty()) return Next(slot);
      if (send(slot.socket, message_.data(), message_.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(message_.size())) {
        Fail("send");
      }
    }
    if ((events & EPOLLIN) == 0) return;
    const ssize_t received = recv(slot.socket, answer_.data() + slot.received,
                                  answer_.size() - slot.received, 0);
    if (received < 0 && errno == EAGAIN) return;
    if (received <= 0) Fail("recv");
    slot.received += static_cast<std::size_t>(received);
    if (slot.received < message_.size()) return;
    if (std::memcmp(answer_.data(), message_.data(), message_.size()) != 0) {
      std::fputs("an answer differs from what was sent\n", stderr);
      std::exit(1);
    }
    Next(slot);
  }

  void Next(Slot& slot) {
    close(slot.socket);
    ++made_;
    if (Now() < end_) {
      Connect(slot);
    } else {
      --live_;
    }
  }

  // 127.1.0.1.
  static constexpr std::uint32_t kFirstSource = 0x7f010001;

  const sockaddr_in server_;
  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  std::vector<Slot> slots_;
  const std::string message_;
  std::string answer_;
  double end_ = 0;
  std::uint64_t made_ = 0;
  std::size_t live_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const benchmarks::Flags flags(
      argc, argv,
      {{"connect", "", "IPv4 address and port of the server"},
       {"connections", "64", "how many at a time, 1 to 4096"},
       {"size", "64", "bytes of the message, 0 to 4096; 0: none"},
       {"seconds", "2", "for how long"},
       {"warm-up", "0", "seconds before that, which do not count"},
       {"pid", "0", "process whose use of the machine is reported"}});
  const int pid = static_cast<int>(flags.Integer("pid", 0, 1 << 30));
  Churn churn(flags.Address("connect"),
              static_cast<std::size_t>(flags.Integer("connections", 1, 4096)),
              static_cast<std::size_t>(flags.Integer("size", 0, 4096)));
  if (const double warm_up = flags.Number("warm-up", 0, 86'400); warm_up > 0) {
    churn.RunFor(warm_up);
    churn.AwaitServer();
  }
  const std::int64_t cpu = benchmarks::CpuNanoseconds(pid);
  const double begin = Now();
  const std::uint64_t made =
      churn.RunFor(flags.Number("seconds", 0.01, 86'400));
  churn.AwaitServer();
  const double seconds = Now() - begin;
  std::printf(
      "{\"connections\": %llu, \"seconds\": %.6f, \"server_cpu_ns\": %lld}\n",
      static_cast<unsigned long long>(made), seconds,
      static_cast<long long>(benchmarks::CpuNanoseconds(pid) - cpu));
  return 0;
}
