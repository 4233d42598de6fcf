// A registry on a simulated source, and what it reports.

#ifndef WEIR_TESTS_IOCP_NOTIFICATION_REGISTRY_FIXTURE_H_
#define WEIR_TESTS_IOCP_NOTIFICATION_REGISTRY_FIXTURE_H_

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "backends/iocp/notification_registry.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/iocp/simulated_notifications.h"

namespace weir::internal {

using test::NotificationReading;
using test::SimulatedNotifications;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

inline constexpr NativeSocket kSocket{100};
inline constexpr NativeSocket kOther{104};
inline constexpr Watch kReads{.present = true,
                       .conditions = Condition::kReadable,
                       .trigger = Trigger::kLevel,
                       .persistence = Persistence::kOneShot};
inline constexpr Watch kWrites{.present = true,
                        .conditions = Condition::kWritable,
                        .trigger = Trigger::kLevel,
                        .persistence = Persistence::kOneShot};
inline constexpr Watch kErrors{.present = true,
                        .conditions = Condition::kNone,
                        .trigger = Trigger::kLevel,
                        .persistence = Persistence::kOneShot};
inline constexpr std::uint32_t kNoMemory = 8;        // ERROR_NOT_ENOUGH_MEMORY
inline constexpr std::uint32_t kNotFound = 1168;     // ERROR_NOT_FOUND
inline constexpr std::uint32_t kNotASocket = 10038;  // WSAENOTSOCK

class Record final : public WatchedSocket {
 public:
  using WatchedSocket::WatchedSocket;
  using WatchedSocket::pins;
};

struct Report {
  WatchedSocket* socket;
  Condition conditions;
  bool doubtful = false;
  int refusal = 0;

  friend bool operator==(const Report&, const Report&) = default;
};

class NotificationRegistryTest : public ::testing::Test {
 protected:
  explicit NotificationRegistryTest(const NotificationReading& reading = {})
      : source_(1, reading), registry_(source_) {
    source_.Open(kSocket);
    source_.Open(kOther);
  }
  ~NotificationRegistryTest() override {
    EXPECT_THAT(source_.misuse(), IsEmpty());
  }

  // A wait with what is noted, of a loop with one thread.
  std::vector<Report> Wait(std::uint32_t timeout_ms = 0) {
    std::array<PortPacket, 8> packets;
    std::uint32_t received = 0;
    EXPECT_TRUE(registry_.SubmitAndWait(timeout_ms, packets, &received).ok());
    return Collect(std::span(packets).first(received));
  }
  std::vector<Report> Collect(std::span<const PortPacket> packets) {
    ReadyList ready;
    for (const PortPacket& packet : packets) {
      if (NotificationRegistry::Owns(packet.key)) {
        registry_.Take(packet, ready);
      } else {
        foreign_.push_back(packet.bytes);
      }
    }
    registry_.EndBatch(ready);
    std::vector<Report> reports;
    while (WatchedSocket* socket = ready.Pop()) {
      const bool doubtful =
          ReadyList::TakeDoubtful(*socket) != Condition::kNone;
      reports.push_back({.socket = socket,
                         .conditions = ReadyList::TakeConditions(*socket),
                         .doubtful = doubtful,
                         .refusal = ReadyList::TakeRefusal(*socket)});
    }
    return reports;
  }

  SimulatedNotifications source_;
  NotificationRegistry registry_;
  Record record_{kSocket};
  Record other_{kOther};
  // The packets that are not the registry's.
  std::vector<std::uint32_t> foreign_;
};

}  // namespace weir::internal

#endif  // WEIR_TESTS_IOCP_NOTIFICATION_REGISTRY_FIXTURE_H_
