// Connections that a mechanism has accepted and the core has not taken: a list for
// each submission, of nodes that are used again.

#ifndef WEIR_BACKENDS_ACCEPTED_SOCKETS_H_
#define WEIR_BACKENDS_ACCEPTED_SOCKETS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "platform/sockets.h"
#include "weir/backend.h"
#include "weir/native_socket.h"

namespace weir::internal {

// The list of a submission begins and ends at its first_chunk and last_chunk.
class AcceptedSockets {
 public:
  AcceptedSockets() = default;
  AcceptedSockets(const AcceptedSockets&) = delete;
  AcceptedSockets& operator=(const AcceptedSockets&) = delete;
  // Those that nobody has taken are closed.
  ~AcceptedSockets() {
    for (const Node& node : nodes_) {
      if (node.socket != kInvalidSocket) (void)platform::Close(node.socket);
    }
  }

  void Append(Submission& submission, NativeSocket socket) {
    if (free_ < 0) {
      free_ = static_cast<std::int32_t>(nodes_.size());
      nodes_.emplace_back();
    }
    const std::int32_t id = free_;
    Node& node = nodes_[static_cast<std::size_t>(id)];
    free_ = node.next;
    node = {.socket = socket, .next = -1};
    if (submission.last_chunk < 0) {
      submission.first_chunk = id;
    } else {
      nodes_[static_cast<std::size_t>(submission.last_chunk)].next = id;
    }
    submission.last_chunk = id;
  }

  std::optional<NativeSocket> Next(Submission& submission) {
    const std::int32_t id = submission.first_chunk;
    if (id < 0) return std::nullopt;
    Node& node = nodes_[static_cast<std::size_t>(id)];
    submission.first_chunk = node.next;
    if (submission.first_chunk < 0) submission.last_chunk = -1;
    const NativeSocket socket = node.socket;
    node = {.socket = kInvalidSocket, .next = free_};
    free_ = id;
    return socket;
  }

 private:
  struct Node {
    NativeSocket socket = kInvalidSocket;
    std::int32_t next = -1;
  };
  std::vector<Node> nodes_;
  std::int32_t free_ = -1;
};

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_ACCEPTED_SOCKETS_H_
