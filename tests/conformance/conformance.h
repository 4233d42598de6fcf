// What every conformance test starts from: a loop on the backend under test,
// sockets in a wanted state, and recorders of what is delivered.
//
// A test reads as a list of expected events. Waiting is done by running the
// loop with a deadline of seconds, never by sleeping; absence is shown by a
// sentinel: something that happened later has been delivered, this has not.

#ifndef WEIR_TESTS_CONFORMANCE_CONFORMANCE_H_
#define WEIR_TESTS_CONFORMANCE_CONFORMANCE_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/system.h"
#include "weir/backends.h"
#include "weir/event_loop.h"
#include "weir/events.h"
#include "weir/registration.h"
#include "weir/socket.h"

namespace weir::conformance {

// Long enough for any machine; reached only by a test that fails.
inline constexpr absl::Duration kPatience = absl::Seconds(20);

// Unwraps, or ends the process with the status: for preparations whose failure
// leaves nothing to test.
template <typename T>
T Must(absl::StatusOr<T> value, const char* what = "preparation") {
  if (!value.ok()) {
    ADD_FAILURE() << what << ": " << value.status();
    std::abort();
  }
  return *std::move(value);
}
void MustOk(const absl::Status& status, const char* what = "preparation");

MATCHER_P(HasCode, code, "") {
  *result_listener << arg;
  return arg.code() == code;
}
const absl::Status& StatusOf(const absl::Status& status);
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& value) {
  return value.status();
}
#define EXPECT_OK(expression) EXPECT_CODE(expression, kOk)
#define ASSERT_OK(expression)                            \
  ASSERT_THAT(::weir::conformance::StatusOf(expression), \
              ::weir::conformance::HasCode(absl::StatusCode::kOk))
#define EXPECT_CODE(expression, expected)                     \
  EXPECT_THAT(::weir::conformance::StatusOf(expression),      \
              ::weir::conformance::HasCode(absl::StatusCode::expected))

// --- the four ways to be told

struct Mode {
  Trigger trigger = Trigger::kLevel;
  Persistence persistence = Persistence::kPersistent;

  RegistrationOptions With(Interest interest) const {
    return {.interest = interest,
            .trigger = trigger,
            .persistence = persistence};
  }
};
inline constexpr Mode kAllModes[] = {
    {Trigger::kLevel, Persistence::kPersistent},
    {Trigger::kLevel, Persistence::kOneShot},
    {Trigger::kEdge, Persistence::kPersistent},
    {Trigger::kEdge, Persistence::kOneShot},
};
// "edge one-shot": for SCOPED_TRACE.
std::string ToString(const Mode& mode);

// --- sockets in a wanted state

// Two ends of one TCP connection over loopback.
struct Connection {
  Socket client;
  Socket server;
};
Connection Connected(AddressFamily family = AddressFamily::kIpv4);
// The same by way of a listener that goes on listening: the client is the first
// socket that is opened.
Connection ConnectedBy(Socket& listener);
Socket Listener(AddressFamily family = AddressFamily::kIpv4);
SocketAddress AddressOf(const Socket& socket);
// A loopback TCP address at which nobody listens.
SocketAddress RefusedAddress();
// Two UDP sockets on loopback, each connected to the other.
Connection DatagramPair();

// --- what is done to them, each expected to succeed

void Send(Socket& socket, std::string_view text);
// Waits, by poll(2) and not by the loop, until `count` bytes are there to be
// read: loopback delivers at once, mostly.
void AwaitReadable(const Socket& socket);
// The same for room to send, and for the peer's end of stream or reset.
void AwaitWritable(const Socket& socket);
void AwaitPeerClosed(const Socket& socket);
// kHangup, or kNone where a hang-up shows only once all data before it are read.
Events HangupBehindData();
// What one receive of at most `most` bytes gets; "" for would-block or the end.
std::string Receive(Socket& socket, std::size_t most = 65536);
// Receives until would-block or the end; returns what it got.
std::string Drain(Socket& socket);
// Sends until would-block; returns how many bytes.
std::size_t Fill(Socket& socket);
// Ends the connection with a reset.
void Reset(Socket& socket);

// --- recording

// Everything one registration was told.
class Recorder {
 public:
  Recorder() : log_(std::make_shared<Log>()) {}

  // A handler that records and then calls `also`, if given. It may outlive the
  // recorder.
  ReadinessHandler Handler(std::function<void(const Event&)> also = nullptr);

  const std::vector<Events>& events() const { return log_->events; }
  // The statuses of the events that were errors.
  const std::vector<absl::Status>& errors() const { return log_->errors; }
  std::size_t count() const { return log_->events.size(); }
  // How many of them had one of `bits`.
  std::size_t count(Events bits) const;
  // All of them together.
  Events seen() const;
  bool handler_destroyed() const { return log_->handlers == 0; }
  // Returns what was recorded and forgets it.
  std::vector<Events> Take();

 private:
  struct Log {
    std::vector<Events> events;
    std::vector<absl::Status> errors;
    int handlers = 0;
  };
  std::shared_ptr<Log> log_;
};

// --- the fixture

class Conformance : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override;

  // A loop of the backend under test.
  std::unique_ptr<EventLoop> NewLoop(int threads = 1, int max_events = 256);
  EventLoop& loop() { return *loop_; }
  // Destroys the fixture's loop.
  void DestroyLoop() { loop_.reset(); }

  Registration Register(Socket& socket, const RegistrationOptions& options,
                        Recorder& recorder);

  // One turn that does not wait.
  int Turn();
  // Turns until `done`, or until patience is over, which is a failure.
  void TurnUntil(const std::function<bool()>& done);
  // Turns until `recorder` has seen all of `events`.
  void TurnUntilSeen(Recorder& recorder, Events events);
  // Turns until something that happens after this call has been delivered, and
  // then once more: what has not been delivered by then is not coming.
  void TurnPastSentinel();
  // After one turn for what is there already, nothing is delivered, and the
  // loop sleeps: waiting for some milliseconds takes few turns, where a
  // condition that nobody is told of would spin.
  void ExpectIdle();

 private:
  std::unique_ptr<EventLoop> loop_;
};

// Runs the suite on every backend of the build that this machine can run; on
// one that it cannot, the tests fail rather than vanish, unless the environment
// names it in WEIR_TEST_WITHOUT (a list separated by commas). A program that
// plugs in backends of its own runs the suite on those instead.
std::vector<std::string> BackendsUnderTest();
// A backend's name as GoogleTest can have it: with '_' for '-'.
std::string TestNameOf(std::string_view backend);
using BackendFactory =
    std::function<std::unique_ptr<Backend>(const BackendOptions&)>;
// To be called before main.
void PlugIn(std::string name, BackendFactory factory);
// A loop of one of them.
std::unique_ptr<EventLoop> NewLoop(const std::string& backend, int threads,
                                   int max_events = 256);
#define WEIR_CONFORMANCE_SUITE(fixture)                                     \
  INSTANTIATE_TEST_SUITE_P(                                                 \
      , fixture, ::testing::ValuesIn(::weir::conformance::BackendsUnderTest()), \
      [](const auto& parameter) {                                             \
        return ::weir::conformance::TestNameOf(parameter.param);              \
      })

}  // namespace weir::conformance

#endif  // WEIR_TESTS_CONFORMANCE_CONFORMANCE_H_
