// What tests ask of the operating system besides what Weir offers, in the same
// words on POSIX and on Windows; and what a system is without.

#ifndef WEIR_TESTS_SUPPORT_SYSTEM_H_
#define WEIR_TESTS_SUPPORT_SYSTEM_H_

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "platform/poll.h"
#include "weir/native_socket.h"
#include "weir/socket_address.h"
#include "weir/socket_options.h"
#include "weir/status.h"

namespace weir::test {

// --- what there is

// Whether there are Unix-domain sockets, and pairs of them.
bool HasUnixSockets();
// For cases that are about them.
#define WEIR_SKIP_WITHOUT_UNIX_SOCKETS()                  \
  do {                                                    \
    if (!::weir::test::HasUnixSockets()) {                \
      GTEST_SKIP() << "no Unix-domain sockets here";      \
    }                                                     \
  } while (false)

// The family of streams whose kind does not matter: Unix, where there is that.
inline AddressFamily LocalFamily() {
  return HasUnixSockets() ? AddressFamily::kUnix : AddressFamily::kIpv4;
}

// Those of `wanted` that there are. Says once, on standard output, that Unix is
// left out.
std::vector<AddressFamily> Available(
    std::initializer_list<AddressFamily> wanted);

// Whether the next socket gets the lowest number that is free, and so that of the
// one that was just closed.
bool NumbersAreReusedAtOnce();
// Whether a receive on a connected datagram socket tells that what was sent
// before has reached nobody (ICMP).
bool ReceivesTellOfUnreachablePorts();
// Whether a stream's hang-up shows while there is data to be read before it.
bool HangupOvertakesData();
// What a reset is, that follows the peer's end of stream.
ErrorCause ResetAfterTheEnd();
// Whether that a stream has failed is told by poll and by each receive, before an
// end that was announced, and not just once.
bool FailuresLast();
// Whether a stream that was shut down for receiving is readable, and what had
// arrived before still comes.
bool StreamsReadOnAfterShutdown();
// Whether a reset that comes while nobody receives is told by the next receive.
// Under Wine 8 that finds the end of the stream.
bool UnawaitedResetsAreTold();
// Whether what came before a reset can still be received when it has come. Wine
// keeps it up to version 8, and throws it away in version 10.
bool DataOutlivesAReset();
// Whether a peer that has ended its own direction is sent all that was taken.
// Wine from version 9 on forgets what waits to be sent then: the rest of what it
// took without room for it, and all of a file.
bool AllIsSentToWhoHasEnded();
// Whether a datagram socket is as good as new when the error of an unreachable
// port has been taken off it. Under Wine 8 SO_ERROR tells it again and again, and
// a wait that is under way misses the next datagram and the next error.
bool DatagramErrorsPass();
#define WEIR_SKIP_WHERE_DATAGRAM_ERRORS_STAY()                            \
  do {                                                                    \
    if (!::weir::test::DatagramErrorsPass()) {                            \
      GTEST_SKIP() << "an error that was taken off a datagram socket is " \
                      "still on it here (Wine)";                          \
    }                                                                     \
  } while (false)

// The name of the loopback interface: "lo".
std::string LoopbackInterface();
// What SystemError() (platform/error.h) is given for `cause`: the number that
// means it most often, ECONNREFUSED or WSAECONNREFUSED. A failure if there is
// none.
int CodeFor(ErrorCause cause);
// The system's words for that: "Connection refused".
std::string WordsFor(ErrorCause cause);
// The file of the running program: regular, and some hundred kilobytes long.
std::string ThisProgram();
// A number that no other process has at the same time.
int ProcessId();

// --- requests to end the process

// The process's own request to itself, as its user would make it: SIGTERM, or
// Ctrl-C on a console that it has for itself. It is noted by the time this
// returns, or, on Windows, some time later, on another thread.
// PrepareTermination() comes before whatever is to be told. There are two kinds
// on POSIX, SIGINT and SIGTERM.
enum class TerminationKind { kInterrupt, kTerminate };
void PrepareTermination();
void RequestTermination(TerminationKind kind = TerminationKind::kTerminate);

// --- handles

// A socket as another library would make it: blocking, inherited by child
// processes.
NativeSocket OpenForeign(AddressFamily family, SocketType type);
// close(2), closesocket; false if it fails.
bool CloseNative(NativeSocket socket);
// Another handle of the same socket.
NativeSocket Duplicate(NativeSocket socket);
bool IsOpen(NativeSocket socket);
bool IsInherited(NativeSocket socket);
// A handle, as a socket's, of something that is none; to be closed by
// CloseNonSocket().
NativeSocket OpenNonSocket();
void CloseNonSocket(NativeSocket handle);
// Where the mode of a socket can be asked for.
bool ModeIsKnown();
bool IsNonBlocking(NativeSocket socket);
void MakeBlocking(NativeSocket socket);
// What a poll has seen of a socket, a wait that does not wait sees as well from
// here on. Wine's server asks the kernel for the one, and is told of the other,
// which it then has this thread finish: that is done when it has answered.
void LetReportsArrive();
// How many bytes have arrived on a stream and were not received.
std::size_t ArrivedBytes(NativeSocket socket);
// Sends an urgent byte (MSG_OOB).
void SendUrgent(NativeSocket socket, char byte);
// Waits, as a program would that knows nothing of Weir: poll(2), WSAPoll. Until
// something that was requested, an error or a hang-up holds of one of `entries`,
// at most for `timeout`. Whether something did.
bool Poll(std::span<platform::PollEntry> entries, absl::Duration timeout);

}  // namespace weir::test

#endif  // WEIR_TESTS_SUPPORT_SYSTEM_H_
