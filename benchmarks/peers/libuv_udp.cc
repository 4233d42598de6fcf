// The UDP echo server that a user of libuv writes: datagrams received many in a
// call, as UV_UDP_RECVMMSG has it, each answered at once.

#include <uv.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

#include "benchmarks/server_main.h"

namespace {

// libuv splits it into slots of 64 KiB, one for each datagram of a call, at
// most 20.
std::array<char, 20 * 64 * 1024> read_buffer;

void OkOrFail(int result, const char* operation) {
  if (result >= 0) return;
  std::fprintf(stderr, "%s: %s\n", operation, uv_strerror(result));
  std::exit(1);
}

void Allocate(uv_handle_t*, std::size_t, uv_buf_t* buffer) {
  *buffer = uv_buf_init(read_buffer.data(), read_buffer.size());
}

void OnReceived(uv_udp_t* socket, ssize_t received, const uv_buf_t* buffer,
                const sockaddr* source, unsigned) {
  if (received < 0 || source == nullptr) return;
  uv_buf_t answer = uv_buf_init(buffer->base, static_cast<unsigned>(received));
  // What cannot go out is lost, as it would be on the way.
  uv_udp_try_send(socket, &answer, 1, source);
}

}  // namespace

int main(int argc, char** argv) {
  const sockaddr_in address = benchmarks::ParseServerFlags(argc, argv);
  uv_loop_t* loop = uv_default_loop();
  uv_udp_t socket;
  OkOrFail(uv_udp_init_ex(loop, &socket, AF_INET | UV_UDP_RECVMMSG),
           "uv_udp_init_ex");
  OkOrFail(uv_udp_bind(&socket, reinterpret_cast<const sockaddr*>(&address), 0),
           "uv_udp_bind");
  OkOrFail(uv_udp_recv_start(&socket, Allocate, OnReceived),
           "uv_udp_recv_start");
  uv_os_fd_t descriptor = -1;
  OkOrFail(uv_fileno(reinterpret_cast<uv_handle_t*>(&socket), &descriptor),
           "uv_fileno");
  benchmarks::Announce(descriptor);
  return uv_run(loop, UV_RUN_DEFAULT);
}
