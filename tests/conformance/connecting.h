// For the tests of the connector: addresses that answer nothing, and what
// handlers were told.

#ifndef WEIR_TESTS_CONFORMANCE_CONNECTING_H_
#define WEIR_TESTS_CONFORMANCE_CONNECTING_H_

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "tests/conformance/conformance.h"
#include "weir/connector.h"

namespace weir::conformance {

using absl::StatusCode;

// Within a test: never.
inline constexpr absl::Duration kNever = absl::InfiniteDuration();

// A TCP address that answers nothing: its listener has a queue of one, which is
// taken, and the system drops what comes besides (listen(2);
// tcp_conn_request() in Linux).
class SilentAddress {
 public:
  SilentAddress()
      : listener_(
            Must(Socket::Open(AddressFamily::kIpv4, SocketType::kStream))) {
    MustOk(listener_.Bind(SocketAddress::Ipv4Loopback(0)));
    MustOk(listener_.StartListening(/*backlog=*/0));
    first_ = Must(Socket::Connect(address()));
    AwaitReadable(listener_);
  }

  SocketAddress address() const { return AddressOf(listener_); }
  // Answers from here on: those who ask again, and the system does.
  void Speak() { first_ = std::move(Must(listener_.Accept())->socket); }

 private:
  Socket listener_;
  Socket first_;
};

// What handlers were told. Any thread.
class Outcomes {
 public:
  ConnectHandler Handler() {
    auto alive = std::make_shared<int>(0);
    {
      absl::MutexLock lock(&log_->mu);
      log_->handlers.push_back(alive);
    }
    return [log = log_, alive](absl::StatusOr<Stream>&& result) {
      absl::MutexLock lock(&log->mu);
      log->codes.push_back(result.status().code());
      log->last = std::move(result);
    };
  }

  std::vector<StatusCode> codes() const {
    absl::MutexLock lock(&log_->mu);
    return log_->codes;
  }
  std::size_t count() const { return codes().size(); }
  // The last one's; it is forgotten.
  absl::StatusOr<Stream> TakeLast() {
    absl::MutexLock lock(&log_->mu);
    return std::exchange(log_->last, absl::UnknownError("taken"));
  }
  // How many handlers were not destroyed yet.
  int handlers() const {
    absl::MutexLock lock(&log_->mu);
    int count = 0;
    for (const auto& handler : log_->handlers) count += !handler.expired();
    return count;
  }

 private:
  struct Log {
    absl::Mutex mu;
    std::vector<StatusCode> codes ABSL_GUARDED_BY(mu);
    absl::StatusOr<Stream> last ABSL_GUARDED_BY(mu);
    std::vector<std::weak_ptr<int>> handlers ABSL_GUARDED_BY(mu);
  };
  std::shared_ptr<Log> log_ = std::make_shared<Log>();
};

class ConnectorTest : public Conformance {
 protected:
  void SetUp() override {
    Conformance::SetUp();
    // What a loop opens when it first runs stays open.
    TurnPastSentinel();
  }

  void Connect(std::vector<SocketAddress> addresses,
               const ConnectOptions& options = {}) {
    MustOk(ConnectStream(loop(), std::move(addresses), outcomes_.Handler(),
                         options));
  }
  void TurnUntilTold(std::size_t count = 1) {
    TurnUntil([&] { return outcomes_.count() >= count; });
  }
  // Nothing more is told, and no handler is left.
  void ExpectTold(std::vector<StatusCode> codes) {
    TurnPastSentinel();
    EXPECT_EQ(outcomes_.codes(), codes);
    EXPECT_EQ(outcomes_.handlers(), 0);
  }
  void ExpectConnectedTo(const SocketAddress& address) {
    const auto stream = outcomes_.TakeLast();
    ASSERT_OK(stream);
    EXPECT_EQ(Must(stream->PeerAddress()), address);
  }

  Outcomes outcomes_;
};
}  // namespace weir::conformance

#endif  // WEIR_TESTS_CONFORMANCE_CONNECTING_H_
