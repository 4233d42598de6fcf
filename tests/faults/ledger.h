// What was started, and what became of it: the bookkeeping of "exactly once".

#ifndef WEIR_TESTS_FAULTS_LEDGER_H_
#define WEIR_TESTS_FAULTS_LEDGER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::faults {

// A socket: nothing of it is called after its close was told (C02).
struct Owner {
  bool closed = false;
};

// Something that ends once: an operation, a receiver, a registration, a close.
class Promise {
 public:
  explicit Promise(std::string name, std::shared_ptr<Owner> owner)
      : name_(std::move(name)), owner_(std::move(owner)) {}

  // Its handler was called; `last`: that was its end.
  void Called(bool last);
  // It was not started: its handler is never called.
  void Refused() { refused_ = true; }

  const std::string& name() const { return name_; }
  bool ended() const { return refused_ || ends_ > 0; }
  // What is wrong, once everything is over; empty if nothing is.
  std::string Wrong() const;

 private:
  friend class Token;
  const std::string name_;
  const std::shared_ptr<Owner> owner_;
  int calls_ = 0;
  int ends_ = 0;
  int late_ = 0;
  int after_close_ = 0;
  bool refused_ = false;
  bool handler_destroyed_ = false;
};

// Lives in the handler, and so tells when that is destroyed.
class Token {
 public:
  explicit Token(std::shared_ptr<Promise> promise)
      : promise_(std::move(promise)) {}
  Token(Token&&) noexcept = default;
  ~Token() {
    if (promise_ != nullptr) promise_->handler_destroyed_ = true;
  }
  Promise* operator->() const { return promise_.get(); }

 private:
  std::shared_ptr<Promise> promise_;
};

class Ledger {
 public:
  std::shared_ptr<Promise> Add(std::string name,
                               std::shared_ptr<Owner> owner = nullptr);
  // How many have not ended.
  std::size_t open() const;
  std::size_t OpenNamed(std::string_view name) const;
  std::string OpenNames() const;
  std::vector<std::string> Wrong() const;

 private:
  std::vector<std::shared_ptr<Promise>> promises_;
};

}  // namespace weir::faults

#endif  // WEIR_TESTS_FAULTS_LEDGER_H_
