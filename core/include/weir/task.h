// The coroutine type that goes with Weir's awaitables: lazy, with one awaiter.
//
//   weir::Task<absl::Status> Serve(weir::Stream stream) {
//     std::array<std::byte, 4096> buffer;
//     for (;;) {
//       weir::Completion in = co_await stream.Read(buffer);
//       if (!in.ok() || in.bytes == 0) co_return in.status;
//       ...
//
//   weir::Spawn(Serve(std::move(stream)), [](absl::Status status) { ... });
//
// Any other coroutine type can await the same awaitables.

#ifndef WEIR_TASK_H_
#define WEIR_TASK_H_

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace weir {

template <typename T>
class Task;

namespace internal {

// Goes on with whoever awaits the task.
struct ResumeAwaiter {
  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  std::coroutine_handle<> await_suspend(
      std::coroutine_handle<Promise> ended) noexcept {
    return ended.promise().awaiter;
  }
  void await_resume() const noexcept {}
};

struct TaskPromiseBase {
  std::suspend_always initial_suspend() const noexcept { return {}; }
  ResumeAwaiter final_suspend() const noexcept { return {}; }
  // Weir throws nothing; an exception of the application's own has nowhere to
  // go.
  void unhandled_exception() const noexcept { std::terminate(); }

  std::coroutine_handle<> awaiter = std::noop_coroutine();
};

template <typename T>
struct TaskPromise : TaskPromiseBase {
  Task<T> get_return_object();
  template <typename U>
  void return_value(U&& value) {
    result.emplace(std::forward<U>(value));
  }
  T Take() { return *std::move(result); }

  std::optional<T> result;
};

template <>
struct TaskPromise<void> : TaskPromiseBase {
  Task<void> get_return_object();
  void return_void() const noexcept {}
  void Take() const noexcept {}
};

// A coroutine that begins at once and frees itself.
struct Detached {
  struct promise_type {
    Detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void unhandled_exception() const noexcept { std::terminate(); }
    void return_void() const noexcept {}
  };
};

}  // namespace internal

// Owns a coroutine that has not begun: awaiting it begins it, destroying it
// without that frees it. A task that is suspended inside must not be destroyed.
template <typename T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = internal::TaskPromise<T>;

  Task(Task&& other) noexcept
      : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(coroutine_, other.coroutine_);
    return *this;
  }
  ~Task() {
    if (coroutine_) coroutine_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(
      std::coroutine_handle<> awaiter) noexcept {
    coroutine_.promise().awaiter = awaiter;
    return coroutine_;
  }
  T await_resume() { return coroutine_.promise().Take(); }

 private:
  friend promise_type;
  explicit Task(std::coroutine_handle<promise_type> coroutine)
      : coroutine_(coroutine) {}

  std::coroutine_handle<promise_type> coroutine_;
};

namespace internal {

template <typename T>
Task<T> TaskPromise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

inline Task<void> TaskPromise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

}  // namespace internal

// Begins `task` here; `done` is called with its result when it has ended. The
// task's frame is freed after that.
template <typename T, typename Done>
void Spawn(Task<T> task, Done done) {
  [](Task<T> owned, Done ended) -> internal::Detached {
    if constexpr (std::is_void_v<T>) {
      co_await owned;
      ended();
    } else {
      ended(co_await owned);
    }
  }(std::move(task), std::move(done));
}

template <typename T>
void Spawn(Task<T> task) {
  [](Task<T> owned) -> internal::Detached {
    if constexpr (std::is_void_v<T>) {
      co_await owned;
    } else {
      (void)co_await owned;
    }
  }(std::move(task));
}

}  // namespace weir

#endif  // WEIR_TASK_H_
