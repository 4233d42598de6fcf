// A backend that follows a script, to test the core without a kernel: it
// reports what it is told to, refuses when it is told to, and remembers what
// it was asked for.

#ifndef WEIR_TESTS_BACKENDS_FAKE_BACKEND_H_
#define WEIR_TESTS_BACKENDS_FAKE_BACKEND_H_

#include <cstdint>
#include <deque>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "weir/backend.h"

namespace weir::test {

class FakeBackend final : public Backend {
 public:
  struct ArmCall {
    NativeSocket socket;
    Watch from;
    Watch to;
  };
  struct ForgetCall {
    NativeSocket socket;
    HandleFate fate;

    friend bool operator==(const ForgetCall&, const ForgetCall&) = default;
  };

  explicit FakeBackend(ReadinessModel model, bool errors_without_cause = false)
      : model_(model), errors_without_cause_(errors_without_cause) {}

  // --- the script; any thread

  // The next Collect reports this of `socket`, which was armed at some time;
  // before that, a Wait under way returns. The record is pinned meanwhile, as
  // by a kernel packet that names it, whatever becomes of the watch.
  void Report(NativeSocket socket, Condition conditions) {
    absl::MutexLock lock(&mu_);
    AddReport(socket, {.conditions = conditions});
  }
  void ReportDoubtful(NativeSocket socket, Condition conditions) {
    absl::MutexLock lock(&mu_);
    AddReport(socket, {.conditions = conditions, .doubtful = true});
  }
  void ReportRefusal(NativeSocket socket, int system_code) {
    absl::MutexLock lock(&mu_);
    AddReport(socket, {.refusal = system_code});
  }
  void ReportLoss() {
    absl::MutexLock lock(&mu_);
    loss_ = true;
  }
  // The next calls that would arm a watch, submit, or wait return these.
  void RefuseArm(absl::Status status, int times = 1) {
    absl::MutexLock lock(&mu_);
    arm_refusals_.insert(arm_refusals_.end(),
                         static_cast<std::size_t>(times), status);
  }
  void RefuseSubmit(absl::Status status) {
    absl::MutexLock lock(&mu_);
    submit_refusals_.push_back(std::move(status));
  }
  void RefuseWait(absl::Status status) {
    absl::MutexLock lock(&mu_);
    wait_refusals_.push_back(std::move(status));
  }
  // The next waits return at once with nothing, as after a signal.
  void EndWaitsEarly(int times) {
    absl::MutexLock lock(&mu_);
    early_ += times;
  }

  // --- what was asked for; any thread

  std::vector<ArmCall> TakeArmCalls() {
    absl::MutexLock lock(&mu_);
    return std::exchange(arm_calls_, {});
  }
  std::vector<ForgetCall> TakeForgetCalls() {
    absl::MutexLock lock(&mu_);
    return std::exchange(forget_calls_, {});
  }
  // Whether `socket` is watched for anything.
  bool IsArmed(NativeSocket socket) {
    absl::MutexLock lock(&mu_);
    return armed_.contains(socket);
  }
  // Until `socket` is watched; false if that takes longer than `patience`.
  bool AwaitArmed(NativeSocket socket, absl::Duration patience) {
    absl::MutexLock lock(&mu_);
    const auto armed = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return armed_.contains(socket);
    };
    return mu_.AwaitWithTimeout(absl::Condition(&armed), patience);
  }
  bool AwaitSubmits(int count, absl::Duration patience) {
    absl::MutexLock lock(&mu_);
    const auto reached = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return submits_ >= count;
    };
    return mu_.AwaitWithTimeout(absl::Condition(&reached), patience);
  }
  int submits() {
    absl::MutexLock lock(&mu_);
    return submits_;
  }
  // Until a thread is inside a Wait that blocks.
  bool AwaitBlocked(absl::Duration patience) {
    absl::MutexLock lock(&mu_);
    return mu_.AwaitWithTimeout(absl::Condition(&blocked_), patience);
  }

  // --- Backend

  std::string_view name() const override { return "fake"; }
  Capabilities capabilities() const override {
    return {.readiness_model = model_,
            .errors_without_cause = errors_without_cause_};
  }
  absl::Status Arm(WatchedSocket& socket, const Watch& from,
                   const Watch& to) override {
    absl::MutexLock lock(&mu_);
    arm_calls_.push_back({socket.socket(), from, to});
    if (to.present && !arm_refusals_.empty()) return Next(arm_refusals_);
    known_[socket.socket()] = &socket;
    if (to.present) {
      armed_[socket.socket()] = to;
    } else {
      armed_.erase(socket.socket());
    }
    return absl::OkStatus();
  }
  bool Forget(WatchedSocket& socket, HandleFate fate) override {
    absl::MutexLock lock(&mu_);
    forget_calls_.push_back({socket.socket(), fate});
    return false;
  }
  absl::Status Submit() override {
    absl::MutexLock lock(&mu_);
    ++submits_;
    return submit_refusals_.empty() ? absl::OkStatus() : Next(submit_refusals_);
  }
  absl::Status Wait(std::int64_t timeout_ns) override {
    absl::MutexLock lock(&mu_);
    if (!wait_refusals_.empty()) return Next(wait_refusals_);
    if (early_ > 0) {
      --early_;
      return absl::OkStatus();
    }
    const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return woken_ || loss_ || !reports_.empty();
    };
    blocked_ = timeout_ns != 0;
    mu_.AwaitWithTimeout(absl::Condition(&ready),
                         timeout_ns == kForever
                             ? absl::InfiniteDuration()
                             : absl::Nanoseconds(timeout_ns));
    blocked_ = false;
    woken_ = false;
    return absl::OkStatus();
  }
  void Collect(ReadyList& ready) override {
    absl::MutexLock lock(&mu_);
    for (const Pending& report : reports_) {
      WatchedSocket& socket = *report.socket;
      socket.Unpin();
      if (model_ == ReadinessModel::kSingleShot) armed_.erase(socket.socket());
      if (report.refusal != 0) {
        ready.ReportRefusal(socket, report.refusal);
      } else if (report.doubtful) {
        ready.ReportDoubtful(socket, report.conditions);
      } else {
        ready.Report(socket, report.conditions);
      }
    }
    reports_.clear();
    if (std::exchange(loss_, false)) ready.ReportLoss();
  }
  void Wake() override {
    absl::MutexLock lock(&mu_);
    woken_ = true;
  }
  std::uint64_t system_calls() const override { return 0; }

 private:
  static absl::Status Next(std::deque<absl::Status>& statuses) {
    absl::Status status = std::move(statuses.front());
    statuses.pop_front();
    return status;
  }

  struct Pending {
    WatchedSocket* socket = nullptr;
    Condition conditions = Condition::kNone;
    bool doubtful = false;
    int refusal = 0;
  };
  void AddReport(NativeSocket socket, Pending report)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    report.socket = known_.at(socket);
    report.socket->Pin();
    reports_.push_back(report);
  }

  const ReadinessModel model_;
  const bool errors_without_cause_;
  absl::Mutex mu_;
  std::map<NativeSocket, WatchedSocket*> known_ ABSL_GUARDED_BY(mu_);
  std::map<NativeSocket, Watch> armed_ ABSL_GUARDED_BY(mu_);
  std::vector<ArmCall> arm_calls_ ABSL_GUARDED_BY(mu_);
  std::vector<ForgetCall> forget_calls_ ABSL_GUARDED_BY(mu_);
  std::vector<Pending> reports_ ABSL_GUARDED_BY(mu_);
  std::deque<absl::Status> arm_refusals_ ABSL_GUARDED_BY(mu_);
  std::deque<absl::Status> submit_refusals_ ABSL_GUARDED_BY(mu_);
  std::deque<absl::Status> wait_refusals_ ABSL_GUARDED_BY(mu_);
  int early_ ABSL_GUARDED_BY(mu_) = 0;
  int submits_ ABSL_GUARDED_BY(mu_) = 0;
  bool loss_ ABSL_GUARDED_BY(mu_) = false;
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
  bool blocked_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace weir::test

#endif  // WEIR_TESTS_BACKENDS_FAKE_BACKEND_H_
