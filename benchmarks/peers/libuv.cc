// The echo server that a user of libuv writes: one read buffer for all,
// answered at once as far as the socket takes it, the rest queued.

#include <uv.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "benchmarks/server_main.h"

namespace {

// With so much unsent, no more is read.
constexpr std::size_t kMostUnsent = 256 * 1024;

struct Connection {
  uv_tcp_t handle;
};

struct Write {
  uv_write_t request;
  std::vector<char> bytes;
};

std::array<char, 64 * 1024> read_buffer;

void OkOrFail(int result, const char* operation) {
  if (result >= 0) return;
  std::fprintf(stderr, "%s: %s\n", operation, uv_strerror(result));
  std::exit(1);
}

void Allocate(uv_handle_t*, std::size_t, uv_buf_t* buffer) {
  *buffer = uv_buf_init(read_buffer.data(), read_buffer.size());
}

void Close(uv_stream_t* stream) {
  auto* handle = reinterpret_cast<uv_handle_t*>(stream);
  if (uv_is_closing(handle)) return;
  uv_close(handle, [](uv_handle_t* closed) {
    delete reinterpret_cast<Connection*>(closed);
  });
}

void OnRead(uv_stream_t* stream, ssize_t received, const uv_buf_t* buffer);

void WriteLater(uv_stream_t* stream, const char* data, std::size_t bytes) {
  auto* write = new Write{{}, {data, data + bytes}};
  write->request.data = write;
  uv_buf_t buffer = uv_buf_init(write->bytes.data(),
                                static_cast<unsigned>(write->bytes.size()));
  const int started = uv_write(
      &write->request, stream, &buffer, 1, [](uv_write_t* request, int status) {
        uv_stream_t* written = request->handle;
        delete static_cast<Write*>(request->data);
        if (status < 0) return Close(written);
        if (uv_stream_get_write_queue_size(written) == 0 &&
            !uv_is_closing(reinterpret_cast<uv_handle_t*>(written))) {
          uv_read_start(written, Allocate, OnRead);
        }
      });
  if (started < 0) {
    delete write;
    return Close(stream);
  }
  if (uv_stream_get_write_queue_size(stream) >= kMostUnsent) {
    uv_read_stop(stream);
  }
}

void OnRead(uv_stream_t* stream, ssize_t received, const uv_buf_t* buffer) {
  if (received < 0) return Close(stream);
  if (received == 0) return;
  const auto bytes = static_cast<std::size_t>(received);
  uv_buf_t answer = uv_buf_init(buffer->base, static_cast<unsigned>(bytes));
  const int sent = uv_try_write(stream, &answer, 1);
  if (sent < 0 && sent != UV_EAGAIN) return Close(stream);
  const std::size_t done = sent < 0 ? 0 : static_cast<std::size_t>(sent);
  if (done < bytes) WriteLater(stream, buffer->base + done, bytes - done);
}

void OnConnection(uv_stream_t* listener, int status) {
  if (status < 0) return;
  auto* connection = new Connection;
  OkOrFail(uv_tcp_init(listener->loop, &connection->handle), "uv_tcp_init");
  auto* stream = reinterpret_cast<uv_stream_t*>(&connection->handle);
  if (uv_accept(listener, stream) < 0) return Close(stream);
  uv_read_start(stream, Allocate, OnRead);
}

}  // namespace

int main(int argc, char** argv) {
  const sockaddr_in address = benchmarks::ParseServerFlags(argc, argv);
  uv_loop_t* loop = uv_default_loop();
  uv_tcp_t listener;
  OkOrFail(uv_tcp_init(loop, &listener), "uv_tcp_init");
  OkOrFail(
      uv_tcp_bind(&listener, reinterpret_cast<const sockaddr*>(&address), 0),
      "uv_tcp_bind");
  OkOrFail(
      uv_listen(reinterpret_cast<uv_stream_t*>(&listener), 4096, OnConnection),
      "uv_listen");
  uv_os_fd_t socket = -1;
  OkOrFail(uv_fileno(reinterpret_cast<uv_handle_t*>(&listener), &socket),
           "uv_fileno");
  benchmarks::SetNoDelay(socket);
  benchmarks::Announce(socket);
  return uv_run(loop, UV_RUN_DEFAULT);
}
