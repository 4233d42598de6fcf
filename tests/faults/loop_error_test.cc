// The loop itself: its making, its wait, its wake-up, what it asks of the
// system besides; with every error that is documented.

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/conformance/connecting.h"
#include "tests/faults/fault_test.h"
#include "weir/backends.h"

namespace weir::faults {
namespace {

using conformance::AddressOf;
using conformance::BytesOf;
using conformance::Connection;
using conformance::Indications;
using conformance::kPatience;
using conformance::Must;
using conformance::MustOk;
using conformance::Recorder;
using conformance::Room;
using conformance::StreamAndPeer;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LoopError : public FaultTest {
 protected:
  // The calls by which a loop waits.
  std::vector<Fault> Waits() const {
    if (!on_io_uring()) {
      return {{.call = Call::k_epoll_wait}, {.call = Call::k_epoll_pwait2}};
    }
    return {{.call = Call::k_io_uring_submit_and_wait_timeout}};
  }
  static bool IsBridged(int error) {
    return error == EINTR || error == ENOSYS || error == EAGAIN ||
           error == EBUSY || error == ENOMEM || error == EBADR;
  }
  // Zero for the calls without a timeout of their own, and some for the others.
  static absl::Duration TimeFor(const Fault& fault) {
    return fault.call == Call::k_epoll_pwait2 ? absl::Milliseconds(5)
                                              : absl::ZeroDuration();
  }
};
WEIR_CONFORMANCE_SUITE(LoopError);

// --- its making

TEST_P(LoopError, P05_ALoopIsMadeWholeOrNotAtAll) {
  std::vector<Fault> steps = {{.call = Call::k_eventfd}};
  if (on_io_uring()) {
    steps.push_back({.call = Call::k_io_uring_queue_init_params});
  } else {
    steps.push_back({.call = Call::k_epoll_create1});
    steps.push_back({.call = Call::k_epoll_ctl, .detail = EPOLL_CTL_ADD});
  }
  for (Fault fault : steps) {
    for (const int error : ErrorsOf(fault.call)) {
      SCOPED_TRACE(NameOf(fault.call));
      SCOPED_TRACE(::strerrorname_np(error));
      const std::size_t before = conformance::OpenDescriptors();
      Clear();
      fault.error = error;
      Inject(fault);
      const auto made = EventLoop::Create({.backend = GetParam()});
      EXPECT_EQ(Hits(), 1u);
      const bool forbidden =
          fault.call == Call::k_io_uring_queue_init_params &&
          (error == EPERM || error == ENOSYS || error == EINVAL);
      if (forbidden) {
        EXPECT_CODE(made, kUnavailable);
        EXPECT_EQ(SystemCodeOf(made.status()), error);
      } else {
        EXPECT_TRUE(TellsError(made.status(), error));
      }
      EXPECT_EQ(conformance::OpenDescriptors(), before);
    }
  }
}

// A kernel that does not know the operations that need no copy.
TEST_P(LoopError, P05_WithoutAProbeThereAreNoCapabilities) {
  if (!on_io_uring()) return;
  Inject({.call = Call::k_io_uring_get_probe_ring, .error = EINVAL});
  const auto made = Must(EventLoop::Create({.backend = GetParam()}));
  EXPECT_EQ(Hits(), 1u);
  EXPECT_FALSE(made->capabilities().zero_copy_sends);
}

// --- its wait

// What ends a wait early is not noticed, however often it comes, and does not
// make the loop spin.
TEST_P(LoopError, R13_AWaitThatEndsEarlyIsMadeAgain) {
  for (Fault fault : Waits()) {
    for (const int error : ErrorsOf(fault.call)) {
      if (!IsBridged(error) || error == EBADR) continue;
      SCOPED_TRACE(NameOf(fault.call));
      SCOPED_TRACE(::strerrorname_np(error));
      const auto fresh = NewLoop();
      Connection pair = conformance::Connected(AddressFamily::kUnix);
      Recorder recorder;
      MustOk(fresh
                 ->Register(pair.server, {.interest = Interest::kReadable},
                            recorder.Handler())
                 .status());
      MustOk(fresh->RunOnce(TimeFor(fault)).status());
      // One that is not known to the kernel is not asked for again.
      const std::uint64_t times = error == ENOSYS ? 1 : 5;
      Clear();
      fault.error = error;
      fault.times = times;
      Inject(fault);
      const std::uint64_t turns = fresh->counters().turns;
      while (Hits() < times) {
        EXPECT_EQ(Must(fresh->RunOnce(TimeFor(fault))), 0);
      }
      EXPECT_LE(fresh->counters().turns - turns, 20u);
      conformance::Send(pair.client, "x");
      EXPECT_EQ(Must(fresh->RunOnce(kPatience)), 1);
      EXPECT_THAT(recorder.events(), ElementsAre(Events::kReadable));
    }
  }
}

// What retrying does not mend is what Run returns; the loop is as it was.
TEST_P(LoopError, R13_AWaitThatFailsIsTold) {
  for (Fault fault : Waits()) {
    for (const int error : ErrorsOf(fault.call)) {
      if (IsBridged(error)) continue;
      SCOPED_TRACE(NameOf(fault.call));
      SCOPED_TRACE(::strerrorname_np(error));
      const auto fresh = NewLoop();
      Connection pair = conformance::Connected(AddressFamily::kUnix);
      Recorder recorder;
      MustOk(fresh
                 ->Register(pair.server, {.interest = Interest::kReadable},
                            recorder.Handler())
                 .status());
      Clear();
      fault.error = error;
      Inject(fault);
      EXPECT_TRUE(TellsError(fresh->RunOnce(TimeFor(fault)).status(), error));
      conformance::Send(pair.client, "x");
      while (recorder.count() == 0) MustOk(fresh->RunOnce(kPatience).status());
      EXPECT_THAT(recorder.events(), ElementsAre(Events::kReadable));
    }
  }
}

// One that never waits again gives everything its end (C04).
TEST_P(LoopError, C04_ALoopThatCannotWaitEndsWhatItHas) {
  for (Fault fault : Waits()) {
    for (const int error : ErrorsOf(fault.call)) {
      if (IsBridged(error)) continue;
      SCOPED_TRACE(NameOf(fault.call));
      SCOPED_TRACE(::strerrorname_np(error));
      Clear();
      auto fresh = NewLoop();
      Connection pair = conformance::Connected(AddressFamily::kUnix);
      StreamAndPeer stream = Connect(*fresh);
      Recorder recorder;
      Indications told;
      Room room(4);
      MustOk(fresh
                 ->Register(pair.server, {.interest = Interest::kReadable},
                            recorder.Handler())
                 .status());
      MustOk(stream.stream.Receive(room, told.Handler("r")));
      MustOk(fresh->RunOnce(TimeFor(fault)).status());
      Clear();
      fault.error = error;
      fault.times = Fault::kForever;
      Inject(fault);
      for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(TellsError(fresh->RunOnce(TimeFor(fault)).status(), error));
      }
      fresh.reset();
      EXPECT_THAT(told.entries(), ElementsAre("r CANCELLED 0"));
      EXPECT_THAT(recorder.events(), ElementsAre(Events::kRemoved));
      EXPECT_TRUE(recorder.handler_destroyed());
    }
  }
}

// A ring that is not enabled belongs to nobody: whoever runs the loop first is
// told why it cannot be.
TEST_P(LoopError, R13_ARingThatCannotBeEnabledIsTold) {
  if (!on_io_uring()) return;
  for (const int error : ErrorsOf(Call::k_io_uring_register)) {
    SCOPED_TRACE(::strerrorname_np(error));
    const auto fresh = NewLoop();
    Clear();
    Inject({.call = Call::k_io_uring_register, .error = error});
    EXPECT_TRUE(
        TellsError(fresh->RunOnce(absl::ZeroDuration()).status(), error));
    EXPECT_OK(fresh->RunOnce(absl::ZeroDuration()));
  }
}

// --- its wake-up

TEST_P(LoopError, R18_AWakeUpThatIsInterruptedIsMadeAgain) {
  for (int round = 0; round < 3; ++round) {
    Clear();
    Inject({.call = Call::k_write, .error = EINTR, .times = 5});
    bool posted = false;
    std::thread other([&] {
      while (!posted) {
        MustOk(loop().Post([&] { posted = true; }));
        return;
      }
    });
    while (!posted) MustOk(loop().RunOnce(kPatience).status());
    other.join();
    EXPECT_THAT(Hits(), AnyOf(0u, 5u));
  }
}

// --- what it asks besides

// The check of a report that may be out of date cannot be made: what is
// reported is told, and nothing is lost.
TEST_P(LoopError, R05_ACheckThatFailsLosesNothing) {
  for (const int error : ErrorsOf(Call::k_poll)) {
    if (error == EINTR) continue;
    for (const conformance::Mode& mode : conformance::kAllModes) {
      SCOPED_TRACE(::strerrorname_np(error));
      SCOPED_TRACE(ToString(mode));
      Connection pair = conformance::Connected(AddressFamily::kUnix);
      Recorder recorder;
      const Registration registration = Register(
          pair.server, mode.With(Interest::kReadable | Interest::kHangup),
          recorder);
      Turn();
      Clear();
      const Fault fault = {
          .call = Call::k_poll, .error = error, .times = Fault::kForever};
      std::string got;
      for (const char* text : {"a", "b", "c"}) {
        {
          const Unfaulted unfaulted;
          conformance::Send(pair.client, text);
        }
        // A drain that the report does not know of.
        if (CountOf(Call::k_poll) == 0) Inject(fault);
        while (got.empty() || got.back() != *text) {
          MustOk(loop().RunOnce(kPatience).status());
          got += conformance::Drain(pair.server);
          if (mode.persistence == Persistence::kOneShot) {
            MustOk(registration.Rearm());
          }
        }
      }
      EXPECT_EQ(got, "abc");
      {
        const Unfaulted unfaulted;
        pair.client.Close();
      }
      TurnUntilSeen(recorder, Events::kHangup);
      MustOk(registration.Remove());
      TurnUntilSeen(recorder, Events::kRemoved);
      EXPECT_EQ(recorder.count(Events::kRemoved), 1u);
      EXPECT_EQ(recorder.count(Events::kError), 0u);
    }
  }
}

// A poll that the kernel has no memory for says nothing of the connect that is
// under way (R15).
TEST_P(LoopError, R15_APollWithoutMemoryIsNotTheConnectsOutcome) {
  auto silent = std::make_unique<conformance::SilentAddress>();
  Socket socket = Must(Socket::Connect(silent->address()));
  Recorder recorder;
  Clear();
  Inject({.call = Call::k_ring_entry,
          .error = ENOMEM,
          .times = 3,
          .descriptor = Descriptor(socket),
          .detail = kPollRequest});
  Register(socket, {.interest = Interest::kWritable | Interest::kHangup},
           recorder);
  for (int i = 0; i < 10; ++i) Turn();
  EXPECT_EQ(Hits(), on_io_uring() ? 3u : 0u);
  EXPECT_THAT(recorder.events(), IsEmpty());
  // Refused when it asks again.
  silent.reset();
  TurnUntilSeen(recorder, Events::kError);
  EXPECT_THAT(recorder.events(), ElementsAre(Events::kError));
  EXPECT_EQ(CauseOf(recorder.errors().at(0)), ErrorCause::kConnectionRefused);
  EXPECT_NE(recorder.errors().at(0).message().find("connect"),
            absl::string_view::npos);
}

// The cause of an error cannot be asked for: that is the cause, then.
TEST_P(LoopError, R15_AnErrorWhoseCauseIsNotToBeHad) {
  for (const int error : ErrorsOf(Call::k_getsockopt)) {
    SCOPED_TRACE(::strerrorname_np(error));
    Socket socket = Must(Socket::Connect(conformance::RefusedAddress()));
    Recorder recorder;
    Clear();
    Inject({.call = Call::k_getsockopt, .error = error, .detail = SO_ERROR});
    Register(socket, {.interest = Interest::kWritable}, recorder);
    TurnUntilSeen(recorder, Events::kError);
    EXPECT_EQ(Hits(), 1u);
    EXPECT_TRUE(TellsError(recorder.errors().at(0), error));
    socket.Close();
    TurnUntil([&] { return recorder.handler_destroyed(); });
    EXPECT_EQ(recorder.count(Events::kRemoved), 1u);
  }
}

// --- termination

TEST_P(LoopError, P04_AWatchForSignalsIsSetWholeOrNotAtAll) {
  for (const int number : {SIGINT, SIGTERM}) {
    ::signal(number, SIG_DFL);
  }
  for (const int refused : {SIGINT, SIGTERM}) {
    for (const int error : ErrorsOf(Call::k_sigaction)) {
      SCOPED_TRACE(refused);
      SCOPED_TRACE(::strerrorname_np(error));
      const auto fresh = NewLoop();
      Clear();
      Inject({.call = Call::k_sigaction, .error = error, .detail = refused});
      EXPECT_TRUE(TellsError(fresh->OnTermination(), error));
      {
        const Unfaulted unfaulted;
        for (const int number : {SIGINT, SIGTERM}) {
          struct sigaction now = {};
          ::sigaction(number, nullptr, &now);
          EXPECT_EQ(now.sa_handler, SIG_DFL);
        }
      }
      int calls = 0;
      EXPECT_OK(fresh->OnTermination([&] { ++calls; }));
      ASSERT_EQ(::raise(refused), 0);
      while (calls == 0) MustOk(fresh->RunOnce(kPatience).status());
      EXPECT_EQ(calls, 1);
    }
  }
}

}  // namespace
}  // namespace weir::faults
