#include "tests/examples/stream_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/examples/server_process.h"

namespace weir::testing {
namespace {

constexpr std::size_t kNoiseBytes = 16 << 20;

// Random bytes; each stream sends a stretch of its own.
const std::vector<char>& Noise() {
  static const std::vector<char>* const noise = [] {
    auto* bytes = new std::vector<char>(kNoiseBytes);
    std::mt19937 random;
    std::generate(bytes->begin(), bytes->end(),
                  [&random] { return static_cast<char>(random()); });
    return bytes;
  }();
  return *noise;
}

std::string Failure(const char* what) {
  return absl::StrCat(what, ": ", std::strerror(errno));
}

class Stream {
 public:
  Stream(const sockaddr_in& server, const StreamPlan& plan) : plan_(plan) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (plan.receive_buffer > 0) {
      // Before connecting, which settles the window (tcp(7)).
      ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &plan.receive_buffer,
                   sizeof(plan.receive_buffer));
    }
    if (socket_ < 0) {
      failure_ = Failure("socket");
    } else if (::connect(socket_, reinterpret_cast<const sockaddr*>(&server),
                         sizeof(server)) != 0 &&
               errno != EINPROGRESS) {
      failure_ = Failure("connect");
    }
  }
  ~Stream() {
    if (socket_ >= 0) ::close(socket_);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  bool done() const { return socket_ < 0 || !failure_.empty(); }
  const std::string& failure() const { return failure_; }
  std::string Describe() const {
    return absl::StrCat("sent ", sent_, " and received ", received_, " of ",
                        plan_.size);
  }
  bool holding_back() const {
    return plan_.send_first && !stalled_ && sent_ < plan_.size;
  }
  // Sending does not go on: the server waits for this side to receive.
  void Stalled() { stalled_ = true; }

  pollfd Entry() const {
    int events = holding_back() ? 0 : POLLIN;
    if (sent_ < plan_.size || !ended_sending_) events |= POLLOUT;
    return {.fd = socket_, .events = static_cast<short>(events), .revents = 0};
  }

  void OnReady(short events) {
    if ((events & (POLLIN | POLLERR | POLLHUP)) != 0 && !holding_back()) {
      Receive();
    }
    if (!done() && (events & POLLOUT) != 0) Send();
  }

 private:
  const char* bytes() const { return Noise().data() + plan_.noise; }

  void Send() {
    if (sent_ < plan_.size) {
      const ssize_t result = ::send(
          socket_, bytes() + sent_,
          std::min(plan_.most_per_send, plan_.size - sent_), MSG_NOSIGNAL);
      if (result < 0) {
        if (errno != EAGAIN) failure_ = Failure("send");
        return;
      }
      sent_ += static_cast<std::size_t>(result);
    }
    if (sent_ < plan_.size || ended_sending_) return;
    ended_sending_ = true;
    if (plan_.ending == Ending::kHalfClose) ::shutdown(socket_, SHUT_WR);
    EndIfAllIsBack();
  }

  void Receive() {
    char buffer[64 * 1024];
    const ssize_t result = ::recv(
        socket_, buffer, std::min(plan_.most_per_receive, sizeof(buffer)), 0);
    if (result < 0) {
      if (errno != EAGAIN) failure_ = Failure("receive");
      return;
    }
    if (result == 0) {
      if (plan_.ending == Ending::kHalfClose && ended_sending_ &&
          received_ == plan_.size) {
        Close();
      } else {
        failure_ = "the server ended the stream early";
      }
      return;
    }
    const auto count = static_cast<std::size_t>(result);
    if (count > sent_ - received_) {
      failure_ = "more came back than was sent";
    } else if (std::memcmp(buffer, bytes() + received_, count) != 0) {
      failure_ = "what came back differs";
    } else {
      received_ += count;
      if (plan_.ending == Ending::kReset && received_ >= plan_.reset_at) {
        CloseWithReset(std::exchange(socket_, -1));
      } else {
        EndIfAllIsBack();
      }
    }
  }

  void EndIfAllIsBack() {
    if (plan_.ending != Ending::kHalfClose && ended_sending_ &&
        received_ == plan_.size) {
      Close();
    }
  }

  void Close() { ::close(std::exchange(socket_, -1)); }

  const StreamPlan plan_;
  int socket_ = -1;
  std::size_t sent_ = 0;
  std::size_t received_ = 0;
  bool ended_sending_ = false;
  bool stalled_ = false;
  std::string failure_;
};

}  // namespace

StreamPlan RandomPlan(std::mt19937& random, std::size_t most) {
  const auto up_to = [&random](std::size_t limit) {
    // As many small values as large ones.
    const double bits = std::uniform_real_distribution<>(
        0, std::log2(static_cast<double>(limit) + 1))(random);
    return std::min(limit, static_cast<std::size_t>(std::exp2(bits)) - 1);
  };
  StreamPlan plan;
  plan.size = up_to(most);
  plan.noise = random() % (kNoiseBytes - most);
  plan.most_per_send = 1 + up_to(256 * 1024) + plan.size / 512;
  plan.most_per_receive = 1 + up_to(64 * 1024) + plan.size / 512;
  plan.ending = static_cast<Ending>(random() % 3);
  plan.reset_at = plan.size == 0 ? 0 : random() % plan.size;
  plan.send_first = random() % 8 == 0;
  if (random() % 4 == 0) plan.receive_buffer = 4096;
  return plan;
}

std::string RunStreams(const sockaddr_in& server,
                       const std::vector<StreamPlan>& plans) {
  using Clock = std::chrono::steady_clock;
  constexpr int kStallMs = 100;
  std::vector<std::unique_ptr<Stream>> streams;
  for (const StreamPlan& plan : plans) {
    streams.push_back(std::make_unique<Stream>(server, plan));
  }
  std::vector<pollfd> entries;
  auto progress = Clock::now();
  while (true) {
    for (const auto& stream : streams) {
      if (!stream->failure().empty()) {
        return absl::StrCat(stream->failure(), "; ", stream->Describe());
      }
    }
    std::erase_if(streams, [](const auto& stream) { return stream->done(); });
    if (streams.empty()) return "";
    entries.clear();
    for (const auto& stream : streams) entries.push_back(stream->Entry());
    const int ready = ::poll(entries.data(), entries.size(), kStallMs);
    const auto time = Clock::now();
    if (ready > 0) {
      progress = time;
    } else {
      if (time - progress > std::chrono::milliseconds(kPatienceMs)) {
        return absl::StrCat("nothing happens; ", streams.front()->Describe());
      }
      for (const auto& stream : streams) stream->Stalled();
    }
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (entries[i].revents != 0) streams[i]->OnReady(entries[i].revents);
    }
  }
}

int ConnectTo(const sockaddr_in& server) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&server),
                sizeof(server)) != 0) {
    ::close(socket);
    return -1;
  }
  const timeval patience = {.tv_sec = kPatienceMs / 1000, .tv_usec = 0};
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  return socket;
}

std::string RoundTrip(int socket) {
  constexpr char kSent[] = "there and back";
  char answer[sizeof(kSent)] = {};
  if (::send(socket, kSent, sizeof(kSent), MSG_NOSIGNAL) != sizeof(kSent)) {
    return Failure("send");
  }
  if (::recv(socket, answer, sizeof(answer), MSG_WAITALL) != sizeof(answer)) {
    return Failure("receive");
  }
  return std::memcmp(kSent, answer, sizeof(kSent)) == 0 ? "" : "it differs";
}

void CloseWithReset(int socket) {
  const linger now = {.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  ::close(socket);
}

}  // namespace weir::testing
