#include "core/socket_state.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "core/loop_core.h"
#include "platform/sockets.h"
#include "core/registration_record.h"

namespace weir::internal {

Mutex& SocketState::mutex() const {
  constexpr std::size_t kMutexes = 64;
  static auto& mutexes = *new std::array<Mutex, kMutexes>;
  return mutexes[reinterpret_cast<std::uintptr_t>(this) / 64 % kMutexes];
}

SocketState::~SocketState() {
  if (!handle_closed_) (void)platform::Close(native);
}

void SocketState::CloseHandle() {
  if (handle_closed_.exchange(true)) return;
  // close(2) gives the descriptor back whatever it returns.
  (void)platform::Close(native);
}

void SocketState::CloseWhenForgotten() {
  bool forgotten = false;
  {
    absl::MutexLock lock(&mutex());
    forgotten = registration == nullptr;
  }
  // It may take its time (SO_LINGER), and the mutex is also of others.
  if (forgotten) CloseHandle();
}

void SocketState::LetGoOfHandle() {
  absl::MutexLock lock(&mutex());
  handle_closed_ = true;
}

std::shared_ptr<RegistrationRecord> SocketState::Registration() {
  absl::MutexLock lock(&mutex());
  return registration;
}

void SocketState::Forget(const RegistrationRecord& ended) {
  {
    absl::MutexLock lock(&mutex());
    if (registration.get() != &ended) return;
    registration.reset();
    record.store(nullptr, std::memory_order_relaxed);
    loop.store(nullptr, std::memory_order_relaxed);
  }
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
  absl::MutexLock lock(&mutex());
  connect_target = std::make_unique<std::string>(std::move(target));
}

std::string SocketState::ConnectTarget() {
  absl::MutexLock lock(&mutex());
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
