// For the tests of the resolver: what handlers were told, and lookups that wait
// to be let go.

#ifndef WEIR_TESTS_CONFORMANCE_RESOLVER_ANSWERS_H_
#define WEIR_TESTS_CONFORMANCE_RESOLVER_ANSWERS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "tests/conformance/conformance.h"
#include "weir/resolver.h"
#include "weir/socket_address.h"

namespace weir::conformance {

using Answer = absl::StatusOr<std::vector<SocketAddress>>;

// What handlers got, in that order. Any thread.
class Answers {
 public:
  ResolveHandler Handler() {
    auto alive = std::make_shared<int>(0);
    {
      absl::MutexLock lock(&log_->mu);
      log_->handlers.push_back(alive);
    }
    return [log = log_, alive](Answer answer) {
      absl::MutexLock lock(&log->mu);
      log->answers.push_back(std::move(answer));
      log->thread = std::this_thread::get_id();
    };
  }

  std::size_t count() const {
    absl::MutexLock lock(&log_->mu);
    return log_->answers.size();
  }
  std::vector<Answer> Take() {
    absl::MutexLock lock(&log_->mu);
    return std::exchange(log_->answers, {});
  }
  // The codes of all of them; nothing is forgotten.
  std::vector<absl::StatusCode> codes() const {
    absl::MutexLock lock(&log_->mu);
    std::vector<absl::StatusCode> codes;
    for (const Answer& answer : log_->answers) {
      codes.push_back(answer.status().code());
    }
    return codes;
  }
  // That of the last.
  std::thread::id thread() const {
    absl::MutexLock lock(&log_->mu);
    return log_->thread;
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
    std::vector<Answer> answers ABSL_GUARDED_BY(mu);
    std::vector<std::weak_ptr<int>> handlers ABSL_GUARDED_BY(mu);
    std::thread::id thread ABSL_GUARDED_BY(mu);
  };
  std::shared_ptr<Log> log_ = std::make_shared<Log>();
};

// A lookup that knows every name, as 127.0.0.1, but holds back the answer for
// those that begin with "blocked" until Open. Copies are the same one.
class Gate {
 public:
  NameLookup Lookup() const {
    return [gate = gate_](const std::string& host, AddressFamily) -> Answer {
      absl::MutexLock lock(&gate->mu);
      gate->hosts.push_back(host);
      if (host.substr(0, 7) == "blocked") {
        gate->mu.Await(absl::Condition(&gate->open));
      }
      ++gate->returned;
      return std::vector<SocketAddress>{SocketAddress::Ipv4Loopback(0)};
    };
  }

  // Lets go of those that are blocked, and of all that follow.
  void Open() {
    absl::MutexLock lock(&gate_->mu);
    gate_->open = true;
  }
  // Until `count` lookups have begun, or have returned.
  void AwaitBegun(std::size_t count) const {
    Await([this, count] { return gate_->hosts.size() >= count; });
  }
  void AwaitReturned(std::size_t count) const {
    Await([this, count] { return gate_->returned >= count; });
  }
  // Those looked up, in that order.
  std::vector<std::string> hosts() const {
    absl::MutexLock lock(&gate_->mu);
    return gate_->hosts;
  }

 private:
  struct Inside {
    absl::Mutex mu;
    bool open = false;
    std::vector<std::string> hosts;
    std::size_t returned = 0;
  };
  template <typename Condition>
  void Await(const Condition& condition) const {
    absl::MutexLock lock(&gate_->mu);
    EXPECT_TRUE(
        gate_->mu.AwaitWithTimeout(absl::Condition(&condition), kPatience))
        << "waited in vain for a lookup";
  }

  std::shared_ptr<Inside> gate_ = std::make_shared<Inside>();
};

}  // namespace weir::conformance

#endif  // WEIR_TESTS_CONFORMANCE_RESOLVER_ANSWERS_H_
