#include "weir/events.h"

#include <cstdint>
#include <string>

namespace weir {
namespace {

struct Name {
  std::uint8_t bit;
  const char* text;
};

std::string Join(std::uint8_t bits) {
  static constexpr Name kNames[] = {{1, "readable"}, {2, "writable"},
                                    {4, "hangup"},   {0x40, "error"},
                                    {0x80, "removed"}};
  std::string text;
  for (const Name& name : kNames) {
    if ((bits & name.bit) == 0) continue;
    if (!text.empty()) text += '|';
    text += name.text;
  }
  return text.empty() ? "none" : text;
}

}  // namespace

std::string ToString(Interest interest) {
  return Join(static_cast<std::uint8_t>(interest));
}

std::string ToString(Events events) {
  return Join(static_cast<std::uint8_t>(events));
}

}  // namespace weir
