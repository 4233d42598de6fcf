#include "examples/example_main.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/flag.h"
#include "absl/flags/reflection.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "weir/backends.h"

namespace {

std::string BackendHelp() {
  return absl::StrCat(
      "the kernel mechanism: ",
      absl::StrJoin(
          weir::CompiledBackends(), ", ",
          [](std::string* out, std::string_view name) { out->append(name); }),
      ", or auto for the best that works here; empty for the default of this "
      "build, ",
      std::string(weir::DefaultBackend()));
}

}  // namespace

ABSL_FLAG(std::string, backend, "", BackendHelp());

namespace examples {
namespace {

std::string* const program = new std::string("example");

absl::string_view ForAbsl(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

std::string_view BaseName(std::string_view path) {
  const std::size_t separator = path.find_last_of("/\\");
  return separator == path.npos ? path : path.substr(separator + 1);
}

// A flag of the examples, not one that came along with Abseil.
bool IsOurs(const absl::CommandLineFlag& flag) {
  // Abseil may have taken leading slashes off the names of source files.
  std::string_view here = __FILE__;
  here.remove_prefix(std::min(here.find_first_not_of("/\\."), here.size()));
  here.remove_suffix(BaseName(here).size());
  return absl::StrContains(flag.Filename(), ForAbsl(here));
}

[[noreturn]] void PrintHelp(std::string_view purpose) {
  std::vector<std::string> flags;
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (!IsOurs(*flag)) continue;
    flags.push_back(absl::StrCat("  --", name, "=", flag->DefaultValue(),
                                 "\n      ", flag->Help(), "\n"));
  }
  std::sort(flags.begin(), flags.end());
  std::printf(
      "%s: %s\n\nFlags, with their default values:\n%s"
      "  --help\n      print this and exit\n",
      program->c_str(), std::string(purpose).c_str(),
      absl::StrJoin(flags, "").c_str());
  std::exit(0);
}

}  // namespace

// Not absl::ParseCommandLine(): it exits with 1 for --help and for mistakes
// alike, and offers a dozen flags of its own.
void ParseCommandLine(int argc, char** argv, std::string_view purpose) {
  if (argc > 0) {
    *program =
        std::string(absl::StripSuffix(ForAbsl(BaseName(argv[0])), ".exe"));
  }
  for (int i = 1; i < argc; ++i) {
    std::string_view argument = argv[i];
    if (argument == "--help" || argument == "-h") PrintHelp(purpose);
    const std::size_t equals = argument.find('=');
    const std::string_view name = argument.substr(0, equals);
    absl::CommandLineFlag* flag =
        name.starts_with("--")
            ? absl::FindCommandLineFlag(ForAbsl(name.substr(2)))
            : nullptr;
    if (flag == nullptr || !IsOurs(*flag)) {
      UsageError(absl::StrCat(
          name.starts_with("-") ? "unknown flag " : "unexpected argument ",
          ForAbsl(name), "; --help lists the flags"));
    }
    if (equals == argument.npos && ++i == argc) {
      UsageError(absl::StrCat("the flag ", ForAbsl(name), " needs a value"));
    }
    const std::string_view value =
        equals == argument.npos ? argv[i] : argument.substr(equals + 1);
    std::string error;
    if (!flag->ParseFrom(ForAbsl(value), &error)) {
      UsageError(absl::StrCat(ForAbsl(name), ": \"", ForAbsl(value),
                              "\" is not a value of this flag; --help explains "
                              "it"));
    }
  }
}

void Log(std::string_view message) {
  // One call, so that the lines of several threads stay whole.
  const std::string line = absl::StrCat(*program, ": ", ForAbsl(message), "\n");
  std::fputs(line.c_str(), stderr);
}

void UsageError(std::string_view message) {
  Log(message);
  std::exit(2);
}

void Fail(const absl::Status& status) {
  Log(absl::StrCat(absl::StatusCodeToString(status.code()), ": ",
                   status.message()));
  std::exit(1);
}

void OkOrFail(const absl::Status& status) {
  if (!status.ok()) Fail(status);
}

weir::SocketAddress IpAddressFlag(std::string_view flag,
                                  std::string_view text) {
  const auto address = weir::SocketAddress::Parse(text);
  if (!address.ok() || address->is_unix()) {
    UsageError(absl::StrCat("--", ForAbsl(flag), ": \"", ForAbsl(text),
                            "\" is not an IP address with a port, as "
                            "127.0.0.1:80 or [::1]:80"));
  }
  return *address;
}

HostAndPort HostAndPortFlag(std::string_view flag, std::string_view text) {
  if (text.empty()) {
    UsageError(absl::StrCat("--", ForAbsl(flag), "=HOST:PORT is needed"));
  }
  const std::size_t colon = text.rfind(':');
  std::uint32_t port = 0;
  if (colon == 0 || colon == text.npos ||
      !absl::SimpleAtoi(ForAbsl(text.substr(colon + 1)), &port) || port < 1 ||
      port > 65535) {
    UsageError(absl::StrCat("--", ForAbsl(flag), ": \"", ForAbsl(text),
                            "\" is not HOST:PORT"));
  }
  const std::string_view host = text.substr(0, colon);
  if (!host.starts_with('[') && host.find(':') != host.npos) {
    UsageError(absl::StrCat("--", ForAbsl(flag), ": an IPv6 address before a "
                            "port is written in brackets, not ", ForAbsl(text)));
  }
  return {.host = std::string(host), .port = static_cast<std::uint16_t>(port)};
}

void CheckRange(std::string_view flag, std::int64_t value, std::int64_t lowest,
                std::int64_t highest) {
  if (value >= lowest && value <= highest) return;
  UsageError(absl::StrCat("--", ForAbsl(flag), " must be ", lowest, " to ",
                          highest, ", not ", value));
}

std::size_t ChoiceFlag(std::string_view flag, std::string_view text,
                       std::initializer_list<std::string_view> possible) {
  const auto chosen = std::find(possible.begin(), possible.end(), text);
  if (chosen != possible.end()) {
    return static_cast<std::size_t>(chosen - possible.begin());
  }
  std::string message =
      absl::StrCat("--", ForAbsl(flag), ": \"", ForAbsl(text),
                   "\" is not one of the possible values");
  const char* separator = ": ";
  for (const std::string_view value : possible) {
    absl::StrAppend(&message, std::exchange(separator, ", "), ForAbsl(value));
  }
  UsageError(message);
}

void LogOnce(const absl::Status& status) {
  if (absl::IsCancelled(status)) return;
  static std::once_flag said;
  std::call_once(said, [&] { Log(std::string(status.message())); });
}

std::unique_ptr<weir::EventLoop> CreateLoop(int threads) {
  auto loop = weir::EventLoop::Create(
      {.backend = absl::GetFlag(FLAGS_backend), .threads = threads});
  if (absl::IsInvalidArgument(loop.status())) {
    UsageError(absl::StrCat("--backend: ", loop.status().message()));
  }
  return ValueOrFail(std::move(loop));
}

void LogBackend(const weir::EventLoop& loop) {
  Log(absl::StrCat("backend ", ForAbsl(loop.backend_name()), " (",
                   ForAbsl(loop.backend_reason()), ")"));
}

void AnnounceListening(const weir::EventLoop& loop,
                       const weir::SocketAddress& address) {
  LogBackend(loop);
  std::printf("listening on %s\n", address.ToString().c_str());
  std::fflush(stdout);
}

// What ends the program asks once, or twice (timeout(1) tells the process and its
// group). Only the first stops the loop; from then on, and to the end of the
// process, when the loop watches no more, a request has nothing to do.
void IgnoreRequestsWhileEnding() {
  static auto* const watcher =
      new absl::StatusOr<std::unique_ptr<weir::EventLoop>>(
          weir::EventLoop::Create(weir::EventLoopOptions()));
  if (watcher->ok()) (**watcher)->OnTermination().IgnoreError();
}

int RunLoop(weir::EventLoop& loop, int threads) {
  std::vector<absl::Status> ends(static_cast<std::size_t>(threads));
  std::vector<std::thread> others;
  const auto run = [&loop](absl::Status& end) {
    end = loop.Run();
    // A loop that has failed on one thread is of no use on the others.
    if (!end.ok()) loop.Stop();
  };
  bool refused = false;
  for (std::size_t i = 1; i < ends.size() && !refused; ++i) {
    try {
      others.emplace_back(run, std::ref(ends[i]));
    } catch (const std::system_error& error) {
      Log(absl::StrCat("thread ", i + 1, " of ", threads, ": ", error.what()));
      refused = true;
      loop.Stop();
    }
  }
  run(ends[0]);
  IgnoreRequestsWhileEnding();
  for (std::thread& other : others) other.join();
  if (refused) return 1;
  // A thread that has returned in good order was stopped, and one that came
  // too late to run the stopped loop is told so: no failure.
  const bool stopped = std::any_of(ends.begin(), ends.end(),
                                   [](const auto& end) { return end.ok(); });
  for (const absl::Status& end : ends) {
    if (end.ok() || (stopped && absl::IsFailedPrecondition(end))) continue;
    Log(std::string(end.message()));
    return 1;
  }
  return 0;
}

}  // namespace examples
