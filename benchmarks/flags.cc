#include "benchmarks/flags.h"

#include <arpa/inet.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace benchmarks {

void UsageError(const std::string& message) {
  std::fprintf(stderr, "%s; --help lists the flags\n", message.c_str());
  std::exit(2);
}

void Fail(const char* operation) {
  std::perror(operation);
  std::exit(1);
}

Flags::Flags(int argc, char** argv, std::initializer_list<Flag> flags)
    : flags_(flags) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--help") {
      for (const Flag& flag : flags_) {
        std::printf("  --%.*s=%s\n      %.*s\n",
                    static_cast<int>(flag.name.size()), flag.name.data(),
                    flag.value.c_str(), static_cast<int>(flag.help.size()),
                    flag.help.data());
      }
      std::exit(0);
    }
    const std::size_t equals = argument.find('=');
    Flag* given = nullptr;
    for (Flag& flag : flags_) {
      if (argument.starts_with("--") && equals != argument.npos &&
          argument.substr(2, equals - 2) == flag.name) {
        given = &flag;
      }
    }
    if (given == nullptr) {
      UsageError("\"" + std::string(argument) +
                 "\" is not a flag with a value of this program");
    }
    given->value = argument.substr(equals + 1);
  }
}

const std::string& Flags::Text(std::string_view name) const {
  for (const Flag& flag : flags_) {
    if (flag.name == name) return flag.value;
  }
  std::abort();
}

double Flags::Number(std::string_view name, double lowest,
                     double highest) const {
  const std::string& text = Text(name);
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  // Also not for NaN.
  if (text.empty() || *end != '\0' || !(value >= lowest && value <= highest)) {
    UsageError("--" + std::string(name) + ": \"" + text +
               "\" is not a number from " + std::to_string(lowest) + " to " +
               std::to_string(highest));
  }
  return value;
}

long Flags::Integer(std::string_view name, long lowest, long highest) const {
  return std::lround(
      Number(name, static_cast<double>(lowest), static_cast<double>(highest)));
}

sockaddr_in Flags::Address(std::string_view name) const {
  const std::string& text = Text(name);
  const std::size_t colon = text.rfind(':');
  char* end = nullptr;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (colon != text.npos) {
    const unsigned long port = std::strtoul(&text[colon + 1], &end, 10);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    if (*end == '\0' && port <= 65535 &&
        inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) ==
            1) {
      return address;
    }
  }
  UsageError("--" + std::string(name) + ": \"" + text +
             "\" is not an IPv4 address with a port");
}

}  // namespace benchmarks
