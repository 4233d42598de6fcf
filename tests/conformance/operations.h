// What tests of operations start from: streams whose peer is an ordinary socket
// that the test drives by itself, and a record of what is indicated.

#ifndef WEIR_TESTS_CONFORMANCE_OPERATIONS_H_
#define WEIR_TESTS_CONFORMANCE_OPERATIONS_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "tests/conformance/conformance.h"
#include "weir/datagram_socket.h"
#include "weir/listener.h"
#include "weir/operation.h"
#include "weir/stream.h"

namespace weir::conformance {

inline ConstBuffer BytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string TextOf(ConstBuffer bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}
// Different bytes at different places.
std::string Pattern(std::size_t size);
// More than the system's buffers of a connection take, on both sides.
inline constexpr std::size_t kMoreThanFits = 48 << 20;

// Memory to receive into.
class Room {
 public:
  explicit Room(std::size_t size) : text_(size, '.') {}
  operator MutableBuffer() {  // NOLINT
    return std::as_writable_bytes(std::span(text_.data(), text_.size()));
  }
  std::string text(std::size_t size) const { return text_.substr(0, size); }
  const std::string& all() const { return text_; }

 private:
  std::string text_;
};

// "receive OK 3", "send CANCELLED 0".
std::string Entry(std::string_view name, const absl::Status& status,
                  std::size_t bytes);

// Everything that was indicated, in its order; from any thread. The handlers may
// outlive it.
class Indications {
 public:
  using Also = std::function<void(const Completion&)>;

  CompletionHandler Handler(std::string name, Also also = nullptr);
  DatagramHandler ForDatagram(std::string name);
  // "name OK 0" for each connection, which is kept.
  AcceptHandler ForAccept(std::string name);
  // "name OK bytes" for what arrives, and for its end.
  ReceiveHandler ForReceived(std::string name);
  // "name".
  CloseHandler ForClose(std::string name, std::function<void()> also = nullptr);
  void Note(std::string entry) const { log_->Add(std::move(entry)); }

  std::vector<std::string> entries() const;
  std::vector<std::string> Take();
  std::size_t count() const;
  // How many handlers are alive.
  int alive() const;
  // What ForReceived was given, together.
  std::string received() const;
  std::vector<AcceptedStream> TakeAccepted();
  absl::Status last_status() const;

 private:
  struct Log {
    void Add(std::string entry, const absl::Status& status = {}) {
      absl::MutexLock lock(&mu);
      entries.push_back(std::move(entry));
      last_status = status;
    }
    mutable absl::Mutex mu;
    std::vector<std::string> entries ABSL_GUARDED_BY(mu);
    absl::Status last_status ABSL_GUARDED_BY(mu);
    std::string received ABSL_GUARDED_BY(mu);
    std::vector<AcceptedStream> accepted ABSL_GUARDED_BY(mu);
    int alive ABSL_GUARDED_BY(mu) = 0;
  };
  class Alive;

  std::shared_ptr<Log> log_ = std::make_shared<Log>();
};

// A stream on the loop, and the other end as a plain socket.
struct StreamAndPeer {
  Stream stream;
  Socket peer;
};

class OperationsTest : public Conformance {
 protected:
  StreamAndPeer Connect(AddressFamily family = test::LocalFamily());
  StreamAndPeer Connect(EventLoop& on,
                        AddressFamily family = test::LocalFamily());
  void TurnUntilCount(const Indications& told, std::size_t count);
  // Turns that hardly wait, until `done`, which may itself do what brings the
  // loop on: a long wait would wait for it.
  void PumpUntil(const std::function<bool()>& done);
  // Receives at `peer` until that has got `size` bytes; returns them.
  std::string DrainUntil(Socket& peer, std::size_t size);
  // Starts a send that has to wait for the peer; returns how many bytes it has.
  // `told` knows it as "fill".
  std::size_t FillSends(Stream& stream, Indications& told);
};

}  // namespace weir::conformance

#endif  // WEIR_TESTS_CONFORMANCE_OPERATIONS_H_
