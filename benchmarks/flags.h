// The command line of the programs here that are not written with Weir:
// --name=value, each flag with its default and a word of help.

#ifndef WEIR_BENCHMARKS_FLAGS_H_
#define WEIR_BENCHMARKS_FLAGS_H_

#include <netinet/in.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace benchmarks {

// Logs `message` and exits with 2: the command line is at fault.
[[noreturn]] void UsageError(const std::string& message);

// Logs `operation` with the words of errno and exits with 1.
[[noreturn]] void Fail(const char* operation);

class Flags {
 public:
  struct Flag {
    std::string_view name;
    std::string value;  // by default
    std::string_view help;
  };

  // Exits with 2 for anything that is not one of `flags`, and with 0, having
  // printed them, for --help.
  Flags(int argc, char** argv, std::initializer_list<Flag> flags);

  // Each exits with 2 if the value is not one.
  const std::string& Text(std::string_view name) const;
  double Number(std::string_view name, double lowest, double highest) const;
  long Integer(std::string_view name, long lowest, long highest) const;
  // An IPv4 address with a port.
  sockaddr_in Address(std::string_view name) const;

 private:
  std::vector<Flag> flags_;
};

}  // namespace benchmarks

#endif  // WEIR_BENCHMARKS_FLAGS_H_
