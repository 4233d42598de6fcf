#include "tests/support/addresses.h"

#include <cerrno>
#include <cstring>

#include "tests/unit/own_network.h"

namespace weir::test {
namespace {

int FamilyOf(const char* address) {
  return std::strchr(address, ':') == nullptr ? AF_INET : AF_INET6;
}

}  // namespace

bool CanChangeAddresses() { return true; }

void InOwnNetwork(const std::function<void()>& body) { InNewNetwork(body); }

int AddAddress(const char* address) {
  return ChangeAddress(RTM_NEWADDR, FamilyOf(address), address);
}

int RemoveAddress(const char* address) {
  return ChangeAddress(RTM_DELADDR, FamilyOf(address), address);
}

bool IsWantOfFamily(int error) {
  return error == EOPNOTSUPP || error == EACCES;
}

}  // namespace weir::test
