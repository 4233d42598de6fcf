// What do many small writes cost that wait to be sent together? Beside
// writev(2) by hand.

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "benchmark/benchmark.h"
#include "benchmarks/loop_benchmark.h"
#include "weir/stream.h"

namespace {

using benchmarks::LoopFor;
using benchmarks::MeasureTurns;
using benchmarks::OkOrDie;
using benchmarks::ValueOrDie;

constexpr std::size_t kWrites = 64;
constexpr std::size_t kBytes = 64;

// A stream, and the other end, which is read from so that there is room.
struct Ends {
  explicit Ends(weir::EventLoop& loop) {
    auto pair = ValueOrDie(weir::Socket::Pair());
    stream = ValueOrDie(weir::Stream::Attach(loop, std::move(pair.first)));
    reader = std::move(pair.second);
  }
  void Read() {
    // One call less than would block: all of them, as a rule.
    benchmark::DoNotOptimize(reader.Receive(buffer));
  }

  weir::Stream stream;
  weir::Socket reader;
  std::array<std::byte, 64 * 1024> buffer;
};

void SendCopies(benchmark::State& state) {
  const auto loop = LoopFor(state);
  auto ends = std::make_unique<Ends>(*loop);
  const std::array<std::byte, kBytes> data{};
  MeasureTurns(state, *loop, kWrites, [&] {
    ends->Read();
    for (std::size_t i = 0; i < kWrites; ++i) {
      OkOrDie(ends->stream.SendCopy(data).status());
    }
  });
}

void Sends(benchmark::State& state) {
  const auto loop = LoopFor(state);
  auto ends = std::make_unique<Ends>(*loop);
  const std::array<std::byte, kBytes> data{};
  MeasureTurns(state, *loop, kWrites, [&] {
    ends->Read();
    for (std::size_t i = 0; i < kWrites; ++i) {
      OkOrDie(ends->stream.Send(data, [](const weir::Completion& sent) {
        std::size_t bytes = sent.bytes;
        benchmark::DoNotOptimize(bytes);
      }));
    }
  });
}

void RawGather(benchmark::State& state) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0) {
    std::abort();
  }
  std::array<char, kBytes> data{};
  std::array<char, 64 * 1024> buffer;
  while (state.KeepRunningBatch(kWrites)) {
    std::array<iovec, kWrites> vectors;
    for (iovec& vector : vectors) vector = {data.data(), data.size()};
    if (writev(ends[0], vectors.data(), static_cast<int>(kWrites)) < 0 ||
        read(ends[1], buffer.data(), buffer.size()) < 0) {
      std::abort();
    }
  }
  close(ends[0]);
  close(ends[1]);
  state.SetLabel("raw");
}
BENCHMARK(RawGather);

[[maybe_unused]] const bool registered = [] {
  benchmarks::OnEveryBackend("SendCopies", SendCopies);
  benchmarks::OnEveryBackend("Sends", Sends);
  return true;
}();

}  // namespace
