#include <array>
#include <cstddef>
#include <span>
#include <utility>

#include "examples/echo_apis.h"
#include "examples/tcp_echo.h"
#include "weir/stream.h"
#include "weir/task.h"

namespace examples {
namespace {

weir::Task<> Echo(weir::Stream stream) {
  std::array<std::byte, 16 * 1024> buffer;
  for (;;) {
    const weir::Completion in = co_await stream.Read(buffer);
    if (!in.ok() || in.bytes == 0) co_return;
    const weir::Completion out =
        co_await stream.Write(std::span(buffer).first(in.bytes));
    if (!out.ok()) co_return;
  }
}

}  // namespace

void EchoByCoroutine(weir::EventLoop& loop, weir::Socket listener) {
  AcceptStreams(loop, std::move(listener), [](weir::Stream stream) {
    weir::Spawn(Echo(std::move(stream)));
  });
}

}  // namespace examples
