#include "platform/interfaces.h"

#include <net/if.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "platform/error.h"

namespace weir::platform {

absl::StatusOr<std::uint32_t> InterfaceIndex(std::string_view name) {
  const unsigned index = ::if_nametoindex(std::string(name).c_str());
  if (index == 0) return SystemError(errno, "if_nametoindex", name);
  return index;
}

}  // namespace weir::platform
