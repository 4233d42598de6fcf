#include "weir/registration.h"

#include <utility>

#include "core/loop_core.h"
#include "core/registration_record.h"

namespace weir {
namespace {

absl::Status Empty(const char* operation) {
  return absl::FailedPreconditionError(
      std::string(operation) + ": the registration handle is empty");
}

}  // namespace

Registration Event::registration() const {
  return Registration(record_->shared_from_this());
}

bool Registration::is_live() const {
  return record_ != nullptr && record_->live.load(std::memory_order_acquire);
}

absl::Status Registration::Modify(RegistrationChange change) const {
  if (record_ == nullptr) return Empty("modify");
  return record_->loop->Modify(record_, std::move(change), /*enable=*/false);
}

absl::Status Registration::Rearm() const {
  if (record_ == nullptr) return Empty("re-arm");
  return record_->loop->Modify(record_, {}, /*enable=*/true);
}

absl::Status Registration::Rearm(Interest interest) const {
  if (record_ == nullptr) return Empty("re-arm");
  if (is_live() && interest == Interest::kNone) {
    return absl::InvalidArgumentError(
        "re-arm: the interest is empty; ask for readable, writable or "
        "hang-up");
  }
  RegistrationChange change;
  change.interest = interest;
  return record_->loop->Modify(record_, std::move(change), /*enable=*/true);
}

absl::Status Registration::Disable() const {
  if (record_ == nullptr) return Empty("disable");
  return record_->loop->SetEnabled(record_, false);
}

absl::Status Registration::Enable() const {
  if (record_ == nullptr) return Empty("enable");
  return record_->loop->SetEnabled(record_, true);
}

absl::Status Registration::Remove() const {
  if (record_ == nullptr) return Empty("remove");
  return record_->loop->Remove(record_);
}

absl::Status Registration::Drained(Interest directions) const {
  if (record_ == nullptr) return Empty("drained");
  // As a short transfer: the end of the stream may be left to be read.
  return record_->loop->Drained(record_, internal::DirectionsOf(directions),
                                /*short_transfer=*/true);
}

}  // namespace weir
