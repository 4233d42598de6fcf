#include "platform/address_changes.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <span>
#include <utility>

#include "absl/status/statusor.h"
#include "platform/error.h"
#include "platform/posix/retry.h"
#include "platform/posix/sockaddr.h"
#include "weir/native_socket.h"

namespace weir::platform {
namespace {

// Not RTMGRP_LINK: an interface that goes takes its addresses with it, and each
// is told; what else happens to it would only wake.
constexpr unsigned kGroups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;

// The kernel's messages are smaller than a page, or than 8 KiB where pages are
// larger (netlink(7)).
constexpr std::size_t kMessageBytes = 8192;

// Whether one of `messages` tells of an address; anything that cannot be read
// may have.
bool TellsOfAddress(std::span<const std::byte> messages) {
  while (messages.size() >= sizeof(nlmsghdr)) {
    // Messages begin where one of this type may: netlink(7) aligns them.
    const auto& header = *reinterpret_cast<const nlmsghdr*>(messages.data());
    if (header.nlmsg_len < sizeof(nlmsghdr) ||
        header.nlmsg_len > messages.size()) {
      return true;
    }
    if (header.nlmsg_type == RTM_NEWADDR || header.nlmsg_type == RTM_DELADDR) {
      return true;
    }
    const std::size_t length = NLMSG_ALIGN(std::size_t{header.nlmsg_len});
    if (length >= messages.size()) break;
    messages = messages.subspan(length);
  }
  return false;
}

}  // namespace

absl::StatusOr<AddressChanges> AddressChanges::Open() {
  const int descriptor = ::socket(
      AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (descriptor < 0) return SystemError(errno, "socket", "NETLINK_ROUTE");
  AddressChanges changes(FromDescriptor(descriptor));
  sockaddr_nl local = {};
  local.nl_family = AF_NETLINK;
  local.nl_groups = kGroups;
  if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&local),
             sizeof(local)) != 0) {
    return SystemError(errno, "bind", "NETLINK_ROUTE");
  }
  return changes;
}

AddressChanges::AddressChanges(AddressChanges&& other) noexcept
    : socket_(std::exchange(other.socket_, kInvalidSocket)),
      source_(std::move(other.source_)) {}

AddressChanges& AddressChanges::operator=(AddressChanges&& other) noexcept {
  std::swap(socket_, other.socket_);
  std::swap(source_, other.source_);
  return *this;
}

AddressChanges::~AddressChanges() {
  if (socket_ != kInvalidSocket) ::close(ToDescriptor(socket_));
}

absl::StatusOr<bool> AddressChanges::TakeChangedFrom(NativeSocket socket) {
  alignas(nlmsghdr) std::array<std::byte, kMessageBytes> buffer;
  bool changed = false;
  while (true) {
    sockaddr_nl sender = {};
    iovec vector = {.iov_base = buffer.data(), .iov_len = buffer.size()};
    msghdr message = {};
    message.msg_name = &sender;
    message.msg_namelen = sizeof(sender);
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    const ssize_t length = RetryInterrupted([&] {
      return ::recvmsg(ToDescriptor(socket), &message, MSG_DONTWAIT);
    });
    if (length < 0) {
      const int error = errno;
      if (error == EAGAIN || error == EWOULDBLOCK) return changed;
      // Messages did not fit into the socket's buffer and are lost
      // (netlink(7)). Told once; what did fit follows.
      if (error == ENOBUFS) {
        changed = true;
        continue;
      }
      // What has been read is not to be lost; the next call meets the error.
      if (changed) return true;
      return SystemError(error, "recvmsg", "NETLINK_ROUTE");
    }
    // Other processes may be allowed to write to the groups; only the kernel
    // has no port.
    if (sender.nl_pid != 0) continue;
    if ((message.msg_flags & MSG_TRUNC) != 0 ||
        TellsOfAddress(
            std::span(buffer).first(static_cast<std::size_t>(length)))) {
      changed = true;
    }
  }
}

}  // namespace weir::platform
