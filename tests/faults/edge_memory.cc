#include "tests/faults/edge_memory.h"

#include <map>
#include <mutex>
#include <utility>

int real_epoll_ctl(int epoll, int operation, int descriptor,
                   epoll_event* event) asm("__real_epoll_ctl");

namespace weir::faults {
namespace {

struct Memory {
  std::mutex mu;
  // By the descriptor and the epoll instance.
  std::map<std::pair<int, int>, epoll_event> watches;
};

// Never destroyed: descriptors are closed until the very end.
Memory& TheMemory() {
  static Memory& memory = *new Memory;
  return memory;
}

}  // namespace

int ChangeWatch(int epoll, int operation, int descriptor, epoll_event* event) {
  Memory& memory = TheMemory();
  // To the end, so that no edge is raised with what the watch was before.
  const std::lock_guard lock(memory.mu);
  const int result = real_epoll_ctl(epoll, operation, descriptor, event);
  if (result != 0) return result;
  if (operation == EPOLL_CTL_DEL) {
    memory.watches.erase({descriptor, epoll});
  } else {
    memory.watches[{descriptor, epoll}] = *event;
  }
  return result;
}

void ForgetWatches(int descriptor) {
  Memory& memory = TheMemory();
  const std::lock_guard lock(memory.mu);
  std::erase_if(memory.watches, [descriptor](const auto& watch) {
    return watch.first.first == descriptor || watch.first.second == descriptor;
  });
}

void RaiseEdges(int descriptor) {
  Memory& memory = TheMemory();
  const std::lock_guard lock(memory.mu);
  for (auto& [key, event] : memory.watches) {
    if (key.first != descriptor || (event.events & EPOLLET) == 0 ||
        (event.events & EPOLLONESHOT) != 0) {
      continue;
    }
    (void)real_epoll_ctl(key.second, EPOLL_CTL_MOD, descriptor, &event);
  }
}

}  // namespace weir::faults
