#include "platform/windows/utf.h"

#include <windows.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace weir::platform {
namespace {

// What the system's calls can take the length of.
constexpr std::size_t kMostUnits = std::numeric_limits<int>::max() / 4;

}  // namespace

std::string ToUtf8(std::wstring_view text) {
  if (text.empty()) return "";
  const int from = static_cast<int>(std::min(text.size(), kMostUnits));
  const int size = ::WideCharToMultiByte(CP_UTF8, 0, text.data(), from, nullptr,
                                         0, nullptr, nullptr);
  std::string result(static_cast<std::size_t>(std::max(size, 0)), '\0');
  ::WideCharToMultiByte(CP_UTF8, 0, text.data(), from, result.data(), size,
                        nullptr, nullptr);
  return result;
}

std::optional<std::wstring> ToUtf16(std::string_view text) {
  if (text.empty()) return std::wstring();
  if (text.size() > kMostUnits) return std::nullopt;
  const int from = static_cast<int>(text.size());
  const int size = ::MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS,
                                         text.data(), from, nullptr, 0);
  if (size <= 0) return std::nullopt;
  std::wstring result(static_cast<std::size_t>(size), L'\0');
  ::MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), from,
                        result.data(), size);
  return result;
}

}  // namespace weir::platform
