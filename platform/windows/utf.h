// Weir's texts are UTF-8, Windows' UTF-16.

#ifndef WEIR_PLATFORM_WINDOWS_UTF_H_
#define WEIR_PLATFORM_WINDOWS_UTF_H_

#include <optional>
#include <string>
#include <string_view>

namespace weir::platform {

// What is not valid becomes U+FFFD.
std::string ToUtf8(std::wstring_view text);

// Nothing if `text` is not valid UTF-8.
std::optional<std::wstring> ToUtf16(std::string_view text);

}  // namespace weir::platform

#endif  // WEIR_PLATFORM_WINDOWS_UTF_H_
