#include "platform/windows/winsock.h"
// After Winsock.
#include <iphlpapi.h>
#include <netioapi.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "platform/windows/sockaddr.h"
#include "platform/windows/utf.h"
#include "tests/support/system.h"

namespace weir::test {
namespace {

using platform::FromSocket;
using platform::ToSocket;

constexpr struct {
  ErrorCause cause;
  int code;
} kCodes[] = {
    {ErrorCause::kInvalidArgument, WSAEINVAL},
    {ErrorCause::kConnectionRefused, WSAECONNREFUSED},
    {ErrorCause::kConnectionReset, WSAECONNRESET},
    {ErrorCause::kAddressInUse, WSAEADDRINUSE},
    {ErrorCause::kDestinationRequired, WSAEDESTADDRREQ},
    {ErrorCause::kMessageTooLong, WSAEMSGSIZE},
    {ErrorCause::kBrokenPipe, WSAESHUTDOWN},
    {ErrorCause::kTooManyDescriptors, WSAEMFILE},
    {ErrorCause::kBadDescriptor, ERROR_INVALID_HANDLE},
    {ErrorCause::kNotSupported, WSAEOPNOTSUPP},
    {ErrorCause::kNotASocket, WSAENOTSOCK},
    {ErrorCause::kNotConnected, WSAENOTCONN},
    {ErrorCause::kAlreadyConnected, WSAEISCONN},
    {ErrorCause::kAddressNotAvailable, WSAEADDRNOTAVAIL},
    {ErrorCause::kNotFound, ERROR_FILE_NOT_FOUND},
    {ErrorCause::kTimedOut, WSAETIMEDOUT},
    {ErrorCause::kHostUnreachable, WSAEHOSTUNREACH},
    {ErrorCause::kCancelled, ERROR_OPERATION_ABORTED},
};

HANDLE ToHandle(NativeSocket socket) {
  return reinterpret_cast<HANDLE>(ToSocket(socket));
}

DWORD FlagsOf(NativeSocket socket) {
  DWORD flags = 0;
  EXPECT_NE(::GetHandleInformation(ToHandle(socket), &flags), FALSE);
  return flags;
}

// 0: it is Windows.
int WineVersion() {
  static const int version = [] {
    const FARPROC function = ::GetProcAddress(
        ::GetModuleHandleW(L"ntdll.dll"), "wine_get_version");
    if (function == nullptr) return 0;
    using Get = const char*(CDECL*)();
    const auto get =
        reinterpret_cast<Get>(reinterpret_cast<void*>(function));
    return std::atoi(get());
  }();
  return version;
}

bool IsWine() { return WineVersion() > 0; }

// A socket bound to a port of the system's choice, which `address` becomes.
SOCKET BoundToLoopback(int type, sockaddr_in& address) {
  EXPECT_EQ(platform::StartWinsock(), 0);
  const SOCKET bound = ::socket(AF_INET, type, 0);
  address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  int length = sizeof(address);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(bound, any, length), 0);
  EXPECT_EQ(::getsockname(bound, any, &length), 0);
  return bound;
}

// One that is connected with `address`.
SOCKET ConnectedWith(int type, const sockaddr_in& address) {
  const SOCKET made = ::socket(AF_INET, type, 0);
  EXPECT_EQ(::connect(made, reinterpret_cast<const sockaddr*>(&address),
                      sizeof(address)),
            0);
  return made;
}

}  // namespace

// Mostly, but nobody promises it.
bool NumbersAreReusedAtOnce() { return false; }

// Weir switches it off (SIO_UDP_CONNRESET).
bool ReceivesTellOfUnreachablePorts() { return false; }

// On Windows they do, on Wine not.
bool HangupOvertakesData() { return !IsWine(); }
bool UnawaitedResetsAreTold() { return !IsWine(); }
bool AllIsSentToWhoHasEnded() { return WineVersion() < 9; }

ErrorCause ResetAfterTheEnd() { return ErrorCause::kConnectionReset; }
bool FailuresLast() { return true; }
bool StreamsReadOnAfterShutdown() { return false; }

// By trying.
bool DataOutlivesAReset() {
  static const bool outlives = [] {
    sockaddr_in address;
    const SOCKET listener = BoundToLoopback(SOCK_STREAM, address);
    EXPECT_EQ(::listen(listener, 1), 0);
    const SOCKET sender = ConnectedWith(SOCK_STREAM, address);
    const SOCKET receiver = ::accept(listener, nullptr, nullptr);
    EXPECT_NE(receiver, INVALID_SOCKET);
    EXPECT_EQ(::send(sender, "x", 1, 0), 1);
    const linger reset{.l_onoff = 1, .l_linger = 0};
    EXPECT_EQ(::setsockopt(sender, SOL_SOCKET, SO_LINGER,
                           reinterpret_cast<const char*>(&reset),
                           sizeof(reset)),
              0);
    EXPECT_EQ(::closesocket(sender), 0);
    // The reset has come when this sees a hang-up, which may hide behind data;
    // without an event that is asked for, nothing else ends the wait.
    WSAPOLLFD poll = {.fd = receiver, .events = 0, .revents = 0};
    EXPECT_EQ(::WSAPoll(&poll, 1, 10'000), 1);
    char byte = 0;
    const bool kept = ::recv(receiver, &byte, 1, 0) == 1;
    EXPECT_EQ(::closesocket(receiver), 0);
    EXPECT_EQ(::closesocket(listener), 0);
    return kept;
  }();
  return outlives;
}

// By trying: the error of a send to a port that was just given up.
bool DatagramErrorsPass() {
  static const bool pass = [] {
    sockaddr_in address;
    const SOCKET receiver = BoundToLoopback(SOCK_DGRAM, address);
    const SOCKET sender = ConnectedWith(SOCK_DGRAM, address);
    EXPECT_EQ(::closesocket(receiver), 0);
    EXPECT_EQ(::send(sender, "x", 1, 0), 1);
    int errors[2] = {};
    for (int& error : errors) {
      int size = sizeof(error);
      EXPECT_EQ(::getsockopt(sender, SOL_SOCKET, SO_ERROR,
                             reinterpret_cast<char*>(&error), &size),
                0);
    }
    EXPECT_EQ(::closesocket(sender), 0);
    return errors[1] == 0;
  }();
  return pass;
}

// Its number is 1 on every Windows, its name is translated.
std::string LoopbackInterface() {
  NET_LUID interface_id;
  wchar_t name[IF_MAX_STRING_SIZE + 1];
  EXPECT_EQ(::ConvertInterfaceIndexToLuid(1, &interface_id),
            DWORD{NO_ERROR});
  EXPECT_EQ(::ConvertInterfaceLuidToNameW(&interface_id, name,
                                          IF_MAX_STRING_SIZE),
            DWORD{NO_ERROR});
  return platform::ToUtf8(name);
}

int CodeFor(ErrorCause cause) {
  for (const auto& row : kCodes) {
    if (row.cause == cause) return row.code;
  }
  ADD_FAILURE() << "no number for " << ErrorCauseName(cause);
  return 0;
}

std::string ThisProgram() {
  wchar_t path[32768];
  const DWORD length =
      ::GetModuleFileNameW(nullptr, path, static_cast<DWORD>(std::size(path)));
  EXPECT_GT(length, 0u);
  return platform::ToUtf8(std::wstring_view(path, length));
}

int ProcessId() { return static_cast<int>(::GetCurrentProcessId()); }

// Whoever starts this process may share its console with it, or have made it
// deaf to Ctrl-C. A new console forgets who wanted to be told.
void PrepareTermination() {
  [[maybe_unused]] static const bool prepared = [] {
    ::FreeConsole();
    EXPECT_NE(::AllocConsole(), FALSE);
    EXPECT_NE(::SetConsoleCtrlHandler(nullptr, FALSE), FALSE);
    return true;
  }();
}

void RequestTermination(TerminationKind) {
  EXPECT_NE(::GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0), FALSE);
}

NativeSocket OpenForeign(AddressFamily family, SocketType type) {
  EXPECT_EQ(platform::StartWinsock(), 0);
  const SOCKET socket =
      ::socket(platform::ToSystemFamily(family),
               type == SocketType::kStream ? SOCK_STREAM : SOCK_DGRAM, 0);
  EXPECT_NE(socket, INVALID_SOCKET);
  return FromSocket(socket);
}

bool CloseNative(NativeSocket socket) {
  return ::closesocket(ToSocket(socket)) == 0;
}

NativeSocket Duplicate(NativeSocket socket) {
  WSAPROTOCOL_INFOW info;
  EXPECT_EQ(::WSADuplicateSocketW(ToSocket(socket), ::GetCurrentProcessId(),
                                  &info),
            0);
  const SOCKET duplicate =
      ::WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO,
                   &info, 0, WSA_FLAG_OVERLAPPED);
  EXPECT_NE(duplicate, INVALID_SOCKET);
  return FromSocket(duplicate);
}

bool IsOpen(NativeSocket socket) {
  DWORD flags = 0;
  return ::GetHandleInformation(ToHandle(socket), &flags) != FALSE;
}

bool IsInherited(NativeSocket socket) {
  return (FlagsOf(socket) & HANDLE_FLAG_INHERIT) != 0;
}

NativeSocket OpenNonSocket() {
  const HANDLE event = ::CreateEventW(nullptr, TRUE, FALSE, nullptr);
  EXPECT_NE(event, nullptr);
  return FromSocket(reinterpret_cast<SOCKET>(event));
}

void CloseNonSocket(NativeSocket handle) {
  EXPECT_NE(::CloseHandle(ToHandle(handle)), FALSE);
}

// Winsock only lets one set it.
bool ModeIsKnown() { return false; }
bool IsNonBlocking(NativeSocket) { return true; }

void MakeBlocking(NativeSocket socket) {
  u_long off = 0;
  EXPECT_EQ(
      ::ioctlsocket(ToSocket(socket), static_cast<long>(FIONBIO), &off), 0);
}

void LetReportsArrive() {
  for (int i = 0; i < 2 && IsWine(); ++i) {
    const HANDLE event = ::CreateEventW(nullptr, TRUE, FALSE, nullptr);
    EXPECT_NE(event, nullptr);
    ::CloseHandle(event);
  }
}

std::size_t ArrivedBytes(NativeSocket socket) {
  u_long bytes = 0;
  EXPECT_EQ(
      ::ioctlsocket(ToSocket(socket), static_cast<long>(FIONREAD), &bytes), 0);
  return bytes;
}

void SendUrgent(NativeSocket socket, char byte) {
  EXPECT_EQ(::send(ToSocket(socket), &byte, 1, MSG_OOB), 1);
}

bool Poll(std::span<platform::PollEntry> entries, absl::Duration timeout) {
  std::vector<WSAPOLLFD> polls;
  for (const platform::PollEntry& entry : entries) {
    const bool in = (entry.requested & platform::PollBits::kReadable) !=
                    platform::PollBits::kNone;
    const bool out = (entry.requested & platform::PollBits::kWritable) !=
                     platform::PollBits::kNone;
    polls.push_back({.fd = ToSocket(entry.socket),
                     .events = static_cast<SHORT>((in ? POLLRDNORM : 0) |
                                                  (out ? POLLWRNORM : 0)),
                     .revents = 0});
  }
  const INT limit =
      timeout == absl::InfiniteDuration()
          ? -1
          : static_cast<INT>(absl::ToInt64Milliseconds(
                absl::Ceil(timeout, absl::Milliseconds(1))));
  if (::WSAPoll(polls.data(), static_cast<ULONG>(polls.size()), limit) <= 0) {
    return false;
  }
  EXPECT_TRUE(platform::PollNow(entries).ok());
  return true;
}

}  // namespace weir::test
