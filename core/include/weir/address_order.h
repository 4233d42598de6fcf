// The order in which the addresses of one name are tried (RFC 8305).

#ifndef WEIR_ADDRESS_ORDER_H_
#define WEIR_ADDRESS_ORDER_H_

#include <vector>

#include "weir/socket_address.h"

namespace weir {

// RFC 8305, section 4, with a First Address Family Count of one: families take
// turns, beginning with that of the first address, so that a family that leads
// nowhere costs one attempt and not all of its own. The order within a family
// is kept; a family that runs out leaves the turns to the others. An address
// that occurs again is dropped. Pure: any thread.
std::vector<SocketAddress> InterleaveFamilies(
    std::vector<SocketAddress> addresses);

}  // namespace weir

#endif  // WEIR_ADDRESS_ORDER_H_
