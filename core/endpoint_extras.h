// What an endpoint needs beside its receiver of a stream: made for the first
// operation, and when anything is out of the ordinary. A stream that only
// receives by itself, and whose peer takes what it is sent, has none.

#ifndef WEIR_CORE_ENDPOINT_EXTRAS_H_
#define WEIR_CORE_ENDPOINT_EXTRAS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "absl/status/status.h"
#include "core/corked_data.h"
#include "core/mutex.h"
#include "core/operation_record.h"
#include "core/short_transfer.h"
#include "weir/backend.h"
#include "weir/datagram_socket.h"
#include "weir/listener.h"
#include "weir/stream.h"

namespace weir::internal {

// Belongs to whoever has the endpoint (Endpoint::Guard).
struct EndpointExtras {
  bool HasOperations() const {
    return !receives.empty() || !sends.empty() || !resets.empty() ||
           !ended.empty();
  }

  OperationQueue receives;
  OperationQueue sends;
  // Those that wait for the loss of the connection.
  OperationQueue resets;
  // To be indicated.
  OperationQueue ended;
  // Found in the queues by whatever else comes up (Endpoint::TakeLongWay).
  ShortWay short_way;
  // Why every further transfer fails.
  absl::Status failure;
  // Why receiving has ended, if not by the end of the stream.
  absl::Status receive_failure;
  // What accepts, or receives datagrams, by itself.
  AcceptHandler accept_handler;
  AcceptingOptions accepting;
  DatagramsHandler datagrams_handler;
  // One of them has been told why the mechanism refuses the socket.
  bool refusal_told = false;
  CloseHandler close_handler;
  // What the handle is of no use without.
  std::shared_ptr<void> source;
  // Of Send and SendCopy, but for what is corked, or sent without a record.
  // Read by any thread.
  std::atomic<std::uint64_t> unsent{0};
  // With several threads: the endpoint's lock, and that the next indication
  // belongs to a thread that has been told so.
  std::optional<Mutex> mu;
  bool handed_over = false;
};

// With what submissions have ended.
struct SubmissionResults {
  bool has_received = false;
  bool has_sent = false;
  std::int64_t received = 0;
  std::int64_t sent = 0;
};

// What a proactor has of an endpoint, if it ever had more than a receive that
// has brought nothing yet (Endpoint::receives_bare). The submissions belong to
// whoever has access to the loop, the rest to who has the endpoint.
struct EndpointSubmissions {
  // Made for the first send.
  struct Sending {
    Submission submission;
    // How many buffers of the queue of sends it has.
    std::uint32_t buffers = 0;
    // What it is sending, if that has no record, and how much: parts of chunks
    // that are kept for it, or a copy.
    std::uint32_t part_count = 0;
    std::size_t unrecorded = 0;
    CopyBlock copy;
    std::array<std::span<std::byte>, CorkedData::kMostParts> parts;
    // To be returned when it has ended.
    std::size_t kept_count = 0;
    std::array<std::int32_t, CorkedData::kMostParts> kept;
  };

  Submission receive;
  // To be told to the next round.
  SubmissionResults results;
  std::unique_ptr<Sending> sending;
};

}  // namespace weir::internal

#endif  // WEIR_CORE_ENDPOINT_EXTRAS_H_
