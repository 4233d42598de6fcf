// A loop as an object: what it is made of, what it counts, and who has access
// to its state.

#include "core/loop_core.h"

#include <utility>

namespace weir::internal {
namespace {

ReadinessRules RulesFor(const Capabilities& capabilities, int threads) {
  return ReadinessRules{.model = capabilities.readiness_model,
                        .several_threads = threads > 1};
}

}  // namespace

void AddReference(LoopCore& loop) {
  loop.references_.fetch_add(1, std::memory_order_relaxed);
}

void DropReference(LoopCore& loop) {
  if (loop.references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    delete &loop;
  }
}

std::shared_ptr<LoopCore> LoopCore::Create(std::unique_ptr<Backend> backend,
                                           std::string backend_reason,
                                           int threads, bool embedded) {
  return std::shared_ptr<LoopCore>(
      new LoopCore(std::move(backend), std::move(backend_reason), threads,
                   embedded),
      [](LoopCore* loop) { DropReference(*loop); });
}

LoopCore::LoopCore(std::unique_ptr<Backend> backend,
                   std::string backend_reason, int threads, bool embedded)
    : backend_(std::move(backend)),
      backend_name_(backend_->name()),
      backend_reason_(std::move(backend_reason)),
      capabilities_(backend_->capabilities()),
      rules_(RulesFor(capabilities_, threads)),
      threads_(threads),
      embedded_(embedded) {}

LoopCore::~LoopCore() = default;

void LoopCore::Take() {
  mu_.Lock();
  if (rules_.several_threads) return;
  mu_.Await(absl::Condition(+[](bool* taken) { return !*taken; }, &taken_));
  taken_ = true;
  mu_.Unlock();
}

bool LoopCore::TryTake() {
  if (rules_.several_threads) return mu_.TryLock();
  absl::MutexLock lock(&mu_);
  return !std::exchange(taken_, true);
}

void LoopCore::Give() {
  if (!rules_.several_threads) {
    mu_.Lock();
    taken_ = false;
  }
  mu_.Unlock();
}

void LoopCore::Access::Gain() {
  if (loop_.rules_.several_threads) {
    loop_.Take();
    taken_ = granted_ = true;
    return;
  }
  if (loop_.FrameOfThisThread() != nullptr) {
    granted_ = true;
  } else {
    // A loop that has run belongs to the thread that ran it, running or not:
    // its ring may be used from there alone. A stopped one is nobody's.
    const std::thread::id owner = loop_.owner_.load(std::memory_order_acquire);
    if (owner == std::this_thread::get_id()) {
      loop_.Take();
      taken_ = granted_ = true;
    } else if (owner == std::thread::id() || loop_.stopped()) {
      taken_ = granted_ = loop_.TryTake();
    }
  }
  if (granted_) loop_.ApplyCommands(spent_);
}

void LoopCore::Access::GiveUp() {
  if (loop_.rules_.several_threads) {
    loop_.TellLeader();
  } else if (loop_.embedded_) {
    // The outer loop waits for the handle: this is to be looked at.
    loop_.WakeIfWaiting();
  }
  loop_.Give();
  spent_.clear();
  loop_.ApplyLeftCommands();
}

LoopCounters LoopCore::counters() const {
  const auto get = [](const std::atomic<std::uint64_t>& counter) {
    return counter.load(std::memory_order_relaxed);
  };
  return LoopCounters{
      .turns = get(counters_.turns),
      .system_calls = get(counters_.system_calls) + get(counters_.checks),
      .events = get(counters_.events),
      .completions = get(counters_.completions),
      .stale_reports = get(counters_.stale),
      .messages = get(counters_.messages),
      .timers = get(counters_.timers),
      .wake_ups = get(counters_.wake_ups),
      .buffers_lent = get(counters_.buffers_lent),
      .registrations = get(counters_.registrations)};
}

}  // namespace weir::internal
