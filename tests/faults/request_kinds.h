// The requests of an io_uring that can be made to fail: Fault::detail of
// Call::ring_entry. Their numbers are the kernel's, for builds without
// liburing; ring_faults.cc compares them.

#ifndef WEIR_TESTS_FAULTS_REQUEST_KINDS_H_
#define WEIR_TESTS_FAULTS_REQUEST_KINDS_H_

namespace weir::faults {

inline constexpr int kPollRequest = 6;
inline constexpr int kSendMessageRequest = 9;
inline constexpr int kReceiveMessageRequest = 10;
inline constexpr int kAcceptRequest = 13;
inline constexpr int kConnectRequest = 16;
inline constexpr int kSendRequest = 26;
inline constexpr int kReceiveRequest = 27;
// Without a copy.
inline constexpr int kZeroCopySendRequest = 47;
inline constexpr int kZeroCopySendMessageRequest = 48;

}  // namespace weir::faults

#endif  // WEIR_TESTS_FAULTS_REQUEST_KINDS_H_
