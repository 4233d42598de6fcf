// Stands in front of libc's functions. Where a call that failed has had an
// effect all the same, it has it here.

#include <dlfcn.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <ctime>

#include "tests/faults/edge_memory.h"
#include "tests/faults/fault_points.h"
#include "tests/faults/real_call.h"

int real_getsockopt(int socket, int level, int option, void* value,
                    socklen_t* length) asm("__real_getsockopt");

namespace weir::faults {
namespace {

// A datagram is not moved in part.
bool IsStream(int descriptor) {
  int type = 0;
  socklen_t length = sizeof(type);
  return real_getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &length) ==
             0 &&
         type == SOCK_STREAM;
}

// How much of `size` the call may move.
std::size_t Cut(const Verdict& verdict, int descriptor, std::size_t size) {
  return verdict.most < size && IsStream(descriptor) ? verdict.most : size;
}

// The buffers of a message, of which the call sees so many bytes.
class CutMessage {
 public:
  CutMessage(const msghdr& message, std::size_t most) : message_(message) {
    const std::size_t count = std::min(message.msg_iovlen, vectors_.size());
    message_.msg_iov = vectors_.data();
    message_.msg_iovlen = count;
    for (std::size_t i = 0; i < count; ++i) {
      vectors_[i] = message.msg_iov[i];
      vectors_[i].iov_len = std::min(vectors_[i].iov_len, most);
      most -= vectors_[i].iov_len;
    }
  }
  msghdr* get() { return &message_; }

 private:
  msghdr message_;
  std::array<iovec, 64> vectors_;
};

ssize_t CutShort(int descriptor, ssize_t result) {
  const int error = errno;
  RaiseEdges(descriptor);
  errno = error;
  return result;
}

// A transfer fails. One that would block finds what it waits for right after.
int FailTransfer(int descriptor, int error) {
  if (error == EAGAIN) RaiseEdges(descriptor);
  return Fail(error);
}

// What send(2) and its kin do where they may (signal(7)).
void RaisePipeSignal(int error, int flags) {
  if (error == EPIPE && (flags & MSG_NOSIGNAL) == 0) ::raise(SIGPIPE);
}

}  // namespace
}  // namespace weir::faults

using ::weir::faults::Call;
using ::weir::faults::Checked;
using ::weir::faults::Decide;
using ::weir::faults::Fail;
using ::weir::faults::FailTransfer;
using ::weir::faults::Verdict;

// --- sockets, from birth to close

WEIR_INTERPOSE(int, socket, (int domain, int type, int protocol)) {
  const Verdict verdict = Decide(Call::k_socket, domain, type);
  if (verdict.error != 0) return Fail(verdict.error);
  return real_socket(domain, type, protocol);
}

WEIR_INTERPOSE(int, socketpair,
               (int domain, int type, int protocol, int descriptors[2])) {
  const Verdict verdict = Decide(Call::k_socketpair);
  if (verdict.error != 0) return Fail(verdict.error);
  return real_socketpair(domain, type, protocol, descriptors);
}

WEIR_INTERPOSE(int, bind,
               (int socket, const sockaddr* address, socklen_t length)) {
  const Verdict verdict = Decide(Call::k_bind, socket);
  if (verdict.error != 0) return Fail(verdict.error);
  return Checked(Call::k_bind, socket, real_bind(socket, address, length));
}

WEIR_INTERPOSE(int, listen, (int socket, int backlog)) {
  const Verdict verdict = Decide(Call::k_listen, socket);
  if (verdict.error != 0) return Fail(verdict.error);
  return Checked(Call::k_listen, socket, real_listen(socket, backlog));
}

WEIR_INTERPOSE(int, accept4,
               (int socket, sockaddr* address, socklen_t* length, int flags)) {
  const Verdict verdict = Decide(Call::k_accept4, socket);
  if (verdict.error != 0) return FailTransfer(socket, verdict.error);
  return Checked(Call::k_accept4, socket,
                 real_accept4(socket, address, length, flags));
}

// One that is interrupted, or in progress, goes on by itself (connect(2)).
WEIR_INTERPOSE(int, connect,
               (int socket, const sockaddr* address, socklen_t length)) {
  const Verdict verdict = Decide(Call::k_connect, socket);
  const bool goes_on = verdict.error == EINTR || verdict.error == EINPROGRESS;
  if (verdict.error != 0 && !goes_on) return Fail(verdict.error);
  const int result =
      Checked(Call::k_connect, socket, real_connect(socket, address, length));
  if (goes_on && (result == 0 || errno == EINPROGRESS)) {
    return Fail(verdict.error);
  }
  return result;
}

WEIR_INTERPOSE(int, getsockopt,
               (int socket, int level, int option, void* value,
                socklen_t* length)) {
  const Verdict verdict = Decide(Call::k_getsockopt, socket, option);
  if (verdict.error != 0) return Fail(verdict.error);
  return Checked(Call::k_getsockopt, socket,
                 real_getsockopt(socket, level, option, value, length));
}

WEIR_INTERPOSE(int, setsockopt,
               (int socket, int level, int option, const void* value,
                socklen_t length)) {
  const Verdict verdict = Decide(Call::k_setsockopt, socket, option);
  if (verdict.error != 0) return Fail(verdict.error);
  return Checked(Call::k_setsockopt, socket,
                 real_setsockopt(socket, level, option, value, length));
}

WEIR_INTERPOSE(int, getsockname,
               (int socket, sockaddr* address, socklen_t* length)) {
  const Verdict verdict = Decide(Call::k_getsockname, socket);
  if (verdict.error != 0) return Fail(verdict.error);
  return Checked(Call::k_getsockname, socket,
                 real_getsockname(socket, address, length));
}

WEIR_INTERPOSE(int, getpeername,
               (int socket, sockaddr* address, socklen_t* length)) {
  const Verdict verdict = Decide(Call::k_getpeername, socket);
  if (verdict.error != 0) return Fail(verdict.error);
  return Checked(Call::k_getpeername, socket,
                 real_getpeername(socket, address, length));
}

WEIR_INTERPOSE(int, shutdown, (int socket, int how)) {
  const Verdict verdict = Decide(Call::k_shutdown, socket);
  if (verdict.error != 0) return Fail(verdict.error);
  return Checked(Call::k_shutdown, socket, real_shutdown(socket, how));
}

// Linux gives the descriptor back whatever it says (close(2), NOTES).
WEIR_INTERPOSE(int, close, (int descriptor)) {
  const Verdict verdict = Decide(Call::k_close, descriptor);
  ::weir::faults::ForgetWatches(descriptor);
  const int result = Checked(Call::k_close, descriptor, real_close(descriptor));
  return verdict.error != 0 ? Fail(verdict.error) : result;
}

// --- moving data

WEIR_INTERPOSE(ssize_t, recv,
               (int socket, void* buffer, std::size_t size, int flags)) {
  const Verdict verdict = Decide(Call::k_recv, socket);
  if (verdict.error != 0) return FailTransfer(socket, verdict.error);
  const std::size_t most = ::weir::faults::Cut(verdict, socket, size);
  const ssize_t result =
      Checked(Call::k_recv, socket, real_recv(socket, buffer, most, flags));
  return most < size ? ::weir::faults::CutShort(socket, result) : result;
}

WEIR_INTERPOSE(ssize_t, recvmsg, (int socket, msghdr* message, int flags)) {
  const Verdict verdict = Decide(Call::k_recvmsg, socket);
  if (verdict.error != 0) return FailTransfer(socket, verdict.error);
  if (verdict.most == ::weir::faults::Fault::kAll ||
      !::weir::faults::IsStream(socket)) {
    return Checked(Call::k_recvmsg, socket,
                   real_recvmsg(socket, message, flags));
  }
  ::weir::faults::CutMessage cut(*message, verdict.most);
  const ssize_t result = real_recvmsg(socket, cut.get(), flags);
  message->msg_namelen = cut.get()->msg_namelen;
  message->msg_flags = cut.get()->msg_flags;
  return ::weir::faults::CutShort(socket, result);
}

WEIR_INTERPOSE(int, recvmmsg,
               (int socket, mmsghdr* messages, unsigned count, int flags,
                timespec* timeout)) {
  const Verdict verdict = Decide(Call::k_recvmmsg, socket);
  if (verdict.error != 0) return FailTransfer(socket, verdict.error);
  if (verdict.most < count) count = static_cast<unsigned>(verdict.most);
  return Checked(Call::k_recvmmsg, socket,
                 real_recvmmsg(socket, messages, count, flags, timeout));
}

WEIR_INTERPOSE(ssize_t, send,
               (int socket, const void* data, std::size_t size, int flags)) {
  const Verdict verdict = Decide(Call::k_send, socket);
  ::weir::faults::RaisePipeSignal(verdict.error, flags);
  if (verdict.error != 0) return FailTransfer(socket, verdict.error);
  const std::size_t most = ::weir::faults::Cut(verdict, socket, size);
  const ssize_t result =
      Checked(Call::k_send, socket, real_send(socket, data, most, flags));
  return most < size ? ::weir::faults::CutShort(socket, result) : result;
}

WEIR_INTERPOSE(ssize_t, sendto,
               (int socket, const void* data, std::size_t size, int flags,
                const sockaddr* address, socklen_t length)) {
  const Verdict verdict = Decide(Call::k_sendto, socket);
  ::weir::faults::RaisePipeSignal(verdict.error, flags);
  if (verdict.error != 0) return FailTransfer(socket, verdict.error);
  return Checked(Call::k_sendto, socket,
                 real_sendto(socket, data, size, flags, address, length));
}

WEIR_INTERPOSE(ssize_t, sendmsg,
               (int socket, const msghdr* message, int flags)) {
  const Verdict verdict = Decide(Call::k_sendmsg, socket);
  ::weir::faults::RaisePipeSignal(verdict.error, flags);
  if (verdict.error != 0) return FailTransfer(socket, verdict.error);
  if (verdict.most == ::weir::faults::Fault::kAll ||
      !::weir::faults::IsStream(socket)) {
    return Checked(Call::k_sendmsg, socket,
                   real_sendmsg(socket, message, flags));
  }
  ::weir::faults::CutMessage cut(*message, verdict.most);
  return ::weir::faults::CutShort(socket,
                                  real_sendmsg(socket, cut.get(), flags));
}

WEIR_INTERPOSE(int, sendmmsg,
               (int socket, mmsghdr* messages, unsigned count, int flags)) {
  const Verdict verdict = Decide(Call::k_sendmmsg, socket);
  ::weir::faults::RaisePipeSignal(verdict.error, flags);
  if (verdict.error != 0) return FailTransfer(socket, verdict.error);
  if (verdict.most < count) count = static_cast<unsigned>(verdict.most);
  return Checked(Call::k_sendmmsg, socket,
                 real_sendmmsg(socket, messages, count, flags));
}

WEIR_INTERPOSE(ssize_t, sendfile,
               (int socket, int file, off_t* offset, std::size_t count)) {
  const Verdict verdict = Decide(Call::k_sendfile, socket);
  ::weir::faults::RaisePipeSignal(verdict.error, 0);
  if (verdict.error != 0) return FailTransfer(socket, verdict.error);
  return Checked(
      Call::k_sendfile, socket,
      real_sendfile(socket, file, offset, std::min(count, verdict.most)));
}

WEIR_INTERPOSE(ssize_t, read,
               (int descriptor, void* buffer, std::size_t size)) {
  const Verdict verdict = Decide(Call::k_read, descriptor);
  if (verdict.error != 0) return Fail(verdict.error);
  return Checked(Call::k_read, descriptor, real_read(descriptor, buffer, size));
}

WEIR_INTERPOSE(ssize_t, write,
               (int descriptor, const void* data, std::size_t size)) {
  const Verdict verdict = Decide(Call::k_write, descriptor);
  if (verdict.error != 0) return Fail(verdict.error);
  return Checked(Call::k_write, descriptor, real_write(descriptor, data, size));
}

// --- waiting

WEIR_INTERPOSE(int, poll, (pollfd * entries, nfds_t count, int timeout)) {
  const Verdict verdict = Decide(Call::k_poll);
  if (verdict.error != 0) return Fail(verdict.error);
  return real_poll(entries, count, timeout);
}

WEIR_INTERPOSE(int, epoll_create1, (int flags)) {
  const Verdict verdict = Decide(Call::k_epoll_create1);
  if (verdict.error != 0) return Fail(verdict.error);
  return real_epoll_create1(flags);
}

// A change that is refused for another reason than want of memory finds that
// the descriptor is not watched: it is not, then.
int RefuseChange(const Verdict& verdict, int epoll, int operation,
                 int descriptor, epoll_event* event) {
  if (verdict.error != ENOMEM && operation != EPOLL_CTL_ADD) {
    (void)::weir::faults::ChangeWatch(epoll, EPOLL_CTL_DEL, descriptor, event);
  }
  return Fail(verdict.error);
}

WEIR_INTERPOSE(int, epoll_ctl,
               (int epoll, int operation, int descriptor, epoll_event* event)) {
  const Verdict verdict = Decide(Call::k_epoll_ctl, descriptor, operation);
  if (verdict.error != 0) {
    return RefuseChange(verdict, epoll, operation, descriptor, event);
  }
  return Checked(
      Call::k_epoll_ctl, descriptor,
      ::weir::faults::ChangeWatch(epoll, operation, descriptor, event));
}

WEIR_INTERPOSE(int, epoll_wait,
               (int epoll, epoll_event* events, int most, int timeout)) {
  const Verdict verdict = Decide(Call::k_epoll_wait, epoll);
  if (verdict.error != 0) return Fail(verdict.error);
  if (verdict.most < static_cast<std::size_t>(most)) {
    most = static_cast<int>(verdict.most);
  }
  return Checked(Call::k_epoll_wait, epoll,
                 real_epoll_wait(epoll, events, most, timeout));
}

WEIR_INTERPOSE(int, epoll_pwait2,
               (int epoll, epoll_event* events, int most,
                const timespec* timeout, const sigset_t* mask)) {
  const Verdict verdict = Decide(Call::k_epoll_pwait2, epoll);
  if (verdict.error != 0) return Fail(verdict.error);
  if (verdict.most < static_cast<std::size_t>(most)) {
    most = static_cast<int>(verdict.most);
  }
  return Checked(Call::k_epoll_pwait2, epoll,
                 real_epoll_pwait2(epoll, events, most, timeout, mask));
}

WEIR_INTERPOSE(int, eventfd, (unsigned value, int flags)) {
  const Verdict verdict = Decide(Call::k_eventfd);
  if (verdict.error != 0) return Fail(verdict.error);
  return real_eventfd(value, flags);
}

// --- files, memory, signals, names, threads

WEIR_INTERPOSE(int, open, (const char* path, int flags, ...)) {
  std::va_list arguments;
  va_start(arguments, flags);
  const auto mode = va_arg(arguments, mode_t);
  va_end(arguments);
  const Verdict verdict = Decide(Call::k_open);
  if (verdict.error != 0) return Fail(verdict.error);
  return real_open(path, flags, mode);
}

WEIR_INTERPOSE(int, fstat, (int descriptor, struct stat* info)) {
  const Verdict verdict = Decide(Call::k_fstat, descriptor);
  if (verdict.error != 0) return Fail(verdict.error);
  return Checked(Call::k_fstat, descriptor, real_fstat(descriptor, info));
}

WEIR_INTERPOSE(int, fcntl, (int descriptor, int command, ...)) {
  std::va_list arguments;
  va_start(arguments, command);
  auto* const argument = va_arg(arguments, void*);
  va_end(arguments);
  const Verdict verdict = Decide(Call::k_fcntl, descriptor, command);
  if (verdict.error != 0) return Fail(verdict.error);
  return Checked(Call::k_fcntl, descriptor,
                 real_fcntl(descriptor, command, argument));
}

WEIR_INTERPOSE(void*, mmap,
               (void* at, std::size_t length, int protection, int flags,
                int descriptor, off_t offset)) {
  const Verdict verdict = Decide(Call::k_mmap, descriptor);
  if (verdict.error != 0) {
    Fail(verdict.error);
    return MAP_FAILED;
  }
  return real_mmap(at, length, protection, flags, descriptor, offset);
}

WEIR_INTERPOSE(int, munmap, (void* at, std::size_t length)) {
  Decide(Call::k_munmap);
  return real_munmap(at, length);
}

WEIR_INTERPOSE(int, sigaction,
               (int signal_number, const struct sigaction* action,
                struct sigaction* previous)) {
  const Verdict verdict =
      Decide(Call::k_sigaction, ::weir::faults::Fault::kAny, signal_number);
  if (verdict.error != 0) return Fail(verdict.error);
  return real_sigaction(signal_number, action, previous);
}

WEIR_INTERPOSE(int, sigtimedwait,
               (const sigset_t* signals, siginfo_t* info,
                const timespec* timeout)) {
  const Verdict verdict = Decide(Call::k_sigtimedwait);
  if (verdict.error != 0) return Fail(verdict.error);
  return real_sigtimedwait(signals, info, timeout);
}

WEIR_INTERPOSE(unsigned, if_nametoindex, (const char* name)) {
  const Verdict verdict = Decide(Call::k_if_nametoindex);
  if (verdict.error != 0) {
    Fail(verdict.error);
    return 0;
  }
  return real_if_nametoindex(name);
}

WEIR_INTERPOSE(int, getaddrinfo,
               (const char* host, const char* service, const addrinfo* hints,
                addrinfo** found)) {
  const Verdict verdict = Decide(Call::k_getaddrinfo);
  if (verdict.error > 0) {
    errno = verdict.error;
    return EAI_SYSTEM;
  }
  if (verdict.error < 0) return verdict.error;
  return real_getaddrinfo(host, service, hints, found);
}

// Called by the C++ library, which is a shared one, and so found by its name.
extern "C" int pthread_create(pthread_t* thread,
                              const pthread_attr_t* attributes,
                              void* (*start)(void*), void* argument) noexcept {
  static auto* const next = reinterpret_cast<decltype(&pthread_create)>(
      ::dlsym(RTLD_NEXT, "pthread_create"));
  const Verdict verdict = Decide(Call::k_pthread_create);
  if (verdict.error != 0) return verdict.error;
  return next(thread, attributes, start, argument);
}
