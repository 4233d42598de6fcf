// What does it cost to send a file: 16 MiB that the system has in memory, to a
// TCP connection whose other end throws them away on a thread of its own?
// Beside sendfile(2) by hand. The time is the processor time of the sending
// thread.

#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "benchmark/benchmark.h"
#include "benchmarks/loop_benchmark.h"
#include "weir/file.h"
#include "weir/socket.h"
#include "weir/stream.h"

namespace {

using benchmarks::LoopFor;
using benchmarks::OkOrDie;
using benchmarks::ValueOrDie;

constexpr std::int64_t kFileBytes = 16 << 20;

// A file in memory, and a connection that takes all it is sent.
class Fixture {
 public:
  Fixture() : file_(memfd_create("send_file", MFD_CLOEXEC)) {
    if (file_ < 0 || ftruncate(file_, kFileBytes) != 0) std::abort();
    const std::vector<char> block(1 << 20, 'x');
    for (std::int64_t at = 0; at < kFileBytes;
         at += static_cast<std::int64_t>(block.size())) {
      if (pwrite(file_, block.data(), block.size(), at) !=
          static_cast<ssize_t>(block.size())) {
        std::abort();
      }
    }
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const to = reinterpret_cast<sockaddr*>(&address);
    near_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(listener, to, size) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, to, &size) != 0) {
      std::abort();
    }
    (void)connect(near_, to, size);
    const int far = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (far < 0) std::abort();
    close(listener);
    sink_ = std::thread([far] {
      // MSG_TRUNC throws away what a TCP socket has (tcp(7)).
      while (recv(far, nullptr, 1 << 20, MSG_TRUNC) > 0) {
      }
      close(far);
    });
  }
  ~Fixture() {
    if (near_ >= 0) close(near_);
    sink_.join();
    close(file_);
  }
  int near() const { return near_; }
  int TakeNear() { return std::exchange(near_, -1); }
  int file() const { return file_; }

 private:
  const int file_;
  int near_ = -1;
  std::thread sink_;
};

void SendFile(benchmark::State& state) {
  Fixture fixture;
  const auto loop = LoopFor(state);
  const weir::File file = ValueOrDie(
      weir::File::Open("/proc/self/fd/" + std::to_string(fixture.file())));
  auto stream = ValueOrDie(weir::Stream::Attach(
      *loop, ValueOrDie(weir::Socket::Adopt(
                 static_cast<weir::NativeSocket>(fixture.TakeNear())))));
  std::function<void()> next = [&] {
    if (!state.KeepRunning()) return loop->Stop();
    OkOrDie(
        stream.SendFile(file, 0, kFileBytes, [&](const weir::Completion& sent) {
          OkOrDie(sent.status);
          if (sent.bytes != kFileBytes) std::abort();
          next();
        }));
  };
  OkOrDie(loop->Post([&] { next(); }));
  OkOrDie(loop->Run());
  state.SetBytesProcessed(state.iterations() * kFileBytes);
}

void RawSendFile(benchmark::State& state) {
  const Fixture fixture;
  for (auto _ : state) {
    off_t at = 0;
    while (at < kFileBytes) {
      if (sendfile(fixture.near(), fixture.file(), &at,
                   static_cast<std::size_t>(kFileBytes - at)) < 0) {
        pollfd wait = {.fd = fixture.near(), .events = POLLOUT, .revents = 0};
        poll(&wait, 1, -1);
      }
    }
  }
  state.SetBytesProcessed(state.iterations() * kFileBytes);
  state.SetLabel("raw");
}
BENCHMARK(RawSendFile);

[[maybe_unused]] const bool registered = [] {
  benchmarks::OnEveryBackend("SendFile", SendFile);
  return true;
}();

}  // namespace
