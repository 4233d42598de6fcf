// For tests that change this machine's addresses.

#ifndef WEIR_TESTS_SUPPORT_ADDRESSES_H_
#define WEIR_TESTS_SUPPORT_ADDRESSES_H_

#include <functional>

namespace weir::test {

// Whether this process may add an address to the loopback interface: on Linux to
// that of a network of its own, on Windows to the machine's.
bool CanChangeAddresses();

// Runs `body` where it may do so. On Linux in a child process, in a new network
// namespace, which has nothing but a loopback interface that is down (the test is
// skipped where that is not permitted); on Windows here.
void InOwnNetwork(const std::function<void()>& body);

// Adds an IP address to the loopback interface, or takes it away, and waits for
// the answer: 0, or the system's number for what is wrong.
int AddAddress(const char* address);
int RemoveAddress(const char* address);
// Whether AddAddress() has failed for want of the address's family.
bool IsWantOfFamily(int error);

}  // namespace weir::test

#endif  // WEIR_TESTS_SUPPORT_ADDRESSES_H_
