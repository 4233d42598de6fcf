// One end of a connection, of which a test holds the other too.

#ifndef WEIR_TESTS_EXAMPLES_STREAM_SIDE_H_
#define WEIR_TESTS_EXAMPLES_STREAM_SIDE_H_

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <random>
#include <string>

namespace weir::testing {

// One side of a connection that sends and receives bytes which both sides can
// compute, at its own times.
class Side {
 public:
  Side(int socket, unsigned sent_seed, unsigned received_seed)
      : socket_(socket), sending_(sent_seed), receiving_(received_seed) {}

  int socket() const { return socket_; }
  std::size_t sent() const { return sent_; }
  std::size_t received() const { return received_; }
  bool ended() const { return ended_; }
  bool wrong() const { return wrong_; }

  // As much as goes without waiting; `most` in all.
  void Send(std::size_t most) {
    while (sent_ < most) {
      if (unsent_.empty()) {
        unsent_.resize(std::min(kPiece, most - sent_));
        for (char& byte : unsent_) byte = static_cast<char>(sending_());
      }
      const ssize_t bytes = ::send(socket_, unsent_.data(), unsent_.size(),
                                   MSG_NOSIGNAL | MSG_DONTWAIT);
      if (bytes <= 0) return;
      sent_ += static_cast<std::size_t>(bytes);
      unsent_.erase(0, static_cast<std::size_t>(bytes));
    }
  }

  void EndSending() { ::shutdown(socket_, SHUT_WR); }

  void Receive() {
    std::array<char, kPiece> buffer;
    const ssize_t bytes =
        ::recv(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (bytes == 0) ended_ = true;
    for (ssize_t i = 0; i < bytes; ++i) {
      wrong_ |= buffer[static_cast<std::size_t>(i)] !=
                static_cast<char>(receiving_());
    }
    if (bytes > 0) received_ += static_cast<std::size_t>(bytes);
  }

 private:
  static constexpr std::size_t kPiece = 64 * 1024;

  const int socket_;
  std::minstd_rand sending_, receiving_;
  std::string unsent_;
  std::size_t sent_ = 0, received_ = 0;
  bool ended_ = false, wrong_ = false;
};

}  // namespace weir::testing

#endif  // WEIR_TESTS_EXAMPLES_STREAM_SIDE_H_
