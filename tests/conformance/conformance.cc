#include "tests/conformance/conformance.h"

#include <cstdint>
#include <cstdlib>
#include <map>

#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "platform/poll.h"

namespace weir::conformance {
namespace {

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

void AwaitState(const Socket& socket, platform::PollBits wanted) {
  const absl::Time deadline = absl::Now() + kPatience;
  platform::PollEntry entry{.socket = socket.native(), .requested = wanted};
  do {
    MustOk(platform::PollNow(std::span(&entry, 1)));
    if ((entry.returned & wanted) != platform::PollBits::kNone) return;
  } while (absl::Now() < deadline);
  ADD_FAILURE() << "the socket did not get into the wanted state";
}

std::map<std::string, BackendFactory>& PluggedIn() {
  static std::map<std::string, BackendFactory> factories;
  return factories;
}

}  // namespace

void MustOk(const absl::Status& status, const char* what) {
  if (status.ok()) return;
  ADD_FAILURE() << what << ": " << status;
  std::abort();
}

const absl::Status& StatusOf(const absl::Status& status) { return status; }

std::string ToString(const Mode& mode) {
  return std::string(mode.trigger == Trigger::kLevel ? "level" : "edge") +
         (mode.persistence == Persistence::kOneShot ? " one-shot"
                                                    : " persistent");
}

SocketAddress AddressOf(const Socket& socket) {
  return Must(socket.LocalAddress());
}

Socket Listener(AddressFamily family) {
  return Must(Socket::Listen(family == AddressFamily::kIpv6
                                 ? SocketAddress::Ipv6Loopback(0)
                                 : SocketAddress::Ipv4Loopback(0)));
}

Connection Connected(AddressFamily family) {
  if (family == AddressFamily::kUnix) {
    auto pair = Must(Socket::Pair());
    return {std::move(pair.first), std::move(pair.second)};
  }
  Socket listener = Listener(family);
  return ConnectedBy(listener);
}

Connection ConnectedBy(Socket& listener) {
  Socket client = Must(Socket::Connect(AddressOf(listener)));
  AwaitState(client, platform::PollBits::kWritable);
  MustOk(client.TakeError());
  AwaitState(listener, platform::PollBits::kReadable);
  auto accepted = Must(listener.Accept());
  if (!accepted.has_value()) {
    ADD_FAILURE() << "no connection to accept";
    std::abort();
  }
  // Adopted, so that both ends are known to be connected.
  Socket adopted = Must(Socket::Adopt(Must(client.Release())));
  return {std::move(adopted), std::move(accepted->socket)};
}

// Not of 127.0.0.1, from which clients connect: one that is given the port that
// is given up here would connect to itself.
SocketAddress RefusedAddress() {
  Socket socket = Must(Socket::Open(AddressFamily::kIpv4, SocketType::kStream));
  MustOk(socket.Bind(Must(SocketAddress::Parse("127.0.0.2:0"))));
  return AddressOf(socket);
}

Connection DatagramPair() {
  Connection pair{Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0))),
                  Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0)))};
  Must(pair.client.StartConnecting(AddressOf(pair.server)));
  Must(pair.server.StartConnecting(AddressOf(pair.client)));
  return pair;
}

void Send(Socket& socket, std::string_view text) {
  const absl::Time deadline = absl::Now() + kPatience;
  Transfer sent;
  do {
    sent = Must(socket.Send(Bytes(text)), "send");
    // There is room. Under Wine it can be put off by what another thread has
    // sent before, whose end the system has not noted yet.
  } while (sent.would_block && absl::Now() < deadline);
  EXPECT_EQ(sent.bytes, text.size());
}

void AwaitReadable(const Socket& socket) {
  AwaitState(socket, platform::PollBits::kReadable);
}

// A connect that has failed is not writable everywhere.
void AwaitWritable(const Socket& socket) {
  AwaitState(socket,
             platform::PollBits::kWritable | platform::PollBits::kError);
}

// Where data hide it, it is there as soon as they are: over loopback, the peer
// has ended its side before this is called.
void AwaitPeerClosed(const Socket& socket) {
  AwaitState(socket, test::HangupOvertakesData()
                         ? platform::PollBits::kHangup
                         : platform::PollBits::kHangup |
                               platform::PollBits::kReadable);
}

Events HangupBehindData() {
  return test::HangupOvertakesData() ? Events::kHangup : Events::kNone;
}

std::string Receive(Socket& socket, std::size_t most) {
  std::string buffer(most, '\0');
  const auto received = socket.Receive(
      std::as_writable_bytes(std::span(buffer.data(), buffer.size())));
  if (!received.ok()) return "";
  buffer.resize(received->bytes);
  return buffer;
}

std::string Drain(Socket& socket) {
  std::string all;
  while (true) {
    std::string buffer(65536, '\0');
    const auto received = socket.Receive(
        std::as_writable_bytes(std::span(buffer.data(), buffer.size())));
    if (!received.ok() || received->would_block || received->end_of_stream) {
      return all;
    }
    all.append(buffer, 0, received->bytes);
  }
}

std::size_t Fill(Socket& socket) {
  const std::string block(65536, 'x');
  std::size_t total = 0;
  while (true) {
    const Transfer sent = Must(socket.Send(Bytes(block)), "fill");
    if (sent.would_block) return total;
    total += sent.bytes;
  }
}

void Reset(Socket& socket) {
  MustOk(socket.SetOption(SocketOption::kLinger, 0));
  socket.Close();
}

// --- Recorder

ReadinessHandler Recorder::Handler(std::function<void(const Event&)> also) {
  // Counts the live handlers, so that their destruction can be seen.
  struct Alive {
    explicit Alive(std::shared_ptr<Log> shared) : log(std::move(shared)) {
      ++log->handlers;
    }
    ~Alive() { --log->handlers; }
    std::shared_ptr<Log> log;
  };
  return [alive = std::make_unique<Alive>(log_),
          also = std::move(also)](const Event& event) {
    alive->log->events.push_back(event.events());
    if (event.error()) alive->log->errors.push_back(event.status());
    if (also) also(event);
  };
}

std::size_t Recorder::count(Events bits) const {
  std::size_t found = 0;
  for (const Events event : log_->events) found += Has(event, bits) ? 1 : 0;
  return found;
}

Events Recorder::seen() const {
  Events all = Events::kNone;
  for (const Events event : log_->events) all |= event;
  return all;
}

std::vector<Events> Recorder::Take() {
  return std::exchange(log_->events, {});
}

// --- Conformance

void Conformance::SetUp() { loop_ = NewLoop(); }

std::unique_ptr<EventLoop> NewLoop(const std::string& backend, int threads,
                                   int max_events) {
  EventLoopOptions options;
  options.backend = backend;
  options.threads = threads;
  options.max_events = max_events;
  if (const auto found = PluggedIn().find(backend);
      found != PluggedIn().end()) {
    return Must(EventLoop::Create(found->second({.threads = threads,
                                                 .max_events = max_events}),
                                  options),
                "create the loop");
  }
  return Must(EventLoop::Create(options), "create the loop");
}

std::unique_ptr<EventLoop> Conformance::NewLoop(int threads, int max_events) {
  return conformance::NewLoop(GetParam(), threads, max_events);
}

Registration Conformance::Register(Socket& socket,
                                   const RegistrationOptions& options,
                                   Recorder& recorder) {
  return Must(loop().Register(socket, options, recorder.Handler()),
              "register");
}

int Conformance::Turn() {
  return Must(loop().RunOnce(absl::ZeroDuration()), "turn");
}

void Conformance::TurnUntil(const std::function<bool()>& done) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (!done()) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) {
      ADD_FAILURE() << "waited in vain";
      return;
    }
    Must(loop().RunOnce(left), "turn");
  }
}

void Conformance::TurnUntilSeen(Recorder& recorder, Events events) {
  TurnUntil([&] { return (recorder.seen() & events) == events; });
}

void Conformance::TurnPastSentinel() {
  Connection sentinel = Connected(test::LocalFamily());
  Recorder recorder;
  const Registration registration =
      Register(sentinel.server, {.interest = Interest::kReadable}, recorder);
  Send(sentinel.client, "x");
  TurnUntilSeen(recorder, Events::kReadable);
  MustOk(registration.Remove());
  TurnUntilSeen(recorder, Events::kRemoved);
}

void Conformance::ExpectIdle() {
  // A spin has hundreds. A few come of signals: a ring that another case has left
  // interrupts the waits of its thread while it goes (io_uring in Linux).
  constexpr std::uint64_t kFewTurns = 20;
  Turn();
  const std::uint64_t before = loop().counters().turns;
  EXPECT_EQ(Must(loop().RunOnce(absl::Milliseconds(10)), "turn"), 0);
  EXPECT_LE(loop().counters().turns - before, kFewTurns);
}

void PlugIn(std::string name, BackendFactory factory) {
  PluggedIn().emplace(std::move(name), std::move(factory));
}

std::string TestNameOf(std::string_view backend) {
  std::string name(backend);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::vector<std::string> BackendsUnderTest() {
  const char* without = std::getenv("WEIR_TEST_WITHOUT");
  const std::vector<std::string> left_out =
      absl::StrSplit(without == nullptr ? "" : without, ',');
  std::vector<std::string> names;
  for (const auto& [name, factory] : PluggedIn()) names.push_back(name);
  if (!names.empty()) return names;
  for (const std::string_view name : CompiledBackends()) {
    if (std::find(left_out.begin(), left_out.end(), name) == left_out.end()) {
      names.emplace_back(name);
    }
  }
  return names;
}

}  // namespace weir::conformance
