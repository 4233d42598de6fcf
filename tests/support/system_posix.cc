#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "gtest/gtest.h"
#include "platform/posix/sockaddr.h"
#include "tests/support/system.h"

namespace weir::test {
namespace {

using platform::FromDescriptor;
using platform::ToDescriptor;

constexpr struct {
  platform::PollBits bit;
  short event;
} kPollBits[] = {
    {platform::PollBits::kReadable, POLLIN},
    {platform::PollBits::kWritable, POLLOUT},
    {platform::PollBits::kHangup, POLLRDHUP},
    {platform::PollBits::kBothClosed, POLLHUP},
    {platform::PollBits::kError, POLLERR | POLLNVAL},
};

constexpr struct {
  ErrorCause cause;
  int code;
} kCodes[] = {
    {ErrorCause::kInvalidArgument, EINVAL},
    {ErrorCause::kConnectionRefused, ECONNREFUSED},
    {ErrorCause::kConnectionReset, ECONNRESET},
    {ErrorCause::kAddressInUse, EADDRINUSE},
    {ErrorCause::kDestinationRequired, EDESTADDRREQ},
    {ErrorCause::kMessageTooLong, EMSGSIZE},
    {ErrorCause::kBrokenPipe, EPIPE},
    {ErrorCause::kTooManyDescriptors, EMFILE},
    {ErrorCause::kBadDescriptor, EBADF},
    {ErrorCause::kNotSupported, EOPNOTSUPP},
    {ErrorCause::kNotASocket, ENOTSOCK},
    {ErrorCause::kNotConnected, ENOTCONN},
    {ErrorCause::kAlreadyConnected, EISCONN},
    {ErrorCause::kAddressNotAvailable, EADDRNOTAVAIL},
    {ErrorCause::kNotFound, ENOENT},
    {ErrorCause::kTimedOut, ETIMEDOUT},
    {ErrorCause::kHostUnreachable, EHOSTUNREACH},
    {ErrorCause::kCancelled, ECANCELED},
};

}  // namespace

bool NumbersAreReusedAtOnce() { return true; }
bool ReceivesTellOfUnreachablePorts() { return true; }
bool HangupOvertakesData() { return true; }
bool UnawaitedResetsAreTold() { return true; }
bool DataOutlivesAReset() { return true; }
bool AllIsSentToWhoHasEnded() { return true; }
// tcp_reset(), where there was a FIN before.
ErrorCause ResetAfterTheEnd() { return ErrorCause::kBrokenPipe; }
bool FailuresLast() { return false; }
bool StreamsReadOnAfterShutdown() { return true; }
bool DatagramErrorsPass() { return true; }

std::string LoopbackInterface() { return "lo"; }

int CodeFor(ErrorCause cause) {
  for (const auto& row : kCodes) {
    if (row.cause == cause) return row.code;
  }
  ADD_FAILURE() << "no number for " << ErrorCauseName(cause);
  return 0;
}

std::string ThisProgram() { return "/proc/self/exe"; }

int ProcessId() { return ::getpid(); }

// Whoever starts this process may have had it ignore them.
void PrepareTermination() {
  for (const int number : {SIGINT, SIGTERM}) ::signal(number, SIG_DFL);
}

void RequestTermination(TerminationKind kind) {
  EXPECT_EQ(::raise(kind == TerminationKind::kInterrupt ? SIGINT : SIGTERM),
            0);
}

NativeSocket OpenForeign(AddressFamily family, SocketType type) {
  const int descriptor =
      ::socket(platform::ToSystemFamily(family),
               type == SocketType::kStream ? SOCK_STREAM : SOCK_DGRAM, 0);
  EXPECT_GE(descriptor, 0);
  return FromDescriptor(descriptor);
}

bool CloseNative(NativeSocket socket) {
  return ::close(ToDescriptor(socket)) == 0;
}

NativeSocket Duplicate(NativeSocket socket) {
  const int duplicate = ::dup(ToDescriptor(socket));
  EXPECT_GE(duplicate, 0);
  return FromDescriptor(duplicate);
}

bool IsOpen(NativeSocket socket) {
  return ::fcntl(ToDescriptor(socket), F_GETFD) != -1;
}

bool IsInherited(NativeSocket socket) {
  return (::fcntl(ToDescriptor(socket), F_GETFD) & FD_CLOEXEC) == 0;
}

NativeSocket OpenNonSocket() {
  std::array<int, 2> ends;
  EXPECT_EQ(::pipe(ends.data()), 0);
  ::close(ends[1]);
  return FromDescriptor(ends[0]);
}

void CloseNonSocket(NativeSocket handle) { EXPECT_TRUE(CloseNative(handle)); }

bool ModeIsKnown() { return true; }

bool IsNonBlocking(NativeSocket socket) {
  return (::fcntl(ToDescriptor(socket), F_GETFL) & O_NONBLOCK) != 0;
}

void MakeBlocking(NativeSocket socket) {
  EXPECT_EQ(::fcntl(ToDescriptor(socket), F_SETFL, 0), 0);
}

void LetReportsArrive() {}

std::size_t ArrivedBytes(NativeSocket socket) {
  int bytes = 0;
  EXPECT_EQ(::ioctl(ToDescriptor(socket), FIONREAD, &bytes), 0);
  return static_cast<std::size_t>(bytes);
}

void SendUrgent(NativeSocket socket, char byte) {
  EXPECT_EQ(::send(ToDescriptor(socket), &byte, 1, MSG_OOB), 1);
}

bool Poll(std::span<platform::PollEntry> entries, absl::Duration timeout) {
  std::vector<pollfd> polls;
  for (const platform::PollEntry& entry : entries) {
    int events = 0;
    for (const auto& [bit, event] : kPollBits) {
      if ((entry.requested & bit) != platform::PollBits::kNone) events |= event;
    }
    polls.push_back({.fd = ToDescriptor(entry.socket),
                     .events = static_cast<short>(events),
                     .revents = 0});
  }
  const timespec limit = absl::ToTimespec(timeout);
  int result;
  do {
    result = ::ppoll(polls.data(), polls.size(),
                     timeout == absl::InfiniteDuration() ? nullptr : &limit,
                     nullptr);
  } while (result < 0 && errno == EINTR);
  EXPECT_GE(result, 0);
  for (std::size_t i = 0; i < polls.size(); ++i) {
    entries[i].returned = platform::PollBits::kNone;
    for (const auto& [bit, event] : kPollBits) {
      if ((polls[i].revents & event) != 0) entries[i].returned |= bit;
    }
  }
  return result > 0;
}

}  // namespace weir::test
