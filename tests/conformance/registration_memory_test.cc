// R20: an idle registration costs a small constant of memory and pins no
// buffer. Counted at operator new, which this program replaces: the library
// allocates in no other way, and what the kernel needs is not its choice.

#include <malloc.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "tests/conformance/conformance.h"

namespace {

std::atomic<std::size_t> live_bytes{0};
std::atomic<std::size_t> allocations{0};

void* Allocate(std::size_t size, std::size_t alignment) {
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, size == 0 ? 1 : size) != 0) {
    std::abort();
  }
  live_bytes += malloc_usable_size(memory);
  ++allocations;
  return memory;
}

void Free(void* memory) {
  if (memory == nullptr) return;
  live_bytes -= malloc_usable_size(memory);
  std::free(memory);
}

constexpr std::size_t kUsual = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

}  // namespace

void* operator new(std::size_t size) { return Allocate(size, kUsual); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return Allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { Free(memory); }
void operator delete(void* memory, std::size_t) noexcept { Free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { Free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  Free(memory);
}

namespace weir::conformance {
namespace {

class RegistrationMemory : public Conformance {};
WEIR_CONFORMANCE_SUITE(RegistrationMemory);

std::vector<Socket> Pairs(std::size_t count) {
  std::vector<Socket> sockets;
  sockets.reserve(2 * count);
  for (std::size_t i = 0; i < count; ++i) {
    auto pair = Must(Socket::Pair());
    sockets.push_back(std::move(pair.first));
    sockets.push_back(std::move(pair.second));
  }
  return sockets;
}

TEST_P(RegistrationMemory, R20_AnIdleRegistrationIsASmallConstant) {
  // The record, its share of the tables that grow by doubling, and the
  // allocator's rounding; far below any I/O buffer.
  constexpr std::size_t kMostBytes = 768;
  for (const std::size_t count : {256u, 2048u}) {
    for (const Mode& mode : kAllModes) {
      SCOPED_TRACE(ToString(mode));
      const auto measured = NewLoop();
      std::vector<Socket> sockets = Pairs(count);
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
  Connection connection = Connected(AddressFamily::kUnix);
  const auto churn = [&](int rounds) {
    for (int round = 0; round < rounds; ++round) {
      auto pair = Must(Socket::Pair());
      Must(loop().Register(pair.first, {.interest = Interest::kReadable},
                           [](const Event&) {}));
      const Registration kept =
          Must(loop().Register(connection.server,
                               {.interest = Interest::kReadable},
                               [](const Event&) {}));
      Turn();
      MustOk(kept.Remove());
      pair.first.Close();
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
    Connection connection = Connected(AddressFamily::kUnix);
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
