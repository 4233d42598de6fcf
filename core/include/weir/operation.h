// Operations: overlapped-style transfers that are started and, later, indicated.
//
// Starting returns at once. OK means that the operation was started, and then it
// is indicated exactly once (O02), with its result, with Cancelled or with
// DeadlineExceeded; any other status means that it was not started, nothing was
// touched, and nothing follows. There are three ways to be told, which may be
// combined:
//
//   a handler    stream.Receive(buffer, [](const Completion& done) { ... });
//   a handle     Operation receive;
//                stream.Receive(buffer, nullptr, {.handle = &receive});
//                receive.Wait(absl::Seconds(1));
//   co_await     Completion done = co_await stream.Read(buffer);
//
// A handler runs on a thread that runs the loop, never inside the call that
// starts the operation, never nested, and never concurrently with another
// handler of the same socket (O07). It may start operations, close the socket
// and destroy the object through which the operation was started. It is
// destroyed right after it was called.
//
// Buffers belong to the runtime from the start to the indication (O05).
// Operations may be started from any thread (O09).

#ifndef WEIR_OPERATION_H_
#define WEIR_OPERATION_H_

#include <cstddef>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace weir {

namespace internal {
class OperationRecord;
}  // namespace internal

// How an operation ended.
struct Completion {
  // Cancelled and DeadlineExceeded besides what the system says.
  absl::Status status;
  // Bytes moved, also where `status` is an error: a send says how many of its
  // bytes were consumed. A receive from a stream that is OK with 0 bytes, into
  // a buffer that is not empty, is the end of the stream (O04).
  std::size_t bytes = 0;

  bool ok() const { return status.ok(); }
};

using CompletionHandler = absl::AnyInvocable<void(const Completion&)>;

// The handle of one operation: it can be asked, waited for and cancelled from
// any thread, without running the loop there (O08). Copyable; default-constructed
// it names none. It may outlive the operation, its socket and the loop.
class Operation {
 public:
  Operation() = default;
  Operation(const Operation& other);
  Operation(Operation&& other) noexcept
      : record_(std::exchange(other.record_, nullptr)) {}
  Operation& operator=(Operation other) noexcept {
    std::swap(record_, other.record_);
    return *this;
  }
  ~Operation();

  explicit operator bool() const { return record_ != nullptr; }

  // Whether it has been indicated. The result is there from the moment its
  // handler is called.
  bool done() const;

  // The result, any number of times. FailedPrecondition: not done, or an empty
  // handle.
  absl::StatusOr<Completion> Result() const;

  // Blocks until it is done, at most `timeout`; returns the result.
  // DeadlineExceeded: still not done. FailedPrecondition: an empty handle, or
  // this thread runs a loop, which it would keep from going on.
  absl::StatusOr<Completion> Wait(absl::Duration timeout) const;

  // Asks for its end: it is indicated with Cancelled, or with its result if
  // that was first (O10). FailedPrecondition: it has ended already, and nothing
  // changes. From a thread that the loop does not belong to, OK says only that
  // it was asked for.
  //
  // A stream of which a send or a connect ended by Cancel or by its timeout
  // accepts nothing but closing any more: FailedPrecondition.
  absl::Status Cancel() const;

 private:
  friend class internal::OperationRecord;

  internal::OperationRecord* record_ = nullptr;
};

struct OperationOptions {
  // It ends with DeadlineExceeded when so much time has passed and it is not
  // complete (O11). InvalidArgument: zero or less.
  absl::Duration timeout = absl::InfiniteDuration();
  // Receives the handle, if the operation was started.
  Operation* handle = nullptr;
  // The handler runs on the very thread that starts the operation (O14), which
  // has to be inside a handler of this loop; else FailedPrecondition. If that
  // thread leaves the loop first, another one that runs the loop takes over.
  bool on_this_thread = false;
  // Of a send on a stream: where Capabilities::zero_copy_sends and the kind of
  // socket allow, the system takes the bytes out of the buffers when it sends
  // them, and the completion comes when it needs them no more, which can be as
  // late as the peer's acknowledgement; elsewhere this changes nothing. For large
  // buffers: below some 10 KiB a copy costs less. A stream that is closed, or
  // whose loop ends, before that is reset.
  bool zero_copy = false;
};

// What an operation is started with that wishes for nothing.
inline constexpr OperationOptions kDefaultOperationOptions;

}  // namespace weir

#endif  // WEIR_OPERATION_H_
