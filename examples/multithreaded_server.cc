// A TCP echo server on several threads that run one loop. Every registration
// is level-triggered and one-shot: after its event a connection is quiet until
// its handler has armed it again, for what it waits for then. A connection is
// thereby never with two threads, and needs no lock. Asked to stop, the server
// removes all registrations and ends when the last has said so.

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "examples/example_main.h"
#include "examples/tcp_echo.h"
#include "weir/event_loop.h"

ABSL_FLAG(std::string, listen, "127.0.0.1:0",
          "IP address and port to listen on; port 0 picks one");
ABSL_FLAG(int, threads, 4, "how many threads run the loop, 1 to 256");

namespace {

using weir::Interest;

constexpr weir::RegistrationOptions kOneShot = {
    .interest = Interest::kReadable,
    .trigger = weir::Trigger::kLevel,
    .persistence = weir::Persistence::kOneShot};

class Server {
 public:
  Server(std::unique_ptr<weir::EventLoop> loop, weir::Socket listener)
      : listener_(std::move(listener)), loop_(std::move(loop)) {}

  // Serves until SIGINT or SIGTERM. Returns what main() does.
  int Run(int threads);

 private:
  void OnListener(const weir::Event& event);
  void Serve(weir::Socket socket);
  // Registers `socket`, unless the server stops already.
  absl::Status Add(weir::Socket& socket, weir::ReadinessHandler handler);
  void OnRemoved(const weir::Socket& socket);
  void RemoveAll();

  weir::Socket listener_;
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  // Those that have not said `removed`.
  absl::flat_hash_map<const weir::Socket*, weir::Registration> registrations_
      ABSL_GUARDED_BY(mu_);
  // The last member: it is destroyed first, and its handlers use the others.
  const std::unique_ptr<weir::EventLoop> loop_;
};

int Server::Run(int threads) {
  examples::OkOrFail(
      Add(listener_, [this](const weir::Event& event) { OnListener(event); }));
  examples::OkOrFail(loop_->OnTermination([this] { RemoveAll(); }));
  examples::AnnounceListening(
      *loop_, examples::ValueOrFail(listener_.LocalAddress()));
  return examples::RunLoop(*loop_, threads);
}

void Server::OnListener(const weir::Event& event) {
  if (event.removed()) return OnRemoved(listener_);
  const weir::Registration registration = event.registration();
  if (examples::AcceptWaiting(listener_, [this](weir::Socket socket) {
        Serve(std::move(socket));
      })) {
    registration.Rearm().IgnoreError();
    return;
  }
  loop_
      ->PostAfter(examples::kAcceptPause,
                  [registration] { registration.Rearm().IgnoreError(); })
      .IgnoreError();
}

void Server::Serve(weir::Socket socket) {
  auto stream = std::make_unique<examples::EchoStream>(std::move(socket));
  weir::Socket& registered = stream->socket();
  const absl::Status status = Add(
      registered, [this, stream = std::move(stream)](const weir::Event& event) {
        if (event.removed()) return OnRemoved(stream->socket());
        const Interest next = stream->OnEvent(event);
        if (next == Interest::kNone) return;
        // Fails if RemoveAll() has come first, and may.
        event.registration().Rearm(next).IgnoreError();
      });
  if (!status.ok()) examples::Log(std::string(status.message()));
}

absl::Status Server::Add(weir::Socket& socket, weir::ReadinessHandler handler) {
  // Held over the call: the first event may be with another thread before the
  // call returns, but `removed` waits for its entry here.
  absl::MutexLock lock(&mu_);
  if (stopping_) return absl::OkStatus();
  auto registration = loop_->Register(socket, kOneShot, std::move(handler));
  if (registration.ok()) registrations_[&socket] = *registration;
  return registration.status();
}

void Server::OnRemoved(const weir::Socket& socket) {
  absl::MutexLock lock(&mu_);
  registrations_.erase(&socket);
  if (stopping_ && registrations_.empty()) loop_->Stop();
}

void Server::RemoveAll() {
  absl::MutexLock lock(&mu_);
  stopping_ = true;
  for (const auto& [socket, registration] : registrations_) {
    // One that has just been closed by its handler is being removed already.
    registration.Remove().IgnoreError();
  }
}

}  // namespace

int main(int argc, char** argv) {
  examples::ParseCommandLine(
      argc, argv, "TCP echo by several threads that run one event loop");
  const int threads = absl::GetFlag(FLAGS_threads);
  examples::CheckRange("threads", threads, 1, 256);
  const weir::SocketAddress address =
      examples::IpAddressFlag("listen", absl::GetFlag(FLAGS_listen));
  auto loop = examples::CreateLoop(threads);
  Server server(std::move(loop),
                examples::ValueOrFail(weir::Socket::Listen(address)));
  return server.Run(threads);
}
