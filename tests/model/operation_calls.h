// Where a thread of a world is: in a call of the library, in a handler, or in
// the loop; and the making of calls that start something.

#ifndef WEIR_TESTS_MODEL_OPERATION_CALLS_H_
#define WEIR_TESTS_MODEL_OPERATION_CALLS_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "platform/clock.h"
#include "tests/model/byte_pattern.h"
#include "tests/model/operation_world.h"

namespace weir::operation_model {

// In a call, which calls no handler (O07).
class World::Calling {
 public:
  explicit Calling(World&) { ++lane_->calls; }
  ~Calling() { --lane_->calls; }
  Calling(const Calling&) = delete;
  Calling& operator=(const Calling&) = delete;
};

// In the loop, or in its destructor: handlers run on such threads alone.
class World::Running {
 public:
  explicit Running(World&) : before_(std::exchange(lane_->runs, true)) {}
  ~Running() { lane_->runs = before_; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  const bool before_;
};

// In a handler of `subject` (O07).
class World::Inside {
 public:
  Inside(World& world, Subject& subject, HandlerRecord& record);
  ~Inside();
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Subject& subject_;
  const Subject* const before_;
};

template <typename Call>
void World::BeginReceiver(const SubjectPtr& subject,
                          const std::shared_ptr<Receiver>& receiver,
                          Call call) {
  absl::ReaderMutexLock calls(&subject->calls);
  absl::MutexLock order(&subject->order[0]);
  {
    absl::MutexLock lock(&subject->mu());
    subject->contract.BeginReceiving(*receiver,
                                     platform::MonotonicNanoseconds());
    subject->receivers.push_back(receiver);
  }
  Log(absl::StrCat("  start receiving on ", subject->number));
  absl::Status status;
  {
    const Calling calling(*this);
    status = call();
  }
  if (!status.ok()) Log(absl::StrCat("    ", status.ToString()));
  absl::MutexLock lock(&subject->mu());
  Check(*subject,
        subject->contract.BeganReceiving(*receiver, status,
                                         platform::MonotonicNanoseconds()));
  CheckGivenAway(*subject, *receiver, status.ok(), receiver->ended);
}

template <typename Call>
bool World::Start(Subject& subject, const std::shared_ptr<Started>& started,
                  const Step& step, Call call) {
  absl::ReaderMutexLock calls(&subject.calls);
  absl::MutexLock order(&subject.order_of(started->verb));
  OperationOptions options;
  if (step.timeout_us > 0) {
    options.timeout = absl::Microseconds(step.timeout_us);
  }
  if (step.handle) options.handle = &started->handle;
  // Others are refused.
  if (step.on_this_thread && lane_->handlers > 0) {
    options.on_this_thread = true;
    started->thread = std::this_thread::get_id();
  }
  {
    absl::MutexLock lock(&subject.mu());
    const std::int64_t now = platform::MonotonicNanoseconds();
    if (started->verb == Verb::kSendFile) {
      // The file holds the pattern from its beginning.
      const File& file = model::PatternFile();
      started->offset = model::PatternOffset(
          subject.connection->model.sent[subject.side].given());
      started->size = std::min(started->length, file.size() - started->offset);
    }
    if (step.timeout_us > 0) started->deadline = now + step.timeout_us * 1000;
    subject.contract.Begin(*started, now);
    subject.started.push_back(started);
  }
  if (subject.kind == Contract::Kind::kStream && !Receives(started->verb)) {
    std::uint64_t place = started->place;
    for (const MutableBuffer buffer : started->buffers) {
      model::FillPattern(buffer, place);
      place += buffer.size();
    }
  }
  Log(absl::StrCat("  start ", started->number, " on ", subject.number, ": ",
                   NameOf(step.act), " ", started->size));
  absl::Status status;
  {
    const Calling calling(*this);
    status = call(options);
  }
  if (!status.ok()) Log(absl::StrCat("    ", started->number, " ", status.ToString()));
  absl::MutexLock lock(&subject.mu());
  started->has_handle = step.handle && status.ok();
  ReapAll(subject);
  Check(subject,
        subject.contract.Began(*started, status,
                               platform::MonotonicNanoseconds()));
  if (!started->silent) {
    CheckGivenAway(subject, *started, status.ok(), started->indicated);
  }
  return status.ok();
}

}  // namespace weir::operation_model

#endif  // WEIR_TESTS_MODEL_OPERATION_CALLS_H_
