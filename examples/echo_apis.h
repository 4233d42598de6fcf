// The echo server written for each face of Weir: what each does is the same to
// its clients.

#ifndef WEIR_EXAMPLES_ECHO_APIS_H_
#define WEIR_EXAMPLES_ECHO_APIS_H_

#include "weir/event_loop.h"
#include "weir/socket.h"

namespace examples {

// Each serves the connections of `listener`, which is listening, for as long as
// `loop` runs.

// Level-triggered, persistent registrations.
void EchoByReadiness(weir::EventLoop& loop, weir::Socket listener);

// One receive and one send at a time, into a buffer of the connection's own.
void EchoByCompletion(weir::EventLoop& loop, weir::Socket listener);

// The same in coroutines that await each transfer.
void EchoByCoroutine(weir::EventLoop& loop, weir::Socket listener);

// Buffers lent by the runtime: an idle connection has none.
void EchoByStream(weir::EventLoop& loop, weir::Socket listener);

}  // namespace examples

#endif  // WEIR_EXAMPLES_ECHO_APIS_H_
