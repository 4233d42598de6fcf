// The face of every server that is measured beside Weir: the same flag, the
// same first line and the same end as examples/echo_server. It makes no call of
// Weir, and costs nothing once a server serves.

#ifndef WEIR_BENCHMARKS_SERVER_MAIN_H_
#define WEIR_BENCHMARKS_SERVER_MAIN_H_

#include <netinet/in.h>

#include <memory>

#include "benchmarks/flags.h"

namespace benchmarks {

// The address of --listen, the only flag, by default 127.0.0.1:0. From here on
// SIGTERM and SIGINT end the program with 0, at once, wherever it is: there is
// nothing to give back.
sockaddr_in ParseServerFlags(int argc, char** argv);

// A non-blocking socket that listens on `address`, with TCP_NODELAY, which
// connections inherit from it.
int ListenOn(const sockaddr_in& address);

// A non-blocking datagram socket that is bound to `address`.
int BindDatagram(const sockaddr_in& address);

// What every server here sets on the socket that listens.
void SetNoDelay(int listener);

// Prints "listening on ADDRESS:PORT", where `socket` is bound.
void Announce(int socket);

// Makes a `Server` of a socket that listens or is bound, and runs it for good.
template <typename Server>
[[noreturn]] void Serve(int socket) {
  const auto server = std::make_unique<Server>(socket);
  Announce(socket);
  server->Run();
}

}  // namespace benchmarks

#endif  // WEIR_BENCHMARKS_SERVER_MAIN_H_
