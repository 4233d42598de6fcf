// The rules of readiness, as tables: what is watched, and what is told.

#include "core/readiness_state.h"

#include <string>

#include "absl/strings/str_cat.h"
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

constexpr Trigger kLevel = Trigger::kLevel;
constexpr Trigger kEdge = Trigger::kEdge;
constexpr Persistence kStays = Persistence::kPersistent;
constexpr Persistence kOnce = Persistence::kOneShot;

constexpr SocketRole kDatagram = SocketRole::kDatagram;
constexpr SocketRole kUnconnected = SocketRole::kUnconnected;
constexpr SocketRole kConnecting = SocketRole::kConnecting;
constexpr SocketRole kConnected = SocketRole::kConnected;
constexpr SocketRole kListening = SocketRole::kListening;

std::string Text(Condition conditions) {
  std::string text;
  const struct {
    Condition bit;
    const char* name;
  } names[] = {{kIn, "in "},
               {kOut, "out "},
               {kPeer, "peer-closed "},
               {kHup, "closed "},
               {kErr, "error "}};
  for (const auto& name : names) {
    if (Has(conditions, name.bit)) text += name.name;
  }
  return text.empty() ? "none" : text;
}

std::string Text(const Watch& watch) {
  if (!watch.present) return "absent";
  return absl::StrCat(Text(watch.conditions),
                      watch.trigger == kLevel ? "level" : "edge",
                      watch.persistence == kOnce ? " once" : "");
}

// --- WantedWatch

struct WatchCase {
  const char* name;
  ReadinessState state;
  SocketRole role;
  // The same with one thread and with several, unless `several` says
  // otherwise.
  Watch persistent;
  Watch single_shot;
};

constexpr Watch kAbsent{};
constexpr Watch kQuiet = kQuietWatch;
constexpr Watch On(Condition conditions, Trigger trigger,
                   Persistence persistence) {
  return {.present = true,
          .conditions = conditions,
          .trigger = trigger,
          .persistence = persistence};
}
// What a single-shot mechanism is asked for: level, once, in every mode.
constexpr Watch Shot(Condition conditions) {
  return On(conditions, kLevel, kOnce);
}

const WatchCase kOneThread[] = {
    // Level: what was asked for.
    {"level read",
     {.interest = kRead},
     kConnected,
     On(kIn, kLevel, kStays),
     Shot(kIn)},
    {"level write",
     {.interest = kWrite},
     kConnected,
     On(kOut, kLevel, kStays),
     Shot(kOut)},
    {"level both",
     {.interest = kRead | kWrite},
     kConnected,
     On(kIn | kOut, kLevel, kStays),
     Shot(kIn | kOut)},
    {"level hang-up",
     {.interest = kHang},
     kConnected,
     On(kPeer, kLevel, kStays),
     Shot(kPeer)},
    {"level read and hang-up",
     {.interest = kRead | kHang},
     kConnected,
     On(kIn | kPeer, kLevel, kStays),
     Shot(kIn | kPeer)},
    {"level once",
     {.interest = kRead, .persistence = kOnce},
     kConnected,
     On(kIn, kLevel, kOnce),
     Shot(kIn)},
    {"datagram",
     {.interest = kRead},
     kDatagram,
     On(kIn, kLevel, kStays),
     Shot(kIn)},
    {"listening",
     {.interest = kRead},
     kListening,
     On(kIn, kLevel, kStays),
     Shot(kIn)},
    {"connecting",
     {.interest = kWrite},
     kConnecting,
     On(kOut, kLevel, kStays),
     Shot(kOut)},
    // What was told does not matter to level.
    {"level told",
     {.interest = kRead, .raised = kIn},
     kConnected,
     On(kIn, kLevel, kStays),
     Shot(kIn)},
    {"level busy",
     {.interest = kRead, .busy = true},
     kConnected,
     On(kIn, kLevel, kStays),
     Shot(kIn)},

    // Edge: the peer's close is an edge, too (trap 22).
    {"edge read",
     {.interest = kRead, .trigger = kEdge},
     kConnected,
     On(kIn | kPeer, kEdge, kStays),
     Shot(kIn | kPeer)},
    {"edge write",
     {.interest = kWrite, .trigger = kEdge},
     kConnected,
     On(kOut, kEdge, kStays),
     Shot(kOut | kPeer)},
    {"edge once",
     {.interest = kRead, .trigger = kEdge, .persistence = kOnce},
     kConnected,
     On(kIn | kPeer, kEdge, kStays),
     Shot(kIn | kPeer)},
    {"edge hang-up",
     {.interest = kHang, .trigger = kEdge},
     kConnected,
     On(kPeer, kEdge, kStays),
     Shot(kPeer)},
    // A direction that was told is not watched until it is drained, where
    // watching is level; where the kernel knows edges, its watch stays.
    {"edge read told",
     {.interest = kRead | kWrite, .trigger = kEdge, .raised = kIn},
     kConnected,
     On(kIn | kOut | kPeer, kEdge, kStays),
     Shot(kOut | kPeer)},
    {"edge write told",
     {.interest = kRead | kWrite, .trigger = kEdge, .raised = kOut},
     kConnected,
     On(kIn | kOut | kPeer, kEdge, kStays),
     Shot(kIn | kPeer)},
    {"edge both told",
     {.interest = kRead | kWrite, .trigger = kEdge, .raised = kIn | kOut},
     kConnected,
     On(kIn | kOut | kPeer, kEdge, kStays),
     Shot(kPeer)},
    {"edge all told",
     {.interest = kRead,
      .trigger = kEdge,
      .peer_closed_seen = true,
      .raised = kIn},
     kConnected,
     On(kIn | kPeer, kEdge, kStays),
     Shot(kNothing)},
    {"edge peer closed, drained",
     {.interest = kRead, .trigger = kEdge, .peer_closed_seen = true},
     kConnected,
     On(kIn | kPeer, kEdge, kStays),
     Shot(kIn)},

    // Silence.
    {"disabled",
     {.interest = kRead, .enabled = false},
     kConnected,
     kQuiet,
     kAbsent},
    {"disabled edge",
     {.interest = kRead, .trigger = kEdge, .enabled = false},
     kConnected,
     kQuiet,
     kAbsent},
    {"fired",
     {.interest = kRead, .persistence = kOnce, .fired = true},
     kConnected,
     kQuiet,
     kAbsent},
    {"unconnected",
     {.interest = kRead | kWrite | kHang},
     kUnconnected,
     kQuiet,
     kAbsent},

    // An empty interest: errors, which need not be asked for (trap 24).
    {"nothing, level", {}, kConnected, kQuiet, Shot(kNothing)},
    {"nothing, edge", {.trigger = kEdge}, kConnected, kQuiet, Shot(kPeer)},

    // Once both sides are done the kernel says so at every look (trap 19).
    {"closed, nothing wanted",
     {.closed_seen = true},
     kConnected,
     kQuiet,
     kQuiet},
    {"closed, level read",
     {.interest = kRead, .closed_seen = true},
     kConnected,
     On(kIn, kLevel, kStays),
     Shot(kIn)},
    {"closed, level hang-up",
     {.interest = kHang, .closed_seen = true},
     kConnected,
     On(kPeer, kLevel, kStays),
     Shot(kPeer)},
    {"closed, level hang-up, no peer",
     {.interest = kHang, .closed_seen = true},
     kDatagram,
     kQuiet,
     kQuiet},
    {"closed, edge hang-up",
     {.interest = kHang,
      .trigger = kEdge,
      .peer_closed_seen = true,
      .closed_seen = true},
     kConnected,
     kQuiet,
     kQuiet},
    {"closed, edge read told",
     {.interest = kRead,
      .trigger = kEdge,
      .peer_closed_seen = true,
      .closed_seen = true,
      .raised = kIn},
     kConnected,
     On(kIn | kPeer, kEdge, kStays),
     kQuiet},
};

// R17, where it differs from one thread.
const WatchCase kSeveralThreads[] = {
    // A level watch tells one thread at a time.
    {"level",
     {.interest = kRead},
     kConnected,
     On(kIn, kLevel, kOnce),
     Shot(kIn)},
    {"level once",
     {.interest = kRead, .persistence = kOnce},
     kConnected,
     On(kIn, kLevel, kOnce),
     Shot(kIn)},
    {"level busy",
     {.interest = kRead, .busy = true},
     kConnected,
     kQuiet,
     kAbsent},
    {"level once busy",
     {.interest = kRead, .persistence = kOnce, .busy = true},
     kConnected,
     kQuiet,
     kAbsent},
    // An edge is told once in any case, and one that comes meanwhile counts.
    {"edge",
     {.interest = kRead, .trigger = kEdge},
     kConnected,
     On(kIn | kPeer, kEdge, kStays),
     Shot(kIn | kPeer)},
    {"edge busy",
     {.interest = kRead, .trigger = kEdge, .busy = true},
     kConnected,
     On(kIn | kPeer, kEdge, kStays),
     Shot(kIn | kPeer)},
    {"fired",
     {.interest = kRead, .persistence = kOnce, .fired = true},
     kConnected,
     kQuiet,
     kAbsent},
};

void CheckWatch(const WatchCase& c, bool several_threads) {
  SCOPED_TRACE(c.name);
  EXPECT_EQ(Text(WantedWatch(c.state, c.role,
                             {.model = ReadinessModel::kPersistent,
                              .several_threads = several_threads})),
            Text(c.persistent));
  EXPECT_EQ(Text(WantedWatch(c.state, c.role,
                             {.model = ReadinessModel::kSingleShot,
                              .several_threads = several_threads})),
            Text(c.single_shot));
}

TEST(WantedWatchTest, OneThread) {
  for (const WatchCase& c : kOneThread) CheckWatch(c, false);
}

TEST(WantedWatchTest, SeveralThreads) {
  for (const WatchCase& c : kSeveralThreads) CheckWatch(c, true);
}

// --- ForgetDelivered, ReadEnd and Drain

TEST(ForgetDeliveredTest, ForgetsWhatWasToldAndKeepsTheSettings) {
  ReadinessState state{.interest = kRead,
                       .trigger = kEdge,
                       .persistence = kOnce,
                       .enabled = false,
                       .fired = true,
                       .busy = true,
                       .peer_closed_seen = true,
                       .closed_seen = true,
                       .end_read = true,
                       .raised = kIn | kOut,
                       .withheld = kIn};
  ForgetDelivered(state);
  EXPECT_EQ(Text(state.raised), "none");
  EXPECT_EQ(Text(state.withheld), "none");
  EXPECT_FALSE(state.peer_closed_seen);
  EXPECT_FALSE(state.closed_seen);
  EXPECT_FALSE(state.end_read);
  EXPECT_EQ(state.interest, kRead);
  EXPECT_EQ(state.trigger, kEdge);
  EXPECT_EQ(state.persistence, kOnce);
  EXPECT_FALSE(state.enabled);
  EXPECT_TRUE(state.fired);
  EXPECT_TRUE(state.busy);
}

TEST(DrainTest, LowersTheDrainedDirectionsAlone) {
  const struct {
    Condition raised;
    Condition drained;
    Condition left;
  } cases[] = {
      {kIn, kIn, kNothing},    {kIn | kOut, kIn, kOut},
      {kIn | kOut, kOut, kIn}, {kIn | kOut, kIn | kOut, kNothing},
      {kOut, kIn, kOut},       {kNothing, kIn, kNothing},
      {kIn, kNothing, kIn},
  };
  for (const auto& c : cases) {
    ReadinessState state{
        .interest = kRead | kWrite, .trigger = kEdge, .raised = c.raised};
    const DrainResult result =
        Drain(state, c.drained, /*short_transfer=*/false);
    EXPECT_EQ(Text(state.raised), Text(c.left));
    EXPECT_FALSE(result.end_is_readable);
    EXPECT_FALSE(result.withheld);
  }
}

// Survey trap 22: an end that came with the data is readable after a short
// receive, and after nothing else.
TEST(DrainTest, TellsAnEndThatIsStillToBeRead) {
  const struct {
    bool peer_closed_seen;
    Condition drained;
    bool short_transfer;
    bool end_is_readable;
  } cases[] = {
      {true, kIn, true, true},   {true, kIn | kOut, true, true},
      {true, kOut, true, false}, {true, kIn, false, false},
      {false, kIn, true, false}, {false, kIn, false, false},
  };
  for (const auto& c : cases) {
    ReadinessState state{.interest = kRead,
                         .trigger = kEdge,
                         .peer_closed_seen = c.peer_closed_seen,
                         .raised = kIn};
    EXPECT_EQ(Drain(state, c.drained, c.short_transfer).end_is_readable,
              c.end_is_readable);
  }
}

TEST(DrainTest, TellsThatAReportWasWithheldOnce) {
  ReadinessState state{.interest = kRead | kWrite, .trigger = kEdge};
  SocketRole role = kConnected;
  EXPECT_EQ(Digest(state, role, kIn | kOut, false),
            Events::kReadable | Events::kWritable);
  EXPECT_EQ(Digest(state, role, kIn, false), Events::kNone);
  EXPECT_FALSE(Drain(state, kOut, false).withheld);
  EXPECT_TRUE(Drain(state, kIn, false).withheld);
  EXPECT_FALSE(Drain(state, kIn, false).withheld);
}

}  // namespace
}  // namespace weir::internal
