// Being told that the addresses of this machine change.

#ifndef WEIR_ADDRESS_WATCH_H_
#define WEIR_ADDRESS_WATCH_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weir/awaitable.h"
#include "weir/counted_ref.h"
#include "weir/event_loop.h"
#include "weir/operation.h"
#include "weir/stream.h"

namespace weir {

// The control operation with a deferred completion (O01). Ownership, threads,
// closing and the errors of all calls are as for Stream.
class AddressWatch {
 public:
  AddressWatch() = default;
  AddressWatch(AddressWatch&& other) noexcept = default;
  AddressWatch& operator=(AddressWatch&& other) noexcept;
  ~AddressWatch();

  // Begins to watch. Unimplemented or PermissionDenied: the system, or a
  // sandbox, does not tell. ResourceExhausted: no descriptor or no memory.
  static absl::StatusOr<AddressWatch> Open(EventLoop& loop);

  explicit operator bool() const { return endpoint_ != nullptr; }

  // Completes when an address of an interface was added or removed since the
  // watch was opened or the last of these completed; several changes may be one
  // completion, and a change of an address's lifetime may be one.
  absl::Status WaitForChange(
      CompletionHandler handler,
      const OperationOptions& options = kDefaultOperationOptions);
  auto Change(OperationOptions options = {}) {
    return MakeAwaitable<Completion>([this, options](auto handler) {
      return WaitForChange(std::move(handler), options);
    });
  }

  absl::Status Cancel();
  absl::Status Close(CloseHandler handler = nullptr);

 private:
  explicit AddressWatch(internal::CountedRef<internal::Endpoint> endpoint)
      : endpoint_(std::move(endpoint)) {}

  internal::CountedRef<internal::Endpoint> endpoint_;
};

}  // namespace weir

#endif  // WEIR_ADDRESS_WATCH_H_
