// The echo server that a user of Asio writes with coroutines: a buffer for each
// connection, read some, write all.

#include <array>
#include <asio.hpp>
#include <cstddef>
#include <system_error>
#include <utility>

#include "benchmarks/server_main.h"

namespace {

using asio::ip::tcp;

asio::awaitable<void> Echo(tcp::socket socket) {
  std::array<char, 16 * 1024> buffer;
  try {
    for (;;) {
      const std::size_t bytes = co_await socket.async_read_some(
          asio::buffer(buffer), asio::use_awaitable);
      co_await asio::async_write(socket, asio::buffer(buffer, bytes),
                                 asio::use_awaitable);
    }
  } catch (const std::system_error&) {
    // The end of the connection, however it came.
  }
}

asio::awaitable<void> Accept(tcp::acceptor& acceptor) {
  for (;;) {
    asio::co_spawn(acceptor.get_executor(),
                   Echo(co_await acceptor.async_accept(asio::use_awaitable)),
                   asio::detached);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const sockaddr_in address = benchmarks::ParseServerFlags(argc, argv);
  asio::io_context loop(1);
  tcp::acceptor acceptor(
      loop, tcp::endpoint(asio::ip::address_v4(ntohl(address.sin_addr.s_addr)),
                          ntohs(address.sin_port)));
  benchmarks::SetNoDelay(acceptor.native_handle());
  asio::co_spawn(loop, Accept(acceptor), asio::detached);
  benchmarks::Announce(acceptor.native_handle());
  loop.run();
}
