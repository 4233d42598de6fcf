#include "tests/model/script.h"

#include <algorithm>
#include <iterator>
#include <random>

#include "absl/strings/str_cat.h"
#include "tests/support/system.h"

namespace weir::model {
namespace {

constexpr int kPairs = 3;

struct ActTraits {
  Act act;
  const char* name;
  // How often, relative to the others.
  int weight;
  bool about_options;
};
constexpr ActTraits kActs[] = {
    {Act::kOpenConnected, "open connected", 4, false},
    {Act::kOpenUnconnected, "open unconnected", 2, false},
    {Act::kConnect, "connect", 5, false},
    {Act::kConnectRefused, "connect (refused)", 3, false},
    {Act::kArrive, "a connection arrives at", 5, false},
    {Act::kAccept, "accept", 3, false},
    {Act::kAcceptAll, "accept all", 3, false},
    {Act::kSend, "send", 22, false},
    {Act::kFill, "fill", 4, false},
    {Act::kReceive, "receive", 9, false},
    {Act::kReceiveAll, "receive all", 14, false},
    {Act::kReceiveAllNatively, "receive all natively", 5, false},
    {Act::kTakeError, "take error", 1, false},
    {Act::kShutdownWrite, "shut down writing", 3, false},
    {Act::kShutdownRead, "shut down reading", 1, false},
    {Act::kClose, "close", 3, false},
    {Act::kReset, "reset", 2, false},
    {Act::kCloseKeepingDuplicate, "close, keeping a duplicate", 2, false},
    {Act::kCloseDuplicate, "close the duplicate", 6, false},
    {Act::kMoveSocket, "move the socket", 1, false},
    {Act::kRegister, "register", 24, true},
    {Act::kRegisterBatch, "register in a batch with the peer", 6, true},
    {Act::kModify, "modify", 8, true},
    {Act::kModifyHandler, "modify, with a new handler,", 4, true},
    {Act::kModifyBatch, "modify in a batch with the peer", 3, true},
    {Act::kRearm, "re-arm", 12, false},
    {Act::kRearmWith, "re-arm with", 5, true},
    {Act::kDisable, "disable", 5, false},
    {Act::kEnable, "enable", 7, false},
    {Act::kDisableAndEnable, "disable and enable", 4, false},
    {Act::kRemove, "remove", 4, false},
    {Act::kUseStale, "use a stale handle of", 2, false},
    {Act::kIdle, "idle", 4, false},
    {Act::kTurn, "turn", 45, false},
};

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed) {}

  Script Make(std::uint64_t seed) {
    Script script{.seed = seed,
                  .ends = 2 * kPairs,
                  .orderly = !OneIn(4),
                  .watched = !OneIn(4),
                  .operations = {}};
    watched_ = script.watched;
    for (int pair = 0; pair < kPairs; ++pair) {
      Operation& open = script.operations.emplace_back();
      open.act = Act::kOpenConnected;
      open.end = 2 * pair;
      open.kind = AnyKind();
    }
    const int length = 20 + Below(80);
    for (int i = 0; i < length; ++i) {
      script.operations.push_back(AnyOperation());
      Operation& last = script.operations.back();
      if (last.act != Act::kTurn || !OneIn(2)) continue;
      const int reactions = script.orderly ? 1 : 1 + Below(3);
      for (int r = 0; r < reactions; ++r) {
        last.reactions.push_back(AnyReaction());
      }
    }
    // Whatever is still to be told.
    script.operations.emplace_back();
    script.operations.emplace_back();
    script.operations.emplace_back().act = Act::kIdle;
    return script;
  }

 private:
  // The standard's distributions differ between libraries.
  int Below(int bound) {
    return static_cast<int>(random_() % static_cast<std::uint64_t>(bound));
  }
  bool OneIn(int n) { return Below(n) == 0; }

  // Where there is no Unix, more of the others.
  Kind AnyKind() {
    constexpr Kind kKinds[] = {Kind::kTcp,  Kind::kTcp, Kind::kUnix,
                               Kind::kUnix, Kind::kUdp, Kind::kListener};
    const Kind kind = kKinds[Below(static_cast<int>(std::size(kKinds)))];
    const bool at_once = kind == Kind::kUnix || kind == Kind::kUdp;
    const Kind chosen = watched_ || at_once ? kind : Kind::kUnix;
    if (chosen != Kind::kUnix || test::HasUnixSockets()) return chosen;
    return watched_ ? Kind::kTcp : Kind::kUdp;
  }

  Act AnyAct() {
    static const int total = [] {
      int sum = 0;
      for (const ActTraits& traits : kActs) sum += traits.weight;
      return sum;
    }();
    int left = Below(total);
    for (const ActTraits& traits : kActs) {
      if (left < traits.weight) return traits.act;
      left -= traits.weight;
    }
    return Act::kTurn;
  }

  Operation AnyOperation() {
    constexpr int kSizes[] = {5, kChunk, kChunk, 2 * kChunk, 64};
    Operation operation;
    do {
      operation.act = AnyAct();
    } while (!watched_ && operation.act == Act::kOpenUnconnected);
    operation.end = Below(2 * kPairs);
    operation.kind = AnyKind();
    operation.most = kSizes[Below(static_cast<int>(std::size(kSizes)))];
    operation.options.interest = static_cast<Interest>(1 + Below(7));
    operation.options.trigger = OneIn(2) ? Trigger::kLevel : Trigger::kEdge;
    operation.options.persistence =
        OneIn(3) ? Persistence::kOneShot : Persistence::kPersistent;
    operation.has_interest = OneIn(2);
    operation.has_trigger = OneIn(3);
    operation.has_persistence = OneIn(3);
    // An empty interest is for Modify alone.
    const bool modifies = operation.act == Act::kModify ||
                          operation.act == Act::kModifyHandler ||
                          operation.act == Act::kModifyBatch;
    if (modifies && OneIn(6)) operation.options.interest = Interest::kNone;
    return operation;
  }

  Operation::Reaction AnyReaction() {
    Operation::Reaction reaction{.end = Below(2 * kPairs), .operations = {}};
    const int length = 1 + Below(3);
    for (int i = 0; i < length; ++i) {
      Operation operation = AnyOperation();
      if (operation.act == Act::kTurn || operation.act == Act::kIdle) {
        operation.act = Act::kReceiveAll;
      }
      // Mostly a handler is concerned with its own socket.
      if (!OneIn(3)) operation.end = reaction.end;
      reaction.operations.push_back(std::move(operation));
    }
    return reaction;
  }

  std::mt19937_64 random_;
  bool watched_ = true;
};

}  // namespace

Script MakeScript(std::uint64_t seed) { return Maker(seed).Make(seed); }

std::string ToString(const Operation& operation) {
  const auto traits =
      std::find_if(std::begin(kActs), std::end(kActs),
                   [&](const ActTraits& t) { return t.act == operation.act; });
  std::string text = traits->name;
  if (operation.act == Act::kTurn) {
    for (const Operation::Reaction& reaction : operation.reactions) {
      absl::StrAppend(&text, "\n      in the handler of ", reaction.end, ":");
      for (const Operation& inner : reaction.operations) {
        absl::StrAppend(&text, "\n        ", ToString(inner));
      }
    }
    return text;
  }
  if (operation.act == Act::kIdle) return text;
  absl::StrAppend(&text, " ", operation.end);
  if (operation.act == Act::kOpenConnected) {
    constexpr const char* kKindNames[] = {"TCP", "Unix", "UDP", "listener"};
    absl::StrAppend(&text, " ", kKindNames[static_cast<int>(operation.kind)]);
  }
  if (operation.act == Act::kReceive) {
    absl::StrAppend(&text, " at most ", operation.most);
  }
  if (traits->about_options) {
    const bool all =
        operation.act == Act::kRegister || operation.act == Act::kRegisterBatch;
    if (all || operation.act == Act::kRearmWith || operation.has_interest) {
      absl::StrAppend(&text, " ", weir::ToString(operation.options.interest));
    }
    if (all || operation.has_trigger) {
      absl::StrAppend(&text, operation.options.trigger == Trigger::kLevel
                                 ? " level"
                                 : " edge");
    }
    if (all || operation.has_persistence) {
      absl::StrAppend(&text,
                      operation.options.persistence == Persistence::kOneShot
                          ? " one-shot"
                          : " persistent");
    }
  }
  return text;
}

}  // namespace weir::model
