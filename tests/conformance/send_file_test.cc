// Sending from files (O01).

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/operations.h"
#include "weir/file.h"

namespace weir::conformance {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;

class SendFileConformance : public OperationsTest {
 protected:
  void SetUp() override {
    OperationsTest::SetUp();
    path_ = absl::StrCat(::testing::TempDir(), "/weir-send-file-",
                         test::ProcessId());
    std::ofstream(path_, std::ios::binary) << content_;
    file_ = Must(File::Open(path_));
    ASSERT_EQ(file_.size(), content_.size());
  }
  void TearDown() override {
    file_.Close();
    std::remove(path_.c_str());
  }

  // What has been handed to the system may take a while to arrive.
  std::string DrainUntil(Socket& peer, const Indications& told,
                         std::size_t count, std::size_t bytes) {
    std::string arrived;
    PumpUntil([&] {
      arrived += Drain(peer);
      return told.count() >= count && arrived.size() >= bytes;
    });
    return arrived + Drain(peer);
  }

  const std::string content_ = Pattern(5 << 20);
  std::string path_;
  File file_;
};
WEIR_CONFORMANCE_SUITE(SendFileConformance);

TEST_P(SendFileConformance, O01_WholeFilesAndParts) {
  for (const AddressFamily family : test::Available({AddressFamily::kUnix, AddressFamily::kIpv4})) {
    struct Part {
      std::uint64_t offset, length;
    };
    for (const Part& part :
         {Part{0, 5 << 20}, Part{1, 1}, Part{4095, 8193}, Part{1 << 20, 3 << 20},
          Part{0, 0}, Part{5 << 20, 0}}) {
      StreamAndPeer pair = Connect(family);
      Indications told;
      ASSERT_OK(pair.stream.SendFile(file_, part.offset, part.length,
                                     told.Handler("f")));
      ASSERT_OK(pair.stream.Disconnect(told.Handler("d")));
      EXPECT_EQ(told.count(), 0u);
      const std::string arrived = DrainUntil(pair.peer, told, 2,
                                             part.length);
      EXPECT_THAT(told.entries(),
                  ElementsAre(absl::StrCat("f OK ", part.length), "d OK 0"));
      EXPECT_TRUE(arrived == content_.substr(part.offset, part.length));
    }
  }
}

// The file ends before: fewer bytes, and no error.
TEST_P(SendFileConformance, O01_AFileThatEndsBefore) {
  StreamAndPeer pair = Connect();
  Indications told;
  const std::uint64_t size = content_.size();
  ASSERT_OK(pair.stream.SendFile(file_, size - 10, 1000, told.Handler("1")));
  ASSERT_OK(pair.stream.SendFile(file_, size, 1000, told.Handler("2")));
  ASSERT_OK(pair.stream.SendFile(file_, size + 1000, 1, told.Handler("3")));
  ASSERT_OK(pair.stream.SendFile(file_, size - 3,
                                 std::numeric_limits<std::uint64_t>::max(),
                                 told.Handler("4")));
  ASSERT_OK(pair.stream.Send(BytesOf("end"), told.Handler("5")));
  const std::string arrived = DrainUntil(pair.peer, told, 5, 16);
  EXPECT_THAT(told.entries(), ElementsAre("1 OK 10", "2 OK 0", "3 OK 0",
                                          "4 OK 3", "5 OK 3"));
  EXPECT_EQ(arrived,
            content_.substr(size - 10) + content_.substr(size - 3) + "end");
  // What was never sent is not counted as still to be sent.
  EXPECT_EQ(Must(pair.stream.SendCopy(BytesOf("x"))), 1u);
}

TEST_P(SendFileConformance, O06_FilesAndSendsGoOutInOrder) {
  StreamAndPeer pair = Connect(AddressFamily::kIpv4);
  Indications told;
  std::string expected;
  const std::string header = Pattern(300);
  std::size_t count = 0;
  for (std::uint64_t i = 0; i < 20; ++i) {
    ASSERT_OK(pair.stream.Send(BytesOf(header), told.Handler("h")));
    ASSERT_OK(
        pair.stream.SendFile(file_, i * 1000, 50000 * i, told.Handler("f")));
    EXPECT_OK(pair.stream.SendCopy(BytesOf("copy")));
    expected += header + content_.substr(i * 1000, 50000 * i) + "copy";
    count += 2;
  }
  ASSERT_OK(pair.stream.Flush(told.Handler("flush")));
  const std::string arrived = DrainUntil(pair.peer, told, count + 1, expected.size());
  EXPECT_TRUE(arrived == expected);
  const auto entries = told.entries();
  for (std::size_t i = 0; i < count; ++i) {
    EXPECT_EQ(entries[i], i % 2 == 0
                              ? std::string("h OK 300")
                              : absl::StrCat("f OK ", 50000 * (i / 2)));
  }
}

// What cannot be is refused, and concerns nobody else.
TEST_P(SendFileConformance, O02_WhatCannotBeSentIsRefused) {
  StreamAndPeer pair = Connect();
  Indications told;
  EXPECT_CODE(pair.stream.SendFile(File(), 0, 1, told.Handler("x")),
              kFailedPrecondition);
  EXPECT_EQ(told.alive(), 0);
  // An offset that no file has.
  const absl::Status far = pair.stream.SendFile(
      file_, std::numeric_limits<std::uint64_t>::max(), 1, told.Handler("far"));
  ASSERT_OK(pair.stream.Send(BytesOf("x"), told.Handler("s")));
  TurnUntilCount(told, far.ok() ? 2 : 1);
  EXPECT_EQ(told.entries().back(), "s OK 1");
}

// A file that is sent is fair to others: their handlers come between.
TEST_P(SendFileConformance, O01_ALongFileStarvesNobody) {
  StreamAndPeer pair = Connect();
  StreamAndPeer other = Connect();
  Indications told, others;
  Room room(4);
  ASSERT_OK(pair.stream.SendFile(file_, 0, content_.size(), told.Handler("f")));
  ASSERT_OK(other.stream.Receive(room, others.Handler("r")));
  Send(other.peer, "x");
  for (int i = 0; i < 3; ++i) Turn();
  EXPECT_EQ(others.count(), 1u);
  EXPECT_EQ(told.count(), 0u);
  DrainUntil(pair.peer, told, 1, 0);
}

// Cut in the middle: the number says how far it came (O10).
TEST_P(SendFileConformance, O10_ACancelledFileSaysHowFarItCame) {
  StreamAndPeer pair = Connect();
  Indications told;
  Operation operation;
  ASSERT_OK(pair.stream.SendFile(file_, 0, content_.size(), told.Handler("f"),
                                 {.handle = &operation}));
  Turn();
  TurnPastSentinel();
  ASSERT_OK(operation.Cancel());
  TurnUntilCount(told, 1);
  const std::string arrived = Drain(pair.peer);
  EXPECT_GT(arrived.size(), 0u);
  EXPECT_THAT(told.entries(),
              ElementsAre(absl::StrCat("f CANCELLED ", arrived.size())));
  EXPECT_TRUE(content_.compare(0, arrived.size(), arrived) == 0);
  EXPECT_CODE(pair.stream.Flush(told.Handler("x")), kFailedPrecondition);
}

// The peer goes: no signal, an error with the number.
TEST_P(SendFileConformance, O05_APeerThatGoesIsAnError) {
  for (const AddressFamily family :
       test::Available({AddressFamily::kUnix, AddressFamily::kIpv4})) {
    StreamAndPeer pair = Connect(family);
    if (family != AddressFamily::kUnix) {
      // So that they cannot keep the whole of it.
      ASSERT_OK(pair.stream.SetOption(SocketOption::kSendBufferBytes, 65536));
      ASSERT_OK(pair.peer.SetOption(SocketOption::kReceiveBufferBytes, 65536));
    }
    Indications told;
    std::size_t consumed = 0;
    ASSERT_OK(pair.stream.SendFile(
        file_, 0, content_.size(),
        told.Handler("f", [&](const Completion& done) {
          consumed = done.bytes;
        })));
    Turn();
    TurnPastSentinel();
    AwaitReadable(pair.peer);
    // What a Unix socket takes is there at once; TCP keeps some on its way, and
    // resets what is closed before it came.
    const bool at_once = family == AddressFamily::kUnix;
    const std::size_t arrived =
        (at_once ? Drain(pair.peer) : Receive(pair.peer, 1000)).size();
    pair.peer.Close();
    TurnUntilCount(told, 1);
    EXPECT_GE(consumed, arrived);
    EXPECT_LT(consumed, content_.size());
    if (at_once) {
      EXPECT_THAT(told.entries(),
                  ElementsAre(absl::StrCat("f FAILED_PRECONDITION ", arrived)));
    } else {
      EXPECT_THAT(told.last_status().code(),
                  AnyOf(absl::StatusCode::kFailedPrecondition,
                        absl::StatusCode::kUnavailable));
    }
  }
}

}  // namespace
}  // namespace weir::conformance
