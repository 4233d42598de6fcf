// Sockets through registrations, and datagrams.

#ifndef WEIR_TESTS_FAULTS_STAGE_SOCKETS_H_
#define WEIR_TESTS_FAULTS_STAGE_SOCKETS_H_

#include <memory>
#include <string>
#include <vector>

#include "tests/faults/stage.h"
#include "weir/address_watch.h"
#include "weir/datagram_socket.h"
#include "weir/socket.h"

namespace weir::faults {

// One socket with a registration.
class SocketPart : public Part {
 public:
  SocketPart(Stage& stage, std::string name, Socket socket)
      : stage_(stage), name_(std::move(name)), socket_(std::move(socket)) {}
  void Close() override { socket_.Close(); }

 protected:
  void Register(const RegistrationOptions& options);
  // Neither called for the error event nor for `removed`.
  virtual void Ready(const Event& event) = 0;
  void Failed(const absl::Status& status);

  Stage& stage_;
  const std::string name_;
  Socket socket_;
  Registration registration_;
};

// Accepts on notification: each connection becomes a SocketEcho.
class SocketListener final : public SocketPart {
 public:
  explicit SocketListener(Stage& stage);
  SocketAddress address() const { return address_; }

 private:
  void Ready(const Event& event) override;
  SocketAddress address_;
};

// Level, persistent.
class SocketEcho final : public SocketPart {
 public:
  SocketEcho(Stage& stage, Socket socket);

 private:
  void Ready(const Event& event) override;
  std::string unsent_;
};

// Edge, persistent: connects, sends, and compares what comes back.
class SocketClient final : public SocketPart {
 public:
  SocketClient(Stage& stage, const SocketAddress& address, unsigned seed);

 private:
  void Ready(const Event& event) override;
  bool Receive();
  const std::string payload_;
  std::size_t sent_ = 0;
  std::string received_;
};

// A datagram for a registered socket, one-shot, which re-arms for each.
class DatagramReader final : public SocketPart {
 public:
  DatagramReader(Stage& stage, int count);
  SocketAddress address() const { return address_; }

 private:
  void Ready(const Event& event) override;
  SocketAddress address_;
  int left_;
};

// A datagram socket through operations: receives by itself, or one datagram at
// a time, until it has `count`, and sends to others.
class DatagramPart final : public Part {
 public:
  enum class How { kByItself, kOneByOne };
  DatagramPart(Stage& stage, How how, int count);
  void Close() override;
  void SendTo(const SocketAddress& destination, int count);
  SocketAddress address() const { return address_; }

 private:
  void Next();
  void Note(std::string_view data);
  void Failed(const absl::Status& status);
  void StartReceive();

  Stage& stage_;
  const std::shared_ptr<Owner> owner_ = std::make_shared<Owner>();
  DatagramSocket socket_;
  SocketAddress address_;
  std::string buffer_ = std::string(256, '\0');
  int left_;
  bool closing_ = false;
};

// Waits for a change of the machine's addresses, which does not come.
class WatchPart final : public Part {
 public:
  explicit WatchPart(Stage& stage);
  void Close() override;

 private:
  Stage& stage_;
  const std::shared_ptr<Owner> owner_ = std::make_shared<Owner>();
  AddressWatch watch_;
  bool closing_ = false;
};

}  // namespace weir::faults

#endif  // WEIR_TESTS_FAULTS_STAGE_SOCKETS_H_
