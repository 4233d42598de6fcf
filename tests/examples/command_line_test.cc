// The fixed face of the example programs: flags, first line, exit statuses.

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/examples/server_process.h"

namespace weir::testing {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

// One line, "PROGRAM: ..., of what it should be.
MATCHER_P2(IsOneLineOf, program, text, "") {
  return ExplainMatchResult(AllOf(StartsWith(std::string(program) + ": "),
                                  HasSubstr(text), EndsWith("\n")),
                            arg, result_listener) &&
         std::count(arg.begin(), arg.end(), '\n') == 1;
}

std::vector<std::string> Servers() {
  std::vector<std::string> servers = {"echo_server", "multithreaded_server",
                                      "poll_replacement", "tcp_proxy",
                                      "udp_echo_server"};
  if (WEIR_HAS_HTTP_SERVER) servers.push_back("http_server");
  return servers;
}

std::vector<std::string> Programs() {
  std::vector<std::string> programs = Servers();
  programs.push_back("echo_load");
  return programs;
}

// Flags without which `program` does not start, of values that it accepts.
std::vector<std::string> RequiredFlags(const std::string& program) {
  if (program == "tcp_proxy") return {"--upstream=127.0.0.1:9"};
  return {};
}

std::vector<std::string> WithRequiredFlags(const std::string& program,
                                           std::vector<std::string> arguments) {
  for (std::string& flag : RequiredFlags(program)) {
    arguments.push_back(std::move(flag));
  }
  return arguments;
}

class CommandLine : public ::testing::TestWithParam<std::string> {
 protected:
  const std::string& program() const { return GetParam(); }
  bool is_server() const { return program() != "echo_load"; }

  void ExpectUsageError(const std::string& argument, const std::string& text) {
    const Outcome outcome = RunProgram(program(), {argument});
    EXPECT_EQ(outcome.exit_status, 2) << argument;
    EXPECT_THAT(outcome.out, IsEmpty()) << argument;
    EXPECT_THAT(outcome.err, IsOneLineOf(program(), text)) << argument;
  }
};

TEST_P(CommandLine, HelpExplainsEveryFlag) {
  const Outcome outcome = RunProgram(program(), {"--help"});
  EXPECT_EQ(outcome.exit_status, 0);
  EXPECT_THAT(outcome.err, IsEmpty());
  EXPECT_THAT(outcome.out, HasSubstr("--backend="));
  EXPECT_THAT(outcome.out, HasSubstr(is_server() ? "--listen=" : "--connect="));
  // A line for itself and a line that explains it for each, and no others'.
  EXPECT_THAT(outcome.out, Not(HasSubstr("--flagfile")));
  EXPECT_LE(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 16);
}

TEST_P(CommandLine, MistakesAreOneLineAndStatus2) {
  ExpectUsageError("--nonsense", "--nonsense");
  ExpectUsageError("--flagfile=/dev/null", "--flagfile");
  ExpectUsageError("--nonsense=1", "--nonsense");
  ExpectUsageError("-x", "-x");
  ExpectUsageError("word", "word");
  ExpectUsageError("--backend", "--backend");
  const std::string address = is_server() ? "--listen" : "--connect";
  for (const char* text : {"", "nowhere", "127.0.0.1", "127.0.0.1:65536",
                           "127.0.0.1:x", "unix:/tmp/x", "localhost:80"}) {
    ExpectUsageError(address + "=" + text, address);
  }
}

TEST_P(CommandLine, UnknownBackendNamesThoseThereAre) {
  const std::string address =
      is_server() ? "--listen=127.0.0.1:0" : "--connect=127.0.0.1:9";
  const Outcome outcome = RunProgram(
      program(), WithRequiredFlags(program(), {address, "--backend=nonsense"}));
  EXPECT_EQ(outcome.exit_status, 2);
  EXPECT_THAT(outcome.err, IsOneLineOf(program(), "nonsense"));
  for (const std::string& backend : Backends()) {
    EXPECT_THAT(outcome.err, HasSubstr(backend));
  }
}

INSTANTIATE_TEST_SUITE_P(, CommandLine, ::testing::ValuesIn(Programs()),
                         [](const auto& kind) { return kind.param; });

class ServerCommandLine : public CommandLine {};

TEST_P(ServerCommandLine, AddressInUseIsOneLineAndStatus1) {
  const int kind = program() == "udp_echo_server" ? SOCK_DGRAM : SOCK_STREAM;
  const int socket = ::socket(AF_INET, kind | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof(address);
  ASSERT_EQ(::bind(socket, generic, length), 0);
  ASSERT_EQ(::getsockname(socket, generic, &length), 0);
  if (kind == SOCK_STREAM) {
    ASSERT_EQ(::listen(socket, 1), 0);
  }
  const std::string text =
      "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  const Outcome outcome =
      RunProgram(program(), WithRequiredFlags(program(), {"--listen=" + text}));
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(outcome.err, IsOneLineOf(program(), "EADDRINUSE"));
  EXPECT_THAT(outcome.err, HasSubstr(text));
  ::close(socket);
}

// Also when not all of its threads run yet.
TEST_P(ServerCommandLine, StopsRightAfterItsStart) {
  for (int i = 0; i < 30; ++i) {
    ServerProcess server(
        program(), WithRequiredFlags(program(), {"--listen=127.0.0.1:0"}));
    ASSERT_TRUE(server.WaitUntilListening().has_value());
    server.Signal(i % 2 == 0 ? SIGTERM : SIGINT);
    const Outcome outcome = server.Wait();
    ASSERT_EQ(outcome.exit_status, 0) << outcome.err;
  }
}

TEST_P(ServerCommandLine, LogsItsBackendAndWhy) {
  const std::string& backend = Backends().front();
  ServerProcess server(
      program(),
      WithRequiredFlags(program(),
                        {"--listen=127.0.0.1:0", "--backend=" + backend}));
  ASSERT_TRUE(server.WaitUntilListening().has_value());
  server.Signal(SIGTERM);
  const Outcome outcome = server.Wait();
  EXPECT_EQ(outcome.exit_status, 0);
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(outcome.err, IsOneLineOf(program(), "backend " + backend + " ("));
}

TEST(CommandLineValues, RootHasToBeAFolder) {
  if (!WEIR_HAS_HTTP_SERVER) GTEST_SKIP() << "built without Boost";
  for (const char* value : {"/nowhere/at/all", "/proc/self/status"}) {
    const Outcome outcome =
        RunProgram("http_server", {std::string("--root=") + value});
    EXPECT_EQ(outcome.exit_status, 2) << value;
    EXPECT_THAT(outcome.err, IsOneLineOf("http_server", "--root: "));
    EXPECT_THAT(outcome.err, HasSubstr(value));
  }
}

TEST(CommandLineValues, EveryApiEndsWithoutAnotherWord) {
  for (const auto& [program, api] :
       std::vector<std::pair<std::string, std::string>>{
           {"echo_server", "readiness"},
           {"echo_server", "completion"},
           {"echo_server", "awaitable"},
           {"echo_server", "stream"},
           {"udp_echo_server", "readiness"},
           {"udp_echo_server", "completion"}}) {
    ServerProcess server(program, {"--listen=127.0.0.1:0", "--api=" + api});
    ASSERT_TRUE(server.WaitUntilListening().has_value()) << api;
    server.Signal(SIGTERM);
    const Outcome outcome = server.Wait();
    EXPECT_EQ(outcome.exit_status, 0) << api;
    EXPECT_THAT(outcome.err, IsOneLineOf(program, "backend ")) << api;
  }
}

INSTANTIATE_TEST_SUITE_P(, ServerCommandLine, ::testing::ValuesIn(Servers()),
                         [](const auto& kind) { return kind.param; });

TEST(CommandLineValues, ThreadsAndApiAreChecked) {
  std::vector<const char*> threaded = {"echo_server", "multithreaded_server"};
  if (WEIR_HAS_HTTP_SERVER) threaded.push_back("http_server");
  for (const char* program : threaded) {
    for (const char* value : {"0", "-1", "x", "", "100000"}) {
      const Outcome outcome =
          RunProgram(program, {std::string("--threads=") + value});
      EXPECT_EQ(outcome.exit_status, 2) << value;
      EXPECT_THAT(outcome.err, IsOneLineOf(program, "--threads"));
    }
  }
  for (const char* program : {"echo_server", "udp_echo_server"}) {
    for (const char* value : {"nonsense", "", "Readiness", "readiness,"}) {
      const Outcome outcome =
          RunProgram(program, {std::string("--api=") + value});
      EXPECT_EQ(outcome.exit_status, 2) << value;
      EXPECT_THAT(outcome.out, IsEmpty()) << value;
      EXPECT_THAT(outcome.err, IsOneLineOf(program, "readiness, completion"));
    }
  }
  // Datagrams are no stream.
  const Outcome outcome = RunProgram("udp_echo_server", {"--api=stream"});
  EXPECT_EQ(outcome.exit_status, 2);
  EXPECT_THAT(outcome.err, IsOneLineOf("udp_echo_server", "\"stream\""));
}

TEST(CommandLineValues, UpstreamIsNeededAndChecked) {
  for (const char* value :
       {"", "nowhere", "127.0.0.1", "unix:/tmp/x", ":80", "somewhere:0",
        "somewhere:65536", "somewhere:http", "::1:80"}) {
    const Outcome outcome =
        RunProgram("tcp_proxy", {std::string("--upstream=") + value});
    EXPECT_EQ(outcome.exit_status, 2) << value;
    EXPECT_THAT(outcome.err, IsOneLineOf("tcp_proxy", "--upstream"));
  }
  const Outcome outcome = RunProgram("tcp_proxy", {});
  EXPECT_EQ(outcome.exit_status, 2);
  EXPECT_THAT(outcome.err, IsOneLineOf("tcp_proxy", "--upstream"));
}

}  // namespace
}  // namespace weir::testing
