#include "weir/address_order.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"

namespace weir {

std::vector<SocketAddress> InterleaveFamilies(
    std::vector<SocketAddress> addresses) {
  // One row per family, in the order in which the families first occur.
  std::vector<std::vector<SocketAddress>> rows;
  absl::flat_hash_set<SocketAddress> seen;
  std::size_t longest = 0;
  for (const SocketAddress& address : addresses) {
    if (!seen.insert(address).second) continue;
    auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& other) {
      return other.front().family() == address.family();
    });
    if (row == rows.end()) row = rows.emplace(rows.end());
    row->push_back(address);
    longest = std::max(longest, row->size());
  }
  addresses.clear();
  for (std::size_t turn = 0; turn < longest; ++turn) {
    for (const auto& row : rows) {
      if (turn < row.size()) addresses.push_back(row[turn]);
    }
  }
  return addresses;
}

}  // namespace weir
