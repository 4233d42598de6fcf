// The life of registrations against a simulated source that does whatever the
// contract allows, with thousands of seeds: a small model says what may be
// reported, and what has to be.

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backends/iocp/notification_registry.h"
#include "gtest/gtest.h"
#include "tests/iocp/simulated_notifications.h"

namespace weir::internal {
namespace {

using test::NotificationFaults;
using test::NotificationReading;
using test::SimulatedNotifications;

constexpr int kHandles = 4;
constexpr int kSteps = 300;
// More calls than anything may take.
constexpr int kEnough = 400;

class Record final : public WatchedSocket {
 public:
  using WatchedSocket::WatchedSocket;
  using WatchedSocket::pins;

  bool forgotten = false;
  bool armed = false;
  Watch watch;
  // What has held at some time since it was armed.
  NotifyEvents held = 0;
};

// What may be reported of a socket in that state.
Condition Tellable(NotifyEvents state) {
  Condition conditions = ConditionsFromNotification(state);
  if ((state & kNotifyHangup) != 0) conditions |= Condition::kReadable;
  if ((state & kNotifyError) != 0) conditions |= Condition::kPeerClosed;
  return conditions;
}

class World {
 public:
  World(std::uint64_t seed, const NotificationReading& reading)
      : reading_(reading),
        random_(seed),
        source_(seed + 1, reading),
        registry_(source_) {
    for (int i = 0; i < kHandles; ++i) sockets_.push_back({Handle(i)});
  }

  void Run() {
    source_.SetFaults({.call_fails = Below(2) * 50,
                       .element_fails = Below(2) * 50,
                       .put_off = Below(2) * 300});
    for (int step = 0; step < kSteps && !failed(); ++step) Step();
    source_.Settle();
    ExpectNothingLost();
    ExpectQuiet();
    ExpectEverythingReleased();
    for (const std::string& misuse : source_.misuse()) Fail(misuse);
  }

  bool failed() const { return failed_; }

 private:
  struct Socket {
    NativeSocket handle;
    bool open = false;
    // Not null: the present one.
    Record* record = nullptr;
    // Closed by somebody else: what is known of it stays until its number is
    // seen again.
    bool closed_unseen = false;
  };

  static NativeSocket Handle(int number) {
    return static_cast<NativeSocket>(100 + 4 * number);
  }
  int Below(int limit) {
    return std::uniform_int_distribution<int>(0, limit - 1)(random_);
  }
  Socket& AnySocket() {
    return sockets_[static_cast<std::size_t>(Below(kHandles))];
  }
  void Fail(const std::string& what) {
    if (!failed_) ADD_FAILURE() << what;
    failed_ = true;
  }

  // --- what happens

  void Step() {
    Socket& socket = AnySocket();
    switch (Below(12)) {
      case 0:
      case 1:
        if (socket.open) Set(socket, kNotifyIn << Below(2));
        return;
      case 2:
        if (socket.open) {
          source_.Clear(socket.handle,
                        Below(2) == 0 ? kNotifyIn : kNotifyIn | kNotifyOut);
        }
        return;
      case 3:
        if (socket.open && Below(6) == 0) {
          Set(socket, Below(2) == 0 ? kNotifyHangup : kNotifyError);
        }
        return;
      case 4:
      case 5:
      case 6:
        ArmSomehow(socket);
        return;
      case 7:
        if (socket.record != nullptr) Disarm(*socket.record);
        return;
      case 8:
        if (Below(3) == 0) End(socket);
        if (Below(6) == 0) CloseUnseen(socket);
        return;
      case 9:
        (void)registry_.Submit();
        return;
      case 10:
        WaitAlone();
        return;
      default:
        WaitWithOthers();
        return;
    }
  }

  void Set(Socket& socket, NotifyEvents events) {
    source_.Set(socket.handle, events);
    if (socket.record != nullptr) socket.record->held |= events;
  }

  void ArmSomehow(Socket& socket) {
    if (!socket.open) {
      source_.Open(socket.handle);
      socket.open = true;
    }
    if (socket.record == nullptr) {
      records_.push_back(std::make_unique<Record>(socket.handle));
      socket.record = records_.back().get();
    }
    if (Below(12) == 0) {
      Arm(*socket.record, kQuietWatch);
      return;
    }
    Watch watch{.present = true,
                .persistence = Persistence::kOneShot};
    if (Below(2) == 0) watch.conditions |= Condition::kReadable;
    if (Below(2) == 0) watch.conditions |= Condition::kWritable;
    if (Below(3) == 0) watch.conditions |= Condition::kPeerClosed;
    Arm(*socket.record, watch);
  }

  void Arm(Record& record, const Watch& watch) {
    registry_.Arm(record, watch);
    record.armed = true;
    record.watch = watch;
    record.held = source_.StateOf(record.socket());
  }

  void Disarm(Record& record) {
    registry_.Arm(record, Watch{});
    record.armed = false;
  }

  // The end of a record, and perhaps of its handle.
  void End(Socket& socket) {
    if (!socket.open) return;
    const bool closes = Below(2) == 0;
    if (socket.record != nullptr) {
      Forget(*socket.record,
             closes ? HandleFate::kCloses : HandleFate::kStaysOpen);
    } else if (closes) {
      // Its last record may not have gone yet.
      for (const auto& record : records_) {
        if (record->socket() == socket.handle && record->pins() > 0) {
          registry_.Forget(*record, HandleFate::kCloses);
        }
      }
    }
    socket.record = nullptr;
    if (!closes) return;
    (void)registry_.Submit();
    source_.Close(socket.handle);
    socket.open = false;
    // The number comes back at once, or later.
    if (Below(2) == 0) {
      source_.Open(socket.handle);
      socket.open = true;
    }
  }

  // The handle was given away, and closed by whoever got it.
  void CloseUnseen(Socket& socket) {
    if (!socket.open) return;
    if (socket.record != nullptr) {
      Forget(*socket.record, HandleFate::kStaysOpen);
      socket.record = nullptr;
      (void)registry_.Submit();
    }
    source_.Close(socket.handle);
    socket.open = false;
    socket.closed_unseen = true;
  }

  void Forget(Record& record, HandleFate fate) {
    registry_.Forget(record, fate);
    record.forgotten = true;
    record.armed = false;
    if (fate == HandleFate::kCloses && record.pins() != 0) {
      Fail("a record is pinned although its handle closes");
    }
  }

  // --- waiting

  void WaitAlone(std::uint32_t timeout_ms = 0) {
    std::vector<PortPacket> packets(static_cast<std::size_t>(1 + Below(4)));
    std::uint32_t received = 0;
    (void)registry_.SubmitAndWait(timeout_ms, packets, &received);
    Collect(std::span(packets).first(received));
  }

  // Others change things between the wait and the collecting.
  void WaitWithOthers() {
    (void)registry_.Submit();
    std::vector<PortPacket> packets(static_cast<std::size_t>(1 + Below(4)));
    std::uint32_t received = 0;
    (void)registry_.Wait(0, packets, &received);
    for (int i = Below(4); i > 0; --i) {
      Socket& socket = AnySocket();
      switch (Below(4)) {
        case 0:
          ArmSomehow(socket);
          break;
        case 1:
          if (socket.record != nullptr) Disarm(*socket.record);
          break;
        case 2:
          End(socket);
          break;
        default:
          if (socket.open) source_.Clear(socket.handle, kNotifyIn);
          break;
      }
      if (Below(2) == 0) (void)registry_.Submit();
    }
    Collect(std::span(packets).first(received));
  }

  void Collect(std::span<const PortPacket> packets) {
    ReadyList ready;
    for (const PortPacket& packet : packets) {
      if (!NotificationRegistry::Owns(packet.key)) {
        Fail("a packet that is nobody's");
      }
      registry_.Take(packet, ready);
    }
    registry_.EndBatch(ready);
    while (WatchedSocket* socket = ready.Pop()) {
      Digest(static_cast<Record&>(*socket));
    }
  }

  // As the core does.
  void Digest(Record& record) {
    const Condition doubtful = ReadyList::TakeDoubtful(record);
    Condition told = ReadyList::TakeConditions(record);
    if (!ReadyList::TakeEnded(record)) Fail("a socket without a report");
    if (ReadyList::TakeRefusal(record) != 0) Fail("a refusal");
    if (record.forgotten) {
      Fail("a report of what was forgotten");
      return;
    }
    if (!record.armed) {
      Fail("a report of a watch that is over");
      return;
    }
    const Condition sure = told & ~doubtful;
    if (Has(sure, ~Tellable(record.held))) {
      Fail(absl::StrCat("reported ", static_cast<int>(sure),
                        " but there was only ",
                        static_cast<int>(Tellable(record.held))));
    }
    const Condition holds = Tellable(source_.StateOf(record.socket()));
    told = sure | (doubtful & holds);
    record.armed = false;
    const bool again = told == Condition::kNone || Below(2) == 0;
    if (again && !quiescing_) Arm(record, record.watch);
    // Nothing of what it was told again and again is drained here.
    if (quiescing_ && told == Condition::kNone) Arm(record, record.watch);
  }

  // --- what has to be

  bool IsDue(const Record& record) const {
    if (!record.armed) return false;
    const NotifyEvents state = source_.StateOf(record.socket());
    Condition worth = WorthReporting(record.watch.conditions);
    if (!reading_.none_tells_errors &&
        record.watch.conditions == Condition::kNone) {
      return false;
    }
    return Has(Tellable(state), worth) &&
           Has(ConditionsFromNotification(state) |
                   (Tellable(state) & record.watch.conditions),
               worth);
  }

  bool AnythingDue() const {
    for (const Socket& socket : sockets_) {
      if (socket.record != nullptr && IsDue(*socket.record)) return true;
    }
    return false;
  }

  // What holds of an armed socket is reported, sooner or later.
  void ExpectNothingLost() {
    quiescing_ = true;
    for (int i = 0; i < kEnough && !failed(); ++i) {
      if (!AnythingDue()) return;
      WaitAlone(kNotifyForever);
    }
    if (!failed()) Fail("what holds is not reported");
  }

  // With nothing to tell, a wait is a wait.
  void ExpectQuiet() {
    const int before = source_.blocked();
    for (int i = 0; i < kEnough && !failed(); ++i) {
      WaitAlone(kNotifyForever);
      if (source_.blocked() > before) return;
    }
    if (!failed()) Fail("it spins");
  }

  // Whatever comes or does not come, slots and records are let go of.
  void ExpectEverythingReleased() {
    for (Socket& socket : sockets_) {
      if (socket.closed_unseen) {
        if (socket.record == nullptr) ArmSomehow(socket);
        Forget(*socket.record, HandleFate::kCloses);
        (void)registry_.Submit();
        source_.Close(socket.handle);
        socket.open = false;
      } else if (socket.record != nullptr) {
        Forget(*socket.record, HandleFate::kStaysOpen);
      }
      socket.record = nullptr;
    }
    for (int i = 0; i < kEnough && registry_.slots_in_use() > 0; ++i) {
      WaitAlone(1);
    }
    if (registry_.slots_in_use() != 0) Fail("slots are kept");
    for (const auto& record : records_) {
      if (record->pins() != 0) Fail("a record is kept");
    }
    for (const Socket& socket : sockets_) {
      if (socket.open && source_.IsRegistered(socket.handle)) {
        Fail("a registration is kept");
      }
    }
  }

  const NotificationReading reading_;
  std::mt19937_64 random_;
  SimulatedNotifications source_;
  NotificationRegistry registry_;
  std::vector<Socket> sockets_;
  std::vector<std::unique_ptr<Record>> records_;
  bool quiescing_ = false;
  bool failed_ = false;
};

// Parameter: which thousand of seeds.
class NotificationModel : public ::testing::TestWithParam<int> {};

TEST_P(NotificationModel, R04_R09_R13_HoldsUnderEveryReadingOfTheContract) {
  constexpr std::uint64_t kSeeds = 1000;
  const std::uint64_t first =
      static_cast<std::uint64_t>(GetParam()) * kSeeds;
  for (std::uint64_t seed = first; seed < first + kSeeds; ++seed) {
    const NotificationReading reading = NotificationReading::FromSeed(seed);
    SCOPED_TRACE(absl::StrCat("seed ", seed, ": ", reading.ToString()));
    World world(seed, reading);
    world.Run();
    if (world.failed()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Thousand, NotificationModel, ::testing::Range(0, 8));

}  // namespace
}  // namespace weir::internal
