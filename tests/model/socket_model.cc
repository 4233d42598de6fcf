#include "tests/model/socket_model.h"

#include <algorithm>
#include <utility>

namespace weir::model {

// --- what holds

Truth SocketModel::Readable(int end) const {
  const End& self = (*this)[end];
  if (self.stream() && !self.connected) return Truth::kNo;
  const bool ready =
      self.waiting > 0 || self.flooded ||
      (self.stream() && (self.peer_ended || self.read_shut || self.dead ||
                         self.error != ErrorCause::kNone));
  return ready ? Truth::kYes : Truth::kNo;
}

Truth SocketModel::Writable(int end) const {
  const End& self = (*this)[end];
  if (self.kind == Kind::kUdp) return Truth::kYes;
  if (self.kind == Kind::kListener || !self.connected) return Truth::kNo;
  // Nothing could be sent, and the send that says so would not block.
  if (self.dead || self.write_shut) return Truth::kEither;
  const End& peer = (*this)[end ^ 1];
  if (!peer.flooded) return Truth::kYes;
  // Acknowledgements can be late and make room without the peer's doing.
  if (self.kind == Kind::kTcp) return Truth::kRacy;
  return peer.sampled ? Truth::kEither : Truth::kNo;
}

Truth SocketModel::HungUp(int end) const {
  const End& self = (*this)[end];
  if (!self.stream() || !self.connected) return Truth::kNo;
  const bool hidden =
      !ways_.hangup_overtakes_data && !self.write_shut &&
      (self.waiting > 0 || self.flooded);
  if (self.dead || (self.peer_ended && !hidden)) return Truth::kYes;
  // The kernel says the same of what was ended on this side.
  return self.read_shut ? Truth::kEither : Truth::kNo;
}

Truth SocketModel::Failed(int end) const {
  const End& self = (*this)[end];
  if (self.error != ErrorCause::kNone) return Truth::kYes;
  const bool lasts = ways_.failures_last && (self.dead || self.refused);
  return lasts ? Truth::kYes : Truth::kNo;
}

bool SocketModel::Finished(int end) const {
  return (*this)[end].write_shut && (*this)[end].peer_ended;
}

// --- what can be done

bool SocketModel::CanSend(int end) const {
  const End& self = (*this)[end];
  if (!self.open || self.kind == Kind::kListener) return false;
  if (self.kind == Kind::kUdp) {
    return (*this)[end ^ 1].waiting < 8 &&
           ((*this)[end ^ 1].alive() || ways_.unreachable_ports_are_told);
  }
  const End& peer = (*this)[end ^ 1];
  // A TCP end that was told that nobody reads may answer with a reset.
  const bool refuses = self.kind == Kind::kTcp && peer.read_shut;
  return self.connected && !peer.flooded && peer.waiting < 8 * kChunk &&
         !refuses;
}

bool SocketModel::CanFill(int end) const {
  const End& self = (*this)[end];
  return CanSend(end) && self.stream() && !self.dead && !self.write_shut &&
         (*this)[end ^ 1].alive() &&
         (ways_.all_is_sent_to_who_has_ended || !self.peer_ended);
}

bool SocketModel::CanReceive(int end) const {
  const End& self = (*this)[end];
  return self.open && self.kind != Kind::kListener &&
         (!self.stream() || self.connected);
}

bool SocketModel::CanShutdownWrite(int end) const {
  const End& self = (*this)[end];
  return self.open && self.stream() && self.connected && !self.dead &&
         !self.write_shut && CanClose(end);
}

bool SocketModel::CanShutdownRead(int end) const {
  const End& self = (*this)[end];
  return ways_.streams_read_on_after_shutdown && self.open && self.stream() &&
         self.connected && !self.dead && !self.read_shut && !self.flooded && !Finished(end);
}

bool SocketModel::CanClose(int end) const {
  const End& self = (*this)[end];
  if (!self.open) return false;
  return !(self.kind == Kind::kTcp && (*this)[end ^ 1].flooded);
}

// --- what is done

void SocketModel::Open(int end, Kind kind, bool connected) {
  At(end) = End{.kind = kind, .open = true, .connected = connected};
}

Outcome SocketModel::Send(int end) {
  End& self = At(end);
  End& peer = At(end ^ 1);
  if (self.kind == Kind::kUdp) {
    if (const ErrorCause error = TakeError(end); error != ErrorCause::kNone) {
      return {.error = error};
    }
    if (peer.alive()) {
      ++peer.waiting;
    } else {
      self.error = ErrorCause::kConnectionRefused;
    }
    return {.bytes = kChunk};
  }
  if (self.dead || self.write_shut) {
    // What this side did comes first where the failure does not pass.
    const bool takes = self.kind == Kind::kTcp &&
                       !(self.write_shut && ways_.failures_last);
    const ErrorCause error = takes ? TakeError(end) : ErrorCause::kNone;
    return {.error =
                error != ErrorCause::kNone ? error : ErrorCause::kBrokenPipe};
  }
  if (!peer.alive()) {
    Abort(end);
  } else {
    peer.waiting += kChunk;
  }
  return {.bytes = kChunk};
}

void SocketModel::Fill(int end) {
  At(end ^ 1).flooded = true;
  At(end ^ 1).sampled = false;
}

Outcome SocketModel::Receive(int end, int most) {
  End& self = At(end);
  if (!self.stream()) {
    // An error comes before the datagrams.
    if (const ErrorCause error = TakeError(end); error != ErrorCause::kNone) {
      return {.error = error};
    }
    if (self.waiting == 0) return {.would_block = true, .drained = true};
    --self.waiting;
    return {.bytes = std::min(kChunk, most)};
  }
  // The bytes come before everything else.
  if (self.waiting > 0) {
    const int bytes = std::min(most, self.waiting);
    self.waiting -= bytes;
    return {.bytes = bytes, .drained = bytes < most};
  }
  // On TCP an end that was announced comes before the error, which stays.
  if (self.kind == Kind::kTcp && self.peer_ended && !ways_.failures_last) {
    return {.end = true};
  }
  if (const ErrorCause error = TakeError(end); error != ErrorCause::kNone) {
    return {.error = error};
  }
  if (Readable(end) == Truth::kYes) return {.end = true};
  return {.would_block = true, .drained = true};
}

Outcome SocketModel::ReceiveNatively(int end, int most) {
  const ErrorCause before = At(end).error;
  const Outcome outcome = Receive(end, most);
  if (ways_.failures_last && At(end).stream()) At(end).error = before;
  return outcome;
}

void SocketModel::Absorb(int end) {
  End& self = At(end);
  self.flooded = false;
  self.sampled = false;
  self.waiting = 0;
}

void SocketModel::ShutdownWrite(int end) {
  At(end).write_shut = true;
  At(end ^ 1).peer_ended = true;
}

void SocketModel::ShutdownRead(int end) {
  At(end).read_shut = true;
  if (At(end).kind == Kind::kUnix) At(end ^ 1).write_shut = true;
}

void SocketModel::Close(int end, bool keep_duplicate) {
  At(end).open = false;
  if (keep_duplicate) {
    At(end).duplicated = true;
  } else {
    EndOf(end);
  }
}

void SocketModel::CloseDuplicate(int end) {
  At(end).duplicated = false;
  EndOf(end);
}

void SocketModel::EndOf(int end) {
  End& self = At(end);
  if (!self.stream() || !self.connected) return;
  End& peer = At(end ^ 1);
  const bool unread = self.waiting > 0 || self.flooded;
  if (self.kind == Kind::kUnix) {
    if (unread && peer.alive()) peer.error = ErrorCause::kConnectionReset;
    peer.peer_ended = peer.write_shut = true;
  } else if (unread && !self.dead) {
    Abort(end ^ 1);
  } else {
    peer.peer_ended = true;
  }
  self.waiting = 0;
  self.flooded = false;
}

void SocketModel::Reset(int end) {
  At(end).open = false;
  At(end).waiting = 0;
  At(end).flooded = false;
  if (At(end).connected && !At(end).dead) Abort(end ^ 1);
}

// A reset arrives. It says "broken pipe" to whom the end was announced before.
void SocketModel::Abort(int end) {
  End& self = At(end);
  if (!self.alive() || self.dead || Finished(end)) return;
  self.dead = true;
  if (!ways_.data_outlives_a_reset) Absorb(end);
  self.error =
      self.peer_ended ? ways_.reset_after_the_end
                      : ErrorCause::kConnectionReset;
}

void SocketModel::Connect(int end) {
  At(end).connected = true;
  At(end).refused = false;
  Open(end ^ 1, Kind::kTcp, /*connected=*/true);
}

void SocketModel::FailToConnect(int end) {
  At(end).error = ErrorCause::kConnectionRefused;
  At(end).refused = true;
}

ErrorCause SocketModel::TakeError(int end) {
  return std::exchange(At(end).error, ErrorCause::kNone);
}

}  // namespace weir::model
