// From a socket that is driven by registrations, or by nobody, to one that is
// driven by operations, and back (O13).

#ifndef WEIR_CORE_ATTACH_SOCKET_H_
#define WEIR_CORE_ATTACH_SOCKET_H_

#include <memory>

#include "absl/status/statusor.h"
#include "core/endpoint.h"
#include "core/readiness_state.h"
#include "weir/event_loop.h"
#include "weir/socket.h"

namespace weir::internal {

class SocketAttacher {
 public:
  // `socket` is left as it was if that fails.
  static absl::StatusOr<CountedRef<Endpoint>> Attach(EventLoop& loop,
                                                     Socket& socket,
                                                     SocketRole role);
  static absl::StatusOr<Socket> Detach(Endpoint& endpoint);
  static const std::shared_ptr<LoopCore>& CoreOf(EventLoop& loop);
};

}  // namespace weir::internal

#endif  // WEIR_CORE_ATTACH_SOCKET_H_
