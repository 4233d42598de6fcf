#include "benchmarks/server_main.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>

namespace benchmarks {
namespace {

constexpr int kBacklog = 4096;

void ExitAtOnce(int) { _exit(0); }

void SetOption(int socket, int level, int option) {
  const int on = 1;
  if (setsockopt(socket, level, option, &on, sizeof(on)) != 0) {
    Fail("setsockopt");
  }
}

int OpenBound(const sockaddr_in& address, int type) {
  const int socket = ::socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) Fail("socket");
  if (type == SOCK_STREAM) SetOption(socket, SOL_SOCKET, SO_REUSEADDR);
  if (bind(socket, reinterpret_cast<const sockaddr*>(&address),
           sizeof(address)) != 0) {
    Fail("bind");
  }
  return socket;
}

}  // namespace

sockaddr_in ParseServerFlags(int argc, char** argv) {
  const Flags flags(argc, argv,
                    {{"listen", "127.0.0.1:0",
                      "IPv4 address and port to serve; port 0 picks one"}});
  struct sigaction action {};
  action.sa_handler = ExitAtOnce;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  return flags.Address("listen");
}

int ListenOn(const sockaddr_in& address) {
  const int socket = OpenBound(address, SOCK_STREAM);
  SetNoDelay(socket);
  if (listen(socket, kBacklog) != 0) Fail("listen");
  return socket;
}

int BindDatagram(const sockaddr_in& address) {
  return OpenBound(address, SOCK_DGRAM);
}

void SetNoDelay(int listener) { SetOption(listener, IPPROTO_TCP, TCP_NODELAY); }

void Announce(int socket) {
  sockaddr_in address{};
  socklen_t length = sizeof(address);
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) !=
      0) {
    Fail("getsockname");
  }
  char text[INET_ADDRSTRLEN] = "";
  inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
  std::printf("listening on %s:%d\n", text, ntohs(address.sin_port));
  std::fflush(stdout);
}

}  // namespace benchmarks
