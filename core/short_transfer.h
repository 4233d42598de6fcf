// Transfers that need no record of an operation.

#ifndef WEIR_CORE_SHORT_TRANSFER_H_
#define WEIR_CORE_SHORT_TRANSFER_H_

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <utility>

#include "absl/base/attributes.h"
#include "weir/operation.h"

namespace weir::internal {

// One buffer, and nothing to be asked about it.
struct ShortTransfer {
  enum class State : std::uint8_t {
    kNone,
    kWaits,
    // Its handler is being called or destroyed, which may start the next.
    kTold,
  };

  ShortTransfer() {}
  ~ShortTransfer() {
    if (state != State::kNone) handler.~CompletionHandler();
  }
  ShortTransfer(const ShortTransfer&) = delete;
  ShortTransfer& operator=(const ShortTransfer&) = delete;

  ShortTransfer* IfUnused() { return state == State::kNone ? this : nullptr; }
  void Start(std::span<std::byte> data, CompletionHandler& given) {
    buffer = data;
    new (&handler) CompletionHandler(std::move(given));
    state = State::kWaits;
  }
  // It has gone well.
  ABSL_ATTRIBUTE_ALWAYS_INLINE void Tell(const Completion& done) {
    state = State::kTold;
    if (handler) handler(done);
    handler.~CompletionHandler();
    state = State::kNone;
  }
  // Not told of: somebody else does.
  CompletionHandler TakeHandler() {
    CompletionHandler taken = std::move(handler);
    handler.~CompletionHandler();
    state = State::kNone;
    return taken;
  }

  std::span<std::byte> buffer;
  // While the state is not kNone.
  union {
    CompletionHandler handler;
  };
  State state = State::kNone;
};

// Those of one stream, which are started and told in the course of one run
// (Endpoint::RunExpected), but for a receive that waits when it is over.
struct ShortWay {
  ShortTransfer receive;
  ShortTransfer send;
};

}  // namespace weir::internal

#endif  // WEIR_CORE_SHORT_TRANSFER_H_
