// An echo server by hand on epoll, edge-triggered: a connection is watched once
// for both directions, for good, and received from until it is drained; on a
// stream, a short receive is enough to know that.

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "benchmarks/server_main.h"

namespace {

struct Unsent {
  std::vector<char> bytes;
  std::size_t sent = 0;
  // An end that came with the data does not come again.
  bool peer_closed = false;
};

struct Connection {
  int socket;
  // What the peer was too slow to take; nothing is received meanwhile.
  std::unique_ptr<Unsent> unsent;
};

constexpr std::uint32_t kEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
constexpr std::uint32_t kPeerClosed = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

class Server {
 public:
  explicit Server(int listener)
      : epoll_(epoll_create1(EPOLL_CLOEXEC)), listener_(listener) {
    if (epoll_ < 0) benchmarks::Fail("epoll_create1");
    Add(listener_, EPOLLIN | EPOLLET, nullptr);
  }

  [[noreturn]] void Run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      const int ready = epoll_wait(epoll_, events.data(),
                                   static_cast<int>(events.size()), -1);
      for (int i = 0; i < ready; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        auto* connection = static_cast<Connection*>(event.data.ptr);
        if (connection == nullptr) [[unlikely]] {
          Accept();
          continue;
        }
        bool peer_closed = (event.events & kPeerClosed) != 0;
        if (connection->unsent != nullptr) [[unlikely]] {
          connection->unsent->peer_closed |= peer_closed;
          peer_closed = connection->unsent->peer_closed;
          if (!SendUnsent(connection)) continue;
        }
        Echo(connection, peer_closed);
      }
    }
  }

 private:
  void Add(int socket, std::uint32_t events, Connection* connection) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = connection;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event) != 0) {
      benchmarks::Fail("epoll_ctl");
    }
  }

  void Accept() {
    for (;;) {
      const int socket =
          accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (socket < 0) return;
      Add(socket, kEvents, new Connection{socket, nullptr});
    }
  }

  void Echo(Connection* connection, bool peer_closed) {
    for (;;) {
      const ssize_t received =
          recv(connection->socket, buffer_.data(), buffer_.size(), 0);
      if (received <= 0) [[unlikely]] {
        if (received < 0 && errno == EAGAIN) return;
        return Close(connection);
      }
      const auto bytes = static_cast<std::size_t>(received);
      const ssize_t sent =
          send(connection->socket, buffer_.data(), bytes, MSG_NOSIGNAL);
      if (sent != received) [[unlikely]] {
        if (sent < 0 && errno != EAGAIN) return Close(connection);
        const std::size_t done = sent < 0 ? 0 : static_cast<std::size_t>(sent);
        connection->unsent = std::make_unique<Unsent>();
        connection->unsent->peer_closed = peer_closed;
        connection->unsent->bytes.assign(buffer_.begin() + done,
                                         buffer_.begin() + bytes);
        return;
      }
      if (bytes < buffer_.size() && !peer_closed) return;
    }
  }

  // True if nothing is left, and the connection is still there.
  bool SendUnsent(Connection* connection) {
    Unsent& unsent = *connection->unsent;
    const ssize_t sent =
        send(connection->socket, unsent.bytes.data() + unsent.sent,
             unsent.bytes.size() - unsent.sent, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN) Close(connection);
      return false;
    }
    unsent.sent += static_cast<std::size_t>(sent);
    if (unsent.sent < unsent.bytes.size()) return false;
    connection->unsent = nullptr;
    return true;
  }

  void Close(Connection* connection) {
    close(connection->socket);
    delete connection;
  }

  const int epoll_;
  const int listener_;
  // Empty between any two events.
  std::array<char, 64 * 1024> buffer_;
};

}  // namespace

int main(int argc, char** argv) {
  benchmarks::Serve<Server>(
      benchmarks::ListenOn(benchmarks::ParseServerFlags(argc, argv)));
}
