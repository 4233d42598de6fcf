#include "weir/operation.h"

#include "absl/synchronization/mutex.h"
#include "core/endpoint.h"
#include "core/loop_core.h"
#include "core/operation_record.h"

namespace weir {
namespace {

absl::Status Empty() {
  return absl::FailedPreconditionError("operation: the handle is empty");
}

}  // namespace

Operation::Operation(const Operation& other) : record_(other.record_) {
  if (record_ != nullptr) record_->Ref();
}

Operation::~Operation() {
  // Whoever carries it out returns the record to its pool; this is after that.
  if (record_ != nullptr && record_->Unref()) delete record_;
}

bool Operation::done() const {
  return record_ != nullptr && record_->done.load(std::memory_order_acquire);
}

absl::StatusOr<Completion> Operation::Result() const {
  if (record_ == nullptr) return Empty();
  if (!done()) {
    return absl::FailedPreconditionError("operation: it has not ended");
  }
  return record_->result;
}

absl::StatusOr<Completion> Operation::Wait(absl::Duration timeout) const {
  if (record_ == nullptr) return Empty();
  if (!done()) {
    if (internal::LoopCore::CurrentFrame() != nullptr) {
      return absl::FailedPreconditionError(
          "operation: waiting would keep an event loop from going on");
    }
    absl::MutexLock lock(&record_->mu);
    const auto ended = [this] { return done(); };
    if (!record_->mu.AwaitWithTimeout(absl::Condition(&ended), timeout)) {
      return absl::DeadlineExceededError("operation: it has not ended yet");
    }
  }
  return record_->result;
}

absl::Status Operation::Cancel() const {
  if (record_ == nullptr) return Empty();
  return record_->keep->Cancel(*record_);
}

}  // namespace weir
