// What the examples share besides Weir: the command line, the first line they
// print, and serving until they are asked to stop.

#ifndef WEIR_EXAMPLES_EXAMPLE_MAIN_H_
#define WEIR_EXAMPLES_EXAMPLE_MAIN_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/flags/declare.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weir/event_loop.h"
#include "weir/socket.h"
#include "weir/socket_address.h"

namespace examples {

// Sets the Abseil flags of the program from `--name=value` or `--name value`.
// Prints `purpose` and every flag and exits with 0 for --help; exits as
// UsageError() for anything that is not a flag, or has no acceptable value.
void ParseCommandLine(int argc, char** argv, std::string_view purpose);

// One line on standard error, beginning with the program's name.
void Log(std::string_view message);

// Logs `message` and exits with 2: the command line is at fault.
[[noreturn]] void UsageError(std::string_view message);

// Logs `status` and exits with 1: the machine refuses.
[[noreturn]] void Fail(const absl::Status& status);

// Logs the first status it is given: the same can come again and again. Not
// Cancelled, which is how everything ends when the loop does.
void LogOnce(const absl::Status& status);

void OkOrFail(const absl::Status& status);

template <typename T>
T ValueOrFail(absl::StatusOr<T> value) {
  OkOrFail(value.status());
  return *std::move(value);
}

// Values of flags; UsageError() if they are not what is accepted.
weir::SocketAddress IpAddressFlag(std::string_view flag, std::string_view text);
struct HostAndPort {
  std::string host;
  std::uint16_t port = 0;
};
// "example.org:80", "127.0.0.1:80", "[::1]:80".
HostAndPort HostAndPortFlag(std::string_view flag, std::string_view text);
void CheckRange(std::string_view flag, std::int64_t value, std::int64_t lowest,
                std::int64_t highest);
// The index of `text` in `possible`.
std::size_t ChoiceFlag(std::string_view flag, std::string_view text,
                       std::initializer_list<std::string_view> possible);

// A loop on the backend of the flag --backend, which every example has.
std::unique_ptr<weir::EventLoop> CreateLoop(int threads = 1);

// Logs which backend `loop` has, and why.
void LogBackend(const weir::EventLoop& loop);

// LogBackend(), and the line "listening on ADDRESS:PORT" on standard output.
void AnnounceListening(const weir::EventLoop& loop,
                       const weir::SocketAddress& address);

// Runs `loop` on `threads` threads, this one included, until it is stopped.
// Returns what main() does: 0, or 1 (and logs why) if the loop cannot go on.
int RunLoop(weir::EventLoop& loop, int threads = 1);

}  // namespace examples

#endif  // WEIR_EXAMPLES_EXAMPLE_MAIN_H_
