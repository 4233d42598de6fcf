// What the parts of a scenario share: the loop, the ledger, and what has gone
// wrong. A part begins when it is made, tells the stage when it is through, and
// ends early, by closing what it has, when anything of it fails.

#ifndef WEIR_TESTS_FAULTS_STAGE_H_
#define WEIR_TESTS_FAULTS_STAGE_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "tests/faults/ledger.h"
#include "weir/event_loop.h"
#include "weir/operation.h"
#include "weir/registration.h"
#include "weir/socket_address.h"
#include "weir/stream.h"

namespace weir::faults {

// One part, for instance one end of a connection. Lives until the loop is gone.
class Part {
 public:
  virtual ~Part() = default;
  // Closes what it has, if it has not.
  virtual void Close() = 0;
};

class Stage {
 public:
  // What is on it lives at `home`, a loopback address without a port: what
  // connections leave behind (TIME_WAIT) takes no ports of others.
  Stage(std::unique_ptr<EventLoop> event_loop, const SocketAddress& home)
      : loop_(std::move(event_loop)), home_(home) {}

  EventLoop& loop() { return *loop_; }
  const SocketAddress& home() const { return home_; }
  void DestroyLoop() { loop_.reset(); }
  Ledger& ledger() { return ledger_; }

  template <typename T, typename... Arguments>
  T& Add(Arguments&&... arguments) {
    auto part =
        std::make_unique<T>(*this, std::forward<Arguments>(arguments)...);
    T& added = *part;
    parts_.push_back(std::move(part));
    return added;
  }
  void CloseAll() {
    closing_ = true;
    for (std::size_t i = 0; i < parts_.size(); ++i) parts_[i]->Close();
  }
  bool closing() const { return closing_; }

  // Something is under way that is to get through.
  void Expect() { ++expected_; }
  void Through() { --expected_; }
  bool through() const { return expected_ == 0; }

  void Failed(const absl::Status& status) { failures_.push_back(status); }
  const std::vector<absl::Status>& failures() const { return failures_; }
  // What arrived of what was sent: all of it, or, once something has failed,
  // the beginning.
  void Compare(const std::string& what, std::string_view received,
               std::string_view sent);
  // What must not be, whatever fails.
  void Wrong(std::string what) { wrong_.push_back(std::move(what)); }
  const std::vector<std::string>& wrong() const { return wrong_; }

 private:
  std::unique_ptr<EventLoop> loop_;
  const SocketAddress home_;
  Ledger ledger_;
  std::vector<std::unique_ptr<Part>> parts_;
  std::vector<absl::Status> failures_;
  std::vector<std::string> wrong_;
  int expected_ = 0;
  bool closing_ = false;
};

// A part with one stream, used through operations.
class StreamPart : public Part {
 public:
  StreamPart(Stage& stage, std::string name, Stream stream)
      : stage_(stage), name_(std::move(name)), stream_(std::move(stream)) {}
  void Close() override;

 protected:
  using Then = std::function<void(const Completion&)>;
  // Starts an operation by `start(handler)`; `then` is called if it succeeds.
  template <typename Start>
  void Run(const char* what, Start start, Then then) {
    auto promise = stage_.ledger().Add(name_ + " " + what, owner_);
    const absl::Status status = start(
        CompletionHandler([this, token = Token(promise),
                           then = std::move(then)](const Completion& done) {
          token->Called(/*last=*/true);
          if (done.ok()) {
            then(done);
          } else {
            Failed(done.status);
          }
        }));
    if (status.ok()) return;
    promise->Refused();
    Failed(status);
  }
  void Receive(MutableBuffer buffer, Then then);
  void Send(ConstBuffer data, Then then, const OperationOptions& options = {});
  void Disconnect(Then then);
  // `on_data` for what comes, `on_end` for the end of the stream.
  void StartReceive(std::function<void(std::string_view)> on_data,
                    std::function<void()> on_end);
  void Failed(const absl::Status& status);
  bool closed() const { return owner_->closed || closing_; }

  Stage& stage_;
  const std::string name_;
  const std::shared_ptr<Owner> owner_ = std::make_shared<Owner>();
  Stream stream_;
  bool closing_ = false;
};

// `bytes` different bytes.
std::string Payload(std::size_t bytes, unsigned seed);
ConstBuffer BytesOf(std::string_view text);
std::string_view TextOf(ConstBuffer bytes);

}  // namespace weir::faults

#endif  // WEIR_TESTS_FAULTS_STAGE_H_
