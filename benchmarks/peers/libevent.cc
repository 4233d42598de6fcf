// The echo server that a user of libevent writes: buffer events, what came
// moved from the input to the output without a copy.

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include <cstddef>

#include "benchmarks/server_main.h"

namespace {

// With so much unsent, no more is read.
constexpr std::size_t kMostUnsent = 256 * 1024;

void OnRead(bufferevent* connection, void*) {
  evbuffer* output = bufferevent_get_output(connection);
  evbuffer_add_buffer(output, bufferevent_get_input(connection));
  if (evbuffer_get_length(output) >= kMostUnsent) {
    bufferevent_disable(connection, EV_READ);
  }
}

void OnWritten(bufferevent* connection, void*) {
  if ((bufferevent_get_enabled(connection) & EV_READ) == 0) {
    bufferevent_enable(connection, EV_READ);
  }
}

void OnEnd(bufferevent* connection, short, void*) {
  bufferevent_free(connection);
}

void OnConnection(evconnlistener* listener, evutil_socket_t socket, sockaddr*,
                  int, void*) {
  bufferevent* connection = bufferevent_socket_new(
      evconnlistener_get_base(listener), socket, BEV_OPT_CLOSE_ON_FREE);
  if (connection == nullptr) return;
  bufferevent_setcb(connection, OnRead, OnWritten, OnEnd, nullptr);
  bufferevent_enable(connection, EV_READ | EV_WRITE);
}

}  // namespace

int main(int argc, char** argv) {
  const sockaddr_in address = benchmarks::ParseServerFlags(argc, argv);
  event_base* base = event_base_new();
  if (base == nullptr) benchmarks::Fail("event_base_new");
  evconnlistener* listener = evconnlistener_new_bind(
      base, OnConnection, nullptr,
      LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 4096,
      reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  if (listener == nullptr) benchmarks::Fail("evconnlistener_new_bind");
  benchmarks::SetNoDelay(evconnlistener_get_fd(listener));
  benchmarks::Announce(evconnlistener_get_fd(listener));
  return event_base_dispatch(base);
}
