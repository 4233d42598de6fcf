#include "tests/model/datagram_model.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "tests/model/byte_pattern.h"

namespace weir::operation_model {
namespace {

// A default socket's buffer holds more, with what the system needs besides
// (net.core.rmem_default, and 1 KiB or so for each).
constexpr std::size_t kMostWaiting = 24;
constexpr std::size_t kMostBytesWaiting = 40000;

std::uint64_t PlaceOf(int datagram) {
  return static_cast<std::uint64_t>(datagram) * 4517;
}

}  // namespace

void DatagramModel::Fill(std::span<std::byte> room, int datagram) {
  model::FillPattern(room, PlaceOf(datagram));
}

bool DatagramModel::HasRoom(int to, std::size_t size) const {
  std::size_t count = 0;
  std::size_t bytes = size;
  for (const Datagram& at : datagrams_) {
    if (at.to != to || at.received || at.state == State::kOver) continue;
    ++count;
    bytes += at.size;
  }
  return count < kMostWaiting && bytes <= kMostBytesWaiting;
}

bool DatagramModel::Filters(int to, int from) const {
  return std::any_of(peers_.begin(), peers_.end(), [&](const Peer& peer) {
    return peer.to == to && peer.from != from;
  });
}

int DatagramModel::Sending(int from, int to, std::size_t size) {
  datagrams_.push_back({.from = from,
                        .to = to,
                        .size = size,
                        .doubtful = Filters(to, from)});
  return static_cast<int>(datagrams_.size()) - 1;
}

std::string DatagramModel::Sent(int datagram) {
  Datagram& at = datagrams_[static_cast<std::size_t>(datagram)];
  if (at.state == State::kGiven) at.state = State::kSent;
  return at.overtaken && !at.doubtful
             ? "a datagram was sent, but later ones have arrived before"
             : "";
}

std::string DatagramModel::NotSent(int datagram) {
  Datagram& at = datagrams_[static_cast<std::size_t>(datagram)];
  at.state = State::kOver;
  return at.received ? "a datagram was not sent, but has arrived" : "";
}

void DatagramModel::SetPeer(int to, int from) {
  peers_.push_back({to, from});
  for (Datagram& at : datagrams_) {
    if (at.to == to && at.from != from) at.doubtful = true;
  }
}

std::string DatagramModel::Received(int to, int from,
                                    std::span<const std::byte> data,
                                    std::size_t room, bool truncated) {
  std::string why = "no datagram was sent that is like the one that arrived";
  for (std::size_t i = 0; i < datagrams_.size(); ++i) {
    Datagram& at = datagrams_[i];
    if (at.to != to || (from >= 0 && at.from != from) || at.received) continue;
    const bool whole = at.size == data.size();
    const bool cut = at.size > room && data.size() == room;
    const bool same_size = from < 0 ? whole || cut : truncated ? cut : whole;
    if (!same_size ||
        model::FirstStrayByte(data, PlaceOf(static_cast<int>(i))) <
            data.size()) {
      continue;
    }
    if (at.state == State::kOver) {
      why = "a datagram arrived that was not sent";
      continue;
    }
    at.received = true;
    for (std::size_t j = 0; j < i; ++j) {
      Datagram& before = datagrams_[j];
      if (before.to != to || before.from != at.from || before.received ||
          before.state == State::kOver) {
        continue;
      }
      before.overtaken = true;
      if (before.state == State::kSent && !before.doubtful) {
        return absl::StrCat("datagram ", i, " has arrived before datagram ", j);
      }
    }
    return "";
  }
  return absl::StrCat(why, ": ", data.size(), " bytes");
}

std::size_t DatagramModel::Due(int to) const {
  return static_cast<std::size_t>(std::count_if(
      datagrams_.begin(), datagrams_.end(), [&](const Datagram& at) {
        return at.to == to && at.state == State::kSent && !at.received &&
               !at.doubtful;
      }));
}

}  // namespace weir::operation_model
