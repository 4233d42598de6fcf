// Which epoll_ctl(2) call takes a watch from one state to another: a pure
// function, tested as a table.

#ifndef WEIR_BACKENDS_EPOLL_EPOLL_CHANGE_H_
#define WEIR_BACKENDS_EPOLL_EPOLL_CHANGE_H_

#include <sys/epoll.h>

#include <cstdint>

#include "backends/poll_mask.h"
#include "weir/backend.h"

namespace weir::internal {

static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT &&
              EPOLLERR == POLLERR && EPOLLHUP == POLLHUP &&
              EPOLLRDHUP == kPollPeerClosed);

struct EpollChange {
  // EPOLL_CTL_ADD, _MOD or _DEL; 0: no call.
  int operation = 0;
  std::uint32_t events = 0;

  friend constexpr bool operator==(const EpollChange&,
                                   const EpollChange&) = default;
};

constexpr std::uint32_t EpollEventsFor(const Watch& watch) {
  std::uint32_t events = PollMaskFor(watch.conditions);
  if (watch.trigger == Trigger::kEdge) events |= EPOLLET;
  if (watch.persistence == Persistence::kOneShot) events |= EPOLLONESHOT;
  return events;
}

//   from     to       call
//   absent   absent   none
//   absent   present  ADD  reports what holds already
//   present  present  MOD  the same, also if nothing differs: the kernel looks
//                          at the present state again (epoll(7), Q&A)
//   present  absent   DEL
constexpr EpollChange EpollChangeFor(const Watch& from, const Watch& to) {
  if (!to.present) {
    return from.present ? EpollChange{EPOLL_CTL_DEL, 0} : EpollChange{};
  }
  return EpollChange{from.present ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
                     EpollEventsFor(to)};
}

}  // namespace weir::internal

#endif  // WEIR_BACKENDS_EPOLL_EPOLL_CHANGE_H_
