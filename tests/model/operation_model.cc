#include "tests/model/operation_model.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/model/byte_pattern.h"
#include "tests/support/system.h"
#include "weir/status.h"

namespace weir::operation_model {
namespace {

std::string Wrong(std::string_view what, const absl::Status& status = {}) {
  return absl::StrCat(absl::string_view(what.data(), what.size()),
                      status.ok() ? "" : ": ",
                      status.ok() ? "" : status.ToString());
}

bool IsCut(const absl::Status& status) {
  return absl::IsCancelled(status) || absl::IsDeadlineExceeded(status);
}

}  // namespace

// --- bytes

std::uint64_t ByteStream::Give(std::uint64_t size) {
  const std::uint64_t place = given_;
  given_ += size;
  return place;
}

std::string ByteStream::HadUpTo(std::uint64_t place) {
  taken_ = std::max(taken_, place);
  if (taken_ <= limit_) return "";
  return absl::StrCat("bytes up to ", place, " are said to be sent, behind ",
                      limit_, ", where nothing can be");
}

std::string ByteStream::HadNothingFrom(std::uint64_t place) {
  limit_ = std::min(limit_, place);
  if (taken_ > limit_ || read_ > limit_) {
    return absl::StrCat("nothing is said to be sent from ", limit_,
                        " on; known to be sent: ", taken_,
                        ", received: ", read_);
  }
  return "";
}

std::string ByteStream::Read(std::span<const std::byte> data) {
  const std::size_t stray = model::FirstStrayByte(data, read_);
  if (stray < data.size()) {
    return absl::StrCat("byte ", stray, " of ", data.size(), " at ", read_,
                        " is not what was sent there");
  }
  read_ += data.size();
  if (read_ > most()) {
    return absl::StrCat("received up to ", read_, ", sent at most ", most());
  }
  if (end_read_ && !data.empty()) return "bytes behind the end of the stream";
  return "";
}

std::string ByteStream::ReadEnd(bool by_reader) {
  if (!ended_ && !may_end_ && ending_ == 0 && !by_reader) {
    return "the end of a stream that has not ended";
  }
  end_read_ = true;
  end_by_reader_ = end_by_reader_ || by_reader;
  return CheckAtTheEnd();
}

std::string ByteStream::CheckAtTheEnd() const {
  if (!end_read_ || end_by_reader_ || read_ >= taken_) return "";
  return absl::StrCat("the end of the stream at ", read_, ", but ", taken_,
                      " were sent");
}

std::string ConnectionModel::Received(int s, const absl::Status& status,
                                      std::span<const std::byte> data) {
  Side& self = sides[s];
  ByteStream& in = sent[1 - s];
  if (!data.empty()) {
    if (!status.ok()) return Wrong("data with an error", status);
    if (self.receive_failed) return "data behind an error";
    return in.Read(data);
  }
  if (status.ok()) {
    // sendfile(2) goes on by itself, and one that has sent something says
    // nothing of the reset that it met then, which the system tells once.
    if (self.sends_file && sides[1 - s].aborted) in.MayEnd(true);
    return in.ReadEnd(self.receive_shut ||
                      (MayBeReset(s) && !test::UnawaitedResetsAreTold()));
  }
  self.receive_failed = true;
  if (CauseOf(status) == ErrorCause::kConnectionReset && MayBeReset(s)) {
    return "";
  }
  return Wrong("the receiving failed", status);
}

std::string ConnectionModel::SendFailed(int s, const absl::Status& status) {
  sides[s].send_failed = true;
  const ErrorCause cause = CauseOf(status);
  const bool refused = sides[1 - s].closed || sides[1 - s].receive_shut ||
                       sides[s].send_shut || sent[s].ended() ||
                       sides[s].receive_failed;
  if (refused && (cause == ErrorCause::kConnectionReset ||
                  cause == ErrorCause::kBrokenPipe ||
                  cause == ErrorCause::kNotConnected)) {
    return "";
  }
  return Wrong("the sending failed", status);
}

// --- starting

bool Contract::Breaks(Verb verb) const {
  return kind_ == Kind::kStream && !Receives(verb) && verb != Verb::kFlush;
}

bool Contract::MayBeBroken(std::int64_t now) const {
  return may_be_broken_ || broken_ ||
         std::any_of(out_.begin(), out_.end(), [&](const Entry* entry) {
           return Breaks(entry->verb) &&
                  (entry->cut_asked || entry->deadline <= now);
         });
}

Answer Contract::AnswerTo(Verb verb, std::int64_t now) const {
  Answer answer{.refuses = closed_ || loop_.stopped.load(),
                .receivers = receivers_,
                .may_refuse = closing_ || loop_.stopping.load()};
  if (kind_ == Kind::kStream) {
    const bool connects = verb == Verb::kConnect;
    answer.refuses =
        answer.refuses || broken_ ||
        (connects ? link_ != Link::kUnconnected
                  : link_ == Link::kUnconnected || link_ == Link::kFailed);
    answer.may_refuse =
        answer.may_refuse || MayBeBroken(now) ||
        link_ != (connects ? Link::kUnconnected : Link::kConnected);
  }
  if (Receives(verb) && receiver_ != nullptr) {
    // On another thread, its last call may be about to be made.
    answer.busy = receiver_->began && loop_.exact;
    answer.may_refuse = true;
  }
  answer.may_refuse = answer.may_refuse || answer.refuses;
  return answer;
}

std::string Contract::Answered(const Answer& before, Verb verb,
                               const absl::Status& status,
                               std::int64_t now) const {
  const Answer after = AnswerTo(verb, now);
  if (status.ok()) {
    // What was so before and after was so in between.
    const bool busy = before.busy && after.busy &&
                      before.receivers == after.receivers;
    if (busy || (before.refuses && after.refuses)) {
      return "started, though it should have been refused";
    }
    return "";
  }
  if (!absl::IsFailedPrecondition(status)) {
    return Wrong("refused, but not with FailedPrecondition", status);
  }
  return before.may_refuse || after.may_refuse
             ? ""
             : Wrong("refused without a reason", status);
}

void Contract::Begin(Entry& entry, std::int64_t now) {
  entry.before = AnswerTo(entry.verb, now);
  if (cancelling_ > 0) BeginCancel(entry);
  QueueOf(Receives(entry.verb)).push_back(&entry);
  if (kind_ != Kind::kStream || Receives(entry.verb)) return;
  if (entry.verb == Verb::kConnect) {
    if (link_ == Link::kUnconnected) link_ = Link::kConnecting;
    return;
  }
  if (entry.verb == Verb::kDisconnect) out_bytes().BeginEnd();
  if (entry.verb == Verb::kSendFile) {
    connection_->sides[side_].sends_file = true;
  }
  entry.place = out_bytes().Give(entry.size);
}

std::string Contract::Began(Entry& entry, const absl::Status& status,
                            std::int64_t now) {
  entry.began = status.ok();
  if (entry.verb == Verb::kDisconnect) {
    out_bytes().NotEnded();
    if (status.ok()) out_bytes().End();
  }
  if (status.ok() && close_told_ && !entry.indicated) {
    return "started when the close was told";
  }
  if (status.ok()) return Answered(entry.before, entry.verb, status, now);
  entry.refused = true;
  if (entry.indicated) return "refused, but it was indicated";
  std::erase(QueueOf(Receives(entry.verb)), &entry);
  if (kind_ == Kind::kStream && !Receives(entry.verb)) {
    out_bytes().TakeBack(entry.size);
    // It was connecting only itself.
    if (entry.verb == Verb::kConnect && !entry.before.refuses) {
      link_ = Link::kUnconnected;
    }
  }
  return Answered(entry.before, entry.verb, status, now);
}

// --- indications

std::string Contract::Indicated(Entry& entry, const absl::Status& status,
                                std::size_t bytes, std::int64_t now,
                                std::span<const MutableBuffer> received) {
  if (entry.indicated) return "indicated twice";
  if (entry.refused) return "indicated, though it was not started";
  // What is told by its handle is seen when the handle is there.
  if (close_told_ && (entry.began || !entry.silent)) {
    return "indicated after the close was told";
  }
  entry.indicated = true;
  std::deque<Entry*>& queue = QueueOf(Receives(entry.verb));
  const auto at = std::find(queue.begin(), queue.end(), &entry);
  if (at == queue.end()) {
    if (std::exchange(one_more_, false)) return "";
    return "indicated, though it is not pending";
  }
  const bool first = at == queue.begin();
  queue.erase(at);
  if (IsCut(status)) return CheckCut(entry, status, bytes, now);
  if (!first) return "indicated before those that were started before it";
  return CheckResult(entry, status, bytes, received);
}

std::string Contract::CheckCut(const Entry& entry, const absl::Status& status,
                               std::size_t bytes, std::int64_t now) {
  if (absl::IsDeadlineExceeded(status)) {
    if (now < entry.deadline) return "its time is not over";
  } else if (!entry.cut_asked && !closing_ && !loop_.stopping.load() &&
             !(kind_ == Kind::kStream && !Receives(entry.verb) &&
               (broken_ || may_be_broken_))) {
    return "cancelled, though nobody asked for it";
  }
  if (Receives(entry.verb) || kind_ != Kind::kStream) {
    return bytes == 0 ? "" : "cut, but it has moved bytes";
  }
  if (Breaks(entry.verb)) broken_ = true;
  if (entry.verb == Verb::kConnect) link_ = Link::kFailed;
  return CheckSent(entry, status, bytes);
}

std::string Contract::CheckResult(const Entry& entry,
                                  const absl::Status& status,
                                  std::size_t bytes,
                                  std::span<const MutableBuffer> received) {
  switch (entry.verb) {
    case Verb::kReceive: {
      if (bytes > entry.size) return "more bytes than there was room for";
      if (bytes == 0 || !status.ok()) {
        return connection_->Received(side_, status, {});
      }
      std::size_t left = bytes;
      for (const MutableBuffer& buffer : received) {
        const std::size_t part = std::min(left, buffer.size());
        if (part == 0) continue;
        left -= part;
        const std::string wrong =
            connection_->Received(side_, status, buffer.first(part));
        if (!wrong.empty()) return wrong;
      }
      return "";
    }
    case Verb::kConnect:
      link_ = status.ok() ? Link::kConnected : Link::kFailed;
      if (status.ok()) {
        return entry.must_fail ? "connected to nobody" : "";
      }
      return entry.may_fail || entry.must_fail
                 ? ""
                 : Wrong("the connect failed", status);
    case Verb::kSend:
    case Verb::kSendFile:
    case Verb::kFlush:
    case Verb::kDisconnect:
      return CheckSent(entry, status, bytes);
    default:
      // Whoever knows more of it checks the rest.
      return "";
  }
}

std::string Contract::CheckSent(const Entry& entry, const absl::Status& status,
                                std::size_t bytes) {
  ByteStream& out = out_bytes();
  if (bytes > entry.size) return "more bytes than were to be sent";
  if (status.ok()) {
    if (bytes != entry.size) return "complete, but not all bytes are sent";
    std::string wrong = out.HadUpTo(entry.place + entry.size);
    if (wrong.empty() && entry.verb == Verb::kDisconnect) {
      wrong = out.HadNothingFrom(entry.place);
    }
    return wrong;
  }
  std::string wrong;
  if (bytes > 0) wrong = out.HadUpTo(entry.place + bytes);
  if (wrong.empty() && entry.verb != Verb::kConnect &&
      entry.verb != Verb::kFlush) {
    wrong = out.HadNothingFrom(entry.place + bytes);
  }
  if (!wrong.empty() || IsCut(status)) return wrong;
  return connection_->SendFailed(side_, status);
}

// --- the receiver

void Contract::BeginReceiving(ReceiverEntry& entry, std::int64_t now) {
  entry.before = AnswerTo(Verb::kReceive, now);
  entry.before.may_refuse = entry.before.may_refuse || !in_.empty();
  if (receiver_ == nullptr) (void)Install(entry);
}

std::string Contract::Install(ReceiverEntry& entry) {
  if (receiver_ == &entry) return "";
  if (receiver_ != nullptr) return "two receivers at a time";
  receiver_ = &entry;
  ++receivers_;
  paused_ = Pause::kNo;
  return "";
}

std::string Contract::BeganReceiving(ReceiverEntry& entry,
                                     const absl::Status& status,
                                     std::int64_t now) {
  if (!status.ok()) {
    entry.refused = true;
    if (receiver_ == &entry) receiver_ = nullptr;
    if (entry.called) return "refused, but the receiver was called";
    return Answered(entry.before, Verb::kReceive, status, now);
  }
  if (!entry.ended) {
    if (!loop_.exact) receiver_ = nullptr;
    if (std::string wrong = Install(entry); !wrong.empty()) return wrong;
  }
  entry.began = true;
  if (close_told_ && !entry.ended) return "started when the close was told";
  // Its own presence is no reason.
  const Answer after = AnswerTo(Verb::kSend, now);
  return entry.before.refuses && after.refuses
             ? "started, though it should have been refused"
             : "";
}

void Contract::BeginPausing(bool pause) {
  if (!pause) paused_ = Pause::kNo;
}

std::string Contract::Paused(bool pause, bool certain, bool was_receiving,
                             const absl::Status& status) {
  if (status.ok()) {
    if (pause) paused_ = certain ? Pause::kYes : Pause::kMaybe;
    return "";
  }
  if (!absl::IsFailedPrecondition(status)) {
    return Wrong("refused, but not with FailedPrecondition", status);
  }
  // Its last call may be on its way on another thread.
  if (was_receiving && receiver_ != nullptr && !closing_ &&
      !loop_.stopping.load() && loop_.exact) {
    return Wrong("refused without a reason", status);
  }
  return "";
}

std::string Contract::Received(ReceiverEntry& entry, const absl::Status& status,
                               bool last, std::span<const std::byte> data) {
  entry.called = true;
  if (std::exchange(one_more_, false)) return "";
  if (entry.refused) return "received, though it was not started";
  if (entry.ended) return "received after the last";
  if (close_told_) return "received after the close was told";
  // Another thread may have started the next one before the last call of this
  // one began.
  if (loop_.exact || !entry.began || !last) {
    if (std::string wrong = Install(entry); !wrong.empty()) return wrong;
  }
  if (last) {
    entry.ended = true;
    if (receiver_ == &entry) receiver_ = nullptr;
  }
  if (last && absl::IsCancelled(status)) {
    return closing_ || loop_.stopping.load()
               ? ""
               : "the receiver was cancelled, though nobody closes";
  }
  if (paused_ == Pause::kYes) return "received between pause and resume";
  if (kind_ != Kind::kStream) return "";
  return connection_->Received(side_, status, data);
}

// --- cutting

std::string Contract::Cancelled(Entry& entry, bool was_asked, bool was_told,
                                const absl::Status& status) {
  if (status.ok()) {
    return was_told ? "cancelled what was told already" : "";
  }
  if (!absl::IsFailedPrecondition(status)) {
    return Wrong("not cancelled, but not with FailedPrecondition", status);
  }
  // It ends by itself; nothing has changed.
  if (cancelling_ == 0) entry.cut_asked = was_asked;
  return "";
}

void Contract::BeginCancelAll() {
  ++cancelling_;
  for (const auto* queue : {&in_, &out_}) {
    for (Entry* entry : *queue) {
      BeginCancel(*entry);
      // One that is just being started may come too late for it.
      entry->must_end = entry->began;
    }
  }
  // Copies are cancelled as well, without anybody being told.
  if (kind_ == Kind::kStream && (out_bytes().unsure() > 0 || empty_copy_)) {
    may_be_broken_ = true;
  }
}

std::string Contract::CancelledAll(const absl::Status& status,
                                   bool was_closed) {
  --cancelling_;
  if (status.ok()) return was_closed ? "cancelled on a closed socket" : "";
  return closing_ || loop_.stopping.load()
             ? ""
             : Wrong("cancelling failed", status);
}

// --- ending

void Contract::BeginShutdown(ShutdownDirection direction) {
  ConnectionModel::Side& self = connection_->sides[side_];
  if (direction != ShutdownDirection::kSend) self.receive_shut = true;
  if (direction != ShutdownDirection::kReceive) {
    self.send_shut = true;
    out_bytes().End();
  }
}

std::string Contract::Shut(ShutdownDirection direction,
                           const absl::Status& status, std::int64_t now) {
  if (status.ok()) {
    return direction == ShutdownDirection::kReceive
               ? ""
               : out_bytes().HadNothingFrom(out_bytes().given());
  }
  if (closing_ || loop_.stopping.load() ||
      // Only closing is left (O10).
      (MayBeBroken(now) && absl::IsFailedPrecondition(status)) ||
      (CauseOf(status) == ErrorCause::kNotConnected &&
       connection_->MayBeOver(side_))) {
    return "";
  }
  return Wrong("shutting down failed", status);
}

void Contract::BeginClose(bool abortive) {
  closing_ = true;
  ++closes_;
  // Or it was given back.
  if (kind_ != Kind::kStream || closed_) return;
  ConnectionModel::Side& self = connection_->sides[side_];
  self.closed = true;
  if (abortive && connection_->tcp) {
    self.aborted = true;
  } else {
    out_bytes().End();
  }
}

std::string Contract::Closed(const absl::Status& status, bool was_closed,
                             bool told) {
  if (status.ok()) {
    if (was_closed) return "closed twice";
    closed_ = true;
    close_to_be_told_ = told;
    return "";
  }
  if (!absl::IsFailedPrecondition(status)) {
    return Wrong("not closed, but not with FailedPrecondition", status);
  }
  return closes_ > 1 || closed_ || loop_.stopping.load()
             ? ""
             : Wrong("closing failed", status);
}

std::string Contract::CloseTold() {
  if (close_told_) return "the close is told twice";
  close_told_ = closed_ = true;
  if (!closing_) return "told of a close that nobody has asked for";
  // What is just being started will be refused.
  const auto began = [](const Entry* entry) { return entry->began; };
  if (std::any_of(in_.begin(), in_.end(), began) ||
      std::any_of(out_.begin(), out_.end(), began) ||
      (receiver_ != nullptr && receiver_->began)) {
    return "the close is told before everything has ended";
  }
  return "";
}

std::string Contract::Detached(const absl::Status& status, bool there,
                               std::int64_t now) {
  const std::size_t pending =
      in_.size() + out_.size() + (receiver_ == nullptr ? 0 : 1);
  const bool usable =
      link_ == Link::kConnected && !closing_ && !loop_.stopping.load();
  if (!status.ok()) {
    if (!absl::IsFailedPrecondition(status)) {
      return Wrong("not detached, but not with FailedPrecondition", status);
    }
    const bool certain = there && usable && pending == 0 && loop_.exact &&
                         !MayBeBroken(now) && out_bytes().unsure() == 0;
    return certain ? Wrong("not detached without a reason", status) : "";
  }
  closing_ = closed_ = true;
  if (!there) return "detached from a thread that is not the loop's";
  if (broken_) return "a stream with a hole is given back";
  if (pending > (loop_.exact ? 0 : 1)) return "detached with something pending";
  one_more_ = pending > 0;
  in_.clear();
  out_.clear();
  receiver_ = nullptr;
  return "";
}

}  // namespace weir::operation_model
