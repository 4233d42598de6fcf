#include "tests/conformance/echo.h"

#include <algorithm>
#include <span>

#include "absl/time/clock.h"

namespace weir::conformance {
namespace {

// The byte at `offset` of what connection `which` sends; 251 is prime, so
// that no power of two goes unnoticed.
std::byte PatternAt(std::size_t which, std::size_t offset) {
  return static_cast<std::byte>((offset + which * 17) % 251);
}

struct Progress {
  std::size_t sent = 0;
  std::size_t received = 0;
  bool done = false;
};

void SendSome(Socket& socket, std::size_t which, std::size_t bytes,
              Progress& progress) {
  std::array<std::byte, 4096> block;
  while (progress.sent < bytes) {
    const std::size_t size = std::min(block.size(), bytes - progress.sent);
    for (std::size_t i = 0; i < size; ++i) {
      block[i] = PatternAt(which, progress.sent + i);
    }
    const Transfer sent =
        Must(socket.Send(std::span(block).first(size)), "client send");
    if (sent.would_block) return;
    progress.sent += sent.bytes;
    if (progress.sent == bytes) {
      MustOk(socket.Shutdown(ShutdownDirection::kSend));
    }
  }
}

void ReceiveSome(Socket& socket, std::size_t which, std::size_t bytes,
                 Progress& progress) {
  std::array<std::byte, 16384> block;
  while (!progress.done) {
    const auto received = socket.Receive(block);
    if (!received.ok()) {
      ADD_FAILURE() << "connection " << which << ": " << received.status();
      progress.done = true;
      return;
    }
    if (received->would_block) return;
    if (received->end_of_stream) {
      EXPECT_EQ(progress.received, bytes) << "connection " << which;
      progress.done = true;
      return;
    }
    for (std::size_t i = 0; i < received->bytes; ++i) {
      if (block[i] == PatternAt(which, progress.received + i)) continue;
      ADD_FAILURE() << "connection " << which << ": byte "
                    << progress.received + i << " differs";
      progress.done = true;
      return;
    }
    progress.received += received->bytes;
  }
}

}  // namespace

EchoSession::EchoSession(EventLoop& loop, Socket socket, const Mode& mode,
                         Tally* removed)
    : mode_(mode), removed_(removed), socket_(std::move(socket)) {
  // An edge registration that persists never has to change its interest.
  const bool both = mode.trigger == Trigger::kEdge &&
                    mode.persistence == Persistence::kPersistent;
  Must(loop.Register(socket_,
                     mode.With(both
                                   ? Interest::kReadable | Interest::kWritable
                                   : Interest::kReadable),
                     [this](const Event& event) { Handle(event); }),
       "register an echo session");
}

void EchoSession::Handle(const Event& event) {
  const Exclusive::Visit visit(exclusive_);
  if (ended_.load()) events_too_late_.fetch_add(1);
  if (event.removed()) {
    ended_.store(true);
    removed_->Add();
    return;
  }
  if (event.error()) ADD_FAILURE() << "echo: " << event.status();
  if (!Move()) {
    socket_.Close();
    return;
  }
  const Interest wanted =
      begin_ == end_ ? Interest::kReadable : Interest::kWritable;
  if (mode_.persistence == Persistence::kOneShot) {
    EXPECT_OK(event.registration().Rearm(wanted));
  } else if (mode_.trigger == Trigger::kLevel) {
    RegistrationChange change;
    change.interest = wanted;
    EXPECT_OK(event.registration().Modify(std::move(change)));
  }
}

bool EchoSession::Move() {
  while (true) {
    while (begin_ < end_) {
      const auto sent =
          socket_.Send(std::span(buffer_).subspan(begin_, end_ - begin_));
      if (!sent.ok()) {
        ADD_FAILURE() << "echo: " << sent.status();
        return false;
      }
      if (sent->would_block) return true;
      begin_ += sent->bytes;
    }
    const auto received = socket_.Receive(buffer_);
    if (!received.ok()) {
      ADD_FAILURE() << "echo: " << received.status();
      return false;
    }
    if (received->would_block) return true;
    if (received->end_of_stream) return false;
    begin_ = 0;
    end_ = received->bytes;
  }
}

void EchoThroughAll(std::vector<Socket>& sockets, std::size_t bytes) {
  std::vector<Progress> progress(sockets.size());
  const absl::Time deadline = absl::Now() + kPatience;
  while (true) {
    std::vector<platform::PollEntry> polls;
    for (std::size_t i = 0; i < sockets.size(); ++i) {
      if (progress[i].done) continue;
      SendSome(sockets[i], i, bytes, progress[i]);
      ReceiveSome(sockets[i], i, bytes, progress[i]);
      if (progress[i].done) continue;
      platform::PollBits bits = platform::PollBits::kReadable;
      if (progress[i].sent < bytes) bits |= platform::PollBits::kWritable;
      polls.push_back({.socket = sockets[i].native(), .requested = bits});
    }
    if (polls.empty()) return;
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration() || !test::Poll(polls, left)) {
      for (std::size_t i = 0; i < sockets.size(); ++i) {
        if (progress[i].done) continue;
        ADD_FAILURE() << "connection " << i << " hangs: " << progress[i].sent
                      << " sent, " << progress[i].received << " received";
      }
      return;
    }
  }
}

}  // namespace weir::conformance
