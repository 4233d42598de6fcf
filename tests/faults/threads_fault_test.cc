// Loops on several threads while calls are interrupted, cut short, or find
// nothing, now and then: every byte arrives, once.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/echo.h"
#include "tests/conformance/loop_threads.h"
#include "tests/faults/fault_test.h"
#include "weir/listener.h"
#include "weir/task.h"

namespace weir::faults {
namespace {

using conformance::Connection;
using conformance::EchoSession;
using conformance::LoopThreads;
using conformance::Must;
using conformance::MustOk;
using conformance::Tally;

constexpr std::size_t kSockets = 6;
constexpr std::size_t kBytes = 300'000;

class FaultThreads : public FaultTest {
 protected:
  // What a kernel does at its own choice.
  void InjectNuisances(int variant) {
    Clear();
    const auto now_and_then = [](Call call, int error, std::uint64_t every,
                                 std::size_t most = Fault::kAll,
                                 int detail = Fault::kAny) {
      Inject({.call = call,
              .error = error,
              .most = most,
              .times = Fault::kForever,
              .every = every,
              .detail = detail});
    };
    switch (variant) {
      case 0:  // Interrupted.
        now_and_then(Call::k_recv, EINTR, 3);
        now_and_then(Call::k_send, EINTR, 3);
        now_and_then(Call::k_epoll_wait, EINTR, 4);
        now_and_then(Call::k_write, EINTR, 2);
        now_and_then(Call::k_io_uring_wait_cqes, EINTR, 3);
        for (const int kind : {kReceiveRequest, kSendRequest, kPollRequest}) {
          now_and_then(Call::k_ring_entry, EINTR, 3, Fault::kAll, kind);
        }
        break;
      case 1:  // Less than there is.
        now_and_then(Call::k_recv, 0, 3, 100);
        now_and_then(Call::k_send, 0, 3, 100);
        now_and_then(Call::k_epoll_wait, 0, 2, 1);
        now_and_then(Call::k_io_uring_submit_and_get_events, 0, 3, 1);
        now_and_then(Call::k_ring_entry, 0, 4, 100);
        break;
      case 2:  // Nothing yet.
        now_and_then(Call::k_recv, EAGAIN, 4);
        now_and_then(Call::k_send, EAGAIN, 4);
        now_and_then(Call::k_io_uring_submit_and_get_events, EAGAIN, 5);
        now_and_then(Call::k_io_uring_wait_cqes, EBUSY, 7);
        now_and_then(Call::k_ring_entry, EAGAIN, 6, Fault::kAll, kSendRequest);
        now_and_then(Call::k_ring_entry, EAGAIN, 6, Fault::kAll,
                     kReceiveRequest);
        break;
      default:  // No memory.
        now_and_then(Call::k_epoll_ctl, ENOMEM, 5, Fault::kAll,
                     /*EPOLL_CTL_MOD=*/3);
        now_and_then(Call::k_poll, ENOMEM, 2);
        now_and_then(Call::k_io_uring_submit_and_get_events, ENOMEM, 5);
        now_and_then(Call::k_ring_entry, ENOMEM, 5, Fault::kAll, kPollRequest);
        break;
    }
  }
};
WEIR_CONFORMANCE_SUITE(FaultThreads);

TEST_P(FaultThreads, R17_RegistrationsEchoEveryByte) {
  for (int variant = 0; variant < 4; ++variant) {
    for (const conformance::Mode& mode : conformance::kAllModes) {
      SCOPED_TRACE(variant);
      SCOPED_TRACE(ToString(mode));
      const auto several = NewLoop(3);
      Tally removed;
      std::vector<Socket> clients;
      std::vector<std::unique_ptr<EchoSession>> sessions;
      InjectNuisances(variant);
      for (std::size_t i = 0; i < kSockets; ++i) {
        const Unfaulted unfaulted;
        Connection pair = conformance::Connected(
            i % 2 == 0 ? AddressFamily::kIpv4 : AddressFamily::kUnix);
        clients.push_back(std::move(pair.client));
        sessions.push_back(std::make_unique<EchoSession>(
            *several, std::move(pair.server), mode, &removed));
      }
      {
        LoopThreads threads(*several, 3);
        {
          const Unfaulted unfaulted;
          conformance::EchoThroughAll(clients, kBytes);
        }
        removed.AwaitAtLeast(kSockets);
      }
      for (const auto& session : sessions) {
        EXPECT_FALSE(session->ever_concurrent());
        EXPECT_EQ(session->events_too_late(), 0);
      }
      if (HasFailure()) return;
    }
  }
}

Task<> Echo(Stream stream, Tally* ended) {
  std::vector<std::byte> buffer(8192);
  for (;;) {
    const Completion in = co_await stream.Read(buffer);
    EXPECT_TRUE(in.ok()) << in.status;
    if (!in.ok() || in.bytes == 0) break;
    const Completion out =
        co_await stream.Write(std::span(buffer).first(in.bytes));
    EXPECT_TRUE(out.ok()) << out.status;
    EXPECT_EQ(out.bytes, in.bytes);
    if (!out.ok()) break;
  }
  ended->Add();
}

// The same into buffers of the runtime, sent back as copies.
void StartEcho(std::shared_ptr<Stream> stream, Tally* ended) {
  Stream& started = *stream;
  MustOk(started.StartReceive(
      [stream = std::move(stream), ended](const Received& received) mutable {
        EXPECT_TRUE(received.status.ok()) << received.status;
        if (!received.end()) {
          EXPECT_OK(stream->SendCopy(received.data));
          return;
        }
        EXPECT_OK(stream->Flush([stream, ended](const Completion& done) {
          EXPECT_TRUE(done.ok()) << done.status;
          (void)stream->Close();
          ended->Add();
        }));
      }));
}

TEST_P(FaultThreads, O06_OperationsEchoEveryByte) {
  for (int variant = 0; variant < 4; ++variant) {
    for (const bool lent : {false, true}) {
      SCOPED_TRACE(variant);
      SCOPED_TRACE(lent);
      auto several = NewLoop(3);
      Tally ended;
      std::vector<Socket> clients;
      weir::Listener listener = Must(
          weir::Listener::Listen(*several, SocketAddress::Ipv4Loopback(0)));
      MustOk(listener.StartAccepting(
          [&](absl::StatusOr<AcceptedStream>&& accepted) {
            if (!accepted.ok()) return;
            if (lent) {
              StartEcho(std::make_shared<Stream>(std::move(accepted->stream)),
                        &ended);
            } else {
              Spawn(Echo(std::move(accepted->stream), &ended));
            }
          }));
      InjectNuisances(variant);
      for (std::size_t i = 0; i < kSockets; ++i) {
        const Unfaulted unfaulted;
        clients.push_back(Must(Socket::Connect(Must(listener.LocalAddress()))));
        conformance::AwaitWritable(clients.back());
      }
      {
        LoopThreads threads(*several, 3);
        {
          const Unfaulted unfaulted;
          conformance::EchoThroughAll(clients, kBytes);
        }
        ended.AwaitAtLeast(kSockets);
      }
      several.reset();
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace weir::faults
