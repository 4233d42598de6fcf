// What became of datagrams between a few sockets of one machine, whose buffers
// are never full: each arrives once, whole or cut to the room there was, in the
// order in which its sender sent it.

#ifndef WEIR_TESTS_MODEL_DATAGRAM_MODEL_H_
#define WEIR_TESTS_MODEL_DATAGRAM_MODEL_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace weir::operation_model {

// Sockets and datagrams go by number.
class DatagramModel {
 public:
  // The contents of a datagram.
  static void Fill(std::span<std::byte> room, int datagram);

  // Whether the buffer of `to` certainly has room for one more.
  bool HasRoom(int to, std::size_t size) const;

  // It is about to be given away; returns its number.
  int Sending(int from, int to, std::size_t size);
  // It has gone out; it has not, and will not.
  std::string Sent(int datagram);
  std::string NotSent(int datagram);
  // `to` takes datagrams of `from` alone, from about now on.
  void SetPeer(int to, int from);
  // Whether `to` may not take those of `from`.
  bool Filters(int to, int from) const;
  // `from` is negative if it is not known, nor whether it was truncated.
  std::string Received(int to, int from, std::span<const std::byte> data,
                       std::size_t room, bool truncated);
  // Those that have to arrive yet.
  std::size_t Due(int to) const;

 private:
  enum class State { kGiven, kSent, kOver };
  struct Datagram {
    int from;
    int to;
    std::size_t size;
    State state = State::kGiven;
    // It may never arrive, or may have arrived before.
    bool doubtful = false;
    bool received = false;
    bool overtaken = false;
  };

  std::vector<Datagram> datagrams_;
  struct Peer {
    int to;
    int from;
  };
  std::vector<Peer> peers_;
};

}  // namespace weir::operation_model

#endif  // WEIR_TESTS_MODEL_DATAGRAM_MODEL_H_
