// Errors of an accept that say nothing of the listener.

#ifndef WEIR_PLATFORM_POSIX_ACCEPT_ERRORS_H_
#define WEIR_PLATFORM_POSIX_ACCEPT_ERRORS_H_

#include <cerrno>

namespace weir::platform {

// Whether `error` is of the connection that was to be accepted, which died while
// it waited, or of the network on its way: the next accept goes on (accept(2),
// "Error handling"). Not EOPNOTSUPP, which that page names as well: a socket that
// cannot be accepted from has it, every time.
constexpr bool IsOfAcceptedConnection(int error) {
  switch (error) {
    case ECONNABORTED:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETUNREACH:
#ifdef ENONET
    case ENONET:
#endif
    case ENOPROTOOPT:
    case EPROTO:
    case ETIMEDOUT:
      return true;
    default:
      return false;
  }
}

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_POSIX_ACCEPT_ERRORS_H_
