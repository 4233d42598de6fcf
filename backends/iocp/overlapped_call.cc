#include "backends/iocp/overlapped_call.h"

#include <algorithm>

#include "platform/windows/nt_status.h"

namespace weir::internal {

std::int64_t OverlappedCall::Result() const {
  const int code = platform::CodeOfNtStatus(
      static_cast<std::int32_t>(overlapped.Internal));
  return code == 0 ? bytes() : -std::int64_t{code};
}

OverlappedCalls::~OverlappedCalls() {
  if (in_flight() == 0) return;
  for (auto& call : all_) (void)call.release();
}

OverlappedCall* OverlappedCalls::Take(Submission& submission) {
  if (free_ == nullptr) {
    all_.push_back(std::make_unique<OverlappedCall>());
    free_ = all_.back().get();
    ++free_count_;
  }
  OverlappedCall* call = free_;
  free_ = call->next;
  --free_count_;
  call->next = nullptr;
  call->overlapped = {};
  call->submission = &submission;
  call->socket = submission.socket->socket();
  return call;
}

void OverlappedCalls::Give(OverlappedCall* call) {
  call->submission = nullptr;
  call->next = free_;
  free_ = call;
  ++free_count_;
}

// One that comes so late is behind thousands of others in the port, which are
// taken in each turn.
void OverlappedCalls::GiveDoubtful(OverlappedCall* call) {
  constexpr std::size_t kMost = 4096;
  call->submission = nullptr;
  doubtful_.push_back(call);
  if (doubtful_.size() <= kMost) return;
  call = doubtful_.front();
  doubtful_.pop_front();
  Give(call);
}

bool OverlappedCalls::TakeDoubt(OverlappedCall* call) {
  if (call->submission != nullptr) return false;
  const auto at = std::find(doubtful_.begin(), doubtful_.end(), call);
  if (at != doubtful_.end()) {
    doubtful_.erase(at);
    Give(call);
  }
  return true;
}

void OverlappedCalls::CancelAll() {
  for (const auto& call : all_) {
    if (call->submission != nullptr) CancelCall(*call);
  }
}

StartedCall Started(bool succeeded, const OverlappedCall& call,
                    bool skips_packets) {
  if (succeeded) {
    return skips_packets ? StartedCall(call.bytes()) : std::nullopt;
  }
  const int error = WSAGetLastError();
  if (error == WSA_IO_PENDING) return std::nullopt;
  return -std::int64_t{error};
}

void CancelCall(OverlappedCall& call) {
  // The handle may have been closed, and be another's: then nothing is found.
  CancelIoEx(reinterpret_cast<HANDLE>(call.socket), &call.overlapped);
}

}  // namespace weir::internal
