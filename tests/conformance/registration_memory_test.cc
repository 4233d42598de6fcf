// R20: an idle registration costs a small constant of memory and pins no
// buffer. Counted at operator new, which this program replaces: the library
// allocates in no other way, and what the kernel needs is not its choice.

#include <cstddef>
#include <memory>
#include <vector>

#include "tests/conformance/conformance.h"
#include "tests/support/counted_new.h"

namespace weir::conformance {
namespace {

using test::allocations;
using test::live_bytes;

class RegistrationMemory : public Conformance {};
WEIR_CONFORMANCE_SUITE(RegistrationMemory);

// Datagram sockets, which leave nothing behind when they are closed.
std::vector<Socket> Sockets(std::size_t count) {
  std::vector<Socket> sockets;
  sockets.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    sockets.push_back(
        Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0))));
  }
  return sockets;
}

TEST_P(RegistrationMemory, R20_AnIdleRegistrationIsASmallConstant) {
  // The record, and its share of the tables that grow by doubling; far below any
  // I/O buffer.
  constexpr std::size_t kMostBytes = 768;
  for (const std::size_t count : {256u, 2048u}) {
    for (const Mode& mode : kAllModes) {
      SCOPED_TRACE(ToString(mode));
      const auto measured = NewLoop();
      std::vector<Socket> sockets = Sockets(count);
      const std::size_t before = live_bytes.load();
      for (Socket& socket : sockets) {
        MustOk(measured
                   ->Register(socket, mode.With(Interest::kReadable),
                              [](const Event&) {})
                   .status());
      }
      MustOk(measured->RunOnce(absl::ZeroDuration()).status());
      const std::size_t each =
          (live_bytes.load() - before) / sockets.size();
      EXPECT_LE(each, kMostBytes);
      EXPECT_GE(each, 64u);  // it is counted at all
      RecordProperty("bytes_per_registration", static_cast<int>(each));
    }
  }
}

// What ended gives its memory back: a server's churn leaves nothing behind.
TEST_P(RegistrationMemory, R20_ChurnDoesNotGrow) {
  Connection connection = DatagramPair();
  const auto churn = [&](int rounds) {
    for (int round = 0; round < rounds; ++round) {
      Connection pair = DatagramPair();
      Must(loop().Register(pair.server, {.interest = Interest::kReadable},
                           [](const Event&) {}));
      const Registration kept =
          Must(loop().Register(connection.server,
                               {.interest = Interest::kReadable},
                               [](const Event&) {}));
      Turn();
      MustOk(kept.Remove());
      pair.server.Close();
      Turn();
    }
    Turn();
  };
  churn(100);
  const std::size_t before = live_bytes.load();
  churn(1000);
  EXPECT_LE(live_bytes.load(), before + 1024);
}

// The steady state of a level registration: ready, told, drained, armed.
TEST_P(RegistrationMemory, R20_TurnsAllocateNothing) {
  for (const Mode& mode : kAllModes) {
    SCOPED_TRACE(ToString(mode));
    Connection connection = Connected(test::LocalFamily());
    std::byte byte{};
    int told = 0;
    const Registration registration = Must(loop().Register(
        connection.server, mode.With(Interest::kReadable),
        [&](const Event& event) {
          if (event.removed()) return;
          ++told;
          MustOk(connection.server.Receive(std::span(&byte, 1)).status());
          MustOk(connection.server.Receive(std::span(&byte, 1)).status());
          if (mode.persistence == Persistence::kOneShot) {
            MustOk(event.registration().Rearm());
          }
        }));
    const auto exchange = [&] {
      MustOk(connection.client.Send(std::span(&byte, 1)).status());
      const int before = told;
      while (told == before) Turn();
    };
    for (int i = 0; i < 10; ++i) exchange();
    const std::size_t before = allocations.load();
    for (int i = 0; i < 100; ++i) exchange();
    EXPECT_EQ(allocations.load(), before);
    MustOk(registration.Remove());
    Turn();
  }
}

}  // namespace
}  // namespace weir::conformance
