#include "tests/faults/ledger.h"

#include "absl/strings/str_cat.h"

namespace weir::faults {

void Promise::Called(bool last) {
  ++calls_;
  if (ends_ > 0) ++late_;
  if (owner_ != nullptr && owner_->closed) ++after_close_;
  if (last) ++ends_;
}

std::string Promise::Wrong() const {
  if (refused_ ? calls_ > 0 : ends_ != 1 || late_ > 0) {
    return absl::StrCat(name_, ": ", refused_ ? "not started, " : "started, ",
                        ends_, " ends, ", calls_, " calls, ", late_,
                        " of them after the end");
  }
  if (after_close_ > 0) return absl::StrCat(name_, ": called after the close");
  if (!handler_destroyed_) return absl::StrCat(name_, ": its handler lives on");
  return "";
}

std::shared_ptr<Promise> Ledger::Add(std::string name,
                                     std::shared_ptr<Owner> owner) {
  promises_.push_back(
      std::make_shared<Promise>(std::move(name), std::move(owner)));
  return promises_.back();
}

std::size_t Ledger::open() const {
  std::size_t count = 0;
  for (const auto& promise : promises_) count += promise->ended() ? 0 : 1;
  return count;
}

std::size_t Ledger::OpenNamed(std::string_view name) const {
  std::size_t count = 0;
  for (const auto& promise : promises_) {
    count += !promise->ended() && promise->name() == name ? 1 : 0;
  }
  return count;
}

std::string Ledger::OpenNames() const {
  std::string names;
  for (const auto& promise : promises_) {
    if (promise->ended()) continue;
    absl::StrAppend(&names, names.empty() ? "" : ", ", promise->name());
  }
  return names;
}

std::vector<std::string> Ledger::Wrong() const {
  std::vector<std::string> wrong;
  for (const auto& promise : promises_) {
    if (std::string what = promise->Wrong(); !what.empty()) {
      wrong.push_back(std::move(what));
    }
  }
  return wrong;
}

}  // namespace weir::faults
