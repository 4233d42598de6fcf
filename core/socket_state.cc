#include "core/socket_state.h"

#include <utility>

#include "core/loop_core.h"
#include "platform/sockets.h"
#include "core/registration_record.h"

namespace weir::internal {

SocketState::~SocketState() {
  if (!handle_closed_) (void)platform::Close(native);
}

void SocketState::CloseHandle() {
  if (handle_closed_.exchange(true)) return;
  // close(2) gives the descriptor back whatever it returns.
  (void)platform::Close(native);
}

void SocketState::CloseWhenForgotten() {
  absl::MutexLock lock(&mu);
  if (registration == nullptr) CloseHandle();
}

void SocketState::LetGoOfHandle() {
  absl::MutexLock lock(&mu);
  handle_closed_ = true;
}

std::shared_ptr<RegistrationRecord> SocketState::Registration() {
  absl::MutexLock lock(&mu);
  return registration;
}

void SocketState::Forget(const RegistrationRecord& ended) {
  absl::MutexLock lock(&mu);
  if (registration.get() != &ended) return;
  registration.reset();
  record.store(nullptr, std::memory_order_relaxed);
  loop.store(nullptr, std::memory_order_relaxed);
  if (closed.load(std::memory_order_acquire)) CloseHandle();
}

void SocketState::TellDrained(Condition direction, bool short_transfer) {
  LoopCore::Frame* frame = LoopCore::CurrentFrame();
  if (frame != nullptr &&
      frame->loop == loop.load(std::memory_order_relaxed) &&
      !frame->loop->several_threads()) {
    // Registering and removing happen on this thread, so `record` is stable.
    frame->loop->DrainedHere(*record.load(std::memory_order_relaxed),
                             direction, short_transfer);
    return;
  }
  const std::shared_ptr<RegistrationRecord> present = Registration();
  // Stale: removed meanwhile, and nobody waits for the drain any more.
  if (present != nullptr) {
    (void)present->loop->Drained(present, direction, short_transfer);
  }
}

void SocketState::TellEndRead() {
  const std::shared_ptr<RegistrationRecord> present = Registration();
  if (present != nullptr) present->loop->EndRead(present);
}

void SocketState::SetConnectTarget(std::string target) {
  absl::MutexLock lock(&mu);
  connect_target = std::make_unique<std::string>(std::move(target));
}

std::string SocketState::ConnectTarget() {
  absl::MutexLock lock(&mu);
  return connect_target == nullptr ? std::string() : *connect_target;
}

void SocketState::ChangeRole(SocketRole to) {
  role.store(to, std::memory_order_relaxed);
  const std::shared_ptr<RegistrationRecord> present = Registration();
  if (present != nullptr && present->live.load(std::memory_order_acquire)) {
    present->loop->RoleChanged(present);
  }
}

}  // namespace weir::internal
