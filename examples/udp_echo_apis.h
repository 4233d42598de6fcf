// The UDP echo server written for each face of Weir.

#ifndef WEIR_EXAMPLES_UDP_ECHO_APIS_H_
#define WEIR_EXAMPLES_UDP_ECHO_APIS_H_

#include "absl/status/status.h"
#include "weir/event_loop.h"
#include "weir/socket.h"

namespace examples {

// Each answers on `socket`, which is bound, for as long as `loop` runs.

// An edge-triggered registration.
void UdpEchoByReadiness(weir::EventLoop& loop, weir::Socket socket);

// Batches in buffers of the runtime.
void UdpEchoByCompletion(weir::EventLoop& loop, weir::Socket socket);

// Whether a receive failed because of an earlier answer, whose receiver has gone.
bool IsOfAnEarlierAnswer(const absl::Status& status);

}  // namespace examples

#endif  // WEIR_EXAMPLES_UDP_ECHO_APIS_H_
