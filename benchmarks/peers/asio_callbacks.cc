// The echo server that a user of Asio writes with handlers: a buffer for each
// connection, read some, write all.

#include <array>
#include <asio.hpp>
#include <cstddef>
#include <memory>
#include <utility>

#include "benchmarks/server_main.h"

namespace {

using asio::ip::tcp;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  explicit Connection(tcp::socket socket) : socket_(std::move(socket)) {}

  void Read() {
    socket_.async_read_some(
        asio::buffer(buffer_),
        [self = shared_from_this()](std::error_code error, std::size_t bytes) {
          if (!error) self->Write(bytes);
        });
  }

 private:
  void Write(std::size_t bytes) {
    asio::async_write(
        socket_, asio::buffer(buffer_, bytes),
        [self = shared_from_this()](std::error_code error, std::size_t) {
          if (!error) self->Read();
        });
  }

  tcp::socket socket_;
  std::array<char, 16 * 1024> buffer_;
};

void Accept(tcp::acceptor& acceptor) {
  acceptor.async_accept([&acceptor](std::error_code error, tcp::socket socket) {
    if (!error) std::make_shared<Connection>(std::move(socket))->Read();
    Accept(acceptor);
  });
}

}  // namespace

int main(int argc, char** argv) {
  const sockaddr_in address = benchmarks::ParseServerFlags(argc, argv);
  asio::io_context loop(1);
  tcp::acceptor acceptor(
      loop, tcp::endpoint(asio::ip::address_v4(ntohl(address.sin_addr.s_addr)),
                          ntohs(address.sin_port)));
  benchmarks::SetNoDelay(acceptor.native_handle());
  Accept(acceptor);
  benchmarks::Announce(acceptor.native_handle());
  loop.run();
}
