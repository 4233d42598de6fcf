#include "tests/support/addresses.h"

#include "platform/windows/winsock.h"
// After Winsock.
#include <iphlpapi.h>
#include <netioapi.h>

#include <cstring>

#include "gtest/gtest.h"
#include "platform/windows/sockaddr.h"
#include "weir/socket_address.h"

namespace weir::test {
namespace {

using InitializeCall = void(WINAPI*)(PMIB_UNICASTIPADDRESS_ROW);
using ChangeCall = DWORD(WINAPI*)(const MIB_UNICASTIPADDRESS_ROW*);

// Not all systems have them.
template <typename Call>
Call Find(const char* name) {
  return reinterpret_cast<Call>(reinterpret_cast<void*>(
      ::GetProcAddress(::LoadLibraryW(L"iphlpapi.dll"), name)));
}

int Change(const char* name, const char* text) {
  const auto initialize =
      Find<InitializeCall>("InitializeUnicastIpAddressEntry");
  const auto change = Find<ChangeCall>(name);
  if (initialize == nullptr || change == nullptr) return ERROR_NOT_SUPPORTED;
  const auto address = SocketAddress::FromIp(text, 0);
  EXPECT_TRUE(address.ok()) << address.status();
  MIB_UNICASTIPADDRESS_ROW row;
  initialize(&row);
  sockaddr_storage storage = {};
  platform::ToSockaddr(*address, storage);
  std::memcpy(&row.Address, &storage, sizeof(row.Address));
  row.InterfaceIndex = 1;
  row.OnLinkPrefixLength = address->is_ipv6() ? 128 : 8;
  row.DadState = IpDadStatePreferred;
  return static_cast<int>(change(&row));
}

}  // namespace

// The right to is an administrator's.
bool CanChangeAddresses() {
  static const bool can = [] {
    constexpr const char* kProbe = "127.0.0.52";
    return AddAddress(kProbe) == 0 && RemoveAddress(kProbe) == 0;
  }();
  return can;
}

void InOwnNetwork(const std::function<void()>& body) { body(); }

int AddAddress(const char* address) {
  return Change("CreateUnicastIpAddressEntry", address);
}

int RemoveAddress(const char* address) {
  return Change("DeleteUnicastIpAddressEntry", address);
}

bool IsWantOfFamily(int error) {
  return error == ERROR_NOT_SUPPORTED || error == ERROR_NOT_FOUND;
}

}  // namespace weir::test
