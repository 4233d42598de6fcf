#include "tests/support/counted_new.h"

#include <cstdint>
#include <cstdlib>
#include <new>

std::atomic<std::size_t> weir::test::live_bytes{0};
std::atomic<std::size_t> weir::test::allocations{0};

namespace {

using weir::test::allocations;
using weir::test::live_bytes;

// Before each block: what malloc() returned, and how much was asked for.
struct Header {
  void* start;
  std::size_t size;
};

void* Allocate(std::size_t size, std::size_t alignment) {
  void* const start = std::malloc(sizeof(Header) + alignment + size);
  if (start == nullptr) std::abort();
  const std::uintptr_t first =
      reinterpret_cast<std::uintptr_t>(start) + sizeof(Header);
  auto* const memory = reinterpret_cast<std::byte*>(
      (first + alignment - 1) / alignment * alignment);
  new (memory - sizeof(Header)) Header{.start = start, .size = size};
  live_bytes += size;
  ++allocations;
  return memory;
}

void Free(void* memory) {
  if (memory == nullptr) return;
  const Header header = *reinterpret_cast<const Header*>(
      static_cast<std::byte*>(memory) - sizeof(Header));
  live_bytes -= header.size;
  std::free(header.start);
}

constexpr std::size_t kUsual = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

}  // namespace

void* operator new(std::size_t size) { return Allocate(size, kUsual); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return Allocate(size, static_cast<std::size_t>(alignment));
}
// Else that of a sanitizer, which does not know the delete below.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return Allocate(size, kUsual);
}
void operator delete(void* memory) noexcept { Free(memory); }
void operator delete(void* memory, std::size_t) noexcept { Free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { Free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  Free(memory);
}
