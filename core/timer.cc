#include "weir/timer.h"

#include <cstdint>
#include <utility>

#include "core/loop_core.h"
#include "core/timer_record.h"

namespace weir {
namespace {

absl::Status Check(const internal::TimerRecord* record) {
  if (record == nullptr) {
    return absl::FailedPreconditionError("timer: it is empty");
  }
  return record->loop->CheckNotStopped("timer");
}

}  // namespace

Timer& Timer::operator=(Timer&& other) noexcept {
  if (this != &other) {
    if (record_ != nullptr) record_->loop->CancelTimer(record_);
    record_ = std::move(other.record_);
  }
  return *this;
}

Timer::~Timer() {
  if (record_ != nullptr) record_->loop->CancelTimer(record_);
}

absl::Status Timer::Set(absl::Duration delay) {
  if (absl::Status status = Check(record_.get()); !status.ok()) return status;
  record_->loop->SetTimer(
      record_, delay <= absl::ZeroDuration() ? 0 : absl::ToInt64Nanoseconds(delay),
      /*period_ns=*/0);
  return absl::OkStatus();
}

absl::Status Timer::SetPeriodic(absl::Duration period) {
  if (absl::Status status = Check(record_.get()); !status.ok()) return status;
  if (period < absl::Microseconds(1)) {
    return absl::InvalidArgumentError(
        "timer: the period is shorter than a microsecond: " +
        absl::FormatDuration(period));
  }
  const std::int64_t nanoseconds = absl::ToInt64Nanoseconds(period);
  record_->loop->SetTimer(record_, nanoseconds, nanoseconds);
  return absl::OkStatus();
}

absl::Status Timer::Cancel() {
  if (record_ == nullptr) {
    return absl::FailedPreconditionError("timer: it is empty");
  }
  record_->loop->CancelTimer(record_);
  return absl::OkStatus();
}

}  // namespace weir
