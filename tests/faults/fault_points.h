// Faults at the seam where system calls are made.
//
// A program that is linked with the interposers of this folder stands in front
// of every function by which Weir reaches the system: each call asks here what
// is to become of it. Without a rule it is made; with one it fails with an
// error number, or moves less than it could, and nothing else happens. What the
// system itself would have done is not undone: rules say what a kernel can
// answer.
//
// Threads: rules are set while no other thread makes calls. Calls may come from
// any thread and from signal handlers.

#ifndef WEIR_TESTS_FAULTS_FAULT_POINTS_H_
#define WEIR_TESTS_FAULTS_FAULT_POINTS_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace weir::faults {

// The functions, by their own names. Those of liburing make io_uring_enter(2)
// and its kin inline, and so stand for the system calls. `ring_entry` is no
// function but one request of a submission queue: its result comes as a
// completion.
#define WEIR_FAULT_CALLS(X)           \
  X(accept4)                          \
  X(bind)                             \
  X(close)                            \
  X(connect)                          \
  X(epoll_create1)                    \
  X(epoll_ctl)                        \
  X(epoll_pwait2)                     \
  X(epoll_wait)                       \
  X(eventfd)                          \
  X(fcntl)                            \
  X(fstat)                            \
  X(getaddrinfo)                      \
  X(getpeername)                      \
  X(getsockname)                      \
  X(getsockopt)                       \
  X(if_nametoindex)                   \
  X(listen)                           \
  X(mmap)                             \
  X(munmap)                           \
  X(open)                             \
  X(poll)                             \
  X(pthread_create)                   \
  X(read)                             \
  X(recv)                             \
  X(recvmmsg)                         \
  X(recvmsg)                          \
  X(send)                             \
  X(sendfile)                         \
  X(sendmmsg)                         \
  X(sendmsg)                          \
  X(sendto)                           \
  X(setsockopt)                       \
  X(shutdown)                         \
  X(sigaction)                        \
  X(sigtimedwait)                     \
  X(socket)                           \
  X(socketpair)                       \
  X(write)                            \
  X(io_uring_get_probe_ring)          \
  X(io_uring_queue_init_params)       \
  X(io_uring_register)                \
  X(io_uring_register_buf_ring)       \
  X(io_uring_register_sync_cancel)    \
  X(io_uring_submit_and_get_events)   \
  X(io_uring_submit_and_wait_timeout) \
  X(io_uring_wait_cqes)               \
  X(ring_entry)

enum class Call : std::uint8_t {
#define WEIR_FAULT_ENUMERATOR(name) k_##name,
  WEIR_FAULT_CALLS(WEIR_FAULT_ENUMERATOR)
#undef WEIR_FAULT_ENUMERATOR
};

inline constexpr Call kAllCalls[] = {
#define WEIR_FAULT_ELEMENT(name) Call::k_##name,
    WEIR_FAULT_CALLS(WEIR_FAULT_ELEMENT)
#undef WEIR_FAULT_ELEMENT
};

std::string_view NameOf(Call call);

// A rule: which calls, and what becomes of them.
struct Fault {
  static constexpr int kAny = std::numeric_limits<int>::min();
  static constexpr std::uint64_t kForever =
      std::numeric_limits<std::uint64_t>::max();
  static constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

  Call call = Call::k_socket;
  // The call fails with it. Of getaddrinfo, a negative one is the EAI_ code.
  int error = 0;
  // Otherwise: it moves at most so many bytes, or messages, or requests.
  std::size_t most = kAll;
  // So many calls pass first, and so many are hit then: each, or every third.
  std::uint64_t skip = 0;
  std::uint64_t times = 1;
  std::uint64_t every = 1;
  // Only calls on this descriptor.
  int descriptor = kAny;
  // Only calls with this operation of epoll_ctl, option of getsockopt and
  // setsockopt, command of fcntl, operation code of ring_entry and
  // io_uring_register.
  int detail = kAny;
  // ring_entry: a multishot request becomes one that ends with its first
  // completion, as the kernel may end any of them.
  bool once = false;
};

// Adds a rule, and returns which it is; there is room for eight. Of several
// that match, the first counts.
std::size_t Inject(const Fault& fault);
// How many calls it was for so far, those included that passed.
std::uint64_t MatchesOf(std::size_t rule);
// Takes away all rules, and sets every count to zero.
void Clear();

// An io_uring that is created from here on has so few submission entries; 0: as
// many as were asked for.
void LimitSubmissionEntries(unsigned entries);

// How many calls were made since Clear(), and how many of all were hit.
std::uint64_t CountOf(Call call);
std::uint64_t Hits();

// Calls that found a descriptor that was not open although no rule said so:
// somebody used, or closed, what was not his any more. "recv(7)".
std::vector<std::string> BadDescriptors();

// While one lives, this thread's calls are made, and not counted: those of a
// test, by which it plays the peer.
class Unfaulted {
 public:
  Unfaulted();
  ~Unfaulted();
  Unfaulted(const Unfaulted&) = delete;
  Unfaulted& operator=(const Unfaulted&) = delete;
};

// Counting and rules hold while one lives.
class Armed {
 public:
  Armed();
  ~Armed();
  Armed(const Armed&) = delete;
  Armed& operator=(const Armed&) = delete;
};

// --- for interposers

struct Verdict {
  int error = 0;
  std::size_t most = Fault::kAll;
  bool once = false;

  bool real() const { return error == 0 && most == Fault::kAll && !once; }
};
// What is to become of this call. Async-signal-safe.
Verdict Decide(Call call, int descriptor = Fault::kAny,
               int detail = Fault::kAny);
unsigned SubmissionEntriesFor(unsigned asked);
// The system says EBADF. Async-signal-safe.
void NoteBadDescriptor(Call call, int descriptor);

}  // namespace weir::faults

#endif  // WEIR_TESTS_FAULTS_FAULT_POINTS_H_
