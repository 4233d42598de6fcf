#include "benchmarks/load/server_usage.h"

#include <dirent.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "benchmarks/flags.h"

namespace benchmarks {
namespace {

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

// schedstat counts nanoseconds; the ticks of stat(5) are 10 ms long.
std::int64_t CpuNanoseconds(int pid) {
  if (pid == 0) return 0;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  DIR* directory = opendir(tasks.c_str());
  if (directory == nullptr) Fail(tasks.c_str());
  std::int64_t total = 0;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] == '.') continue;
    total += std::strtoll(
        ReadFile(tasks + "/" + entry->d_name + "/schedstat").c_str(), nullptr,
        10);
  }
  closedir(directory);
  return total;
}

// The counters in status are kept by processor and lag behind; smaps_rollup is
// counted when it is read.
std::int64_t OwnBytes(int pid) {
  if (pid == 0) return 0;
  const std::string path = "/proc/" + std::to_string(pid) + "/smaps_rollup";
  const std::string text = ReadFile(path);
  const std::string name = "\nAnonymous:";
  const std::size_t at = text.find(name);
  if (at == text.npos) Fail(path.c_str());
  return std::strtoll(text.c_str() + at + name.size(), nullptr, 10) * 1024;
}

}  // namespace benchmarks
