// What a loop keeps about a socket that its mechanism watches: the common part
// of a registration and of an endpoint.

#ifndef WEIR_CORE_LOOP_RECORD_H_
#define WEIR_CORE_LOOP_RECORD_H_

#include <cstdint>

#include "weir/backend.h"
#include "weir/native_socket.h"

namespace weir::internal {

// Belongs to whoever has access to the loop (LoopCore::Access).
class LoopRecord : public WatchedSocket {
 public:
  enum class Use : std::uint8_t {
    kRegistration,  // RegistrationRecord: the application is told
    kEndpoint,      // Endpoint: operations are carried out
  };

  // No kernel packet can name the record any more.
  bool unpinned() const { return pins() == 0; }

  const Use use;
  // On the list of those whose watch may have to be changed.
  bool dirty = false;
  // What the mechanism watches, as far as it has reported.
  Watch armed;
  // Of a registration (RegistrationRecord::Assess); here, beside what a report
  // is, so that telling an ordinary one takes one look.
  Condition special = Condition::kAll;

 protected:
  LoopRecord(Use record_use, NativeSocket socket)
      : WatchedSocket(socket), use(record_use) {}
  ~LoopRecord() = default;
};

}  // namespace weir::internal

#endif  // WEIR_CORE_LOOP_RECORD_H_
