// What a report means for the handler, as a table (core/readiness_state.h).

#include <string>

#include "core/readiness_state.h"
#include "gtest/gtest.h"

namespace weir::internal {
namespace {

constexpr Condition kIn = Condition::kReadable;
constexpr Condition kOut = Condition::kWritable;
constexpr Condition kPeer = Condition::kPeerClosed;
constexpr Condition kHup = Condition::kClosed;
constexpr Condition kErr = Condition::kError;
constexpr Condition kNothing = Condition::kNone;

constexpr Interest kRead = Interest::kReadable;
constexpr Interest kWrite = Interest::kWritable;
constexpr Interest kHang = Interest::kHangup;
constexpr Interest kAll = kRead | kWrite | kHang;

constexpr Trigger kEdge = Trigger::kEdge;
constexpr Persistence kOnce = Persistence::kOneShot;

constexpr Events kReadable = Events::kReadable;
constexpr Events kWritable = Events::kWritable;
constexpr Events kHangup = Events::kHangup;
constexpr Events kError = Events::kError;
constexpr Events kSilence = Events::kNone;

constexpr SocketRole kDatagram = SocketRole::kDatagram;
constexpr SocketRole kUnconnected = SocketRole::kUnconnected;
constexpr SocketRole kConnecting = SocketRole::kConnecting;
constexpr SocketRole kConnected = SocketRole::kConnected;
constexpr SocketRole kListening = SocketRole::kListening;

struct DigestCase {
  const char* name;
  ReadinessState state;
  SocketRole role;
  Condition report;
  bool failed;
  Events told;
  SocketRole role_after;
};

const DigestCase kCases[] = {
    // R14: what was asked for, and nothing else.
    {"level in",
     {.interest = kRead},
     kConnected,
     kIn,
     false,
     kReadable,
     kConnected},
    {"level in and out",
     {.interest = kRead | kWrite},
     kConnected,
     kIn | kOut,
     false,
     kReadable | kWritable,
     kConnected},
    {"not asked for",
     {.interest = kRead},
     kConnected,
     kOut,
     false,
     kSilence,
     kConnected},
    {"half asked for",
     {.interest = kRead},
     kConnected,
     kIn | kOut,
     false,
     kReadable,
     kConnected},
    {"nothing reported",
     {.interest = kAll},
     kConnected,
     kNothing,
     false,
     kSilence,
     kConnected},
    {"listening",
     {.interest = kRead},
     kListening,
     kIn,
     false,
     kReadable,
     kListening},

    // Silence, whatever comes (traps 12, 19).
    {"disabled",
     {.interest = kAll, .enabled = false},
     kConnected,
     kIn | kOut | kPeer | kHup | kErr,
     true,
     kSilence,
     kConnected},
    {"fired",
     {.interest = kAll, .persistence = kOnce, .fired = true},
     kConnected,
     kIn | kOut | kPeer | kHup | kErr,
     true,
     kSilence,
     kConnected},
    {"unconnected",
     {.interest = kAll},
     kUnconnected,
     kOut | kHup,
     false,
     kSilence,
     kUnconnected},

    // R05: an edge is told once.
    {"edge in",
     {.interest = kRead, .trigger = kEdge},
     kConnected,
     kIn,
     false,
     kReadable,
     kConnected},
    {"edge in, told",
     {.interest = kRead, .trigger = kEdge, .raised = kIn},
     kConnected,
     kIn,
     false,
     kSilence,
     kConnected},
    {"edge out, told (trap 10)",
     {.interest = kWrite, .trigger = kEdge, .raised = kOut},
     kConnected,
     kOut,
     false,
     kSilence,
     kConnected},
    {"edge in, out told (trap 11)",
     {.interest = kRead | kWrite, .trigger = kEdge, .raised = kOut},
     kConnected,
     kIn | kOut,
     false,
     kReadable,
     kConnected},

    // R14: the peer's close.
    {"level FIN, read",
     {.interest = kRead},
     kConnected,
     kIn | kPeer,
     false,
     kReadable,
     kConnected},
    {"level FIN, write",
     {.interest = kWrite},
     kConnected,
     kIn | kOut | kPeer,
     false,
     kWritable,
     kConnected},
    {"level FIN, hang-up",
     {.interest = kHang},
     kConnected,
     kIn | kPeer,
     false,
     kHangup,
     kConnected},
    {"level FIN, all",
     {.interest = kAll},
     kConnected,
     kIn | kOut | kPeer,
     false,
     kReadable | kWritable | kHangup,
     kConnected},
    {"level FIN, again",
     {.interest = kAll, .peer_closed_seen = true},
     kConnected,
     kIn | kPeer,
     false,
     kReadable | kHangup,
     kConnected},
    {"a close implies readable",
     {.interest = kRead},
     kConnected,
     kPeer,
     false,
     kReadable,
     kConnected},
    {"edge FIN after unread data (trap 22)",
     {.interest = kRead, .trigger = kEdge, .raised = kIn},
     kConnected,
     kIn | kPeer,
     false,
     kReadable,
     kConnected},
    {"edge FIN, again",
     {.interest = kRead | kHang,
      .trigger = kEdge,
      .peer_closed_seen = true,
      .raised = kIn},
     kConnected,
     kIn | kPeer,
     false,
     kSilence,
     kConnected},
    {"edge FIN that has been read",
     {.interest = kRead | kHang,
      .trigger = kEdge,
      .end_read = true,
      .raised = kIn},
     kConnected,
     kIn | kPeer,
     false,
     kHangup,
     kConnected},
    {"both sides done",
     {.interest = kHang},
     kConnected,
     kPeer | kHup,
     false,
     kHangup,
     kConnected},
    {"datagrams have no hang-up",
     {.interest = kAll},
     kDatagram,
     kIn | kPeer | kHup,
     false,
     kReadable,
     kDatagram},
    {"listeners have no hang-up",
     {.interest = kAll},
     kListening,
     kPeer | kHup,
     false,
     kSilence,
     kListening},

    // R15, R02: errors need not be asked for.
    {"reset, nothing asked for",
     {},
     kConnected,
     kIn | kOut | kPeer | kHup | kErr,
     true,
     kError,
     kConnected},
    {"reset, read",
     {.interest = kRead},
     kConnected,
     kIn | kOut | kPeer | kHup | kErr,
     true,
     kReadable | kError,
     kConnected},
    {"reset, hang-up",
     {.interest = kHang},
     kConnected,
     kPeer | kHup | kErr,
     true,
     kHangup | kError,
     kConnected},
    {"reset, edge told",
     {.interest = kAll,
      .trigger = kEdge,
      .peer_closed_seen = true,
      .raised = kIn | kOut},
     kConnected,
     kIn | kOut | kPeer | kHup | kErr,
     true,
     kReadable | kHangup | kError,
     kConnected},
    {"an error that is gone",
     {.interest = kRead},
     kConnected,
     kErr,
     false,
     kSilence,
     kConnected},
    {"port unreachable (trap 28)",
     {.interest = kRead},
     kDatagram,
     kErr,
     true,
     kError,
     kDatagram},
    {"port unreachable, and data",
     {.interest = kRead},
     kDatagram,
     kIn | kErr,
     true,
     kReadable | kError,
     kDatagram},

    // R15: connecting.
    {"connected (trap 26)",
     {.interest = kRead | kWrite, .trigger = kEdge},
     kConnecting,
     kOut,
     false,
     kWritable,
     kConnected},
    {"connected, not asked for",
     {.interest = kRead},
     kConnecting,
     kOut,
     false,
     kSilence,
     kConnected},
    {"connected, and data",
     {.interest = kRead | kWrite},
     kConnecting,
     kIn | kOut,
     false,
     kReadable | kWritable,
     kConnected},
    {"refused (trap 25)",
     {.interest = kWrite},
     kConnecting,
     kIn | kOut | kPeer | kHup | kErr,
     true,
     kError,
     kUnconnected},
    {"refused, hang-up asked for",
     {.interest = kAll},
     kConnecting,
     kIn | kOut | kPeer | kHup | kErr,
     true,
     kError,
     kUnconnected},
    // A connection that was made and has ended before it was told.
    {"connected, and the end",
     {.interest = kAll},
     kConnecting,
     kIn | kOut | kPeer,
     false,
     kReadable | kWritable | kHangup,
     kConnected},
    {"connected, and both ends",
     {.interest = kAll, .trigger = kEdge},
     kConnecting,
     kIn | kOut | kPeer | kHup,
     false,
     kReadable | kWritable | kHangup,
     kConnected},
    {"nothing yet",
     {.interest = kAll},
     kConnecting,
     kNothing,
     false,
     kSilence,
     kConnecting},
};

TEST(DigestTest, Table) {
  for (const DigestCase& c : kCases) {
    SCOPED_TRACE(c.name);
    ReadinessState state = c.state;
    SocketRole role = c.role;
    EXPECT_EQ(ToString(Digest(state, role, c.report, c.failed)),
              ToString(c.told));
    EXPECT_EQ(role, c.role_after);
    // R06: a shot is used by what is told, and by nothing else.
    EXPECT_EQ(state.fired, c.state.fired);
    state = c.state;
    if (state.fired) continue;
    state.persistence = kOnce;
    role = c.role;
    EXPECT_EQ(ToString(Digest(state, role, c.report, c.failed)),
              ToString(c.told));
    EXPECT_EQ(state.fired, c.told != kSilence);
  }
}

// The same report again: told again in level mode, silence in edge mode.
TEST(DigestTest, ARepeatedReportIsNewsToLevelAlone) {
  for (const SocketRole role : {kConnected, kDatagram, kListening}) {
    for (const Condition report :
         {kIn, kOut, kIn | kOut, kIn | kPeer, kIn | kOut | kPeer | kHup}) {
      ReadinessState level{.interest = kAll};
      ReadinessState edge{.interest = kAll, .trigger = kEdge};
      SocketRole present = role;
      const Events told = Digest(level, present, report, false);
      EXPECT_EQ(ToString(Digest(level, present, report, false)),
                ToString(told));
      EXPECT_EQ(ToString(Digest(edge, present, report, false)), ToString(told));
      EXPECT_EQ(ToString(Digest(edge, present, report, false)), "none");
      // After re-arming it is (R03).
      ForgetDelivered(edge);
      EXPECT_EQ(ToString(Digest(edge, present, report, false)), ToString(told));
    }
  }
}

// R05: a drained direction is told again, the other is not.
TEST(DigestTest, ADrainedDirectionIsToldAgain) {
  ReadinessState state{.interest = kRead | kWrite, .trigger = kEdge};
  SocketRole role = kConnected;
  EXPECT_EQ(Digest(state, role, kIn | kOut, false), kReadable | kWritable);
  Drain(state, kIn, /*short_transfer=*/true);
  EXPECT_EQ(Digest(state, role, kIn | kOut, false), kReadable);
  Drain(state, kOut, /*short_transfer=*/false);
  EXPECT_EQ(Digest(state, role, kIn | kOut, false), kWritable);
}

// The data and the end in one report, a short receive, the end, which is read.
TEST(DigestTest, AnEndIsToldUntilItIsRead) {
  ReadinessState state{.interest = kRead, .trigger = kEdge};
  SocketRole role = kConnected;
  EXPECT_EQ(Digest(state, role, kIn | kPeer, false), kReadable);
  EXPECT_TRUE(Drain(state, kIn, /*short_transfer=*/true).end_is_readable);
  EXPECT_EQ(Digest(state, role, kIn, false), kReadable);
  ReadEnd(state);
  EXPECT_EQ(Digest(state, role, kIn | kPeer, false), kSilence);
  // An error is news all the same.
  EXPECT_EQ(Digest(state, role, kIn | kPeer | kHup | kErr, true),
            kReadable | kError);
}

TEST(DigestTest, RemembersThatBothSidesAreDone) {
  ReadinessState state{.interest = kRead};
  SocketRole role = kConnected;
  Digest(state, role, kIn | kPeer, false);
  EXPECT_TRUE(state.peer_closed_seen);
  EXPECT_FALSE(state.closed_seen);
  Digest(state, role, kIn | kPeer | kHup, false);
  EXPECT_TRUE(state.closed_seen);
}

// Fuzzing in the small: whatever is reported, in every state.
TEST(DigestTest, NeverTellsADirectionThatWasNotAskedForOrIsRaised) {
  for (unsigned bits = 0; bits < 0x20; ++bits) {
    // The fifth stands for kError, which is a bit further up.
    const Condition report = static_cast<Condition>(
        (bits & 0xf) | ((bits & 0x10) != 0 ? 0x40u : 0u));
    for (const Interest interest :
         {Interest::kNone, kRead, kWrite, kHang, kRead | kWrite, kAll}) {
      for (const SocketRole start :
           {kDatagram, kUnconnected, kConnecting, kConnected, kListening}) {
        for (const bool failed : {false, true}) {
          ReadinessState state{.interest = interest, .trigger = kEdge};
          SocketRole role = start;
          const Events told = Digest(state, role, report, failed);
          const Events allowed = static_cast<Events>(interest) | kError;
          EXPECT_EQ(ToString(told & ~allowed), "none");
          EXPECT_EQ(Has(told, kError),
                    failed && Has(report, kErr) && start != kUnconnected);
          // What was told of the directions is raised, and nothing else.
          EXPECT_EQ(static_cast<unsigned>(state.raised),
                    static_cast<unsigned>(told & (kReadable | kWritable)));
        }
      }
    }
  }
}

}  // namespace
}  // namespace weir::internal
