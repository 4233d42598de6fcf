// Scripts of operations on a few connections, listeners and datagram sockets,
// made from a seed alone.

#ifndef WEIR_TESTS_MODEL_OPERATION_SCRIPT_H_
#define WEIR_TESTS_MODEL_OPERATION_SCRIPT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "weir/socket_address.h"
#include "weir/socket_options.h"

namespace weir::operation_model {

// Where a script keeps its sockets. Ends 2n and 2n + 1 are of one connection;
// each is a stream on the loop or a plain socket that the script drives itself.
inline constexpr int kEnds = 6;
inline constexpr int kListeners = 2;
inline constexpr int kDatagrams = 3;
inline constexpr int kFirstListener = kEnds;
inline constexpr int kFirstDatagram = kFirstListener + kListeners;
inline constexpr int kSlots = kFirstDatagram + kDatagrams;

inline bool IsEnd(int slot) { return slot < kFirstListener; }
inline bool IsListener(int slot) {
  return slot >= kFirstListener && slot < kFirstDatagram;
}
inline bool IsDatagram(int slot) { return slot >= kFirstDatagram; }

// What each means is the slot's affair: the receive of a listener is an accept.
enum class Act : std::uint8_t {
  // Opening closes what there was.
  kOpen,
  kConnect,
  kConnectRefused,
  kConnectStalled,
  // A client for a listener; the peer of a datagram socket.
  kArrive,
  kSetPeer,
  kReceive,
  kSend,
  kSendCopy,
  kSendFile,
  kFlush,
  kDisconnect,
  kStartReceive,
  kPause,
  kResume,
  kCancelOne,
  kCancelAll,
  kShutdown,
  kClose,
  kDestroy,
  kMove,
  kDetach,
  kAttach,
  kMisuse,
  kAskHandles,
  // The loop.
  kTurn,
  kIdle,
  kStop,
  kEndLoop,
};

// One that makes no sense in the state it meets is skipped.
struct Step {
  Act act = Act::kTurn;
  int slot = 0;
  // Bytes; how many buffers they are in, 0 for the form that takes one.
  int size = 0;
  int parts = 0;
  // Which of several: a pending operation, another slot, a misuse.
  int which = 0;
  // Microseconds, 0 for none.
  std::int64_t timeout_us = 0;
  bool handle = false;
  // Told by the handle alone.
  bool silent = false;
  bool on_this_thread = false;
  bool abortive = false;
  // kOpen: both ends on the loop; small buffers of the system.
  bool both = false;
  bool tight = false;
  ShutdownDirection direction = ShutdownDirection::kBoth;
  AddressFamily family = AddressFamily::kUnix;
  // Done by the handler that the step gives away: all when it is called, or,
  // where it is called again and again, one each time.
  std::vector<Step> reactions = {};
};

// How it is brought to an end.
enum class Ending : std::uint8_t {
  // All that can complete has to, then everything is closed.
  kDrain,
  // Everything is cancelled, with nobody else doing anything; then closed.
  kCancel,
  kClose,
  // The loop is destroyed as it is; after a Stop.
  kDestroy,
  kStopAndDestroy,
};

struct Script {
  std::uint64_t seed = 0;
  Ending ending = Ending::kDrain;
  std::vector<Step> steps;
};

// The same on every machine.
Script MakeScript(std::uint64_t seed);

const char* NameOf(Act act);
// "send 3, 100 bytes", with the reactions indented on lines of their own.
std::string ToString(const Step& step);
std::string ToString(const Script& script);

}  // namespace weir::operation_model

#endif  // WEIR_TESTS_MODEL_OPERATION_SCRIPT_H_
