// What does a timer cost, when few and when a million others are pending (P02)?

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "benchmark/benchmark.h"
#include "benchmarks/loop_benchmark.h"
#include "weir/timer.h"

namespace {

using benchmarks::MeasureTurns;
using benchmarks::OkOrDie;
using benchmarks::ValueOrDie;

std::unique_ptr<weir::EventLoop> MakeLoop() {
  return ValueOrDie(weir::EventLoop::Create({.backend = "epoll"}));
}

// Timers that are not due while anything is measured.
std::vector<weir::Timer> MakePending(weir::EventLoop& loop,
                                     std::int64_t count) {
  std::vector<weir::Timer> pending;
  pending.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    pending.push_back(ValueOrDie(loop.CreateTimer([] {})));
    OkOrDie(pending.back().Set(absl::Hours(1) + absl::Microseconds(i)));
  }
  return pending;
}

// The timeout of an operation that completes in time.
void SetAndCancel(benchmark::State& state) {
  const auto loop = MakeLoop();
  const auto pending = MakePending(*loop, state.range(0));
  weir::Timer timer = ValueOrDie(loop->CreateTimer([] {}));
  constexpr std::int64_t kBatch = 256;
  MeasureTurns(state, *loop, kBatch, [&] {
    for (std::int64_t i = 0; i < kBatch; ++i) {
      OkOrDie(timer.Set(absl::Seconds(10) + absl::Microseconds(i)));
      OkOrDie(timer.Cancel());
    }
  });
}
BENCHMARK(SetAndCancel)->Arg(1'000)->Arg(1'000'000);

// A timeout that is put off again and again.
void SetAgain(benchmark::State& state) {
  const auto loop = MakeLoop();
  auto pending = MakePending(*loop, state.range(0));
  std::size_t next = 0;
  constexpr std::int64_t kBatch = 256;
  MeasureTurns(state, *loop, kBatch, [&] {
    for (std::int64_t i = 0; i < kBatch; ++i) {
      OkOrDie(pending[next].Set(absl::Hours(1) + absl::Microseconds(i)));
      next = (next + 1) % pending.size();
    }
  });
}
BENCHMARK(SetAgain)->Arg(1'000)->Arg(1'000'000);

// From being set to its handler's return: when all have fired, all are set again.
void SetAndFire(benchmark::State& state) {
  const auto loop = MakeLoop();
  const auto pending = MakePending(*loop, state.range(0));
  constexpr std::int64_t kBatch = 256;
  std::int64_t left = 0;
  std::vector<weir::Timer> due;
  const auto set_all = [&] {
    if (!state.KeepRunningBatch(kBatch)) return loop->Stop();
    left = kBatch;
    for (weir::Timer& timer : due) OkOrDie(timer.Set(absl::ZeroDuration()));
  };
  for (std::int64_t i = 0; i < kBatch; ++i) {
    due.push_back(ValueOrDie(loop->CreateTimer([&] {
      if (--left == 0) set_all();
    })));
  }
  OkOrDie(loop->Post([&] { set_all(); }));
  OkOrDie(loop->Run());
}
BENCHMARK(SetAndFire)->Arg(1'000)->Arg(1'000'000);

}  // namespace
