// What the benchmarks that run inside one process share.

#ifndef WEIR_BENCHMARKS_LOOP_BENCHMARK_H_
#define WEIR_BENCHMARKS_LOOP_BENCHMARK_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "benchmark/benchmark.h"
#include "weir/backends.h"
#include "weir/event_loop.h"

namespace benchmarks {

inline void OkOrDie(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

template <typename T>
T ValueOrDie(absl::StatusOr<T> value) {
  OkOrDie(value.status());
  return *std::move(value);
}

// A loop on the backend that the first argument of the benchmark chooses.
inline std::unique_ptr<weir::EventLoop> LoopFor(benchmark::State& state) {
  const auto backends = weir::CompiledBackends();
  const auto index = static_cast<std::size_t>(state.range(0));
  state.SetLabel(std::string(backends[index]));
  return ValueOrDie(
      weir::EventLoop::Create({.backend = std::string(backends[index])}));
}

// Measures `step`, which does something `batch` times, in handlers of `loop`: one
// call in each turn.
inline void MeasureTurns(benchmark::State& state, weir::EventLoop& loop,
                         std::int64_t batch, std::function<void()> step) {
  std::function<void()> turn = [&] {
    if (!state.KeepRunningBatch(batch)) return loop.Stop();
    step();
    OkOrDie(loop.Post([&turn] { turn(); }));
  };
  OkOrDie(loop.Post([&turn] { turn(); }));
  OkOrDie(loop.Run());
}

// Registers `function` for every backend.
inline benchmark::internal::Benchmark* OnEveryBackend(
    const char* name, void (*function)(benchmark::State&)) {
  auto* registered = benchmark::RegisterBenchmark(name, function);
  for (std::size_t i = 0; i < weir::CompiledBackends().size(); ++i) {
    registered->Arg(static_cast<std::int64_t>(i));
  }
  return registered;
}

}  // namespace benchmarks

#endif  // WEIR_BENCHMARKS_LOOP_BENCHMARK_H_
