#include "core/endpoint_state.h"

#include <memory>
#include <utility>

#include "platform/sockets.h"

namespace weir::internal {

// What is there already is reported when the watch is armed, without a call
// that finds nothing, as it mostly would.
EndpointState::EndpointState(LoopCore& loop, NativeSocket native,
                             AddressFamily family, SocketType type,
                             SocketRole role)
    : LoopRecord(Use::kEndpoint, native),
      family_(family),
      type_(type),
      role_(role),
      several_threads_(loop.several_threads()),
      submits_(type == SocketType::kStream && loop.has_submissions()),
      submits_datagrams_(type == SocketType::kDatagram &&
                         loop.capabilities().datagram_submissions),
      loop_(&loop) {
  AddReference(loop);
  if (several_threads_) MakeExtras();
}

EndpointState::~EndpointState() {
  if (!handle_is_closed()) (void)platform::Close(socket());
  delete extras_.load(std::memory_order_relaxed);
  DropReference(*loop_);
}

EndpointExtras& EndpointState::MakeExtras() {
  auto* const made = new EndpointExtras;
  if (several_threads_) made->mu.emplace();
  extras_.store(made, std::memory_order_release);
  return *made;
}

EndpointSubmissions& EndpointState::MakeSubmissions() {
  submissions = std::make_unique<EndpointSubmissions>();
  submissions->receive.socket = this;
  if (receives_bare) {
    receives_bare = false;
    submissions->receive.kind = Submission::Kind::kReceiveMany;
    submissions->receive.in_flight = true;
  }
  return *submissions;
}

EndpointSubmissions& EndpointState::OwnSubmissions() {
  if (submissions != nullptr) return *submissions;
  LoopCore::Scope scope(*loop_);
  return MakeSubmissions();
}

EndpointSubmissions::Sending& EndpointState::OwnSending() {
  EndpointSubmissions& mine = OwnSubmissions();
  if (mine.sending == nullptr) {
    auto made = std::make_unique<EndpointSubmissions::Sending>();
    made->submission.socket = this;
    LoopCore::Scope scope(*loop_);
    mine.sending = std::move(made);
  }
  return *mine.sending;
}

}  // namespace weir::internal
