#include "tests/faults/documented_errors.h"

#include <netdb.h>
#include <sys/epoll.h>

#include <cerrno>
#include <vector>

#include "tests/faults/request_kinds.h"

namespace weir::faults {
namespace {

// Errors that a call can only have for its arguments (EFAULT, ENOTSOCK, ...)
// are here as well: somebody may have closed, or replaced, a descriptor behind
// Weir's back.

// recv(2), tcp(7), ip(7), unix(7)
const std::vector<int> kReceiving = {
    EAGAIN,    EBADF,        ECONNREFUSED, EFAULT,     EINTR,
    EINVAL,    ENOMEM,       ENOTCONN,     ENOTSOCK,   ECONNRESET,
    ETIMEDOUT, EHOSTUNREACH, ENOBUFS,      ENETUNREACH};
// send(2), tcp(7), ip(7), unix(7)
const std::vector<int> kSending = {
    EACCES,    EAGAIN,       EALREADY,    EBADF,      ECONNRESET, EDESTADDRREQ,
    EFAULT,    EINTR,        EINVAL,      EISCONN,    EMSGSIZE,   ENOBUFS,
    ENOMEM,    ENOTCONN,     ENOTSOCK,    EOPNOTSUPP, EPIPE,      EPERM,
    ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ENETDOWN};
// accept(2): the second half are errors of the connection, or of the network.
const std::vector<int> kAccepting = {
    EAGAIN,       EBADF,       ECONNABORTED, EFAULT,      EINTR,     EINVAL,
    EMFILE,       ENFILE,      ENOBUFS,      ENOMEM,      ENOTSOCK,  EOPNOTSUPP,
    EPERM,        EPROTO,      ENETDOWN,     ENOPROTOOPT, EHOSTDOWN, ENONET,
    EHOSTUNREACH, ENETUNREACH, ETIMEDOUT};
// connect(2), ip(7), unix(7)
const std::vector<int> kConnecting = {
    EACCES,    EPERM,        EADDRINUSE,  EADDRNOTAVAIL, EAFNOSUPPORT,
    EAGAIN,    EALREADY,     EBADF,       ECONNREFUSED,  EFAULT,
    EINTR,     EISCONN,      ENETUNREACH, ENOTSOCK,      EPROTOTYPE,
    ETIMEDOUT, EHOSTUNREACH, ENOBUFS,     ENOENT};
// io_uring_enter(2), which tells want of memory by EAGAIN, newer kernels also
// by ENOMEM; with EBADR completions are lost.
const std::vector<int> kEntering = {EAGAIN, EBUSY,      EINTR,  ENOMEM,
                                    EBADF,  EBADFD,     EINVAL, EFAULT,
                                    ENXIO,  EOPNOTSUPP, EBADR};

// A request that was meant for the call, as io_uring tells its end.
std::vector<int> AsRequest(std::vector<int> errors) {
  errors.push_back(ECANCELED);
  return errors;
}

const std::vector<CallErrors>& Table() {
  static const auto& table = *new std::vector<CallErrors>{
      {Call::k_accept4, Fault::kAny, kAccepting},
      {Call::k_bind,
       Fault::kAny,
       {EACCES, EADDRINUSE, EBADF, EINVAL, ENOTSOCK, EADDRNOTAVAIL, EFAULT,
        ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EROFS}},
      {Call::k_close, Fault::kAny, {EBADF, EINTR, EIO, ENOSPC, EDQUOT}},
      {Call::k_connect, Fault::kAny,
       [] {
         std::vector<int> errors = kConnecting;
         errors.push_back(EINPROGRESS);
         // Linux: after a connect that failed.
         errors.push_back(ECONNABORTED);
         return errors;
       }()},
      {Call::k_epoll_create1, Fault::kAny, {EINVAL, EMFILE, ENFILE, ENOMEM}},
      {Call::k_epoll_ctl,
       EPOLL_CTL_ADD,
       {EBADF, EEXIST, EINVAL, ELOOP, ENOMEM, ENOSPC, EPERM}},
      {Call::k_epoll_ctl, EPOLL_CTL_MOD, {EBADF, EINVAL, ENOENT, ENOMEM}},
      {Call::k_epoll_ctl, EPOLL_CTL_DEL, {EBADF, EINVAL, ENOENT, ENOMEM}},
      // A filter may answer for a kernel that does not know it.
      {Call::k_epoll_pwait2,
       Fault::kAny,
       {EBADF, EFAULT, EINTR, EINVAL, ENOSYS}},
      {Call::k_epoll_wait, Fault::kAny, {EBADF, EFAULT, EINTR, EINVAL}},
      {Call::k_eventfd, Fault::kAny, {EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM}},
      {Call::k_fcntl, Fault::kAny, {EBADF, EINVAL, EPERM}},
      {Call::k_fstat, Fault::kAny, {EACCES, EBADF, EFAULT, ENOMEM, EOVERFLOW}},
      {Call::k_getaddrinfo,
       Fault::kAny,
       {EAI_ADDRFAMILY, EAI_AGAIN, EAI_BADFLAGS, EAI_FAIL, EAI_FAMILY,
        EAI_MEMORY, EAI_NODATA, EAI_NONAME, EAI_SERVICE, EAI_SOCKTYPE, EINTR,
        EMFILE, ENOMEM}},
      {Call::k_getpeername,
       Fault::kAny,
       {EBADF, EFAULT, EINVAL, ENOBUFS, ENOTCONN, ENOTSOCK}},
      {Call::k_getsockname,
       Fault::kAny,
       {EBADF, EFAULT, EINVAL, ENOBUFS, ENOTSOCK}},
      {Call::k_getsockopt,
       Fault::kAny,
       {EBADF, EFAULT, EINVAL, ENOPROTOOPT, ENOTSOCK}},
      {Call::k_if_nametoindex, Fault::kAny, {ENODEV, EMFILE, ENFILE, ENOBUFS}},
      {Call::k_listen, Fault::kAny, {EADDRINUSE, EBADF, ENOTSOCK, EOPNOTSUPP}},
      {Call::k_mmap,
       Fault::kAny,
       {EACCES, EAGAIN, EINVAL, ENFILE, ENOMEM, EPERM}},
      {Call::k_open,
       Fault::kAny,
       {EACCES, EBUSY, EINTR, EINVAL, EISDIR, ELOOP, EMFILE, ENAMETOOLONG,
        ENFILE, ENODEV, ENOENT, ENOMEM, ENOTDIR, ENXIO, EPERM, EROFS, ETXTBSY,
        EOVERFLOW, EWOULDBLOCK}},
      {Call::k_poll, Fault::kAny, {EFAULT, EINTR, EINVAL, ENOMEM}},
      {Call::k_pthread_create, Fault::kAny, {EAGAIN, EINVAL, EPERM}},
      // Of an eventfd.
      {Call::k_read, Fault::kAny, {EAGAIN, EBADF, EFAULT, EINTR, EINVAL, EIO}},
      {Call::k_write, Fault::kAny, {EAGAIN, EBADF, EFAULT, EINTR, EINVAL, EIO}},
      {Call::k_recv, Fault::kAny, kReceiving},
      {Call::k_recvmmsg, Fault::kAny, kReceiving},
      {Call::k_recvmsg, Fault::kAny, kReceiving},
      {Call::k_send, Fault::kAny, kSending},
      {Call::k_sendfile,
       Fault::kAny,
       {EAGAIN, EBADF, EFAULT, EINVAL, EIO, ENOMEM, EOVERFLOW, ESPIPE, EPIPE,
        ECONNRESET, ETIMEDOUT, EINTR}},
      {Call::k_sendmmsg, Fault::kAny, kSending},
      {Call::k_sendmsg, Fault::kAny, kSending},
      {Call::k_sendto, Fault::kAny, kSending},
      {Call::k_setsockopt,
       Fault::kAny,
       {EBADF, EFAULT, EINVAL, ENOPROTOOPT, ENOTSOCK}},
      {Call::k_shutdown, Fault::kAny, {EBADF, EINVAL, ENOTCONN, ENOTSOCK}},
      {Call::k_sigaction, Fault::kAny, {EFAULT, EINVAL}},
      {Call::k_sigtimedwait, Fault::kAny, {EINTR}},
      {Call::k_socket,
       Fault::kAny,
       {EACCES, EAFNOSUPPORT, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM,
        EPROTONOSUPPORT}},
      {Call::k_socketpair,
       Fault::kAny,
       {EAFNOSUPPORT, EFAULT, EMFILE, ENFILE, EOPNOTSUPP, EPROTONOSUPPORT}},
      {Call::k_io_uring_get_probe_ring, Fault::kAny, {EINVAL, ENOMEM}},
      {Call::k_io_uring_queue_init_params,
       Fault::kAny,
       {EPERM, ENOSYS, EINVAL, ENOMEM, EMFILE, ENFILE, EFAULT}},
      {Call::k_io_uring_register,
       Fault::kAny,
       {EACCES, EBADF, EBADFD, EBUSY, EFAULT, EINVAL, ENOMEM, ENXIO}},
      {Call::k_io_uring_register_buf_ring,
       Fault::kAny,
       {EACCES, EBADF, EEXIST, EFAULT, EINVAL, ENOMEM}},
      {Call::k_io_uring_submit_and_get_events, Fault::kAny, kEntering},
      {Call::k_io_uring_submit_and_wait_timeout, Fault::kAny, kEntering},
      {Call::k_io_uring_wait_cqes, Fault::kAny, kEntering},
      // Want of memory, and a request whose thread has ended.
      {Call::k_ring_entry, kPollRequest, {ECANCELED, EINTR, ENOMEM}},
      {Call::k_ring_entry, kReceiveRequest, AsRequest(kReceiving)},
      {Call::k_ring_entry, kReceiveMessageRequest, AsRequest(kReceiving)},
      {Call::k_ring_entry, kSendRequest, AsRequest(kSending)},
      {Call::k_ring_entry, kSendMessageRequest, AsRequest(kSending)},
      {Call::k_ring_entry, kZeroCopySendRequest, AsRequest(kSending)},
      {Call::k_ring_entry, kZeroCopySendMessageRequest, AsRequest(kSending)},
      {Call::k_ring_entry, kAcceptRequest, AsRequest(kAccepting)},
      {Call::k_ring_entry, kConnectRequest, AsRequest(kConnecting)},
  };
  return table;
}

}  // namespace

std::span<const CallErrors> DocumentedErrors() { return Table(); }

}  // namespace weir::faults
