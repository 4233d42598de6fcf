// Many TCP connections to an echo server at once, driven with poll(2) alone,
// each checking every byte it gets back.

#ifndef WEIR_TESTS_EXAMPLES_STREAM_CLIENT_H_
#define WEIR_TESTS_EXAMPLES_STREAM_CLIENT_H_

#include <netinet/in.h>

#include <cstddef>
#include <random>
#include <string>
#include <vector>

namespace weir::testing {

// How a connection ends.
enum class Ending {
  kHalfClose,  // shut down after sending; the rest and the end must come back
  kClose,      // close once everything has come back
  kReset,      // reset once `reset_at` bytes have come back
};

struct StreamPlan {
  std::size_t size = 0;   // bytes to send
  std::size_t noise = 0;  // where they begin in a table of random bytes
  std::size_t most_per_send = 0;
  std::size_t most_per_receive = 0;
  Ending ending = Ending::kHalfClose;
  std::size_t reset_at = 0;
  // Receives only once sending does not go on.
  bool send_first = false;
  int receive_buffer = 0;  // SO_RCVBUF; 0: what the system gives
};

// A plan of random sizes, 0 to `most` bytes.
StreamPlan RandomPlan(std::mt19937& random, std::size_t most);

// Carries out all plans at once. Empty, or what went wrong.
std::string RunStreams(const sockaddr_in& server,
                       const std::vector<StreamPlan>& plans);

// A socket connected to `server`, blocking; -1 if that fails.
int ConnectTo(const sockaddr_in& server);

// Sends a few bytes and receives them back. Empty, or what went wrong.
std::string RoundTrip(int socket);

// Resets the connection: what the peer sees is ECONNRESET.
void CloseWithReset(int socket);

}  // namespace weir::testing

#endif  // WEIR_TESTS_EXAMPLES_STREAM_CLIENT_H_
