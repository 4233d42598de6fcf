// How many messages do other threads get into a loop, and how soon does a
// sleeping one run them (R18)? Beside what an eventfd in epoll does by hand.

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "benchmark/benchmark.h"
#include "benchmarks/loop_benchmark.h"

namespace {

using benchmarks::LoopFor;
using benchmarks::OkOrDie;

// Messages posted by handlers of the loop itself.
void PostFromHandler(benchmark::State& state) {
  const auto loop = LoopFor(state);
  std::uint64_t run = 0;
  constexpr std::int64_t kBatch = 256;
  benchmarks::MeasureTurns(state, *loop, kBatch, [&] {
    for (std::int64_t i = 0; i < kBatch; ++i) {
      OkOrDie(loop->Post([&run] { ++run; }));
    }
  });
  benchmark::DoNotOptimize(run);
}

// One thread posts as fast as it can while the loop runs on another.
void PostFromThread(benchmark::State& state) {
  const auto loop = LoopFor(state);
  std::atomic<std::uint64_t> run{0};
  std::thread runner([&] { OkOrDie(loop->Run()); });
  std::uint64_t posted = 0;
  for (auto _ : state) {
    OkOrDie(
        loop->Post([&run] { run.fetch_add(1, std::memory_order_relaxed); }));
    // No further ahead than a queue in earnest would be.
    if (++posted % 1024 == 0) {
      while (run.load(std::memory_order_relaxed) + 4096 < posted) {
        std::this_thread::yield();
      }
    }
  }
  while (run.load() < posted) std::this_thread::yield();
  loop->Stop();
  runner.join();
}

// From Post in one thread to the message in another that sleeps until then, and
// back.
void WakeUpRoundTrip(benchmark::State& state) {
  const auto loop = LoopFor(state);
  std::thread runner([&] { OkOrDie(loop->Run()); });
  std::atomic<std::uint32_t> answers{0};
  std::uint32_t asked = 0;
  for (auto _ : state) {
    OkOrDie(loop->Post([&answers] {
      answers.fetch_add(1);
      answers.notify_one();
    }));
    answers.wait(asked);
    ++asked;
  }
  loop->Stop();
  runner.join();
}

void RawWakeUpRoundTrip(benchmark::State& state) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  const int wake_up = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  epoll_ctl(epoll, EPOLL_CTL_ADD, wake_up, &event);
  std::atomic<std::uint32_t> answers{0};
  std::atomic<bool> stopped{false};
  std::thread runner([&] {
    epoll_event ready{};
    while (epoll_wait(epoll, &ready, 1, -1) >= 0 && !stopped.load()) {
      answers.fetch_add(1);
      answers.notify_one();
    }
  });
  std::uint32_t asked = 0;
  const std::uint64_t one = 1;
  const auto wake = [&] {
    if (write(wake_up, &one, sizeof(one)) != sizeof(one)) std::abort();
  };
  for (auto _ : state) {
    wake();
    answers.wait(asked);
    ++asked;
  }
  stopped.store(true);
  wake();
  runner.join();
  close(wake_up);
  close(epoll);
  state.SetLabel("raw");
}

[[maybe_unused]] const bool registered = [] {
  benchmarks::OnEveryBackend("PostFromHandler", PostFromHandler);
  benchmarks::OnEveryBackend("PostFromThread", PostFromThread)->UseRealTime();
  benchmarks::OnEveryBackend("WakeUpRoundTrip", WakeUpRoundTrip)->UseRealTime();
  benchmark::RegisterBenchmark("RawWakeUpRoundTrip", RawWakeUpRoundTrip)
      ->UseRealTime();
  return true;
}();

}  // namespace
