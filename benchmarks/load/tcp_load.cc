// A load for TCP echo servers, written without Weir. Every connection sends
// messages, receives them back and checks every byte. One line of JSON says how
// many messages came back in what time, how long they took, and what the server
// has used meanwhile.
//
// Four ways to send:
//   closed   --in-flight messages under way on each connection at any time
//   lockstep in rounds: one batch of --in-flight messages on every connection,
//            then all the answers, then the next round
//   open     --rate messages a second, sent when they are due, however long the
//            answers take; the time of each counts from when it was due
//   idle     none, but one on the last connection that says that the server has
//            taken them all

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "benchmarks/flags.h"
#include "benchmarks/load/histogram.h"
#include "benchmarks/load/server_usage.h"

namespace {

using benchmarks::Fail;

constexpr std::int64_t kSecond = 1'000'000'000;
// How long a server may be silent while it owes answers.
constexpr std::int64_t kPatience = 60 * kSecond;

std::int64_t Now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * kSecond + time.tv_nsec;
}

struct Options {
  enum class Way { kClosed, kLockstep, kOpen, kIdle };

  sockaddr_in server{};
  Way way = Way::kClosed;
  std::size_t connections = 0;
  std::size_t size = 0;
  std::size_t in_flight = 0;
  double rate = 0;
  std::int64_t warm_up_ns = 0;
  std::int64_t time_ns = 0;
  // In all; 0: for a time.
  std::uint64_t messages = 0;
  int pid = 0;
};

// Where in its stream of bytes a connection is; what they are depends on
// nothing else.
struct Connection {
  int socket = -1;
  std::uint64_t wanted = 0;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  // When the messages that are under way were due.
  std::deque<std::int64_t> due;
};

class Load {
 public:
  explicit Load(const Options& options);
  void Run();

 private:
  void ConnectAll();
  void AskForMore(Connection& connection, std::size_t messages,
                  std::int64_t due);
  void Send(Connection& connection);
  void Receive(Connection& connection);
  void Poll(int timeout_ms);
  void AwaitAnswers();
  void RunFor(std::int64_t nanoseconds, std::uint64_t messages);
  void RunClosed();
  void RunLockstep();
  void RunOpen(std::int64_t begin);
  void Print(double seconds, std::int64_t cpu_ns) const;
  // Without leaving ten thousand ports in TIME_WAIT.
  void ResetAll();

  // The bytes of a stream from `offset` on.
  const char* Bytes(std::uint64_t offset) const {
    return noise_.data() + offset % kPeriod;
  }

  static constexpr std::size_t kPeriod = 4093;
  static constexpr std::size_t kMostBytes = 256 * 1024;

  const Options options_;
  const int epoll_;
  std::vector<char> noise_;
  std::vector<char> buffer_;
  std::vector<Connection> connections_;
  std::size_t owed_ = 0;
  std::uint64_t answered_ = 0;
  // Ends the present run: so many answers, or this time.
  std::uint64_t enough_ = 0;
  std::int64_t end_ = 0;
  bool asking_ = false;
  std::int64_t last_answer_ = 0;
  benchmarks::Histogram latency_;
  std::int64_t bytes_before_ = 0;
  std::int64_t bytes_connected_ = 0;
};

Load::Load(const Options& options)
    : options_(options),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      noise_(kPeriod + kMostBytes),
      buffer_(kMostBytes),
      connections_(options.connections) {
  std::mt19937 random;
  for (std::size_t i = 0; i < noise_.size(); ++i) {
    noise_[i] = i < kPeriod ? static_cast<char>(random()) : noise_[i - kPeriod];
  }
}

void Load::ConnectAll() {
  for (Connection& connection : connections_) {
    connection.socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection.socket < 0) Fail("socket");
    const int on = 1;
    setsockopt(connection.socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(connection.socket,
                reinterpret_cast<const sockaddr*>(&options_.server),
                sizeof(options_.server)) != 0) {
      Fail("connect");
    }
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.ptr = &connection;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.socket, &event) != 0) {
      Fail("epoll_ctl");
    }
  }
}

void Load::AskForMore(Connection& connection, std::size_t messages,
                      std::int64_t due) {
  connection.wanted += messages * options_.size;
  for (std::size_t i = 0; i < messages; ++i) connection.due.push_back(due);
  owed_ += messages;
  Send(connection);
}

void Load::Send(Connection& connection) {
  while (connection.sent < connection.wanted) {
    const std::size_t most = static_cast<std::size_t>(std::min<std::uint64_t>(
        connection.wanted - connection.sent, kMostBytes));
    const ssize_t sent = send(connection.socket, Bytes(connection.sent), most,
                              MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EAGAIN) return;
      Fail("send");
    }
    connection.sent += static_cast<std::uint64_t>(sent);
  }
}

void Load::Receive(Connection& connection) {
  for (;;) {
    const ssize_t received =
        recv(connection.socket, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (received < 0 && errno == EAGAIN) return;
    if (received < 0) Fail("recv");
    if (received == 0) {
      std::fputs("the server has closed a connection\n", stderr);
      std::exit(1);
    }
    const auto bytes = static_cast<std::size_t>(received);
    if (connection.received + bytes > connection.sent ||
        std::memcmp(buffer_.data(), Bytes(connection.received), bytes) != 0) {
      std::fputs("an answer differs from what was sent\n", stderr);
      std::exit(1);
    }
    const std::uint64_t before = connection.received / options_.size;
    connection.received += bytes;
    const auto answers =
        static_cast<std::size_t>(connection.received / options_.size - before);
    if (answers > 0) {
      const std::int64_t now = Now();
      for (std::size_t i = 0; i < answers; ++i) {
        latency_.Add(now - connection.due.front());
        connection.due.pop_front();
      }
      owed_ -= answers;
      answered_ += answers;
      last_answer_ = now;
      if (options_.way == Options::Way::kClosed && asking_) {
        std::size_t more = answers;
        if (enough_ > 0) {
          more = static_cast<std::size_t>(std::min<std::uint64_t>(
              more, enough_ - std::min(enough_, answered_ + owed_)));
        } else if (now >= end_) {
          more = 0;
        }
        AskForMore(connection, more, now);
      }
    }
    // A short receive has drained it; the next bytes are a new edge.
    if (bytes < buffer_.size()) return;
  }
}

void Load::Poll(int timeout_ms) {
  epoll_event events[256];
  const int ready = epoll_wait(epoll_, events, 256, timeout_ms);
  for (int i = 0; i < ready; ++i) {
    auto& connection = *static_cast<Connection*>(events[i].data.ptr);
    if ((events[i].events & EPOLLOUT) != 0) Send(connection);
    if ((events[i].events & ~EPOLLOUT) != 0) Receive(connection);
  }
}

void Load::AwaitAnswers() {
  last_answer_ = Now();
  while (owed_ > 0) {
    Poll(1000);
    if (Now() - last_answer_ > kPatience) {
      std::fprintf(stderr, "%zu answers are missing\n", owed_);
      std::exit(1);
    }
  }
}

void Load::RunClosed() {
  asking_ = true;
  for (Connection& connection : connections_) {
    const std::size_t most =
        enough_ == 0 ? options_.in_flight
                     : static_cast<std::size_t>(std::min<std::uint64_t>(
                           options_.in_flight,
                           enough_ - std::min(enough_, answered_ + owed_)));
    AskForMore(connection, most, Now());
  }
  AwaitAnswers();
  asking_ = false;
}

void Load::RunLockstep() {
  while (enough_ > 0 ? answered_ < enough_ : Now() < end_) {
    const std::int64_t now = Now();
    for (Connection& connection : connections_) {
      AskForMore(connection, options_.in_flight, now);
    }
    AwaitAnswers();
  }
}

// Looks all the time: the messages go out when they are due.
void Load::RunOpen(std::int64_t begin) {
  const double interval = static_cast<double>(kSecond) / options_.rate;
  for (std::uint64_t i = 0;; ++i) {
    const std::int64_t due =
        begin + static_cast<std::int64_t>(static_cast<double>(i) * interval);
    if (due >= end_ || (enough_ > 0 && i >= enough_)) break;
    while (Now() < due) Poll(0);
    AskForMore(connections_[i % connections_.size()], 1, due);
  }
  AwaitAnswers();
}

void Load::RunFor(std::int64_t nanoseconds, std::uint64_t messages) {
  const std::int64_t begin = Now();
  end_ = begin + nanoseconds;
  enough_ = messages;
  answered_ = 0;
  latency_.Clear();
  switch (options_.way) {
    case Options::Way::kClosed:
      RunClosed();
      break;
    case Options::Way::kLockstep:
      RunLockstep();
      break;
    case Options::Way::kOpen:
      RunOpen(begin);
      break;
    case Options::Way::kIdle:
      AskForMore(connections_.back(), 1, begin);
      AwaitAnswers();
      break;
  }
}

void Load::Run() {
  bytes_before_ = benchmarks::OwnBytes(options_.pid);
  ConnectAll();
  if (options_.way == Options::Way::kIdle) {
    RunFor(0, 1);
  } else if (options_.warm_up_ns > 0) {
    RunFor(options_.warm_up_ns, 0);
  }
  bytes_connected_ = benchmarks::OwnBytes(options_.pid);
  const std::int64_t cpu = benchmarks::CpuNanoseconds(options_.pid);
  const std::int64_t begin = Now();
  RunFor(options_.time_ns, options_.messages);
  const double seconds =
      static_cast<double>(Now() - begin) / static_cast<double>(kSecond);
  Print(seconds, benchmarks::CpuNanoseconds(options_.pid) - cpu);
  ResetAll();
}

void Load::ResetAll() {
  const linger reset = {.l_onoff = 1, .l_linger = 0};
  for (const Connection& connection : connections_) {
    setsockopt(connection.socket, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(connection.socket);
  }
}

void Load::Print(double seconds, std::int64_t cpu_ns) const {
  std::printf(
      "{\"connections\": %zu, \"size\": %zu, \"in_flight\": %zu, "
      "\"messages\": %llu, \"seconds\": %.6f, \"server_cpu_ns\": %lld, "
      "\"server_bytes_before\": %lld, \"server_bytes_connected\": %lld, "
      "\"server_bytes_after\": %lld, \"latency_ns\": {\"p50\": %lld, "
      "\"p90\": %lld, \"p99\": %lld, \"p99.9\": %lld, \"max\": %lld}}\n",
      options_.connections, options_.size, options_.in_flight,
      static_cast<unsigned long long>(answered_), seconds,
      static_cast<long long>(cpu_ns), static_cast<long long>(bytes_before_),
      static_cast<long long>(bytes_connected_),
      static_cast<long long>(benchmarks::OwnBytes(options_.pid)),
      static_cast<long long>(latency_.Quantile(0.5)),
      static_cast<long long>(latency_.Quantile(0.9)),
      static_cast<long long>(latency_.Quantile(0.99)),
      static_cast<long long>(latency_.Quantile(0.999)),
      static_cast<long long>(latency_.Quantile(1)));
}

Options ParseOptions(int argc, char** argv) {
  const benchmarks::Flags flags(
      argc, argv,
      {{"connect", "", "IPv4 address and port of the server"},
       {"way", "closed", "closed, lockstep, open or idle"},
       {"connections", "64", "how many, 1 to 100000"},
       {"size", "64", "bytes of a message, 1 to 67108864"},
       {"in-flight", "1", "messages under way on a connection, 1 to 4096"},
       {"rate", "10000", "open: messages a second"},
       {"seconds", "2", "for how long, unless --messages says how many"},
       {"warm-up", "0", "seconds before that, which do not count"},
       {"messages", "0", "how many, on all connections together"},
       {"pid", "0", "process whose use of the machine is reported"}});
  Options options;
  options.server = flags.Address("connect");
  const std::string& way = flags.Text("way");
  const char* const ways[] = {"closed", "lockstep", "open", "idle"};
  const auto* found = std::find(std::begin(ways), std::end(ways), way);
  if (found == std::end(ways)) {
    benchmarks::UsageError("--way: \"" + way + "\" is not one");
  }
  options.way = static_cast<Options::Way>(found - ways);
  options.connections =
      static_cast<std::size_t>(flags.Integer("connections", 1, 100'000));
  options.size = static_cast<std::size_t>(flags.Integer("size", 1, 64 << 20));
  options.in_flight =
      static_cast<std::size_t>(flags.Integer("in-flight", 1, 4096));
  options.rate = flags.Number("rate", 1, 1e7);
  const auto seconds = [&](const char* name) {
    return static_cast<std::int64_t>(flags.Number(name, 0, 86'400) *
                                     static_cast<double>(kSecond));
  };
  options.time_ns = seconds("seconds");
  options.warm_up_ns = seconds("warm-up");
  options.messages =
      static_cast<std::uint64_t>(flags.Number("messages", 0, 1e12));
  if (options.messages > 0 && options.way == Options::Way::kOpen) {
    options.time_ns = 86'400 * kSecond;
  }
  options.pid = static_cast<int>(flags.Integer("pid", 0, 1 << 30));
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = ParseOptions(argc, argv);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  std::make_unique<Load>(options)->Run();
  return 0;
}
