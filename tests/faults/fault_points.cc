#include "tests/faults/fault_points.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace weir::faults {
namespace {

constexpr std::string_view kNames[] = {
#define WEIR_FAULT_NAME(name) #name,
    WEIR_FAULT_CALLS(WEIR_FAULT_NAME)
#undef WEIR_FAULT_NAME
};

constexpr std::size_t kMostRules = 8;
// A rule's place is not used again soon: a thread of an earlier one may be at
// it.
constexpr std::size_t kPlaces = 4096;
constexpr std::size_t kMostBadDescriptors = 16;

struct Rule {
  Fault fault;
  std::atomic<std::uint64_t> matched{0};
};

// Atomics alone: a call may come from a signal handler.
struct State {
  std::atomic<int> armed{0};
  std::array<Rule, kPlaces> rules;
  // Those in force, first and last, counted from the first of the process.
  std::atomic<std::size_t> first_rule{0};
  std::atomic<std::size_t> rule_count{0};
  std::array<std::atomic<std::uint64_t>, std::size(kAllCalls)> counts{};
  std::atomic<std::uint64_t> hits{0};
  struct Bad {
    std::atomic<Call> call;
    std::atomic<int> descriptor;
  };
  std::array<Bad, kMostBadDescriptors> bad{};
  std::atomic<std::size_t> bad_count{0};
  std::atomic<unsigned> most_entries{0};
};
// Needed by the first call of the process, whichever library makes it.
constinit State state;

constinit thread_local int unfaulted = 0;

bool Counts() {
  return state.armed.load(std::memory_order_acquire) > 0 && unfaulted == 0;
}

bool Matches(int wanted, int is) {
  return wanted == Fault::kAny || wanted == is;
}

Rule& RuleAt(std::size_t index) { return state.rules[index % kPlaces]; }

}  // namespace

std::string_view NameOf(Call call) {
  return kNames[static_cast<std::size_t>(call)];
}

std::size_t Inject(const Fault& fault) {
  const std::size_t index = state.rule_count.load();
  if (index - state.first_rule.load() == kMostRules) std::abort();
  RuleAt(index).fault = fault;
  RuleAt(index).matched.store(0);
  state.rule_count.store(index + 1, std::memory_order_release);
  return index;
}

std::uint64_t MatchesOf(std::size_t rule) {
  return RuleAt(rule).matched.load();
}

void Clear() {
  state.first_rule.store(state.rule_count.load());
  for (auto& count : state.counts) count.store(0);
  state.hits.store(0);
  state.bad_count.store(0);
}

void LimitSubmissionEntries(unsigned entries) {
  state.most_entries.store(entries);
}

unsigned SubmissionEntriesFor(unsigned asked) {
  const unsigned most = state.most_entries.load();
  return most == 0 ? asked : std::min(asked, most);
}

std::uint64_t CountOf(Call call) {
  return state.counts[static_cast<std::size_t>(call)].load();
}

std::uint64_t Hits() { return state.hits.load(); }

std::vector<std::string> BadDescriptors() {
  std::vector<std::string> found;
  const std::size_t count = state.bad_count.load();
  for (std::size_t i = 0; i < count && i < kMostBadDescriptors; ++i) {
    const std::string_view name = NameOf(state.bad[i].call.load());
    found.push_back(absl::StrCat(absl::string_view(name.data(), name.size()),
                                 "(", state.bad[i].descriptor.load(), ")"));
  }
  return found;
}

Unfaulted::Unfaulted() { ++unfaulted; }
Unfaulted::~Unfaulted() { --unfaulted; }

Armed::Armed() { state.armed.fetch_add(1); }
Armed::~Armed() { state.armed.fetch_sub(1); }

Verdict Decide(Call call, int descriptor, int detail) {
  if (!Counts()) return {};
  state.counts[static_cast<std::size_t>(call)].fetch_add(1);
  const std::size_t count = state.rule_count.load(std::memory_order_acquire);
  for (std::size_t i = state.first_rule.load(); i < count; ++i) {
    Rule& rule = RuleAt(i);
    const Fault& fault = rule.fault;
    if (fault.call != call || !Matches(fault.descriptor, descriptor) ||
        !Matches(fault.detail, detail)) {
      continue;
    }
    const std::uint64_t before = rule.matched.fetch_add(1);
    if (before < fault.skip) continue;
    const std::uint64_t place = before - fault.skip;
    if (place % fault.every != 0 || place / fault.every >= fault.times) {
      continue;
    }
    state.hits.fetch_add(1);
    return {.error = fault.error, .most = fault.most, .once = fault.once};
  }
  return {};
}

void NoteBadDescriptor(Call call, int descriptor) {
  if (!Counts()) return;
  const std::size_t index = state.bad_count.fetch_add(1);
  if (index >= kMostBadDescriptors) return;
  state.bad[index].call.store(call);
  state.bad[index].descriptor.store(descriptor);
}

}  // namespace weir::faults
