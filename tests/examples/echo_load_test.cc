// The load client: what it counts, and that it notices.

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/examples/server_process.h"

namespace weir::testing {
namespace {

using ::testing::HasSubstr;

struct Result {
  unsigned long long round_trips = 0;
  double seconds = 0;
  unsigned long long errors = 0;
};

Result Parse(const std::string& line) {
  Result result;
  int end = 0;
  EXPECT_EQ(
      std::sscanf(line.c_str(), "round_trips=%llu seconds=%lf errors=%llu\n%n",
                  &result.round_trips, &result.seconds, &result.errors, &end),
      3)
      << line;
  EXPECT_EQ(static_cast<std::size_t>(end), line.size()) << line;
  return result;
}

std::string Text(const sockaddr_in& address) {
  return "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
}

class EchoLoad : public ServerTest {};

TEST_P(EchoLoad, CountsRoundTripsWithoutErrors) {
  for (const char* size : {"1", "64", "300000"}) {
    const Outcome outcome = RunProgram(
        "echo_load",
        {"--connect=" + Text(address()), "--connections=16", "--seconds=0.3",
         "--backend=" + GetParam().backend, std::string("--size=") + size});
    EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
    const Result result = Parse(outcome.out);
    EXPECT_GT(result.round_trips, 0u);
    EXPECT_EQ(result.errors, 0u);
    EXPECT_GE(result.seconds, 0.3);
  }
}

TEST_P(EchoLoad, NoticesThatTheServerDies) {
  const int before = HeldByServer();
  ServerProcess load("echo_load",
                     {"--connect=" + Text(address()), "--connections=16",
                      "--seconds=60", "--backend=" + GetParam().backend});
  // It is under way once the server holds its connections.
  while (HeldByServer() < before + 16) ::sched_yield();
  server().Signal(SIGTERM);
  const Outcome outcome = load.Wait();
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_EQ(Parse(outcome.out).errors, 16u);
  // One signal was enough: no second one, which would end it on its way out.
  EXPECT_EQ(server().Wait().exit_status, 0);
}

INSTANTIATE_TEST_SUITE_P(
    , EchoLoad, ::testing::ValuesIn(OnEachBackend({{"echo_server", "", 1}})),
    KindName);

// A server that answers `change`d bytes to its only client.
template <typename Change>
Outcome LoadOn(Change change) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof(address);
  EXPECT_EQ(::bind(listener, generic, length), 0);
  EXPECT_EQ(::listen(listener, 1), 0);
  EXPECT_EQ(::getsockname(listener, generic, &length), 0);
  std::thread server([&] {
    const int socket = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    char buffer[64];
    long answered = 0;
    ssize_t bytes;
    while ((bytes = ::recv(socket, buffer, sizeof(buffer), 0)) > 0) {
      std::string answer(buffer, static_cast<std::size_t>(bytes));
      change(answer, answered++);
      if (::send(socket, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) break;
    }
    ::close(socket);
  });
  Outcome outcome = RunProgram(
      "echo_load",
      {"--connect=" + Text(address), "--connections=1", "--seconds=20"});
  server.join();
  ::close(listener);
  return outcome;
}

TEST(EchoLoadChecks, OneWrongBit) {
  const Outcome outcome = LoadOn([](std::string& answer, long number) {
    if (number == 100) answer[answer.size() / 2] ^= 1;
  });
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_EQ(Parse(outcome.out).errors, 1u);
  EXPECT_THAT(outcome.err, HasSubstr("differs"));
}

TEST(EchoLoadChecks, OneByteTooMany) {
  const Outcome outcome = LoadOn([](std::string& answer, long number) {
    if (number == 100) answer += 'x';
  });
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_EQ(Parse(outcome.out).errors, 1u);
}

TEST(EchoLoadChecks, NobodyListens) {
  const Outcome outcome =
      RunProgram("echo_load", {"--connect=127.0.0.1:1", "--connections=3"});
  EXPECT_EQ(outcome.exit_status, 1);
  const Result result = Parse(outcome.out);
  EXPECT_EQ(result.errors, 3u);
  EXPECT_EQ(result.round_trips, 0u);
  EXPECT_THAT(outcome.err, HasSubstr("ECONNREFUSED"));
}

TEST(EchoLoadChecks, OnlyThisMachine) {
  for (const char* address :
       {"192.0.2.1:80", "0.0.0.0:80", "[2001:db8::1]:80"}) {
    const Outcome outcome =
        RunProgram("echo_load", {std::string("--connect=") + address});
    EXPECT_EQ(outcome.exit_status, 2) << address;
    EXPECT_THAT(outcome.err, HasSubstr("loopback")) << address;
  }
}

TEST(EchoLoadChecks, ValuesOutOfRange) {
  for (const char* flag :
       {"--connections=0", "--connections=x", "--size=0", "--size=1e9",
        "--seconds=0", "--seconds=-1", "--seconds=nan"}) {
    const Outcome outcome =
        RunProgram("echo_load", {"--connect=127.0.0.1:1", flag});
    EXPECT_EQ(outcome.exit_status, 2) << flag;
    EXPECT_THAT(outcome.out, ::testing::IsEmpty()) << flag;
  }
}

}  // namespace
}  // namespace weir::testing
