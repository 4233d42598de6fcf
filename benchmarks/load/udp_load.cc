// A load for UDP echo servers, written without Weir: bursts of datagrams, the
// next one when all answers, or nothing more, have come. With --joined=1 a
// burst leaves in one walk through the network stack (UDP_SEGMENT). One line of
// JSON says how many were sent and answered in what time, and what the server
// has used meanwhile.

#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
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

// How long an answer may take before it is taken for lost.
constexpr int kPatienceMs = 200;

double Now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) +
         static_cast<double>(time.tv_nsec) / 1e9;
}

struct Totals {
  std::uint64_t sent = 0;
  std::uint64_t answered = 0;
};

class Load {
 public:
  Load(const sockaddr_in& server, std::size_t burst, std::size_t size,
       bool joined)
      : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)),
        data_(burst * size),
        answers_(burst * size),
        vectors_(2 * burst),
        headers_(2 * burst),
        burst_(static_cast<unsigned>(burst)),
        size_(size),
        joined_(joined) {
    if (socket_ < 0) Fail("socket");
    if (connect(socket_, reinterpret_cast<const sockaddr*>(&server),
                sizeof(server)) != 0) {
      Fail("connect");
    }
    // All answers of a burst fit.
    const int room = 4 << 20;
    setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    if (joined_) {
      const int segment = static_cast<int>(size);
      if (setsockopt(socket_, IPPROTO_UDP, UDP_SEGMENT, &segment,
                     sizeof(segment)) != 0) {
        Fail("setsockopt UDP_SEGMENT");
      }
    }
    for (std::size_t i = 0; i < data_.size(); ++i) {
      data_[i] = static_cast<char>(i * 31);
    }
    for (std::size_t i = 0; i < burst; ++i) {
      vectors_[i] = {&data_[i * size], size};
      vectors_[burst + i] = {&answers_[i * size], size};
    }
    for (std::size_t i = 0; i < headers_.size(); ++i) {
      headers_[i].msg_hdr.msg_iov = &vectors_[i];
      headers_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  Totals RunFor(double seconds) {
    Totals totals;
    const double end = Now() + seconds;
    while (Now() < end) {
      Send();
      totals.sent += burst_;
      totals.answered += Receive();
    }
    return totals;
  }

 private:
  void Send() {
    if (joined_) {
      if (send(socket_, data_.data(), data_.size(), 0) < 0) Fail("send");
      return;
    }
    for (unsigned sent = 0; sent < burst_;) {
      const int now = sendmmsg(socket_, &headers_[sent], burst_ - sent, 0);
      if (now < 0) Fail("sendmmsg");
      sent += static_cast<unsigned>(now);
    }
  }

  unsigned Receive() {
    unsigned received = 0;
    while (received < burst_) {
      const int now = recvmmsg(socket_, &headers_[burst_ + received],
                               burst_ - received, MSG_DONTWAIT, nullptr);
      if (now > 0) {
        received += static_cast<unsigned>(now);
        continue;
      }
      if (now < 0 && errno != EAGAIN) Fail("recvmmsg");
      pollfd wanted{socket_, POLLIN, 0};
      if (poll(&wanted, 1, kPatienceMs) == 0) break;
    }
    // Over loopback they come back in order; after a loss, one still differs
    // from its predecessor.
    for (unsigned i = 0; i < received; ++i) {
      if (headers_[burst_ + i].msg_len != size_ ||
          (received == burst_ &&
           std::memcmp(&answers_[i * size_], &data_[i * size_], size_) != 0)) {
        std::fputs("an answer differs from what was sent\n", stderr);
        std::exit(1);
      }
    }
    return received;
  }

  const int socket_;
  std::vector<char> data_;
  std::vector<char> answers_;
  std::vector<iovec> vectors_;
  std::vector<mmsghdr> headers_;
  const unsigned burst_;
  const std::size_t size_;
  const bool joined_;
};

}  // namespace

int main(int argc, char** argv) {
  const benchmarks::Flags flags(
      argc, argv,
      {{"connect", "", "IPv4 address and port of the server"},
       {"burst", "64", "datagrams under way at a time, 1 to 1024"},
       {"size", "64", "bytes of a datagram, 1 to 8192"},
       {"joined", "0",
        "1: a burst is sent at once, of 64 and 60,000 bytes at most"},
       {"seconds", "2", "for how long"},
       {"warm-up", "0", "seconds before that, which do not count"},
       {"pid", "0", "process whose use of the machine is reported"}});
  const int pid = static_cast<int>(flags.Integer("pid", 0, 1 << 30));
  const auto burst = static_cast<std::size_t>(flags.Integer("burst", 1, 1024));
  const auto size = static_cast<std::size_t>(flags.Integer("size", 1, 8192));
  const bool joined = flags.Integer("joined", 0, 1) == 1;
  if (joined && (burst > 64 || burst * size > 60'000)) {
    std::fputs("--joined: at most 64 datagrams and 60,000 bytes\n", stderr);
    return 2;
  }
  Load load(flags.Address("connect"), burst, size, joined);
  if (const double warm_up = flags.Number("warm-up", 0, 86'400); warm_up > 0) {
    load.RunFor(warm_up);
  }
  const std::int64_t cpu = benchmarks::CpuNanoseconds(pid);
  const double begin = Now();
  const Totals totals = load.RunFor(flags.Number("seconds", 0.01, 86'400));
  const double seconds = Now() - begin;
  std::printf(
      "{\"sent\": %llu, \"answered\": %llu, \"seconds\": %.6f, "
      "\"server_cpu_ns\": %lld}\n",
      static_cast<unsigned long long>(totals.sent),
      static_cast<unsigned long long>(totals.answered), seconds,
      static_cast<long long>(benchmarks::CpuNanoseconds(pid) - cpu));
  return totals.answered > 0 ? 0 : 1;
}
