#include "tests/model/operation_script.h"

#include <algorithm>
#include <iterator>
#include <random>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "tests/support/system.h"

namespace weir::operation_model {
namespace {

struct ActTraits {
  Act act;
  const char* name;
  // How often, relative to the others, by the kind of slot.
  int of_end;
  int of_listener;
  int of_datagram;
};
constexpr ActTraits kActs[] = {
    {Act::kOpen, "open", 8, 4, 4},
    {Act::kConnect, "connect", 6, 0, 0},
    {Act::kConnectRefused, "connect (refused)", 1, 0, 0},
    {Act::kConnectStalled, "connect (unanswered)", 2, 0, 0},
    {Act::kArrive, "a client arrives at", 0, 14, 0},
    {Act::kSetPeer, "set the peer of", 0, 0, 2},
    {Act::kReceive, "receive", 24, 14, 16},
    {Act::kSend, "send", 20, 0, 22},
    {Act::kSendCopy, "send a copy", 8, 0, 5},
    {Act::kSendFile, "send a file", 5, 0, 0},
    {Act::kFlush, "flush", 5, 0, 0},
    {Act::kDisconnect, "disconnect", 3, 0, 0},
    {Act::kStartReceive, "start receiving", 9, 4, 4},
    {Act::kPause, "pause", 5, 2, 2},
    {Act::kResume, "resume", 7, 3, 3},
    {Act::kCancelOne, "cancel one of", 9, 4, 4},
    {Act::kCancelAll, "cancel all of", 2, 1, 2},
    {Act::kShutdown, "shut down", 2, 0, 0},
    {Act::kClose, "close", 3, 2, 2},
    {Act::kDestroy, "destroy", 2, 1, 1},
    {Act::kMove, "move", 1, 1, 1},
    {Act::kDetach, "detach", 4, 0, 0},
    {Act::kAttach, "attach", 8, 0, 0},
    {Act::kMisuse, "misuse", 2, 1, 1},
    {Act::kAskHandles, "ask the handles of", 2, 1, 1},
    {Act::kTurn, "turn", 0, 0, 0},
    {Act::kIdle, "idle", 0, 0, 0},
    {Act::kStop, "stop the loop", 0, 0, 0},
    {Act::kEndLoop, "destroy the loop", 0, 0, 0},
};

const ActTraits& TraitsOf(Act act) {
  return *std::find_if(std::begin(kActs), std::end(kActs),
                       [&](const ActTraits& t) { return t.act == act; });
}

int WeightOf(const ActTraits& traits, int slot) {
  if (IsListener(slot)) return traits.of_listener;
  return IsDatagram(slot) ? traits.of_datagram : traits.of_end;
}

bool StartsSomething(Act act) {
  switch (act) {
    case Act::kConnect:
    case Act::kConnectRefused:
    case Act::kConnectStalled:
    case Act::kReceive:
    case Act::kSend:
    case Act::kSendFile:
    case Act::kFlush:
    case Act::kDisconnect:
    case Act::kStartReceive:
    case Act::kClose:
      return true;
    default:
      return false;
  }
}

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed ^ 0x6f706572) {}

  Script Make(std::uint64_t seed) {
    Script script{.seed = seed, .ending = AnyEnding(), .steps = {}};
    // Some scripts move much, or end the loop in their midst.
    bulky_ = OneIn(4);
    const int length = 15 + Below(90);
    const int end = OneIn(12) ? Below(length) : length;
    for (int slot = 0; slot < kEnds; slot += 2) Open(script, slot);
    Open(script, kFirstListener);
    Open(script, kFirstDatagram);
    Open(script, kFirstDatagram + 1);
    for (int i = 0; i < length; ++i) {
      if (i == end) {
        Step& last = script.steps.emplace_back();
        last.act = OneIn(2) ? Act::kStop : Act::kEndLoop;
      }
      const int kind = Below(100);
      if (kind < 24) {
        Step& turn = script.steps.emplace_back();
        turn.act = OneIn(10) ? Act::kIdle : Act::kTurn;
        turn.size = Below(3);
        continue;
      }
      script.steps.push_back(AnyStep(AnySlot(), /*depth=*/0));
    }
    return script;
  }

 private:
  // The standard's distributions differ between libraries.
  int Below(int bound) {
    return static_cast<int>(random_() % static_cast<std::uint64_t>(bound));
  }
  bool OneIn(int n) { return Below(n) == 0; }
  template <typename T, std::size_t n>
  T AnyOf(const T (&values)[n]) {
    return values[Below(static_cast<int>(n))];
  }

  Ending AnyEnding() {
    constexpr Ending kEndings[] = {
        Ending::kDrain,   Ending::kDrain, Ending::kDrain,
        Ending::kCancel,  Ending::kClose, Ending::kClose,
        Ending::kDestroy, Ending::kDestroy, Ending::kStopAndDestroy};
    return AnyOf(kEndings);
  }

  int AnySlot() {
    const int kind = Below(10);
    if (kind < 6) return Below(kEnds);
    if (kind < 8) return kFirstListener + Below(kListeners);
    return kFirstDatagram + Below(kDatagrams);
  }

  void Open(Script& script, int slot) {
    script.steps.push_back(AnyStep(slot, /*depth=*/0));
    script.steps.back().act = Act::kOpen;
    script.steps.back().reactions.clear();
  }

  Act AnyAct(int slot) {
    int total = 0;
    for (const ActTraits& traits : kActs) total += WeightOf(traits, slot);
    int left = Below(total);
    for (const ActTraits& traits : kActs) {
      left -= WeightOf(traits, slot);
      if (left < 0) return traits.act;
    }
    return Act::kTurn;
  }

  int AnySize() {
    constexpr int kSmall[] = {0, 1, 5, 40, 100, 100, 700, 4096, 5000};
    constexpr int kLarge[] = {100, 3000, 20000, 70000, 200000, 600000};
    return bulky_ && OneIn(2) ? AnyOf(kLarge) : AnyOf(kSmall);
  }

  Step AnyStep(int slot, int depth) {
    const AddressFamily kFamilies[] = {
        test::LocalFamily(), test::LocalFamily(), AddressFamily::kIpv4,
        AddressFamily::kIpv4, AddressFamily::kIpv6};
    constexpr ShutdownDirection kDirections[] = {
        ShutdownDirection::kReceive, ShutdownDirection::kSend,
        ShutdownDirection::kSend, ShutdownDirection::kBoth};
    Step step;
    step.slot = slot;
    step.act = AnyAct(slot);
    step.size = AnySize();
    step.parts = OneIn(3) ? 1 + Below(4) : 0;
    if (OneIn(60)) step.parts = 60 + Below(80);
    step.which = Below(1000);
    if (OneIn(5)) {
      step.timeout_us = OneIn(2) ? 1'000'000'000 : 1 + Below(1500);
    }
    step.handle = OneIn(2);
    step.silent = OneIn(6);
    if (step.silent) step.handle = true;
    step.on_this_thread = OneIn(8);
    step.abortive = OneIn(3);
    step.both = OneIn(4);
    step.tight = OneIn(3);
    step.direction = AnyOf(kDirections);
    step.family = AnyOf(kFamilies);
    constexpr int kDeepest = 3;
    if (StartsSomething(step.act) && depth < kDeepest && OneIn(2)) {
      const int count = 1 + Below(step.act == Act::kStartReceive ? 5 : 3);
      for (int i = 0; i < count; ++i) {
        step.reactions.push_back(AnyReaction(slot, depth));
      }
    }
    return step;
  }

  Step AnyReaction(int slot, int depth) {
    // Mostly a handler is concerned with its own socket.
    Step step = AnyStep(OneIn(4) ? AnySlot() : slot, depth + 1);
    if (OneIn(250)) step.act = OneIn(2) ? Act::kStop : Act::kEndLoop;
    return step;
  }

  std::mt19937_64 random_;
  bool bulky_ = false;
};

std::string_view NameOf(Ending ending) {
  constexpr std::string_view kNames[] = {"drain", "cancel", "close", "destroy",
                                         "stop and destroy"};
  return kNames[static_cast<int>(ending)];
}

void Append(const Step& step, int indent, std::string& text) {
  const ActTraits& traits = TraitsOf(step.act);
  absl::StrAppend(&text, std::string(static_cast<std::size_t>(indent), ' '),
                  traits.name);
  if (step.act < Act::kTurn) {
    absl::StrAppend(&text, " ", step.slot, ", size ", step.size, ", parts ",
                    step.parts, ", which ", step.which);
    if (step.timeout_us > 0) absl::StrAppend(&text, ", ", step.timeout_us, "us");
    if (step.handle) text += step.silent ? ", handle alone" : ", handle";
    if (step.on_this_thread) text += ", on this thread";
    if (step.abortive) text += ", abortive";
    if (step.both) text += ", both";
    if (step.tight) text += ", tight";
    if (step.act == Act::kShutdown) {
      constexpr const char* kNames[] = {" receiving", " sending", " both ways"};
      text += kNames[static_cast<int>(step.direction)];
    }
    if (step.act == Act::kOpen || step.act == Act::kConnect) {
      text += step.family == AddressFamily::kUnix   ? ", Unix"
              : step.family == AddressFamily::kIpv4 ? ", IPv4"
                                                    : ", IPv6";
    }
  }
  for (const Step& reaction : step.reactions) {
    text += '\n';
    Append(reaction, indent + 2, text);
  }
}

}  // namespace

Script MakeScript(std::uint64_t seed) { return Maker(seed).Make(seed); }

const char* NameOf(Act act) { return TraitsOf(act).name; }

std::string ToString(const Step& step) {
  std::string text;
  Append(step, 0, text);
  return text;
}

std::string ToString(const Script& script) {
  std::string text;
  for (const Step& step : script.steps) {
    Append(step, 2, text);
    text += '\n';
  }
  const std::string_view ending = NameOf(script.ending);
  absl::StrAppend(&text, "  in the end: ",
                  absl::string_view(ending.data(), ending.size()), "\n");
  return text;
}

}  // namespace weir::operation_model
