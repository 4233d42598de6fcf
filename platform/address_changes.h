// Learning that this machine's addresses change (O01).

#ifndef WEIR_PLATFORM_ADDRESS_CHANGES_H_
#define WEIR_PLATFORM_ADDRESS_CHANGES_H_

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "weir/native_socket.h"

namespace weir::platform {

// Tells that an IP address was added to or removed from an interface, from its
// opening on. One thread at a time, any.
class AddressChanges {
 public:
  // On Linux, of the network namespace that the calling thread is in.
  // ResourceExhausted: no descriptor or no memory is left. Unimplemented or
  // PermissionDenied: the system, or a sandbox, does not tell.
  static absl::StatusOr<AddressChanges> Open();

  AddressChanges(AddressChanges&& other) noexcept;
  AddressChanges& operator=(AddressChanges&& other) noexcept;
  ~AddressChanges();

  // Readable while there is something for TakeChanged() to look at, which need
  // not be a change. To be waited for; stays this object's.
  NativeSocket native() const { return socket_; }

  // Takes all that has been told. Returns whether an address was added or
  // removed since the last call; true also if an address was only changed
  // (its lifetime, say), and if so much happened that some of it was lost.
  // Never blocks. Fails with what the system says, which it has no reason to.
  absl::StatusOr<bool> TakeChanged() { return TakeChangedFrom(socket_); }

  // The same for whoever has the socket now.
  static absl::StatusOr<bool> TakeChangedFrom(NativeSocket socket);
  // Gives the socket away, open, and in `*source` what makes it readable, if
  // that is not the system itself: to be kept for as long as the socket is open.
  NativeSocket Release(std::shared_ptr<void>* source) {
    *source = std::move(source_);
    return std::exchange(socket_, kInvalidSocket);
  }

 private:
  explicit AddressChanges(NativeSocket socket) : socket_(socket) {}

  NativeSocket socket_;
  std::shared_ptr<void> source_;
};

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_ADDRESS_CHANGES_H_
