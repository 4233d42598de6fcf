// Network interfaces by name.

#ifndef WEIR_PLATFORM_INTERFACES_H_
#define WEIR_PLATFORM_INTERFACES_H_

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"

namespace weir::platform {

// The index of the interface called `name`, at least 1. NotFound: there is
// none. Any thread.
absl::StatusOr<std::uint32_t> InterfaceIndex(std::string_view name);

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_INTERFACES_H_
