#include "weir/socket.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/loop_core.h"
#include "platform/error.h"
#include "platform/socket_io.h"
#include "platform/socket_options.h"
#include "platform/sockets.h"
#include "weir/status.h"
#include "core/socket_state.h"

namespace weir {
namespace {

using internal::SocketRole;
using internal::SocketState;

absl::Status NotOpen(const char* operation) {
  return absl::FailedPreconditionError(
      absl::StrCat(operation, ": the socket is not open"));
}

std::shared_ptr<SocketState> MakeState(NativeSocket native,
                                       AddressFamily family, SocketType type,
                                       SocketRole role, bool foreign = false) {
  return std::make_shared<SocketState>(native, family, type, role, foreign);
}

SocketRole RoleOf(const platform::SocketDescription& described) {
  if (described.type == SocketType::kDatagram) return SocketRole::kDatagram;
  if (described.listening) return SocketRole::kListening;
  if (described.connected) return SocketRole::kConnected;
  return described.connecting ? SocketRole::kConnecting
                              : SocketRole::kUnconnected;
}

absl::Status CheckOffered(AddressFamily family, SocketType type,
                          const char* operation) {
  if (family != AddressFamily::kUnix || type != SocketType::kDatagram) {
    return absl::OkStatus();
  }
  return absl::UnimplementedError(absl::StrCat(
      operation, ": Unix-domain datagram sockets are not offered"));
}

// What an error that the application has got from a call of its own says of a
// connect in progress: that it has failed, and there is nothing left to tell; or
// that it had succeeded; or nothing.
void NoteErrorTaken(SocketState& state, ErrorCause cause) {
  if (state.role.load(std::memory_order_relaxed) != SocketRole::kConnecting) {
    return;
  }
  switch (cause) {
    case ErrorCause::kConnectionRefused:
    case ErrorCause::kTimedOut:
    case ErrorCause::kHostUnreachable:
    case ErrorCause::kNetworkUnreachable:
    case ErrorCause::kNetworkDown:
    case ErrorCause::kPermissionDenied:
    case ErrorCause::kAddressNotAvailable:
    case ErrorCause::kProtocolError:
      state.ChangeRole(SocketRole::kUnconnected);
      break;
    case ErrorCause::kConnectionReset:
    case ErrorCause::kBrokenPipe:
      state.role.store(SocketRole::kConnected, std::memory_order_relaxed);
      break;
    default:
      break;
  }
}

// Whether `cause` is the end of a connection, and was told before. POSIX tells it
// once: from then on there is the end to receive, and sending is a broken pipe.
// Other systems go on telling.
bool IsOldFailure(SocketState& state, ErrorCause cause) {
  return state.type == SocketType::kStream &&
         (cause == ErrorCause::kConnectionReset ||
          cause == ErrorCause::kConnectionAborted ||
          cause == ErrorCause::kTimedOut) &&
         state.failure_told.exchange(true, std::memory_order_relaxed);
}

// What a transfer on `state` means; `wanted` is how much was offered. A short
// transfer on a stream has drained the direction (R05); one of a datagram
// socket has not.
absl::StatusOr<Transfer> Finish(SocketState& state,
                                const platform::IoOutcome& outcome,
                                std::size_t wanted, Condition direction,
                                const char* operation) {
  if (outcome.ok()) [[likely]] {
    state.NoteTransfer();
    Transfer transfer{.bytes = outcome.bytes};
    if (state.type == SocketType::kStream && outcome.bytes < wanted) {
      if (outcome.bytes > 0) {
        state.NoteDrained(direction, /*short_transfer=*/true);
      } else if (direction == Condition::kReadable) {
        transfer.end_of_stream = true;
        state.NoteEndRead();
      }
    }
    return transfer;
  }
  if (outcome.would_block) {
    state.NoteDrained(direction, /*short_transfer=*/false);
    return Transfer{.would_block = true};
  }
  const ErrorCause cause = platform::CauseOfSystemCode(outcome.error);
  if (IsOldFailure(state, cause)) {
    if (direction == Condition::kWritable) {
      return platform::SystemError(platform::kBrokenPipeCode, operation);
    }
    state.NoteEndRead();
    return Transfer{.end_of_stream = true};
  }
  NoteErrorTaken(state, cause);
  return platform::SystemError(outcome.error, operation);
}

std::size_t TotalSize(auto buffers) {
  std::size_t total = 0;
  for (const auto& buffer : buffers) total += buffer.size();
  return total;
}

}  // namespace

Socket::Socket(std::shared_ptr<SocketState> state) : front_(std::move(state)) {}

SocketState* Socket::state() const {
  return is_open() ? static_cast<SocketState*>(front_.get()) : nullptr;
}

std::shared_ptr<SocketState> Socket::shared_state() const {
  if (!is_open()) return nullptr;
  return std::static_pointer_cast<SocketState>(front_);
}

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    Close();
    front_ = std::exchange(other.front_, NoFront());
  }
  return *this;
}

Socket::~Socket() { Close(); }

absl::StatusOr<Socket> Socket::Open(AddressFamily family, SocketType type) {
  if (absl::Status status = CheckOffered(family, type, "open socket");
      !status.ok()) {
    return status;
  }
  auto native = platform::OpenSocket(family, type);
  if (!native.ok()) return native.status();
  return Socket(MakeState(*native, family, type,
                          type == SocketType::kDatagram
                              ? SocketRole::kDatagram
                              : SocketRole::kUnconnected));
}

absl::StatusOr<Socket> Socket::Listen(const SocketAddress& address,
                                      const ListenOptions& options) {
  auto socket = Open(address.family(), SocketType::kStream);
  if (!socket.ok()) return socket.status();
  const struct {
    bool applies;
    SocketOption option;
    bool value;
  } settings[] = {
      {!address.is_unix() && options.reuse_address,
       SocketOption::kReuseAddress, true},
      {!address.is_unix() && options.reuse_port, SocketOption::kReusePort,
       true},
      // A mapped address is one of IPv4.
      {address.is_ipv6(), SocketOption::kIpv6Only,
       options.ipv6_only && !address.is_v4_mapped()},
  };
  for (const auto& setting : settings) {
    if (!setting.applies) continue;
    if (absl::Status status =
            socket->SetOption(setting.option, setting.value ? 1 : 0);
        !status.ok()) {
      return status;
    }
  }
  if (absl::Status status = socket->Bind(address); !status.ok()) return status;
  if (absl::Status status = socket->StartListening(options.backlog);
      !status.ok()) {
    return status;
  }
  return socket;
}

absl::StatusOr<Socket> Socket::Connect(const SocketAddress& address) {
  auto socket = Open(address.family(), SocketType::kStream);
  if (!socket.ok()) return socket.status();
  auto progress = socket->StartConnecting(address);
  if (!progress.ok()) return progress.status();
  return socket;
}

absl::StatusOr<Socket> Socket::BindDatagram(const SocketAddress& address) {
  auto socket = Open(address.family(), SocketType::kDatagram);
  if (!socket.ok()) return socket.status();
  if (absl::Status status = socket->Bind(address); !status.ok()) return status;
  return socket;
}

absl::StatusOr<std::pair<Socket, Socket>> Socket::Pair() {
  auto natives = platform::OpenPair(SocketType::kStream);
  if (!natives.ok()) return natives.status();
  const auto wrap = [](NativeSocket native) {
    return Socket(MakeState(native, AddressFamily::kUnix, SocketType::kStream,
                            SocketRole::kConnected));
  };
  return std::pair(wrap((*natives)[0]), wrap((*natives)[1]));
}

absl::StatusOr<Socket> Socket::Adopt(NativeSocket native) {
  auto described = platform::DescribeSocket(native);
  if (!described.ok()) return described.status();
  if (absl::Status status = CheckOffered(described->family, described->type,
                                         "adopt socket");
      !status.ok()) {
    return status;
  }
  return Socket(MakeState(native, described->family, described->type,
                          RoleOf(*described), /*foreign=*/true));
}

absl::StatusOr<NativeSocket> Socket::Release() {
  if (!is_open()) return NotOpen("release");
  const auto record = state()->Registration();
  if (record != nullptr) {
    if (record->live.load(std::memory_order_acquire)) {
      return absl::FailedPreconditionError(
          "release: the socket is registered with an event loop");
    }
    record->loop->LetGo(record);
  }
  state()->LetGoOfHandle();
  state()->closed.store(true);
  return std::exchange(front_, NoFront())->native;
}

void Socket::Close() {
  const std::shared_ptr<SocketState> state = shared_state();
  front_ = NoFront();
  if (state == nullptr || state->closed.exchange(true)) return;
  const auto record = state->Registration();
  if (record == nullptr) {
    state->CloseHandle();
  } else {
    record->loop->Close(state, record);
  }
}

NativeSocket Socket::native() const {
  if (!is_open()) return kInvalidSocket;
  state()->reachable_otherwise.store(true, std::memory_order_relaxed);
  return front_->native;
}

AddressFamily Socket::family() const {
  return is_open() ? state()->family : AddressFamily::kUnspecified;
}

SocketType Socket::type() const {
  return is_open() ? state()->type : SocketType::kStream;
}

absl::Status Socket::Bind(const SocketAddress& address) {
  if (!is_open()) return NotOpen("bind");
  return platform::Bind(front_->native, address);
}

absl::Status Socket::StartListening(int backlog) {
  if (!is_open()) return NotOpen("listen");
  absl::Status status = platform::Listen(front_->native, backlog);
  if (status.ok()) state()->ChangeRole(SocketRole::kListening);
  return status;
}

absl::StatusOr<ConnectProgress> Socket::StartConnecting(
    const SocketAddress& address) {
  if (!is_open()) return NotOpen("connect");
  const auto result = platform::Connect(front_->native, address);
  if (!result.ok()) return result.status();
  const bool connected = *result == platform::ConnectResult::kConnected;
  if (state()->type == SocketType::kStream) {
    state()->failure_told.store(false, std::memory_order_relaxed);
    if (!connected) state()->SetConnectTarget(address.ToString());
    state()->ChangeRole(connected ? SocketRole::kConnected
                                  : SocketRole::kConnecting);
  }
  return connected ? ConnectProgress::kConnected
                   : ConnectProgress::kInProgress;
}

absl::StatusOr<std::optional<Accepted>> Socket::Accept() {
  if (!is_open()) return NotOpen("accept");
  SocketAddress peer;
  const platform::AcceptOutcome outcome =
      platform::Accept(front_->native, &peer);
  if (outcome.ok()) {
    state()->NoteTransfer();
    return Accepted{
        Socket(MakeState(outcome.socket, state()->family, SocketType::kStream,
                         SocketRole::kConnected)),
        peer};
  }
  if (outcome.would_block) {
    state()->NoteDrained(Condition::kReadable, /*short_transfer=*/false);
    return std::nullopt;
  }
  return platform::SystemError(outcome.error, "accept");
}

absl::StatusOr<Transfer> Socket::FinishReceive(std::span<std::byte> buffer,
                                               std::int64_t tried) {
  if (!is_open()) return NotOpen("receive");
  return Finish(*state(),
                platform::AfterTry(front_->native, buffer, tried),
                buffer.size(), Condition::kReadable, "receive");
}

absl::StatusOr<Transfer> Socket::ReceiveVector(
    std::span<const std::span<std::byte>> buffers) {
  if (!is_open()) return NotOpen("receive");
  if (buffers.size() > platform::kMaxVectorBuffers) {
    buffers = buffers.first(platform::kMaxVectorBuffers);
  }
  return Finish(*state(), platform::ReceiveVector(front_->native, buffers),
                TotalSize(buffers), Condition::kReadable, "receive");
}

absl::StatusOr<Transfer> Socket::FinishSend(std::span<const std::byte> data,
                                            std::int64_t tried) {
  if (!is_open()) return NotOpen("send");
  return Finish(*state(),
                platform::AfterTry(front_->native, data, tried),
                data.size(), Condition::kWritable, "send");
}

absl::StatusOr<Transfer> Socket::SendVector(
    std::span<const std::span<const std::byte>> data) {
  if (!is_open()) return NotOpen("send");
  if (data.size() > platform::kMaxVectorBuffers) {
    if (state()->type == SocketType::kDatagram) {
      return absl::InvalidArgumentError(absl::StrCat(
          "send: a datagram can be gathered from at most ",
          platform::kMaxVectorBuffers, " buffers, not ", data.size()));
    }
    data = data.first(platform::kMaxVectorBuffers);
  }
  return Finish(*state(), platform::SendVector(front_->native, data),
                TotalSize(data), Condition::kWritable, "send");
}

absl::StatusOr<Datagram> Socket::ReceiveFrom(std::span<std::byte> buffer) {
  if (!is_open()) return NotOpen("receive from");
  Datagram datagram;
  const platform::ReceiveFromOutcome outcome =
      platform::ReceiveFrom(front_->native, buffer, &datagram.source);
  const auto transfer = Finish(*state(), outcome, buffer.size(),
                               Condition::kReadable, "receive from");
  if (!transfer.ok()) return transfer.status();
  datagram.bytes = transfer->bytes;
  datagram.would_block = transfer->would_block;
  datagram.truncated = outcome.truncated;
  return datagram;
}

absl::StatusOr<Transfer> Socket::SendTo(std::span<const std::byte> data,
                                        const SocketAddress& destination) {
  if (!is_open()) return NotOpen("send to");
  const platform::IoOutcome outcome =
      platform::SendTo(front_->native, data, destination);
  if (outcome.error != 0) {
    return platform::SystemError(outcome.error, "send to",
                                 destination.ToString());
  }
  return Finish(*state(), outcome, data.size(), Condition::kWritable,
                "send to");
}

absl::Status Socket::Shutdown(ShutdownDirection direction) {
  if (!is_open()) return NotOpen("shut down");
  // On Linux this ends listening; elsewhere it is an error. The handle is the
  // listener: close it.
  if (state()->role.load() == SocketRole::kListening) {
    return absl::FailedPreconditionError(
        "shut down: the socket listens; close it instead");
  }
  return platform::Shutdown(front_->native, direction);
}

absl::Status Socket::TakeError() {
  if (!is_open()) return NotOpen("take error");
  absl::Status status = platform::TakeError(front_->native, "socket");
  if (state()->type == SocketType::kStream && !status.ok() &&
      state()->failure_told.exchange(true, std::memory_order_relaxed)) {
    return absl::OkStatus();
  }
  NoteErrorTaken(*state(), CauseOf(status));
  return status;
}

absl::StatusOr<SocketAddress> Socket::LocalAddress() const {
  if (!is_open()) return NotOpen("local address");
  return platform::LocalAddress(front_->native);
}

absl::StatusOr<SocketAddress> Socket::PeerAddress() const {
  if (!is_open()) return NotOpen("peer address");
  return platform::PeerAddress(front_->native);
}

absl::Status Socket::SetOption(SocketOption option, int value) {
  if (!is_open()) return NotOpen("set option");
  return platform::SetOption(front_->native, option, value);
}

absl::StatusOr<int> Socket::GetOption(SocketOption option) const {
  if (!is_open()) return NotOpen("get option");
  return platform::GetOption(front_->native, option);
}

absl::Status Socket::JoinMulticast(const SocketAddress& group,
                                   std::uint32_t interface_index) {
  if (!is_open()) return NotOpen("join multicast");
  return platform::JoinMulticast(front_->native, group, interface_index);
}

absl::Status Socket::LeaveMulticast(const SocketAddress& group,
                                    std::uint32_t interface_index) {
  if (!is_open()) return NotOpen("leave multicast");
  return platform::LeaveMulticast(front_->native, group, interface_index);
}

}  // namespace weir
