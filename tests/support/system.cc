#include "tests/support/system.h"

#include <cstdio>

#include "platform/error.h"
#include "platform/sockets.h"

namespace weir::test {

bool HasUnixSockets() {
  static const bool has = [] {
    const auto pair = platform::OpenPair(SocketType::kStream);
    if (!pair.ok()) return false;
    for (const NativeSocket end : *pair) (void)platform::Close(end);
    return true;
  }();
  return has;
}

std::string WordsFor(ErrorCause cause) {
  const std::string message(
      platform::SystemError(CodeFor(cause), "").message());
  const std::size_t begin = message.find(": ") + 2;
  return message.substr(begin, message.rfind(" (") - begin);
}

std::vector<AddressFamily> Available(
    std::initializer_list<AddressFamily> wanted) {
  std::vector<AddressFamily> families;
  for (const AddressFamily family : wanted) {
    if (family != AddressFamily::kUnix || HasUnixSockets()) {
      families.push_back(family);
      continue;
    }
    [[maybe_unused]] static const bool said = [] {
      std::printf("[   NOTE   ] left out: Unix-domain sockets, none here\n");
      return true;
    }();
  }
  return families;
}

}  // namespace weir::test
