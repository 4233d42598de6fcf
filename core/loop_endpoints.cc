// What a loop does for its endpoints: it runs them, watches for them and keeps
// their deadlines.

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/function_ref.h"
#include "core/endpoint.h"
#include "core/loop_core.h"
#include "platform/error.h"

namespace weir::internal {
namespace {

// How often an endpoint runs in one turn, so that endpoints that keep each other
// busy do not keep the turn from ending.
constexpr int kMostRuns = 4;

SubmissionResults TakeResults(Endpoint& endpoint) {
  if (endpoint.submissions == nullptr) return {};
  Submission& receive = endpoint.submissions->receive;
  SubmissionResults results{
      .has_received = std::exchange(receive.reported, false),
      .received = receive.result};
  if (endpoint.submissions->sending != nullptr) {
    Submission& send = endpoint.submissions->sending->submission;
    results.has_sent = std::exchange(send.reported, false);
    results.sent = send.result;
  }
  return results;
}

// Calls `use` for what the mechanism has of it; true if that is anything.
bool ForEachInFlight(Endpoint& endpoint,
                     absl::FunctionRef<void(Submission&)> use) {
  if (endpoint.receives_bare) endpoint.MakeSubmissions();
  if (endpoint.submissions == nullptr) return false;
  Submission& receive = endpoint.submissions->receive;
  EndpointSubmissions::Sending* const sending =
      endpoint.submissions->sending.get();
  const bool receives = receive.in_flight;
  const bool sends = sending != nullptr && sending->submission.in_flight;
  if (receives) use(receive);
  if (sends) use(sending->submission);
  return receives || sends;
}

}  // namespace

absl::Status LoopCore::Adopt(const CountedRef<Endpoint>& endpoint) {
  if (absl::Status status = CheckNotStopped("attach"); !status.ok()) {
    return status;
  }
  const auto link = [this, endpoint] {
    (void)CountedRef(endpoint).GiveAway();
    endpoint->next = endpoints_;
    if (endpoints_ != nullptr) endpoints_->previous = endpoint.get();
    endpoints_ = endpoint.get();
  };
  Access access(*this);
  if (access && !ended_) {
    link();
  } else if (access || !Enqueue(link)) {
    return absl::FailedPreconditionError(
        "attach: the event loop is destroyed");
  }
  return absl::OkStatus();
}

void LoopCore::Schedule(Endpoint& endpoint, bool later) {
  if (ReadyList::linked(endpoint)) return;
  const auto turn = static_cast<std::uint16_t>(turn_);
  if (endpoint.last_turn != turn) {
    endpoint.last_turn = turn;
    endpoint.runs = 0;
  }
  (later || ++endpoint.runs > kMostRuns ? later_ : ready_).Push(endpoint);
}

void LoopCore::SetWatch(Endpoint& endpoint, const weir::Watch& watch) {
  endpoint.wanted = watch;
  if (watch != endpoint.armed) MarkDirty(endpoint);
}

bool LoopCore::Unwatch(Endpoint& endpoint, HandleFate fate, bool may_wait) {
  endpoint.wanted = weir::Watch{};
  if (ended_) return true;
  const bool first = !endpoint.unwatched;
  endpoint.unwatched = true;
  if (first) {
    endpoint.submits_first = endpoint.armed.present || !endpoint.unpinned();
    Disarm(endpoint);
    if (backend_->Forget(endpoint, fate)) endpoint.submits_first = true;
    if (fate == HandleFate::kCloses) ForgetClosed(endpoint);
  }
  if (!endpoint.submits_first) return true;
  if (first && may_wait && capabilities_.submissions) return false;
  if (!first && endpoint.unpinned()) return true;
  // A request in the kernel keeps the file open: it goes first. One that is only
  // noted would be carried out on whatever has the handle's number then.
  return !IsTransient(backend_->Submit());
}

void LoopCore::Forget(Endpoint& endpoint) {
  if (endpoint.next != nullptr) endpoint.next->previous = endpoint.previous;
  (endpoint.previous == nullptr ? endpoints_ : endpoint.previous->next) =
      endpoint.next;
  endpoint.next = endpoint.previous = nullptr;
  refusals_.erase(&endpoint);
  ended_endpoints_.push_back(CountedRef<Endpoint>::Adopt(endpoint));
}

int LoopCore::RunEndpoint(Endpoint& endpoint) {
  const Condition conditions = ReadyList::TakeConditions(endpoint);
  // Reported when it was on the list of later ones, which nobody digests.
  if (rules_.model == ReadinessModel::kSingleShot &&
      ReadyList::TakeEnded(endpoint)) {
    endpoint.armed = endpoint.wanted = weir::Watch{};
  }
  ReadyList::TakeDoubtful(endpoint);
  if (const int code = ReadyList::TakeRefusal(endpoint)) [[unlikely]] {
    refusals_[&endpoint] = platform::SystemError(code, "watch");
  }
  // Another thread may free what has ended.
  CountedRef<Endpoint> keep;
  if (rules_.several_threads) keep = CountedRef(endpoint);
  if (!refusals_.empty()) [[unlikely]] {
    if (auto refused = refusals_.extract(&endpoint)) {
      Release();
      endpoint.Refuse(std::move(refused.mapped()));
      Acquire();
    }
  }
  const SubmissionResults results = TakeResults(endpoint);
  Release();
  const int told = endpoint.Run(conditions, results);
  keep = nullptr;
  Acquire();
  CountCompletions(told);
  return told;
}

void LoopCore::ShutDownEndpoint(CountedRef<Endpoint> endpoint) {
  const Condition conditions = ReadyList::TakeConditions(*endpoint);
  const SubmissionResults results = TakeResults(*endpoint);
  Release();
  const int told = endpoint->ShutDown(conditions, results);
  Acquire();
  CountCompletions(told);
}

absl::Status LoopCore::StartSubmission(
    Submission& submission, std::span<const std::span<std::byte>> buffers) {
  unsubmitted_ = true;
  return backend_->Start(submission, buffers);
}

absl::Status LoopCore::StartReceiveMany(Endpoint& endpoint) {
  unsubmitted_ = true;
  return backend_->StartReceiveMany(endpoint);
}

Submission& LoopCore::ReceiveOf(WatchedSocket& socket) {
  auto& endpoint = static_cast<Endpoint&>(static_cast<LoopRecord&>(socket));
  EndpointSubmissions* const submissions = endpoint.submissions.get();
  return submissions != nullptr ? submissions->receive
                                : endpoint.MakeSubmissions().receive;
}

void LoopCore::CancelSubmission(Submission& submission) {
  if (!submission.in_flight) return;
  unsubmitted_ = true;
  backend_->Cancel(submission);
}

// Nobody will wait for the mechanism any more: what it has comes back, because
// its buffers are about to be given back.
void LoopCore::EndSubmissions() {
  if (!capabilities_.submissions) return;
  for (;;) {
    bool in_flight = false;
    for (Endpoint* at = endpoints_; at != nullptr; at = at->next) {
      if (!ForEachInFlight(*at, [this](Submission& submission) {
            CancelSubmission(submission);
          })) {
        continue;
      }
      in_flight = true;
      at->AbortZeroCopy();
    }
    if (!in_flight) return;
    constexpr std::int64_t kAskAgainNs = 100'000'000;
    constexpr std::int64_t kRetryNs = 1'000'000;
    if (!SubmitChanges().ok()) return;
    if (!backend_->Wait(unsubmitted_ ? kRetryNs : kAskAgainNs).ok()) return;
    backend_->Collect(ready_);
    TakeLoss();
  }
}

// The mechanism has nothing in flight any more; their reports were lost.
void LoopCore::EndUnreported(int error) {
  for (Endpoint* at = endpoints_; at != nullptr; at = at->next) {
    ForEachInFlight(*at, [this, error](Submission& submission) {
      ready_.Report(submission, -error);
    });
  }
}

void LoopCore::InsertOperation(OperationRecord& record,
                               absl::Duration timeout) {
  if (ended_) return;
  InsertTimer(record, DeadlineAfter(absl::ToInt64Nanoseconds(timeout)));
}

void LoopCore::CancelOperation(OperationRecord& record) {
  if (!record.idle()) wheel().Cancel(&record);
}

// The record is kept while it expires: another thread may be at its end.
void LoopCore::ExpireOperation(OperationRecord& record) {
  const CountedRef<Endpoint> endpoint = record.keep;
  record.Ref();
  Release();
  endpoint->Expire(record);
  endpoint->ReleaseRecord(record);
  Acquire();
}

}  // namespace weir::internal
