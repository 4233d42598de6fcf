#include "tests/faults/stage_sockets.h"

#include <array>
#include <span>
#include <utility>

namespace weir::faults {
namespace {

constexpr std::size_t kPayload = 5000;
constexpr std::string_view kDatagram = "a datagram";

Socket Take(Stage& stage, absl::StatusOr<Socket> socket) {
  if (socket.ok()) return *std::move(socket);
  stage.Failed(socket.status());
  return Socket();
}

absl::StatusOr<Socket> ConnectFrom(const SocketAddress& home,
                                   const SocketAddress& address) {
  auto socket = Socket::Open(AddressFamily::kIpv4, SocketType::kStream);
  if (!socket.ok()) return socket.status();
  if (absl::Status status = socket->Bind(home); !status.ok()) return status;
  const auto progress = socket->StartConnecting(address);
  if (!progress.ok()) return progress.status();
  return socket;
}

SocketAddress AddressOf(Stage& stage, const Socket& socket) {
  if (!socket) return SocketAddress();
  const auto address = socket.LocalAddress();
  if (address.ok()) return *address;
  stage.Failed(address.status());
  return SocketAddress();
}

}  // namespace

// --- SocketPart

void SocketPart::Register(const RegistrationOptions& options) {
  if (!socket_) return;
  auto promise = stage_.ledger().Add(name_ + " registration");
  auto registration = stage_.loop().Register(
      socket_, options, [this, token = Token(promise)](const Event& event) {
        token->Called(event.removed());
        if (event.error()) {
          Failed(event.status());
        } else if (!event.removed()) {
          Ready(event);
        }
      });
  if (registration.ok()) {
    registration_ = *std::move(registration);
    return;
  }
  promise->Refused();
  Failed(registration.status());
}

void SocketPart::Failed(const absl::Status& status) {
  if (socket_) stage_.Failed(status);
  socket_.Close();
}

// --- connections

SocketListener::SocketListener(Stage& stage)
    : SocketPart(stage, "socket listener",
                 Take(stage, Socket::Listen(stage.home()))),
      address_(AddressOf(stage, socket_)) {
  Register({.interest = Interest::kReadable});
}

void SocketListener::Ready(const Event&) {
  auto accepted = socket_.Accept();
  if (!accepted.ok()) {
    // Those that wait go on waiting; the scenario does not.
    Failed(accepted.status());
  } else if (accepted->has_value()) {
    stage_.Add<SocketEcho>(std::move((*accepted)->socket));
  }
}

SocketEcho::SocketEcho(Stage& stage, Socket socket)
    : SocketPart(stage, "socket echo", std::move(socket)) {
  Register({.interest = Interest::kReadable});
}

void SocketEcho::Ready(const Event&) {
  if (unsent_.empty()) {
    std::array<std::byte, 1500> buffer;
    const auto in = socket_.Receive(buffer);
    if (!in.ok()) return Failed(in.status());
    if (in->end_of_stream) {
      (void)registration_.Remove();
      socket_.Close();
      return;
    }
    unsent_.append(TextOf(std::span(buffer).first(in->bytes)));
  }
  if (unsent_.empty()) return;
  const auto out = socket_.Send(BytesOf(unsent_));
  if (!out.ok()) return Failed(out.status());
  unsent_.erase(0, out->bytes);
  // What the socket does not take waits for room.
  RegistrationChange change;
  change.interest = unsent_.empty() ? Interest::kReadable : Interest::kWritable;
  if (absl::Status status = registration_.Modify(std::move(change));
      !status.ok()) {
    Failed(status);
  }
}

SocketClient::SocketClient(Stage& stage, const SocketAddress& address,
                           unsigned seed)
    : SocketPart(stage, "socket client",
                 Take(stage, ConnectFrom(stage.home(), address))),
      payload_(Payload(kPayload, seed)) {
  stage.Expect();
  Register({.interest =
                Interest::kReadable | Interest::kWritable | Interest::kHangup,
            .trigger = Trigger::kEdge});
}

void SocketClient::Ready(const Event& event) {
  while (event.writable() && sent_ < payload_.size()) {
    const auto out =
        socket_.Send(BytesOf(std::string_view(payload_).substr(sent_)));
    if (!out.ok()) return Failed(out.status());
    if (out->would_block) break;
    sent_ += out->bytes;
    if (sent_ < payload_.size()) continue;
    if (absl::Status status = socket_.Shutdown(ShutdownDirection::kSend);
        !status.ok()) {
      return Failed(status);
    }
  }
  while (event.readable() && Receive()) {
  }
}

bool SocketClient::Receive() {
  std::array<std::byte, 1000> first;
  std::array<std::byte, 500> second;
  const std::array<MutableBuffer, 2> buffers = {first, second};
  const auto in = socket_.ReceiveVector(buffers);
  if (!in.ok()) {
    Failed(in.status());
    return false;
  }
  if (in->would_block) return false;
  if (in->end_of_stream) {
    stage_.Compare(name_, received_, payload_);
    stage_.Through();
    socket_.Close();
    return false;
  }
  const std::size_t head = std::min(in->bytes, first.size());
  received_.append(TextOf(std::span(first).first(head)));
  received_.append(TextOf(std::span(second).first(in->bytes - head)));
  return true;
}

// --- datagrams

DatagramReader::DatagramReader(Stage& stage, int count)
    : SocketPart(stage, "datagram reader",
                 Take(stage, Socket::BindDatagram(stage.home()))),
      address_(AddressOf(stage, socket_)),
      left_(count) {
  stage.Expect();
  Register(
      {.interest = Interest::kReadable, .persistence = Persistence::kOneShot});
}

void DatagramReader::Ready(const Event&) {
  std::array<std::byte, 256> buffer;
  const auto in = socket_.ReceiveFrom(buffer);
  if (!in.ok()) return Failed(in.status());
  if (!in->would_block) {
    if (TextOf(std::span(buffer).first(in->bytes)) != kDatagram) {
      stage_.Wrong("a datagram arrived otherwise");
    }
    if (--left_ == 0) {
      stage_.Through();
      return;
    }
  }
  if (absl::Status status = registration_.Rearm(); !status.ok()) {
    Failed(status);
  }
}

DatagramPart::DatagramPart(Stage& stage, How how, int count)
    : stage_(stage), left_(count) {
  stage.Expect();
  auto socket = DatagramSocket::Bind(stage.loop(), stage.home());
  if (!socket.ok()) {
    Failed(socket.status());
    return;
  }
  socket_ = *std::move(socket);
  const auto address = socket_.LocalAddress();
  if (!address.ok()) {
    Failed(address.status());
    return;
  }
  address_ = *address;
  if (how == How::kOneByOne) {
    Next();
  } else {
    StartReceive();
  }
}

void DatagramPart::StartReceive() {
  auto promise = stage_.ledger().Add("datagram receiver", owner_);
  const absl::Status status = socket_.StartReceive(
      [this, token = Token(promise)](const ReceivedDatagrams& received) {
        token->Called(absl::IsCancelled(received.status));
        for (const ReceivedDatagram& datagram : received.datagrams) {
          Note(TextOf(datagram.data));
        }
        if (!received.status.ok()) Failed(received.status);
      },
      {.destination = true});
  if (status.ok()) return;
  promise->Refused();
  Failed(status);
}

void DatagramPart::Next() {
  auto promise = stage_.ledger().Add("receive from", owner_);
  const absl::Status status = socket_.ReceiveFrom(
      std::as_writable_bytes(std::span(buffer_.data(), buffer_.size())),
      [this, token = Token(promise)](const DatagramCompletion& done) {
        token->Called(/*last=*/true);
        if (!done.ok()) return Failed(done.status);
        Note(std::string_view(buffer_).substr(0, done.bytes));
        if (left_ > 0) Next();
      });
  if (status.ok()) return;
  promise->Refused();
  Failed(status);
}

void DatagramPart::Note(std::string_view data) {
  if (data != kDatagram) stage_.Wrong("a datagram arrived otherwise");
  if (--left_ == 0) stage_.Through();
}

void DatagramPart::SendTo(const SocketAddress& destination, int count) {
  for (int i = 0; i < count && socket_ && !closing_; ++i) {
    auto promise = stage_.ledger().Add("send to", owner_);
    const absl::Status status =
        socket_.SendTo(BytesOf(kDatagram), destination,
                       [this, token = Token(promise)](const Completion& done) {
                         token->Called(/*last=*/true);
                         if (!done.ok()) Failed(done.status);
                       });
    if (!status.ok()) {
      promise->Refused();
      Failed(status);
    }
  }
}

void DatagramPart::Failed(const absl::Status& status) {
  if (!closing_) stage_.Failed(status);
  Close();
}

void DatagramPart::Close() {
  if (closing_ || !socket_) return;
  closing_ = true;
  auto promise = stage_.ledger().Add("datagram close");
  const absl::Status status =
      socket_.Close([owner = owner_, token = Token(promise)] {
        token->Called(/*last=*/true);
        owner->closed = true;
      });
  if (status.ok()) return;
  promise->Refused();
  stage_.Wrong("a datagram socket cannot be closed: " + status.ToString());
}

// --- WatchPart

WatchPart::WatchPart(Stage& stage) : stage_(stage) {
  auto watch = AddressWatch::Open(stage.loop());
  if (!watch.ok()) {
    stage.Failed(watch.status());
    return;
  }
  watch_ = *std::move(watch);
  auto promise = stage.ledger().Add("address change", owner_);
  const absl::Status status = watch_.WaitForChange(
      [this, token = Token(promise)](const Completion& done) {
        token->Called(/*last=*/true);
        if (!done.ok() && !closing_) stage_.Failed(done.status);
      });
  if (status.ok()) return;
  promise->Refused();
  stage.Failed(status);
}

void WatchPart::Close() {
  if (closing_ || !watch_) return;
  closing_ = true;
  auto promise = stage_.ledger().Add("watch close");
  const absl::Status status =
      watch_.Close([owner = owner_, token = Token(promise)] {
        token->Called(/*last=*/true);
        owner->closed = true;
      });
  if (status.ok()) return;
  promise->Refused();
  stage_.Wrong("a watch cannot be closed: " + status.ToString());
}

}  // namespace weir::faults
