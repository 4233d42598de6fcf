// Scripts of operations on a few pairs of sockets and their registrations,
// made from a seed alone.

#ifndef WEIR_TESTS_MODEL_SCRIPT_H_
#define WEIR_TESTS_MODEL_SCRIPT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/model/socket_model.h"
#include "weir/events.h"
#include "weir/registration.h"

namespace weir::model {

enum class Act {
  // Sockets. Open closes what there was in the pair.
  kOpenConnected,
  kOpenUnconnected,
  kConnect,
  kConnectRefused,
  kArrive,
  kAccept,
  kAcceptAll,
  kSend,
  kFill,
  kReceive,
  kReceiveAll,
  kReceiveAllNatively,
  kTakeError,
  kShutdownWrite,
  kShutdownRead,
  kClose,
  kReset,
  kCloseKeepingDuplicate,
  kCloseDuplicate,
  kMoveSocket,
  // Registrations.
  kRegister,
  kRegisterBatch,
  kModify,
  kModifyHandler,
  kModifyBatch,
  kRearm,
  kRearmWith,
  kDisable,
  kEnable,
  kDisableAndEnable,
  kRemove,
  kUseStale,
  // A wait of a moment, where nothing is to be told.
  kIdle,
  // One turn that does not wait.
  kTurn,
};

// Which one an operation is about, and with what. One that makes no sense in
// the state it meets is skipped.
struct Operation {
  struct Reaction;

  Act act = Act::kTurn;
  int end = 0;
  Kind kind = Kind::kUnix;
  int most = 0;
  RegistrationOptions options;
  // kModify: which of the options are meant.
  bool has_interest = false;
  bool has_trigger = false;
  bool has_persistence = false;
  // kTurn: done by the first handler that is called for an end; after the turn
  // if none is.
  std::vector<Reaction> reactions;
};

struct Operation::Reaction {
  int end = 0;
  std::vector<Operation> operations;
};

struct Script {
  std::uint64_t seed = 0;
  int ends = 0;
  // At most one reaction in each turn: then the order in a batch, which is
  // nobody's promise, makes no difference to the sockets.
  bool orderly = true;
  // Whether the handles may be looked at from outside, which the library
  // notices: without, only kinds that deliver at once take part.
  bool watched = true;
  std::vector<Operation> operations;
};

// The same on every machine.
Script MakeScript(std::uint64_t seed);

// "modify 3 readable|hangup edge", with the reactions of a turn indented on
// lines of their own.
std::string ToString(const Operation& operation);

}  // namespace weir::model

#endif  // WEIR_TESTS_MODEL_SCRIPT_H_
