// The operations of a script that move data, and waiting for the kernel to have
// moved them.

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "platform/poll.h"
#include "platform/socket_io.h"
#include "tests/conformance/conformance.h"
#include "tests/model/world.h"
#include "weir/status.h"

namespace weir::model {
namespace {

using conformance::MustOk;
using platform::PollBits;

// Enough for a loopback; reached only by a test that fails.
constexpr absl::Duration kSettling = absl::Seconds(2);

constexpr std::size_t kFloodBlock = 65536;

std::span<const std::byte> Bytes(std::size_t count) {
  static const std::vector<std::byte> bytes(kFloodBlock);
  return std::span(bytes).first(count);
}

std::span<std::byte> Room(std::size_t count) {
  static std::vector<std::byte> bytes(kFloodBlock);
  return std::span(bytes).first(count);
}

Outcome OutcomeOf(const absl::StatusOr<Transfer>& transfer) {
  if (!transfer.ok()) return {.error = CauseOf(transfer.status())};
  return {.bytes = static_cast<int>(transfer->bytes),
          .would_block = transfer->would_block,
          .end = transfer->end_of_stream};
}

std::string ToString(const Outcome& outcome) {
  return absl::StrCat(outcome.bytes, " bytes",
                      outcome.would_block ? ", would block" : "",
                      outcome.end ? ", end" : "", ", cause ",
                      std::string(ErrorCauseName(outcome.error)));
}

bool SameToTheCaller(Outcome a, Outcome b) {
  a.drained = b.drained = false;
  return a == b;
}

}  // namespace

void World::Send(int end) {
  const ErrorCause pending = model_[end].error;
  const Outcome expected = model_.Send(end);
  // "Broken pipe" need not be the socket's own error.
  if (pending != ErrorCause::kNone && model_[end].error != pending) {
    readiness_.ErrorTaken(end);
  }
  const Outcome outcome = OutcomeOf(SocketOf(end).Send(Bytes(kChunk)));
  Expect(SameToTheCaller(outcome, expected),
         absl::StrCat("send: ", ToString(outcome)));
}

void World::Fill(int end) {
  std::size_t& flood = flood_[static_cast<std::size_t>(end ^ 1)];
  flood = static_cast<std::size_t>(model_[end ^ 1].waiting);
  while (true) {
    const auto sent = SocketOf(end).Send(Bytes(kFloodBlock));
    Expect(sent.ok(), sent.status().ToString());
    if (!sent.ok() || sent->would_block) break;
    flood += sent->bytes;
  }
  model_.Fill(end);
  readiness_.Drained(end, Events::kWritable);
}

bool World::Receive(int end, int most) {
  const bool flooded = model_[end].flooded;
  Outcome expected{.bytes = most};
  if (flooded) {
    model_.Sample(end);
  } else {
    expected = model_.Receive(end, most);
  }
  if (expected.drained) readiness_.Drained(end, Events::kReadable);
  if (expected.bytes > 0 && !expected.drained) readiness_.Taken(end);
  if (expected.end) readiness_.EndRead(end);
  if (expected.error != ErrorCause::kNone) readiness_.ErrorTaken(end);
  const Outcome outcome =
      OutcomeOf(SocketOf(end).Receive(Room(static_cast<std::size_t>(most))));
  if (flooded) {
    std::size_t& flood = flood_[static_cast<std::size_t>(end)];
    flood -= std::min(flood, static_cast<std::size_t>(outcome.bytes));
  }
  Expect(SameToTheCaller(outcome, expected),
         absl::StrCat("receive: ", ToString(outcome), " instead of ",
                      ToString(expected)));
  return outcome.bytes > 0;
}

void World::ReceiveAll(int end) {
  if (model_[end].flooded) ReceiveFlood(end);
  while (run_.failure.empty() && Receive(end, 4096)) {
  }
}

// All that the peer could get rid of. What is still in its buffers comes when
// there is room.
void World::ReceiveFlood(int end) {
  const bool more_may_come = model_[end].kind == Kind::kTcp &&
                             model_[end ^ 1].alive() && !model_[end].dead;
  const absl::Time deadline = absl::Now() + conformance::kPatience;
  std::size_t& flood = flood_[static_cast<std::size_t>(end)];
  // A stretch that ends the flood is short: no multiple of this was sent.
  constexpr std::size_t kStretch = kFloodBlock - 1;
  while (true) {
    const auto received = SocketOf(end).Receive(Room(kStretch));
    Expect(received.ok(), received.status().ToString());
    if (!received.ok()) return;
    flood -= std::min(flood, received->bytes);
    if (received->bytes == kStretch) continue;
    if ((flood == 0 || !more_may_come) &&
        test::ArrivedBytes(SocketOf(end).native()) == 0) {
      break;
    }
    if (absl::Now() > deadline) {
      Fail(absl::StrCat("the flood does not end: ", flood, " bytes are left"));
      return;
    }
    // Not by asking again at once: some systems send what is left of it only
    // while the program waits.
    platform::PollEntry more{.socket = SocketOf(end).native(),
                             .requested = PollBits::kReadable};
    (void)test::Poll(std::span(&more, 1), absl::Milliseconds(1));
  }
  model_.Absorb(end);
  readiness_.Drained(end, Events::kReadable);
}

void World::ReceiveNatively(int end) {
  const NativeSocket native = SocketOf(end).native();
  bool would_block = false;
  while (true) {
    const Outcome expected = model_.ReceiveNatively(end, 4096);
    if (expected.error != ErrorCause::kNone &&
        model_[end].error == ErrorCause::kNone) {
      readiness_.ErrorTaken(end);
    }
    const platform::IoOutcome got = platform::Receive(native, Room(4096));
    would_block = got.would_block;
    Expect(got.bytes == static_cast<std::size_t>(expected.bytes) &&
               would_block == expected.would_block,
           "recv: not what was expected");
    if (got.bytes == 0) break;
    readiness_.Taken(end);
  }
  if (!would_block) return;
  readiness_.Drained(end, Events::kReadable);
  if (const int id = readiness_.Live(end); id >= 0) {
    MustOk(Handle(id).Drained(Interest::kReadable));
  }
}

void World::Accept(int end, bool all) {
  do {
    const Outcome expected = model_.Receive(end, kChunk);
    if (expected.drained) {
      readiness_.Drained(end, Events::kReadable);
    } else {
      readiness_.Taken(end);
    }
    const auto accepted = SocketOf(end).Accept();
    Expect(accepted.ok(), accepted.status().ToString());
    if (!accepted.ok()) return;
    Expect(accepted->has_value() != expected.would_block,
           "accept: not what was expected");
    if (!accepted->has_value()) return;
  } while (all);
}

// --- settling

void World::Settle(int end) {
  const End& self = model_[end];
  if (!self.open || !script_.watched || !run_.failure.empty()) return;
  const auto want = [&](PollBits bit, Truth truth, PollBits& wanted,
                        PollBits& unwanted) {
    if (truth == Truth::kYes) wanted |= bit;
    if (truth == Truth::kNo) unwanted |= bit;
  };
  PollBits wanted = PollBits::kNone;
  PollBits unwanted = PollBits::kNone;
  want(PollBits::kError, model_.Failed(end), wanted, unwanted);
  if (!self.stream() || self.connected) {
    // To the kernel a datagram socket's error is not readable.
    want(PollBits::kReadable, model_.Readable(end), wanted, unwanted);
    want(PollBits::kWritable, model_.Writable(end), wanted, unwanted);
    want(PollBits::kHangup, model_.HungUp(end), wanted, unwanted);
  }
  const absl::Time deadline = absl::Now() + kSettling;
  platform::PollEntry entry{.socket = SocketOf(end).native(),
                            .requested = PollBits::kReadable |
                                         PollBits::kWritable |
                                         PollBits::kHangup};
  do {
    MustOk(platform::PollNow(std::span(&entry, 1)));
    int unread = self.waiting;
    // What a reset has thrown away may be counted still.
    const bool counted = !self.dead || test::DataOutlivesAReset();
    if (self.stream() && self.connected && !self.flooded && counted) {
      unread =
          static_cast<int>(test::ArrivedBytes(SocketOf(end).native()));
    }
    if ((entry.returned & wanted) == wanted &&
        (entry.returned & unwanted) == PollBits::kNone &&
        unread == self.waiting) {
      return;
    }
  } while (absl::Now() < deadline);
  Fail(absl::StrCat("the model of the sockets is wrong: end ", end,
                    ", poll says ", static_cast<int>(entry.returned),
                    ", wanted ", static_cast<int>(wanted), ", unwanted ",
                    static_cast<int>(unwanted)));
}

}  // namespace weir::model
