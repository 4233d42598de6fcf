// A thread's stay in EventLoop::Run or RunOnce.

#ifndef WEIR_CORE_LOOP_FRAME_H_
#define WEIR_CORE_LOOP_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "core/corked_data.h"

namespace weir::internal {

class Endpoint;
class LoopCore;

struct LoopFrame {
  LoopCore* loop = nullptr;
  // Of the thread: that in which this one was entered, of another loop.
  LoopFrame* outer = nullptr;
  // Never used again.
  std::uint64_t id = 0;
  // Of the loop: another thread's.
  LoopFrame* next = nullptr;
  // For this very thread (O14).
  std::vector<absl::AnyInvocable<void() &&>> messages;
  // The endpoint whose handlers this thread is calling.
  const Endpoint* running = nullptr;
  // What they have given to SendCopy, in `cork` or in what is lent to them
  // (Endpoint::Cork). Nothing waits in the endpoint's queue before it.
  CorkedData corked;
  std::unique_ptr<std::byte[]> cork;
  // Lent to handlers on this thread (O12): `lent`, or a chunk of a mechanism.
  ConstBuffer lent_now;
  std::unique_ptr<std::byte[]> lent;
  std::unique_ptr<std::byte[]> lent_for_datagrams;
};

}  // namespace weir::internal

#endif  // WEIR_CORE_LOOP_FRAME_H_
