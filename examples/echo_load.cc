// A load for TCP echo servers on this machine: every connection sends a
// message, receives it back, checks every byte, and sends the next. Prints one
// line, `round_trips=N seconds=S errors=E`, and exits with 1 if E is not 0.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "examples/example_main.h"
#include "weir/event_loop.h"

ABSL_FLAG(std::string, connect, "",
          "loopback address and port of the server, like 127.0.0.1:7");
ABSL_FLAG(int, connections, 64, "how many connections, 1 to 100000");
ABSL_FLAG(double, seconds, 3, "for how long, 0.01 to 86400");
ABSL_FLAG(int, size, 64, "bytes of a message, 1 to 67108864");

namespace {

using Clock = std::chrono::steady_clock;

// How long the connecting may take, and the last answers.
constexpr absl::Duration kGrace = absl::Seconds(10);

class Client;

// Starts the clients together, lets them run for a time, and counts.
class Load {
 public:
  Load(weir::EventLoop& loop, std::size_t size, absl::Duration time);
  ~Load();

  void Run(const weir::SocketAddress& server, int connections);

  std::uint64_t round_trips() const { return round_trips_; }
  std::uint64_t errors() const { return errors_; }
  double seconds() const {
    return std::chrono::duration<double>(end_ - start_).count();
  }

  // For the clients.
  weir::EventLoop& loop() { return loop_; }
  // The bytes of a message; those of neighbouring numbers differ.
  std::span<const std::byte> Message(std::uint64_t number) const {
    return std::span(noise_).subspan(number % kMessages, size_);
  }
  bool sending() const { return sending_; }
  void CountRoundTrip() { round_trips_ += sending_ ? 1 : 0; }
  // A client that was connecting is connected, or has given up.
  void CountConnected();
  // A client has ended: after its last answer, or with an error.
  void CountEnd(const absl::Status& status);

 private:
  static constexpr std::size_t kMessages = 4093;

  void StartSending();
  void OnTimer();

  weir::EventLoop& loop_;
  const std::size_t size_;
  const absl::Duration time_;
  std::vector<std::byte> noise_;
  std::vector<std::unique_ptr<Client>> clients_;
  weir::Timer timer_;
  std::size_t connecting_ = 0;
  std::size_t live_ = 0;
  bool sending_ = false;
  std::uint64_t round_trips_ = 0;
  std::uint64_t errors_ = 0;
  Clock::time_point start_, end_;
};

// One connection. Registered for readable; for writable too while it connects,
// and while a message did not go out at once.
class Client {
 public:
  Client(Load& load, std::uint64_t number) : load_(load), number_(number) {}

  void Start(const weir::SocketAddress& server);
  // Once all are connected: sends the first message.
  void Begin();
  // Ends, with an error, if it waits for the server: to be connected, or for
  // an answer.
  void GiveUp();

 private:
  absl::Status Connect(const weir::SocketAddress& server);
  void OnEvent(const weir::Event& event);
  absl::Status Send();
  absl::Status Receive();
  void WaitFor(weir::Interest interest);
  void End(const absl::Status& status);

  Load& load_;
  std::uint64_t number_;
  weir::Socket socket_;
  weir::Registration registration_;
  weir::Interest interest_ = weir::Interest::kNone;
  bool connected_ = false;
  bool begun_ = false;
  std::size_t sent_ = 0;
  std::size_t received_ = 0;
};

void Client::Start(const weir::SocketAddress& server) {
  if (absl::Status status = Connect(server); !status.ok()) End(status);
}

absl::Status Client::Connect(const weir::SocketAddress& server) {
  auto socket = weir::Socket::Connect(server);
  if (!socket.ok()) return socket.status();
  socket_ = *std::move(socket);
  interest_ = weir::Interest::kWritable;
  auto registration = load_.loop().Register(
      socket_, {.interest = interest_},
      [this](const weir::Event& event) { OnEvent(event); });
  if (registration.ok()) registration_ = *registration;
  return registration.status();
}

void Client::Begin() {
  if (!socket_.is_open()) return;
  begun_ = true;
  if (absl::Status status = Send(); !status.ok()) End(status);
}

void Client::GiveUp() {
  const bool waits = begun_ || !connected_;
  if (!socket_.is_open() || !waits) return;
  End(absl::DeadlineExceededError(begun_ ? "no answer" : "not connected"));
}

void Client::OnEvent(const weir::Event& event) {
  if (event.removed()) return;
  absl::Status status = event.status();
  if (status.ok() && !connected_) {
    status = socket_.SetOption(weir::SocketOption::kNoDelay, 1);
    if (status.ok()) {
      connected_ = true;
      WaitFor(weir::Interest::kReadable);
      load_.CountConnected();
      return;
    }
  }
  if (status.ok() && event.writable()) status = Send();
  if (status.ok() && event.readable()) status = Receive();
  if (!status.ok()) End(status);
}

absl::Status Client::Send() {
  const auto message = load_.Message(number_);
  if (sent_ < message.size()) {
    const auto sent = socket_.Send(message.subspan(sent_));
    if (!sent.ok()) return sent.status();
    sent_ += sent->bytes;
  }
  WaitFor(sent_ < message.size()
              ? weir::Interest::kReadable | weir::Interest::kWritable
              : weir::Interest::kReadable);
  return absl::OkStatus();
}

absl::Status Client::Receive() {
  static std::array<std::byte, 64 * 1024> buffer;
  const auto received = socket_.Receive(buffer);
  if (!received.ok()) return received.status();
  if (received->would_block) return absl::OkStatus();
  if (received->end_of_stream) {
    return absl::UnavailableError("the server closed a connection");
  }
  const auto expected = load_.Message(number_).first(sent_).subspan(received_);
  const auto answer = std::span(buffer).first(received->bytes);
  if (answer.size() > expected.size() ||
      !std::equal(answer.begin(), answer.end(), expected.begin())) {
    return absl::DataLossError("an answer differs from what was sent");
  }
  received_ += answer.size();
  if (received_ < load_.Message(number_).size()) return absl::OkStatus();

  load_.CountRoundTrip();
  ++number_;
  sent_ = received_ = 0;
  if (load_.sending()) return Send();
  End(absl::OkStatus());
  return absl::OkStatus();
}

void Client::WaitFor(weir::Interest interest) {
  if (interest == interest_) return;
  interest_ = interest;
  registration_.Modify({.interest = interest}).IgnoreError();
}

void Client::End(const absl::Status& status) {
  socket_.Close();
  load_.CountEnd(status);
  if (!connected_) load_.CountConnected();
}

Load::Load(weir::EventLoop& loop, std::size_t size, absl::Duration time)
    : loop_(loop), size_(size), time_(time), noise_(size + kMessages) {
  std::mt19937 random;
  std::generate(noise_.begin(), noise_.end(),
                [&random] { return static_cast<std::byte>(random()); });
}

Load::~Load() = default;

void Load::Run(const weir::SocketAddress& server, int connections) {
  timer_ = examples::ValueOrFail(loop_.CreateTimer([this] { OnTimer(); }));
  examples::OkOrFail(timer_.Set(kGrace));
  connecting_ = live_ = static_cast<std::size_t>(connections);
  for (std::size_t i = 0; i < connecting_; ++i) {
    clients_.push_back(std::make_unique<Client>(*this, i * 61));
  }
  for (const auto& client : clients_) client->Start(server);
  examples::OkOrFail(loop_.Run());
}

void Load::CountConnected() {
  if (--connecting_ > 0 || live_ == 0) return;
  // As a message of its own, since the client that calls is not done yet.
  examples::OkOrFail(loop_.Post([this] { StartSending(); }));
}

void Load::StartSending() {
  start_ = Clock::now();
  sending_ = true;
  examples::OkOrFail(timer_.Set(time_));
  for (const auto& client : clients_) client->Begin();
}

void Load::CountEnd(const absl::Status& status) {
  constexpr std::uint64_t kMostLogged = 5;
  if (!status.ok() && ++errors_ <= kMostLogged) {
    examples::Log(std::string(status.message()));
  }
  if (--live_ > 0) return;
  if (sending_) end_ = Clock::now();
  loop_.Stop();
}

void Load::OnTimer() {
  if (sending_) {
    // What is on its way is still answered and checked, but not counted.
    sending_ = false;
    end_ = Clock::now();
    examples::OkOrFail(timer_.Set(kGrace));
    return;
  }
  for (const auto& client : clients_) client->GiveUp();
}

}  // namespace

int main(int argc, char** argv) {
  examples::ParseCommandLine(
      argc, argv, "a checked load for a TCP echo server on this machine");
  const weir::SocketAddress server =
      examples::IpAddressFlag("connect", absl::GetFlag(FLAGS_connect));
  if (!server.is_loopback()) {
    examples::UsageError(absl::StrCat(
        "--connect: ", server.ToString(),
        " is not a loopback address; this load is for this machine only"));
  }
  const int connections = absl::GetFlag(FLAGS_connections);
  const int size = absl::GetFlag(FLAGS_size);
  const double seconds = absl::GetFlag(FLAGS_seconds);
  examples::CheckRange("connections", connections, 1, 100'000);
  examples::CheckRange("size", size, 1, 64 << 20);
  // Also not for NaN.
  if (!(seconds >= 0.01 && seconds <= 86'400)) {
    examples::UsageError("--seconds must be 0.01 to 86400");
  }

  const auto loop = examples::CreateLoop();
  examples::LogBackend(*loop);
  Load load(*loop, static_cast<std::size_t>(size), absl::Seconds(seconds));
  load.Run(server, connections);
  std::printf("round_trips=%llu seconds=%.3f errors=%llu\n",
              static_cast<unsigned long long>(load.round_trips()),
              load.seconds(), static_cast<unsigned long long>(load.errors()));
  return load.errors() == 0 ? 0 : 1;
}
