// The requests of an io_uring that can be made to fail: Fault::detail of
// Call::ring_entry. Their numbers are the kernel's, for builds without
// liburing.

#ifndef WEIR_TESTS_FAULTS_REQUEST_KINDS_H_
#define WEIR_TESTS_FAULTS_REQUEST_KINDS_H_

#include <linux/io_uring.h>

namespace weir::faults {

inline constexpr int kPollRequest = IORING_OP_POLL_ADD;
inline constexpr int kReceiveRequest = IORING_OP_RECV;
inline constexpr int kReceiveMessageRequest = IORING_OP_RECVMSG;
inline constexpr int kSendRequest = IORING_OP_SEND;
inline constexpr int kSendMessageRequest = IORING_OP_SENDMSG;
inline constexpr int kAcceptRequest = IORING_OP_ACCEPT;
inline constexpr int kConnectRequest = IORING_OP_CONNECT;

}  // namespace weir::faults

#endif  // WEIR_TESTS_FAULTS_REQUEST_KINDS_H_
