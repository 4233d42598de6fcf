#include "platform/windows/winsock.h"
// After Winsock.
#include <winternl.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "gtest/gtest.h"
#include "tests/conformance/descriptors.h"

namespace weir::conformance {
namespace {

// What NtQueryObject writes for ObjectTypeInformation begins with the type's
// name; of the rest some versions have more than others.
bool IsOfCountedType(HANDLE handle) {
  alignas(void*) std::array<std::byte, 1024> room;
  if (!NT_SUCCESS(::NtQueryObject(handle, ObjectTypeInformation, room.data(),
                                  static_cast<ULONG>(room.size()), nullptr))) {
    return false;
  }
  const auto& name = *reinterpret_cast<const UNICODE_STRING*>(room.data());
  const std::wstring_view type(name.Buffer, name.Length / sizeof(wchar_t));
  // A socket is a file to the kernel.
  return type == L"File" || type == L"IoCompletion";
}

}  // namespace

std::size_t OpenDescriptors() {
  // Numbers are multiples of four, and given again from the lowest: far above
  // the last there are none.
  constexpr int kFarAbove = 2048;
  std::size_t count = 0;
  int unused = 0;
  for (std::uintptr_t number = 4; unused < kFarAbove; number += 4) {
    const auto handle = reinterpret_cast<HANDLE>(number);
    DWORD flags = 0;
    if (::GetHandleInformation(handle, &flags) == FALSE) {
      ++unused;
      continue;
    }
    unused = 0;
    if (IsOfCountedType(handle)) ++count;
  }
  return count;
}

bool HasDescriptorLimit() { return false; }

struct NoDescriptorsLeft::Limit {};

NoDescriptorsLeft::NoDescriptorsLeft() {
  ADD_FAILURE() << "there is no limit to set";
}
NoDescriptorsLeft::~NoDescriptorsLeft() = default;

struct DescriptorRoom::Limit {};

DescriptorRoom::DescriptorRoom(std::size_t) {}
DescriptorRoom::~DescriptorRoom() = default;

}  // namespace weir::conformance
