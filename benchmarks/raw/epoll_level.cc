// An echo server by hand on epoll, level-triggered: one receive and one send
// for each event, and nothing else.

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
};

struct Connection {
  int socket;
  // What the peer was too slow to take; nothing is received meanwhile.
  std::unique_ptr<Unsent> unsent;
};

class Server {
 public:
  explicit Server(int listener)
      : epoll_(epoll_create1(EPOLL_CLOEXEC)), listener_(listener) {
    if (epoll_ < 0) benchmarks::Fail("epoll_create1");
    Control(EPOLL_CTL_ADD, listener_, EPOLLIN, nullptr);
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
        } else if (connection->unsent != nullptr) [[unlikely]] {
          SendUnsent(connection);
        } else {
          Echo(connection);
        }
      }
    }
  }

 private:
  void Control(int operation, int socket, std::uint32_t events,
               Connection* connection) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = connection;
    if (epoll_ctl(epoll_, operation, socket, &event) != 0) {
      benchmarks::Fail("epoll_ctl");
    }
  }

  void Accept() {
    for (;;) {
      const int socket =
          accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (socket < 0) return;
      Control(EPOLL_CTL_ADD, socket, EPOLLIN, new Connection{socket, nullptr});
    }
  }

  void Echo(Connection* connection) {
    const ssize_t received =
        recv(connection->socket, buffer_.data(), buffer_.size(), 0);
    if (received > 0) [[likely]] {
      const auto bytes = static_cast<std::size_t>(received);
      const ssize_t sent =
          send(connection->socket, buffer_.data(), bytes, MSG_NOSIGNAL);
      if (sent == received) [[likely]]
        return;
      if (sent < 0 && errno != EAGAIN) return Close(connection);
      const std::size_t done = sent < 0 ? 0 : static_cast<std::size_t>(sent);
      connection->unsent = std::make_unique<Unsent>();
      connection->unsent->bytes.assign(buffer_.begin() + done,
                                       buffer_.begin() + bytes);
      Control(EPOLL_CTL_MOD, connection->socket, EPOLLOUT, connection);
      return;
    }
    if (received < 0 && errno == EAGAIN) return;
    Close(connection);
  }

  void SendUnsent(Connection* connection) {
    Unsent& unsent = *connection->unsent;
    const ssize_t sent =
        send(connection->socket, unsent.bytes.data() + unsent.sent,
             unsent.bytes.size() - unsent.sent, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN) Close(connection);
      return;
    }
    unsent.sent += static_cast<std::size_t>(sent);
    if (unsent.sent < unsent.bytes.size()) return;
    connection->unsent = nullptr;
    Control(EPOLL_CTL_MOD, connection->socket, EPOLLIN, connection);
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
