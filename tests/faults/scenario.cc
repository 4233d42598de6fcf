#include "tests/faults/scenario.h"

#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/conformance/descriptors.h"
#include "tests/faults/fault_points.h"
#include "tests/faults/stage.h"
#include "tests/faults/stage_sockets.h"
#include "tests/faults/stage_streams.h"

namespace weir::faults {
namespace {

// A turn that brings nothing waits so long, and so many of them in a row are a
// wait in vain: longer than anything rests.
constexpr absl::Duration kTurn = absl::Milliseconds(10);
constexpr int kMostIdleTurns = 300;
// So many turns are a loop that spins.
constexpr std::uint64_t kMostTurns = 5000;

// Of 127.0.0.0/8, all of which is this machine (Linux); another one each time.
SocketAddress NextHome() {
  static unsigned count = 0;
  const unsigned number = count++;
  const auto process = static_cast<unsigned>(::getpid());
  return SocketAddress::Ipv4({127, static_cast<std::uint8_t>(1 + process % 200),
                              static_cast<std::uint8_t>(number / 250 % 250),
                              static_cast<std::uint8_t>(1 + number % 250)},
                             0);
}

// The file that is sent. Made once, without faults.
class SentFile {
 public:
  SentFile() : content_(Payload(40'000, 9)) {
    const int descriptor = ::mkstemp(path_.data());
    if (descriptor < 0) std::abort();
    ::close(descriptor);
    std::ofstream(path_, std::ios::binary) << content_;
  }
  ~SentFile() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }
  const std::string& content() const { return content_; }

 private:
  std::string path_ = "/tmp/weir-faults-XXXXXX";
  const std::string content_;
};

const SentFile& TheFile() {
  static const SentFile file;
  return file;
}

void AddTimers(Stage& stage, Timer& timer) {
  stage.Expect();
  auto made = stage.loop().CreateTimer([&stage] { stage.Through(); });
  if (!made.ok()) return stage.Failed(made.status());
  timer = *std::move(made);
  if (absl::Status status = timer.Set(absl::Microseconds(200)); !status.ok()) {
    stage.Failed(status);
  }
  stage.Expect();
  auto promise = stage.ledger().Add("posted");
  const absl::Status status =
      stage.loop().Post([&stage, token = Token(promise)] {
        token->Called(/*last=*/true);
        stage.Through();
      });
  if (!status.ok()) {
    promise->Refused();
    stage.Failed(status);
  }
  if (absl::Status watched = stage.loop().OnTermination(); !watched.ok()) {
    stage.Failed(watched);
  }
}

void AddConnections(Stage& stage) {
  auto* both = &stage.Add<ListenerPart>(
      ListenerPart::How::kGoingOn, [&stage, count = 0](Stream stream) mutable {
        if (count++ % 2 == 0) {
          stage.Add<CompletionEcho>(std::move(stream));
        } else {
          stage.Add<StreamEcho>(std::move(stream));
        }
      });
  auto& files = stage.Add<ListenerPart>(
      ListenerPart::How::kPosted, [&stage](Stream stream) {
        stage.Add<FileServer>(std::move(stream), TheFile().path());
      });
  auto& sockets = stage.Add<SocketListener>();
  // With nowhere to go to, they fail at once.
  stage.Add<EchoClient>(both->address(), 1u, /*first_is_copied=*/true);
  stage.Add<CopyingClient>(both->address(), 2u);
  stage.Add<EchoClient>(both->address(), 3u, /*first_is_copied=*/false);
  stage.Add<Downloader>(files.address(), TheFile().content());
  stage.Add<SocketClient>(sockets.address(), 4u);
}

void AddDatagrams(Stage& stage) {
  constexpr int kCount = 3;
  auto& reader = stage.Add<DatagramReader>(kCount);
  auto& one = stage.Add<DatagramPart>(DatagramPart::How::kOneByOne, kCount);
  auto& two = stage.Add<DatagramPart>(DatagramPart::How::kByItself, kCount);
  one.SendTo(two.address(), kCount);
  two.SendTo(one.address(), kCount);
  two.SendTo(reader.address(), kCount);
  stage.Add<WatchPart>();
}

// Left open for the loop's end: the other end of the pair has a registration.
class LeftOver final : public SocketPart {
 public:
  LeftOver(Stage& stage, Socket socket)
      : SocketPart(stage, "left over", std::move(socket)) {
    Register({.interest = Interest::kReadable, .trigger = Trigger::kEdge});
  }
  void Close() override {}

 private:
  void Ready(const Event&) override { stage_.Wrong("nothing was sent"); }
};

void AddWhatIsLeft(Stage& stage) {
  auto pair = Socket::Pair();
  if (!pair.ok()) return stage.Failed(pair.status());
  auto adopted = [&]() -> absl::StatusOr<Socket> {
    auto native = pair->second.Release();
    if (!native.ok()) return native.status();
    auto socket = Socket::Adopt(*native);
    // It is the caller's still.
    if (!socket.ok()) ::close(static_cast<int>(*native));
    return socket;
  }();
  if (!adopted.ok()) return stage.Failed(adopted.status());
  auto stream = Stream::Attach(stage.loop(), std::move(pair->first));
  if (!stream.ok()) return stage.Failed(stream.status());
  stage.Add<LeftOver>(*std::move(adopted));
  stage.Add<Idler>(*std::move(stream));
}

class Runner {
 public:
  explicit Runner(Stage& stage) : stage_(stage) {}

  // Turns until `done`; false: in vain.
  template <typename Done>
  bool TurnUntil(const char* what, Done done) {
    int idle = 0;
    while (!done()) {
      const auto told = stage_.loop().RunOnce(kTurn);
      if (!told.ok()) {
        stage_.Failed(told.status());
        if (++errors_ > kMostErrors) {
          stage_.Wrong(absl::StrCat(what, ": the loop does not run any more: ",
                                    told.status().ToString()));
          return false;
        }
      }
      idle = told.value_or(1) == 0 ? idle + 1 : 0;
      if (idle > kMostIdleTurns) {
        stage_.Wrong(absl::StrCat(
            what, ": waited in vain; open: ", stage_.ledger().OpenNames()));
        return false;
      }
      if (stage_.loop().counters().turns > kMostTurns) {
        stage_.Wrong(absl::StrCat(what, ": the loop spins"));
        return false;
      }
    }
    return true;
  }

 private:
  static constexpr int kMostErrors = 3;
  Stage& stage_;
  int errors_ = 0;
};

void RunOn(Stage& stage) {
  Timer timer;
  AddTimers(stage, timer);
  AddWhatIsLeft(stage);
  AddConnections(stage);
  AddDatagrams(stage);
  Runner runner(stage);
  runner.TurnUntil("moving data", [&] {
    return stage.through() || !stage.failures().empty();
  });
  // What stays until the loop's end: the two that are left over.
  const std::size_t left = stage.ledger().OpenNamed("left over registration") +
                           stage.ledger().OpenNamed("idler receive");
  stage.CloseAll();
  runner.TurnUntil("closing", [&] { return stage.ledger().open() <= left; });
  stage.DestroyLoop();
}

}  // namespace

ScenarioResult RunScenario(const ScenarioOptions& options) {
  TheFile();
  ScenarioResult result;
  const std::size_t before = conformance::OpenDescriptors();
  {
    const Armed armed;
    auto loop = EventLoop::Create(
        {.backend = options.backend, .threads = options.threads});
    if (!loop.ok()) {
      result.failures.push_back(loop.status());
    } else {
      auto stage = std::make_unique<Stage>(*std::move(loop), NextHome());
      RunOn(*stage);
      result.failures = stage->failures();
      result.wrong = stage->wrong();
      result.through = stage->through() && result.failures.empty();
      // Sockets without a loop are closed by their owners.
      const Ledger ledger = stage->ledger();
      stage.reset();
      for (std::string& wrong : ledger.Wrong()) {
        result.wrong.push_back(std::move(wrong));
      }
    }
  }
  for (const std::string& call : BadDescriptors()) {
    result.wrong.push_back(
        absl::StrCat("a descriptor that was not open: ", call));
  }
  if (const std::size_t after = conformance::OpenDescriptors();
      after != before) {
    result.wrong.push_back(
        absl::StrCat("descriptors open: ", before, " before, ", after, " now"));
  }
  return result;
}

}  // namespace weir::faults
