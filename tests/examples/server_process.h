// A program under test: started, read from, signalled and waited for, as a
// shell would. By default a program of this build; the environment can say
// otherwise, for programs of another system that something here can run:
//
//   WEIR_TEST_EXAMPLES_RUNNER    what is given their path and arguments
//                                (cmake/wine.sh); they are called NAME.exe then
//   WEIR_TEST_EXAMPLES_DIR       where they are
//   WEIR_TEST_EXAMPLES_BACKENDS  the backends they have, separated by commas

#ifndef WEIR_TESTS_EXAMPLES_SERVER_PROCESS_H_
#define WEIR_TESTS_EXAMPLES_SERVER_PROCESS_H_

#include <netinet/in.h>
#include <sys/types.h>

#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace weir::testing {

// How long anything may take here, in milliseconds: far longer than it does.
inline constexpr int kPatienceMs = 20'000;

// Whether the programs are run by something else.
bool IsEmulated();
// Whether what a program is still sending when its peer ends its own direction
// arrives, and when it closes, is dropped. Wine from version 9 on takes more than
// there is room for, and loses the rest then, or keeps the connection for it.
bool StalledSendsEnd();
#define WEIR_SKIP_WHERE_STALLED_SENDS_STAY()                              \
  do {                                                                    \
    if (!::weir::testing::StalledSendsEnd()) {                               \
      GTEST_SKIP() << "the rest of a send is lost, or stays (Wine 9 and " \
                      "later)";                                           \
    }                                                                     \
  } while (false)

// What a program that ends by itself left behind. Lines end in a line feed, on
// every system.
struct Outcome {
  int exit_status = -1;  // 128 + N if signal N ended it
  std::string out;
  std::string err;
};

class ServerProcess {
 public:
  // Starts `program` of the examples.
  ServerProcess(const std::string& program,
                const std::vector<std::string>& arguments);
  // Kills it if it still runs.
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // Reads the line "listening on 127.0.0.1:PORT"; nothing if the program ends
  // first or prints something else.
  std::optional<sockaddr_in> WaitUntilListening();

  // SIGTERM, too, is what the user asks it to stop with: where the programs are
  // emulated, SIGINT, which they know as Ctrl-C.
  void Signal(int signal);
  // Waits until it has ended, and reads what it has printed since.
  Outcome Wait();

  pid_t pid() const { return pid_; }
  // Its open descriptors.
  int Descriptors() const;
  // Its memory in RAM, in KiB.
  long ResidentKib() const;
  // The processor time it has used, in milliseconds.
  long ProcessorMs() const;
  // From now on it can have so many descriptors (RLIMIT_NOFILE); emulated, as
  // many as before.
  void LimitDescriptors(int limit);

 private:
  pid_t pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  int exit_handle_ = -1;  // pidfd_open(2): readable once the program has ended
};

Outcome RunProgram(const std::string& program,
                   const std::vector<std::string>& arguments);

// A seed that differs from run to run and is printed; WEIR_TEST_SEED repeats
// one.
unsigned TestSeed();

// The backends that the programs have: "epoll", "io_uring".
const std::vector<std::string>& Backends();

// Which server a test drives, and how.
struct ServerKind {
  std::string program;
  std::string backend;
  int threads = 0;  // 0: the program has no such flag
  std::string api = {};  // empty: the program's default, or no such flag

  std::vector<std::string> Arguments() const;
};

// Each of `kinds`, whose backends are left empty, on each of Backends().
std::vector<ServerKind> OnEachBackend(std::vector<ServerKind> kinds);

// "echo_server_epoll_4_threads_stream", for INSTANTIATE_TEST_SUITE_P.
std::string KindName(const ::testing::TestParamInfo<ServerKind>& info);
void PrintTo(const ServerKind& kind, std::ostream* out);

// A fixture with a server of the parameter's kind, which listens. Skips where
// the kernel refuses the backend. At the end the server must stop in an orderly
// way, with status 0, however many connections are open.
class ServerTest : public ::testing::TestWithParam<ServerKind> {
 protected:
  void SetUp() override;
  void TearDown() override;

  // What the server is started with besides; called once, before that.
  virtual std::vector<std::string> ExtraArguments() { return {}; }

  ServerProcess& server() { return *server_; }
  const sockaddr_in& address() const { return address_; }
  // How many descriptors the server has. An emulator keeps those of sockets in
  // another process: then, how many connections to the server's address it has
  // accepted that are neither closed nor reset.
  int HeldByServer() const;

 private:
  std::optional<ServerProcess> server_;
  sockaddr_in address_{};
};

}  // namespace weir::testing

#endif  // WEIR_TESTS_EXAMPLES_SERVER_PROCESS_H_
