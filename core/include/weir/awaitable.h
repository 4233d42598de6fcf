// Operations for coroutines: `Completion done = co_await stream.Read(buffer);`
//
// The coroutine goes on on a thread that runs the loop. An operation that could
// not be started gives its status as the result's, at once. Cancelling is done
// through OperationOptions::handle, deadlines through its timeout.

#ifndef WEIR_AWAITABLE_H_
#define WEIR_AWAITABLE_H_

#include <coroutine>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"

namespace weir {

// An operation that is started when it is awaited, which has to be once.
// `Start` is called with the operation's handler, a callable of whatever type,
// and returns whether it was started; the handler is called with a `Result`,
// which can be made of a status. Allocates nothing.
template <typename Result, typename Start>
class [[nodiscard]] Awaitable {
  // What the handler is called with.
  using Told = std::conditional_t<std::is_copy_constructible_v<Result>,
                                  const Result&, Result&&>;

 public:
  explicit Awaitable(Start start) : start_(std::move(start)) {}

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> coroutine) {
    // Once it is started, the coroutine may go on on another thread, and end,
    // before this returns.
    Start start = std::move(start_);
    absl::Status status = start([this, coroutine](Told result) {
      // Taken over before the handler's argument goes: at once.
      told_ = &result;
      coroutine.resume();
    });
    if (status.ok()) return true;
    refusal_ = std::move(status);
    return false;
  }
  Result await_resume() {
    if (told_ == nullptr) [[unlikely]]
      return Result{std::move(refusal_)};
    return std::forward<Told>(*told_);
  }

 private:
  Start start_;
  std::remove_reference_t<Told>* told_ = nullptr;
  absl::Status refusal_;
};

template <typename Result, typename Start>
Awaitable<Result, Start> MakeAwaitable(Start start) {
  return Awaitable<Result, Start>(std::move(start));
}

}  // namespace weir

#endif  // WEIR_AWAITABLE_H_
