// A real echo: a server session in any of the four modes, and a client that
// checks every byte. The session is the handler that an application would
// write, back-pressure included.

#ifndef WEIR_TESTS_CONFORMANCE_ECHO_H_
#define WEIR_TESTS_CONFORMANCE_ECHO_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/conformance/loop_threads.h"

namespace weir::conformance {

// Echoes what comes on `socket` until the peer ends its side and everything
// was sent back; then closes. `*removed` goes up when that is over.
class EchoSession {
 public:
  // Registers with `loop`. The session must outlive its `removed`.
  EchoSession(EventLoop& loop, Socket socket, const Mode& mode, Tally* removed);

  bool ever_concurrent() const { return exclusive_.violated(); }
  // Events after `removed`, or more than one of it.
  int events_too_late() const { return events_too_late_.load(); }

 private:
  void Handle(const Event& event);
  // Moves bytes until nothing moves; false if the connection has ended.
  bool Move();

  const Mode mode_;
  Tally* const removed_;
  Socket socket_;
  Exclusive exclusive_;
  std::atomic<bool> ended_{false};
  std::atomic<int> events_too_late_{0};
  std::array<std::byte, 8192> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

// Sends `bytes` bytes on each socket, all at once, and compares what comes
// back; ends the sending side when all were sent and reads to the end. A
// failure for each that differs. Runs on the calling thread, and waits there by
// itself.
void EchoThroughAll(std::vector<Socket>& sockets, std::size_t bytes);

}  // namespace weir::conformance

#endif  // WEIR_TESTS_CONFORMANCE_ECHO_H_
