// What does a registration cost: to make and remove, to change, to arm again?
// One by one, and many in a batch (R12). Beside epoll_ctl by hand. And what
// memory does one hold that is idle?

#include <malloc.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "benchmark/benchmark.h"
#include "benchmarks/loop_benchmark.h"
#include "weir/registration.h"
#include "weir/socket.h"
#include "weir/socket_address.h"

namespace {

using benchmarks::LoopFor;
using benchmarks::MeasureTurns;
using benchmarks::OkOrDie;
using benchmarks::ValueOrDie;
using weir::Interest;
using weir::Registration;
using weir::Socket;

constexpr std::size_t kBatch = 64;

struct Pairs {
  Pairs() {
    for (std::size_t i = 0; i < kBatch; ++i) {
      auto pair = ValueOrDie(Socket::Pair());
      near.push_back(std::move(pair.first));
      far.push_back(std::move(pair.second));
    }
  }
  std::vector<Socket> near;
  std::vector<Socket> far;
};

std::vector<Registration> RegisterAll(
    weir::EventLoop& loop, std::vector<Socket>& sockets,
    const weir::RegistrationOptions& options) {
  std::vector<Registration> registrations;
  for (Socket& socket : sockets) {
    registrations.push_back(
        ValueOrDie(loop.Register(socket, options, [](const weir::Event&) {})));
  }
  return registrations;
}

void RegisterAndRemove(benchmark::State& state) {
  Pairs pairs;
  const auto loop = LoopFor(state);
  MeasureTurns(state, *loop, kBatch, [&] {
    for (Socket& socket : pairs.near) {
      auto registration =
          ValueOrDie(loop->Register(socket, {.interest = Interest::kReadable},
                                    [](const weir::Event&) {}));
      OkOrDie(registration.Remove());
    }
  });
}

void RegisterBatchAndRemove(benchmark::State& state) {
  Pairs pairs;
  const auto loop = LoopFor(state);
  MeasureTurns(state, *loop, kBatch, [&] {
    std::vector<weir::RegistrationRequest> requests;
    requests.reserve(kBatch);
    for (Socket& socket : pairs.near) {
      requests.push_back({.socket = &socket,
                          .options = {.interest = Interest::kReadable},
                          .handler = [](const weir::Event&) {}});
    }
    for (auto& result : loop->RegisterBatch(requests)) {
      OkOrDie(result.status());
      OkOrDie(result->Remove());
    }
  });
}

// From one interest to the other, each registration once a turn.
void Modify(benchmark::State& state) {
  Pairs pairs;
  const auto loop = LoopFor(state);
  auto registrations =
      RegisterAll(*loop, pairs.near, {.interest = Interest::kReadable});
  bool hangup = false;
  MeasureTurns(state, *loop, kBatch, [&] {
    hangup = !hangup;
    for (Registration& registration : registrations) {
      OkOrDie(registration.Modify(
          {.interest = hangup ? Interest::kReadable | Interest::kHangup
                              : Interest::kReadable}));
    }
  });
}

void ModifyBatch(benchmark::State& state) {
  Pairs pairs;
  const auto loop = LoopFor(state);
  auto registrations =
      RegisterAll(*loop, pairs.near, {.interest = Interest::kReadable});
  bool hangup = false;
  MeasureTurns(state, *loop, kBatch, [&] {
    hangup = !hangup;
    std::vector<weir::ModificationRequest> requests;
    requests.reserve(kBatch);
    for (Registration& registration : registrations) {
      requests.push_back(
          {.registration = registration,
           .change = {.interest = hangup
                                      ? Interest::kReadable | Interest::kHangup
                                      : Interest::kReadable}});
    }
    for (const absl::Status& status : loop->ModifyBatch(requests)) {
      OkOrDie(status);
    }
  });
}

// A one-shot that tells in every turn, and is armed again by its handler.
void RearmOneShot(benchmark::State& state) {
  Pairs pairs;
  const auto loop = LoopFor(state);
  std::size_t told = 0;
  bool more = true;
  for (Socket& socket : pairs.near) {
    ValueOrDie(loop->Register(socket,
                              {.interest = Interest::kWritable,
                               .persistence = weir::Persistence::kOneShot},
                              [&](const weir::Event& event) {
                                if (event.removed()) return;
                                if (++told % kBatch == 0)
                                  more = state.KeepRunningBatch(kBatch);
                                if (!more) return loop->Stop();
                                OkOrDie(event.registration().Rearm());
                              }));
  }
  OkOrDie(loop->Run());
}

// What the program's memory grows by for a registration that nothing happens
// to, and that the loop has been told of (R20).
void IdleRegistration(benchmark::State& state) {
  constexpr std::size_t kCount = 800;
  std::vector<Socket> sockets;
  for (std::size_t i = 0; i < kCount; ++i) {
    sockets.push_back(
        ValueOrDie(Socket::BindDatagram(weir::SocketAddress::Ipv4Loopback(0))));
  }
  double bytes = 0;
  for (auto _ : state) {
    const auto loop = LoopFor(state);
    const std::size_t before = mallinfo2().uordblks;
    auto registrations =
        RegisterAll(*loop, sockets, {.interest = Interest::kReadable});
    OkOrDie(loop->RunOnce(absl::ZeroDuration()).status());
    bytes =
        static_cast<double>(mallinfo2().uordblks - before -
                            registrations.capacity() * sizeof(Registration)) /
        kCount;
  }
  state.counters["bytes"] = bytes;
}

class RawEpoll {
 public:
  RawEpoll() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    for (auto& pair : pairs_) {
      if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()) != 0) std::abort();
    }
  }
  ~RawEpoll() {
    for (const auto& pair : pairs_) {
      close(pair[0]);
      close(pair[1]);
    }
    close(epoll_);
  }
  void Control(int operation, std::size_t index, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = index;
    if (epoll_ctl(epoll_, operation, pairs_[index][0], &event) != 0) {
      std::abort();
    }
  }
  int Wait(epoll_event* events) {
    return epoll_wait(epoll_, events, static_cast<int>(kBatch), 0);
  }

 private:
  const int epoll_;
  std::array<std::array<int, 2>, kBatch> pairs_;
};

void RawRegisterAndRemove(benchmark::State& state) {
  RawEpoll epoll;
  epoll_event events[kBatch];
  while (state.KeepRunningBatch(kBatch)) {
    for (std::size_t i = 0; i < kBatch; ++i) {
      epoll.Control(EPOLL_CTL_ADD, i, EPOLLIN);
      epoll.Control(EPOLL_CTL_DEL, i, 0);
    }
    epoll.Wait(events);
  }
  state.SetLabel("raw");
}
BENCHMARK(RawRegisterAndRemove);

void RawModify(benchmark::State& state) {
  RawEpoll epoll;
  epoll_event events[kBatch];
  for (std::size_t i = 0; i < kBatch; ++i) {
    epoll.Control(EPOLL_CTL_ADD, i, EPOLLIN);
  }
  bool hangup = false;
  while (state.KeepRunningBatch(kBatch)) {
    hangup = !hangup;
    for (std::size_t i = 0; i < kBatch; ++i) {
      epoll.Control(EPOLL_CTL_MOD, i, hangup ? EPOLLIN | EPOLLRDHUP : EPOLLIN);
    }
    epoll.Wait(events);
  }
  state.SetLabel("raw");
}
BENCHMARK(RawModify);

void RawRearmOneShot(benchmark::State& state) {
  RawEpoll epoll;
  epoll_event events[kBatch];
  for (std::size_t i = 0; i < kBatch; ++i) {
    epoll.Control(EPOLL_CTL_ADD, i, EPOLLOUT | EPOLLONESHOT);
  }
  while (state.KeepRunningBatch(kBatch)) {
    const int ready = epoll.Wait(events);
    for (int i = 0; i < ready; ++i) {
      epoll.Control(EPOLL_CTL_MOD, events[i].data.u64, EPOLLOUT | EPOLLONESHOT);
    }
  }
  state.SetLabel("raw");
}
BENCHMARK(RawRearmOneShot);

[[maybe_unused]] const bool registered = [] {
  benchmarks::OnEveryBackend("RegisterAndRemove", RegisterAndRemove);
  benchmarks::OnEveryBackend("RegisterBatchAndRemove", RegisterBatchAndRemove);
  benchmarks::OnEveryBackend("Modify", Modify);
  benchmarks::OnEveryBackend("ModifyBatch", ModifyBatch);
  benchmarks::OnEveryBackend("RearmOneShot", RearmOneShot);
  benchmarks::OnEveryBackend("IdleRegistration", IdleRegistration)
      ->Iterations(1);
  return true;
}();

}  // namespace
