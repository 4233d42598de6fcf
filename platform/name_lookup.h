// The system's name resolution.

#ifndef WEIR_PLATFORM_NAME_LOOKUP_H_
#define WEIR_PLATFORM_NAME_LOOKUP_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weir/socket_address.h"

namespace weir::platform {

// The IP addresses of `host`, a name or an address, with port 0, in the
// system's order; of one family only, unless `family` is kUnspecified. Then,
// addresses of a family in which this machine has none itself are left out,
// except for localhost, which is always there. Blocks for as long as the system
// likes. Any thread. Errors: NameLookupError.
absl::StatusOr<std::vector<SocketAddress>> LookUpName(const std::string& host,
                                                      AddressFamily family);

// The status for `code`, which the system's resolver returned for `host`
// (EAI_NONAME); where it points to the system's error number, that is
// `system_code`. The message is that of weir/status.h, the operation "resolve".
// A number that is in no table becomes Unknown and keeps its words.
absl::Status NameLookupError(int code, int system_code, std::string_view host);

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_NAME_LOOKUP_H_
