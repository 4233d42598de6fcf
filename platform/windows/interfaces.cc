#include "platform/interfaces.h"

#include "platform/windows/winsock.h"
// After Winsock.
#include <iphlpapi.h>
#include <netioapi.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "platform/error.h"
#include "platform/windows/utf.h"

namespace weir::platform {

absl::StatusOr<std::uint32_t> InterfaceIndex(std::string_view name) {
  // The name that programs use ("ethernet_32769"), or the one that people see
  // ("Ethernet").
  const std::optional<std::wstring> wide = ToUtf16(name);
  NET_LUID interface_id;
  NET_IFINDEX index = 0;
  if (wide.has_value() &&
      (::ConvertInterfaceNameToLuidW(wide->c_str(), &interface_id) ==
           NO_ERROR ||
       ::ConvertInterfaceAliasToLuid(wide->c_str(), &interface_id) ==
           NO_ERROR) &&
      ::ConvertInterfaceLuidToIndex(&interface_id, &index) == NO_ERROR &&
      index != 0) {
    return index;
  }
  return SystemError(ERROR_FILE_NOT_FOUND, "find interface", name);
}

}  // namespace weir::platform
