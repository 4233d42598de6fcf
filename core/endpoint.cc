// An endpoint's beginning, who may use it, and what it receives by itself.

#include "core/endpoint.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "platform/sockets.h"

namespace weir::internal {

void AddReference(Endpoint& endpoint) {
  endpoint.references_.fetch_add(1, std::memory_order_relaxed);
}

void DropReference(Endpoint& endpoint) {
  if (endpoint.references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    delete &endpoint;
  }
}

Endpoint::Guard::Guard(Endpoint& endpoint) : endpoint_(endpoint) {
  if (endpoint_.loop_->several_threads()) {
    endpoint_.Lock();
  } else {
    access_.emplace(*endpoint_.loop_);
    if (*access_) endpoint_.TakeLongWay();
  }
}

Endpoint::Guard::~Guard() {
  if (!access_.has_value()) endpoint_.Unlock();
}

Endpoint::Entering::Entering(Endpoint& endpoint) {
  // Whoever has access at once sees for himself.
  if (endpoint.loop_->several_threads() ||
      endpoint.loop_->FrameOfThisThread() != nullptr) {
    return;
  }
  endpoint_ = CountedRef(endpoint);
  endpoint_->entering_.fetch_add(1, std::memory_order_seq_cst);
}

void Endpoint::Entering::Leave() {
  if (endpoint_ == nullptr) return;
  const CountedRef<Endpoint> left = std::exchange(endpoint_, nullptr);
  left->entering_.fetch_sub(1, std::memory_order_seq_cst);
  // A close may have found this thread in the way and be waiting for it.
  if (left->closed_.load(std::memory_order_seq_cst)) {
    left->loop_->Enqueue([left] { left->Schedule(); });
  }
}

absl::StatusOr<CountedRef<Endpoint>> Endpoint::Create(LoopCore& loop,
                                                      NativeSocket native,
                                                      AddressFamily family,
                                                      SocketType type,
                                                      SocketRole role) {
  CountedRef<Endpoint> endpoint(
      *new Endpoint(loop, native, family, type, role));
  if (absl::Status status = loop.Adopt(endpoint); !status.ok()) {
    endpoint->BarHandle();
    return status;
  }
  return endpoint;
}

absl::StatusOr<AcceptedStream> Endpoint::MakeAccepted(NativeSocket native,
                                                      AddressFamily family,
                                                      const SocketAddress& peer,
                                                      LoopCore& loop) {
  auto endpoint = Create(loop, native, family, SocketType::kStream,
                         SocketRole::kConnected);
  if (!endpoint.ok()) {
    (void)platform::Close(native);
    return endpoint.status();
  }
  return AcceptedStream{.stream = Stream(*std::move(endpoint)), .peer = peer};
}

absl::Status Endpoint::Gone(const char* operation) {
  return absl::FailedPreconditionError(
      absl::StrCat(operation, ": the event loop is destroyed"));
}

absl::Status Endpoint::CheckUsable(const char* operation) const {
  if (closed_.load(std::memory_order_acquire)) {
    return absl::FailedPreconditionError(
        absl::StrCat(operation, ": the socket is closed"));
  }
  return loop_->CheckNotStopped(operation);
}

absl::Status Endpoint::NotConnected(const char* operation) const {
  if (absl::Status status = CheckUsable(operation); !status.ok()) return status;
  return absl::FailedPreconditionError(
      absl::StrCat(operation, ": the stream is not connected"));
}

absl::Status Endpoint::CheckUnbroken(const char* operation) const {
  if (!broken_.load(std::memory_order_acquire)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      operation,
      ": a send or a connect has failed or was cancelled before; only closing "
      "is left"));
}

absl::Status Endpoint::StartReceiving(Receiver receiver,
                                      const char* operation) {
  Entering entering(*this);
  if (absl::Status status = CheckUsable(operation); !status.ok()) return status;
  if (broken_.load(std::memory_order_acquire)) {
    return absl::FailedPreconditionError(
        absl::StrCat(operation, ": only closing is left"));
  }
  if (receives_by_itself_.exchange(true)) {
    return absl::FailedPreconditionError(
        absl::StrCat(operation, ": the socket does so already"));
  }
  const auto apply = [](Endpoint& endpoint, Receiver& given) {
    endpoint.TakeReceiver(std::move(given));
    endpoint.paused_ = false;
    endpoint.BeginReceiving();
  };
  const char* refused = nullptr;
  Guard guard(*this);
  if (guard) {
    if (closing_) {
      refused = ": the socket is closed";
    } else if (!extras().receives.empty()) {
      refused = ": operations of the kind are pending";
    } else {
      apply(*this, receiver);
    }
  } else if (!loop_->Enqueue([keep = CountedRef(*this), apply,
                              given = std::move(receiver),
                              until = std::move(entering)]() mutable {
               until.Leave();
               apply(*keep, given);
             })) {
    refused = ": the event loop is destroyed";
  }
  if (refused == nullptr) return absl::OkStatus();
  receives_by_itself_.store(false);
  return absl::FailedPreconditionError(absl::StrCat(operation, refused));
}

void Endpoint::LookForEnd() {
  const auto apply = [](Endpoint& endpoint) {
    endpoint.readable_ = true;
    endpoint.cancel_receive_ = endpoint.receive_submitted_;
    endpoint.Schedule();
  };
  Guard guard(*this);
  if (guard) {
    apply(*this);
  } else {
    // A loop that is destroyed has ended everything.
    (void)loop_->Enqueue([keep = CountedRef(*this), apply] { apply(*keep); });
  }
}

absl::Status Endpoint::PauseReceiving(bool paused, const char* operation) {
  if (absl::Status status = CheckUsable(operation); !status.ok()) return status;
  if (!receives_by_itself_.load()) {
    return absl::FailedPreconditionError(
        absl::StrCat(operation, ": nothing was started, or it has ended"));
  }
  const auto apply = [paused](Endpoint& endpoint) {
    if (endpoint.paused_ == paused) return;
    endpoint.paused_ = endpoint.cancel_receive_ = paused;
    endpoint.Schedule();
  };
  Guard guard(*this);
  if (guard) {
    apply(*this);
  } else if (!loop_->Enqueue(
                 [keep = CountedRef(*this), apply] { apply(*keep); })) {
    return Gone(operation);
  }
  return absl::OkStatus();
}

}  // namespace weir::internal
