// Acts on ends that are plain sockets, and what those see.

#include <cstdint>

#include "tests/model/byte_pattern.h"
#include "tests/model/operation_calls.h"
#include "weir/status.h"

namespace weir::operation_model {

std::shared_ptr<RawEnd> World::NewRawEnd(Socket socket,
                                         std::shared_ptr<Connection> connection,
                                         int side, bool ready) {
  auto raw = std::make_shared<RawEnd>();
  raw->socket = std::move(socket);
  raw->connection = std::move(connection);
  raw->side = side;
  raw->ready = ready;
  absl::MutexLock lock(&registry_mu_);
  raw_ends_.push_back(raw);
  return raw;
}

void World::DoToRaw(const std::shared_ptr<RawEnd>& raw, const Step& step) {
  switch (step.act) {
    case Act::kReceive:
    case Act::kStartReceive:
      RawReceive(*raw, step.parts > 1 ? 1 << 20
                                      : static_cast<std::size_t>(
                                            std::max(step.size, 1)));
      break;
    case Act::kSend:
    case Act::kSendCopy:
    case Act::kSendFile:
      RawSend(*raw, static_cast<std::size_t>(step.size));
      break;
    case Act::kDisconnect:
      RawShutdown(*raw, ShutdownDirection::kSend);
      break;
    case Act::kShutdown:
      RawShutdown(*raw, step.direction);
      break;
    case Act::kClose:
      RawClose(*raw, step.abortive);
      break;
    case Act::kDestroy:
      RawClose(*raw, /*abortive=*/false);
      break;
    case Act::kAttach:
    case Act::kDetach:
      Attach(raw, step);
      break;
    default:
      break;
  }
}

void World::RawSend(RawEnd& raw, std::size_t size) {
  absl::MutexLock lock_raw(&raw.mu);
  if (!raw.socket.is_open() || !raw.ready || size == 0) return;
  std::vector<std::byte> data(size);
  ConnectionModel& model = raw.connection->model;
  ByteStream& out = model.sent[raw.side];
  std::uint64_t place = 0;
  {
    absl::MutexLock lock(&raw.connection->mu);
    place = out.Give(size);
  }
  model::FillPattern(data, place);
  const auto sent = raw.socket.Send(data);
  const std::size_t bytes = sent.ok() ? sent->bytes : 0;
  absl::MutexLock lock(&raw.connection->mu);
  out.TakeBack(size - bytes);
  Log(absl::StrCat("  plain ", raw.side, " sends ", bytes, " of ", size, " at ",
                   place, " ", sent.status().ToString()));
  const std::string wrong = sent.ok() ? out.HadUpTo(place + bytes)
                                      : model.SendFailed(raw.side,
                                                         sent.status());
  if (!wrong.empty()) Fail(absl::StrCat("plain: ", wrong));
}

bool World::RawReceive(RawEnd& raw, std::size_t most) {
  absl::MutexLock lock_raw(&raw.mu);
  if (!raw.socket.is_open() || !raw.ready) return false;
  ConnectionModel& model = raw.connection->model;
  const int side = raw.side;
  {
    absl::MutexLock lock(&raw.connection->mu);
    if (model.sides[side].receive_failed || model.sent[1 - side].end_read()) {
      return false;
    }
  }
  std::vector<std::byte> room(most);
  const auto received = raw.socket.Receive(room);
  if (received.ok() && received->would_block) return false;
  const std::size_t bytes = received.ok() ? received->bytes : 0;
  Log(absl::StrCat("  plain ", side, " receives ", bytes, " of ", most, " ",
                   received.status().ToString()));
  absl::MutexLock lock(&raw.connection->mu);
  // A failed send has taken the error along.
  if (bytes == 0 && model.sides[side].send_failed) {
    model.sides[side].receive_failed = true;
    return false;
  }
  const std::string wrong = model.Received(side, received.status(),
                                           std::span(room).first(bytes));
  if (!wrong.empty()) Fail(absl::StrCat("plain: ", wrong));
  return bytes > 0;
}

void World::RawShutdown(RawEnd& raw, ShutdownDirection direction) {
  absl::MutexLock lock_raw(&raw.mu);
  if (!raw.socket.is_open() || !raw.ready) return;
  ConnectionModel& model = raw.connection->model;
  {
    absl::MutexLock lock(&raw.connection->mu);
    if (direction != ShutdownDirection::kSend) {
      model.sides[raw.side].receive_shut = true;
    }
    if (direction != ShutdownDirection::kReceive) {
      model.sides[raw.side].send_shut = true;
      model.sent[raw.side].End();
    }
  }
  const absl::Status status = raw.socket.Shutdown(direction);
  Log(absl::StrCat("  plain ", raw.side, " shuts down ",
                   static_cast<int>(direction), " ", status.ToString()));
  absl::MutexLock lock(&raw.connection->mu);
  Expect(status.ok() || (CauseOf(status) == ErrorCause::kNotConnected &&
                         model.MayBeOver(raw.side)),
         status.ToString());
}

void World::RawClose(RawEnd& raw, bool abortive) {
  absl::MutexLock lock_raw(&raw.mu);
  if (!raw.socket.is_open()) return;
  ConnectionModel& model = raw.connection->model;
  Log(absl::StrCat("  plain ", raw.side, " closes", abortive ? ", abortive" : ""));
  {
    absl::MutexLock lock(&raw.connection->mu);
    ConnectionModel::Side& self = model.sides[raw.side];
    self.closed = true;
    if (abortive && model.tcp) {
      self.aborted = true;
    } else {
      model.sent[raw.side].End();
    }
  }
  if (abortive) (void)raw.socket.SetOption(SocketOption::kLinger, 0);
  raw.socket.Close();
}

}  // namespace weir::operation_model
