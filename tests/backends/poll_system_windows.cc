#include <winsock2.h>
// Winsock comes first.
#include <ws2tcpip.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <vector>

#include "tests/backends/poll_system.h"

namespace weir::test {
namespace {

constexpr Condition kUnasked = Condition::kClosed | Condition::kError;

// WSAPoll has no word for "the peer has ended its side" alone: POLLHUP, unasked.
Condition ConditionsOf(SHORT bits) {
  Condition conditions = Condition::kNone;
  if ((bits & POLLRDNORM) != 0) conditions |= Condition::kReadable;
  if ((bits & POLLWRNORM) != 0) conditions |= Condition::kWritable;
  if ((bits & POLLHUP) != 0) {
    conditions |= Condition::kReadable | Condition::kPeerClosed;
    if ((bits & POLLERR) != 0) conditions |= Condition::kClosed;
  }
  if ((bits & (POLLERR | POLLNVAL)) != 0) conditions |= Condition::kError;
  return conditions;
}

SHORT BitsOf(Condition conditions) {
  return static_cast<SHORT>(
      (Has(conditions, Condition::kReadable) ? POLLRDNORM : 0) |
      (Has(conditions, Condition::kWritable) ? POLLWRNORM : 0));
}

// Rounded up; -1 for ever.
INT Milliseconds(std::int64_t timeout_ns) {
  if (timeout_ns == Backend::kForever) return -1;
  constexpr std::int64_t kMillisecond = 1'000'000;
  const std::int64_t rounded =
      timeout_ns / kMillisecond + (timeout_ns % kMillisecond != 0 ? 1 : 0);
  return static_cast<INT>(
      std::min<std::int64_t>(rounded, std::numeric_limits<INT>::max()));
}

int PollOnce(std::vector<WSAPOLLFD>& polls, INT milliseconds) {
  for (WSAPOLLFD& poll : polls) poll.revents = 0;
  return WSAPoll(polls.data(), static_cast<ULONG>(polls.size()), milliseconds);
}

SOCKET BoundToLoopback() {
  const SOCKET socket = WSASocketW(AF_INET, SOCK_DGRAM, 0, nullptr, 0,
                                   WSA_FLAG_NO_HANDLE_INHERIT);
  sockaddr_in loopback = {};
  loopback.sin_family = AF_INET;
  loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  u_long on = 1;
  if (socket == INVALID_SOCKET ||
      bind(socket, reinterpret_cast<sockaddr*>(&loopback), sizeof(loopback)) ||
      ioctlsocket(socket, static_cast<long>(FIONBIO), &on)) {
    std::abort();
  }
  return socket;
}

}  // namespace

// A hang-up that was not asked for would end each call at once: of such a socket
// is asked now and again whether something else holds.
bool PollFor(std::span<PollRequest> requests, std::int64_t timeout_ns) {
  constexpr INT kAgain = 5;
  std::vector<WSAPOLLFD> polls;
  for (const PollRequest& request : requests) {
    polls.push_back({.fd = static_cast<SOCKET>(request.socket),
                     .events = BitsOf(request.conditions),
                     .revents = 0});
  }
  const INT limit = Milliseconds(timeout_ns);
  const ULONGLONG begin = GetTickCount64();
  while (true) {
    const auto waited = static_cast<std::int64_t>(GetTickCount64() - begin);
    const INT left = limit < 0 ? -1
                               : static_cast<INT>(std::max<std::int64_t>(
                                     limit - waited, 0));
    const int ready = PollOnce(polls, left);
    // None of them is a socket.
    if (ready < 0 && WSAGetLastError() != WSAENOTSOCK) return false;
    bool found = false;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      requests[i].found = ConditionsOf(polls[i].revents) &
                          (requests[i].conditions | kUnasked);
      found |= requests[i].found != Condition::kNone;
    }
    if (found || ready == 0 || (limit >= 0 && waited >= limit)) return true;
    Sleep(static_cast<DWORD>(left < 0 ? kAgain : std::min(left, kAgain)));
  }
}

struct PollWakeUp::Ends {
  SOCKET ear = INVALID_SOCKET;
  SOCKET bell = INVALID_SOCKET;
};

PollWakeUp::PollWakeUp() : ends_(std::make_unique<Ends>()) {
  WSADATA data;
  if (WSAStartup(MAKEWORD(2, 2), &data) != 0) std::abort();
  ends_->ear = BoundToLoopback();
  ends_->bell = BoundToLoopback();
  sockaddr_in address;
  int length = sizeof(address);
  if (getsockname(ends_->ear, reinterpret_cast<sockaddr*>(&address), &length) ||
      connect(ends_->bell, reinterpret_cast<sockaddr*>(&address), length)) {
    std::abort();
  }
}

PollWakeUp::~PollWakeUp() {
  closesocket(ends_->ear);
  closesocket(ends_->bell);
}

void PollWakeUp::Signal() {
  // A full socket wakes as well.
  send(ends_->bell, "", 1, 0);
}

void PollWakeUp::Drain() {
  char buffer[64];
  while (recv(ends_->ear, buffer, sizeof(buffer), 0) > 0) {
  }
}

NativeSocket PollWakeUp::handle() const {
  return static_cast<NativeSocket>(ends_->ear);
}

}  // namespace weir::test
