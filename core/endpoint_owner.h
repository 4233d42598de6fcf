// What Stream, Listener and DatagramSocket do alike with the endpoint they own,
// or do not have.

#ifndef WEIR_CORE_ENDPOINT_OWNER_H_
#define WEIR_CORE_ENDPOINT_OWNER_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/endpoint.h"
#include "platform/socket_options.h"
#include "platform/sockets.h"

namespace weir::internal {

// Closes what `endpoint` was, and takes `other` in its place.
inline void ReplaceEndpoint(CountedRef<Endpoint>& endpoint,
                            CountedRef<Endpoint> other) {
  if (endpoint != nullptr && endpoint->is_open()) {
    (void)endpoint->Close(nullptr, CloseMode::kGraceful);
  }
  endpoint = std::move(other);
}

class EndpointOwner {
 public:
  // `noun`: what there is not, if `endpoint` is null.
  EndpointOwner(const CountedRef<Endpoint>& endpoint, const char* noun)
      : endpoint_(endpoint), noun_(noun) {}

  absl::Status Check(const char* operation) const {
    if (endpoint_ != nullptr) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat(operation, ": there is no ", noun_));
  }
  bool is_open() const { return endpoint_ != nullptr && endpoint_->is_open(); }

  template <typename Call>
  auto WithHandle(const char* operation, Call call) const
      -> decltype(call(NativeSocket())) {
    if (absl::Status status = Check(operation); !status.ok()) return status;
    return endpoint_->WithHandle(operation, std::move(call));
  }

  absl::Status Pause(bool paused, const char* operation) const {
    if (absl::Status status = Check(operation); !status.ok()) return status;
    return endpoint_->PauseReceiving(paused, operation);
  }
  absl::Status Cancel() const {
    if (absl::Status status = Check("cancel"); !status.ok()) return status;
    return endpoint_->CancelAll();
  }
  absl::Status Close(CloseHandler handler, CloseMode mode) const {
    if (absl::Status status = Check("close"); !status.ok()) return status;
    return endpoint_->Close(std::move(handler), mode);
  }

  absl::StatusOr<SocketAddress> LocalAddress() const {
    return WithHandle("local address", platform::LocalAddress);
  }
  absl::StatusOr<SocketAddress> PeerAddress() const {
    return WithHandle("peer address", platform::PeerAddress);
  }
  absl::Status SetOption(SocketOption option, int value) const {
    return WithHandle("set option", [&](NativeSocket native) {
      return platform::SetOption(native, option, value);
    });
  }
  absl::StatusOr<int> GetOption(SocketOption option) const {
    return WithHandle("get option", [&](NativeSocket native) {
      return platform::GetOption(native, option);
    });
  }

 private:
  const CountedRef<Endpoint>& endpoint_;
  const char* const noun_;
};

}  // namespace weir::internal

#endif  // WEIR_CORE_ENDPOINT_OWNER_H_
