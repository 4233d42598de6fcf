#include "tests/examples/server_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace weir::testing {
namespace {

bool ReadableInTime(int descriptor) {
  pollfd entry = {.fd = descriptor, .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, kPatienceMs) == 1;
}

std::string FromEnvironment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

// Nothing if the programs run by themselves.
const std::string& Runner() {
  static const auto& runner = *new std::string(
      FromEnvironment("WEIR_TEST_EXAMPLES_RUNNER", ""));
  return runner;
}

std::string ReadAll(int descriptor) {
  std::string text;
  char buffer[4096];
  while (ReadableInTime(descriptor)) {
    const ssize_t bytes = ::read(descriptor, buffer, sizeof(buffer));
    if (bytes <= 0) break;
    text.append(buffer, static_cast<std::size_t>(bytes));
  }
  if (IsEmulated()) std::erase(text, '\r');
  return text;
}

}  // namespace

bool IsEmulated() { return !Runner().empty(); }

bool StalledSendsEnd() {
  static const bool end = [] {
    if (!IsEmulated()) return true;
    FILE* const pipe = ::popen("wine --version", "r");
    if (pipe == nullptr) return true;
    int version = 0;
    const int read = std::fscanf(pipe, "wine-%d", &version);
    ::pclose(pipe);
    return read == 1 && version < 9;
  }();
  return end;
}

ServerProcess::ServerProcess(const std::string& program,
                             const std::vector<std::string>& arguments) {
  const std::string path =
      absl::StrCat(FromEnvironment("WEIR_TEST_EXAMPLES_DIR", WEIR_EXAMPLES_DIR),
                   "/", program, IsEmulated() ? ".exe" : "");
  const std::string& started = IsEmulated() ? Runner() : path;
  std::vector<char*> argv = {const_cast<char*>(started.c_str())};
  if (IsEmulated()) argv.push_back(const_cast<char*>(path.c_str()));
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  int out[2], err[2];
  EXPECT_EQ(::pipe2(out, O_CLOEXEC), 0);
  EXPECT_EQ(::pipe2(err, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  ::posix_spawn_file_actions_adddup2(&actions, err[1], 2);
  EXPECT_EQ(::posix_spawn(&pid_, started.c_str(), &actions, nullptr,
                          argv.data(), environ),
            0)
      << started;
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(out[1]);
  ::close(err[1]);
  out_ = out[0];
  err_ = err[0];
  exit_handle_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
}

ServerProcess::~ServerProcess() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::close(exit_handle_);
  ::close(out_);
  ::close(err_);
}

std::optional<sockaddr_in> ServerProcess::WaitUntilListening() {
  std::string line;
  char byte;
  while (ReadableInTime(out_) && ::read(out_, &byte, 1) == 1 && byte != '\n') {
    if (byte != '\r') line.push_back(byte);
  }
  constexpr char kExpected[] = "listening on 127.0.0.1:";
  if (!line.starts_with(kExpected)) return std::nullopt;
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(
      std::atoi(line.c_str() + std::strlen(kExpected))));
  return address;
}

void ServerProcess::Signal(int signal) {
  ::kill(pid_, IsEmulated() && signal == SIGTERM ? SIGINT : signal);
}

Outcome ServerProcess::Wait() {
  Outcome outcome;
  // Pipes are small: they are emptied before the end is waited for.
  outcome.out = ReadAll(out_);
  outcome.err = ReadAll(err_);
  if (!ReadableInTime(exit_handle_)) return outcome;
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  outcome.exit_status =
      WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  // Wine kills what is still there a second after its last thread has ended, as
  // on a loaded machine (server/process.c, start_sigkill_timer). The destructor
  // alone kills here.
  if (IsEmulated() && outcome.exit_status == 128 + SIGKILL) {
    outcome.exit_status = 0;
  }
  return outcome;
}

int ServerProcess::Descriptors() const {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(
           absl::StrCat("/proc/", pid_, "/fd"))) {
    ++count;
  }
  return count;
}

long ServerProcess::ResidentKib() const {
  std::ifstream file(absl::StrCat("/proc/", pid_, "/status"));
  for (std::string word; file >> word;) {
    long kib = 0;
    if (word == "VmRSS:" && file >> kib) return kib;
  }
  return -1;
}

long ServerProcess::ProcessorMs() const {
  std::ifstream file(absl::StrCat("/proc/", pid_, "/stat"));
  std::stringstream text;
  text << file.rdbuf();
  // proc(5): utime and stime are fields 14 and 15; the name, field 2, ends at
  // the last parenthesis.
  std::istringstream fields(text.str().substr(text.str().rfind(')') + 1));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  long user = 0, system = 0;
  fields >> user >> system;
  return (user + system) * 1000 / ::sysconf(_SC_CLK_TCK);
}

void ServerProcess::LimitDescriptors(int limit) {
  if (IsEmulated()) return;
  const rlimit value = {.rlim_cur = static_cast<rlim_t>(limit),
                        .rlim_max = static_cast<rlim_t>(limit)};
  EXPECT_EQ(::prlimit(pid_, RLIMIT_NOFILE, &value, nullptr), 0);
}

Outcome RunProgram(const std::string& program,
                   const std::vector<std::string>& arguments) {
  return ServerProcess(program, arguments).Wait();
}

unsigned TestSeed() {
  const char* given = std::getenv("WEIR_TEST_SEED");
  const unsigned seed =
      given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10))
                       : std::random_device()();
  std::cout << "WEIR_TEST_SEED=" << seed << " repeats this\n";
  return seed;
}

const std::vector<std::string>& Backends() {
  static const auto& backends =
      *new std::vector<std::string>(absl::StrSplit(
          FromEnvironment("WEIR_TEST_EXAMPLES_BACKENDS", "epoll,io_uring"),
          ','));
  return backends;
}

std::vector<ServerKind> OnEachBackend(std::vector<ServerKind> kinds) {
  std::vector<ServerKind> result;
  for (ServerKind& kind : kinds) {
    for (const std::string& backend : Backends()) {
      kind.backend = backend;
      result.push_back(kind);
    }
  }
  return result;
}

std::vector<std::string> ServerKind::Arguments() const {
  std::vector<std::string> arguments = {"--backend=" + backend,
                                        "--listen=127.0.0.1:0"};
  if (threads > 0) {
    arguments.push_back(absl::StrCat("--threads=", threads));
  }
  if (!api.empty()) arguments.push_back("--api=" + api);
  return arguments;
}

std::string KindName(const ::testing::TestParamInfo<ServerKind>& info) {
  const ServerKind& kind = info.param;
  std::string name = absl::StrCat(
      kind.program, "_", absl::StrReplaceAll(kind.backend, {{"-", "_"}}));
  if (kind.threads > 0) absl::StrAppend(&name, "_", kind.threads, "_threads");
  if (!kind.api.empty()) absl::StrAppend(&name, "_", kind.api);
  return name;
}

void PrintTo(const ServerKind& kind, std::ostream* out) {
  *out << kind.program;
  for (const std::string& argument : kind.Arguments()) *out << ' ' << argument;
}

void ServerTest::SetUp() {
  std::vector<std::string> arguments = GetParam().Arguments();
  for (std::string& extra : ExtraArguments()) {
    arguments.push_back(std::move(extra));
  }
  server_.emplace(GetParam().program, arguments);
  const auto address = server_->WaitUntilListening();
  if (!address.has_value()) {
    const Outcome outcome = server_->Wait();
    server_.reset();
    if (outcome.exit_status == 1 &&
        outcome.err.find("UNAVAILABLE") != std::string::npos) {
      GTEST_SKIP() << outcome.err;
    }
    FAIL() << "exit status " << outcome.exit_status << ": " << outcome.err;
  }
  address_ = *address;
}

int ServerTest::HeldByServer() const {
  if (!IsEmulated()) return server_->Descriptors();
  // proc(5): what follows the header. A connection that was not accepted, or is
  // closed, has no inode.
  constexpr const char* kListening = "0A";
  const std::string port =
      absl::StrFormat(":%04X", static_cast<unsigned>(ntohs(address_.sin_port)));
  std::ifstream file("/proc/net/tcp");
  int count = 0;
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> fields =
        absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (fields.size() > 9 && absl::EndsWith(fields[1], port) &&
        fields[3] != kListening && fields[9] != "0") {
      ++count;
    }
  }
  return count;
}

void ServerTest::TearDown() {
  if (!server_.has_value() || server_->pid() < 0) return;
  server_->Signal(SIGTERM);
  const Outcome outcome = server_->Wait();
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
}

}  // namespace weir::testing
