#include "tests/conformance/operations.h"

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace weir::conformance {

std::string Pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    text[i] = static_cast<char>('a' + (i ^ (i >> 8) ^ (i >> 16)) % 26);
  }
  return text;
}

std::string Entry(std::string_view name, const absl::Status& status,
                  std::size_t bytes) {
  return absl::StrCat(absl::string_view(name.data(), name.size()), " ",
                      absl::StatusCodeToString(status.code()), " ", bytes);
}

// Counts the live handlers, so that their destruction can be seen.
class Indications::Alive {
 public:
  explicit Alive(std::shared_ptr<Log> log) : log_(std::move(log)) {
    absl::MutexLock lock(&log_->mu);
    ++log_->alive;
  }
  ~Alive() {
    absl::MutexLock lock(&log_->mu);
    --log_->alive;
  }
  Log& operator*() const { return *log_; }
  Log* operator->() const { return log_.get(); }

 private:
  std::shared_ptr<Log> log_;
};

CompletionHandler Indications::Handler(std::string name, Also also) {
  return [log = std::make_unique<Alive>(log_), name = std::move(name),
          also = std::move(also)](const Completion& done) {
    (*log)->Add(Entry(name, done.status, done.bytes), done.status);
    if (also) also(done);
  };
}

DatagramHandler Indications::ForDatagram(std::string name) {
  return [log = std::make_unique<Alive>(log_),
          name = std::move(name)](const DatagramCompletion& done) {
    (*log)->Add(Entry(name, done.status, done.bytes) +
                    (done.truncated ? " truncated" : ""),
                done.status);
  };
}

AcceptHandler Indications::ForAccept(std::string name) {
  return [log = std::make_unique<Alive>(log_),
          name = std::move(name)](absl::StatusOr<AcceptedStream>&& accepted) {
    (*log)->Add(Entry(name, accepted.status(), 0), accepted.status());
    if (!accepted.ok()) return;
    absl::MutexLock lock(&(*log)->mu);
    (*log)->accepted.push_back(*std::move(accepted));
  };
}

ReceiveHandler Indications::ForReceived(std::string name) {
  return [log = std::make_unique<Alive>(log_),
          name = std::move(name)](const Received& received) {
    (*log)->Add(Entry(name, received.status, received.data.size()),
                received.status);
    absl::MutexLock lock(&(*log)->mu);
    (*log)->received += TextOf(received.data);
  };
}

CloseHandler Indications::ForClose(std::string name,
                                   std::function<void()> also) {
  return [log = std::make_unique<Alive>(log_), name = std::move(name),
          also = std::move(also)] {
    (*log)->Add(name);
    if (also) also();
  };
}

std::vector<std::string> Indications::entries() const {
  absl::MutexLock lock(&log_->mu);
  return log_->entries;
}

std::vector<std::string> Indications::Take() {
  absl::MutexLock lock(&log_->mu);
  return std::exchange(log_->entries, {});
}

std::size_t Indications::count() const {
  absl::MutexLock lock(&log_->mu);
  return log_->entries.size();
}

int Indications::alive() const {
  absl::MutexLock lock(&log_->mu);
  return log_->alive;
}

std::string Indications::received() const {
  absl::MutexLock lock(&log_->mu);
  return log_->received;
}

std::vector<AcceptedStream> Indications::TakeAccepted() {
  absl::MutexLock lock(&log_->mu);
  return std::exchange(log_->accepted, {});
}

absl::Status Indications::last_status() const {
  absl::MutexLock lock(&log_->mu);
  return log_->last_status;
}

StreamAndPeer OperationsTest::Connect(AddressFamily family) {
  return Connect(loop(), family);
}

StreamAndPeer OperationsTest::Connect(EventLoop& on, AddressFamily family) {
  Connection connection = Connected(family);
  return {Must(Stream::Attach(on, std::move(connection.server)), "attach"),
          std::move(connection.client)};
}

void OperationsTest::TurnUntilCount(const Indications& told,
                                    std::size_t count) {
  TurnUntil([&] { return told.count() >= count; });
}

void OperationsTest::PumpUntil(const std::function<bool()>& done) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (!done()) {
    if (absl::Now() > deadline) {
      ADD_FAILURE() << "waited in vain";
      return;
    }
    Must(loop().RunOnce(absl::Milliseconds(1)), "turn");
  }
}

std::string OperationsTest::DrainUntil(Socket& peer, std::size_t size) {
  std::string got;
  PumpUntil([&] {
    got += Drain(peer);
    return got.size() >= size;
  });
  return got;
}

std::size_t OperationsTest::FillSends(Stream& stream, Indications& told) {
  // Never freed before the send has ended. By how long a smaller one waits,
  // nobody can tell that nothing fits: buffers grow, and a completion may be
  // late.
  static const std::string& data = *new std::string(kMoreThanFits, 'f');
  Operation send;
  MustOk(stream.Send(BytesOf(data), told.Handler("fill"), {.handle = &send}));
  // Tried at once by the next turn, if at all.
  Turn();
  Turn();
  EXPECT_FALSE(send.done());
  return data.size();
}

}  // namespace weir::conformance
