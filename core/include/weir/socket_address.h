// Where a socket is, or what it connects to.

#ifndef WEIR_SOCKET_ADDRESS_H_
#define WEIR_SOCKET_ADDRESS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"

namespace weir {

enum class AddressFamily : std::uint8_t { kUnspecified, kIpv4, kIpv6, kUnix };

// An IPv4 or IPv6 address with a port, the name of a Unix-domain socket, or
// nothing ("unspecified"). A value of fixed size that allocates nothing; any
// thread may use its own, and all may read one (P01).
//
// Its text, which Parse() reads and ToString() writes:
//
//   127.0.0.1:80                     IPv4
//   [::1]:80   [fe80::1%2]:80        IPv6, with a scope where needed
//   unix:/run/x.sock                 Unix, a path
//   unix:@name                       Unix, an abstract name (Linux)
class SocketAddress {
 public:
  using Ipv4Bytes = std::array<std::uint8_t, 4>;
  using Ipv6Bytes = std::array<std::uint8_t, 16>;

  // The longest path, and the longest abstract name, in bytes.
  static constexpr std::size_t kMaxUnixNameBytes = 107;

  // The unspecified address.
  SocketAddress() = default;

  // Reads the text described above. Strict: decimal ports 0 to 65535 and IPv4
  // parts 0 to 255, both without leading zeros; IPv6 as in RFC 4291; a scope
  // is a decimal index from 1 or the name of an interface; no white space, and
  // nothing besides. No name is ever resolved, and no system call is made but
  // for an interface given by name. A path keeps its bytes, but one that
  // begins with '@' cannot be written (say "unix:./@x").
  // InvalidArgument: the message quotes the text and says what is wrong with
  // it and what is accepted. NotFound: there is no interface of that name.
  static absl::StatusOr<SocketAddress> Parse(std::string_view text);

  // From an IP address without port and brackets: "127.0.0.1", "fe80::1%eth0".
  // Errors as for Parse().
  static absl::StatusOr<SocketAddress> FromIp(std::string_view ip,
                                              std::uint16_t port);

  // From bytes in network order. `scope_id` is an interface index, 0: none.
  static SocketAddress Ipv4(const Ipv4Bytes& bytes, std::uint16_t port);
  static SocketAddress Ipv6(const Ipv6Bytes& bytes, std::uint16_t port,
                            std::uint32_t scope_id = 0);

  static SocketAddress Ipv4Any(std::uint16_t port);
  static SocketAddress Ipv4Loopback(std::uint16_t port);
  static SocketAddress Ipv6Any(std::uint16_t port);
  static SocketAddress Ipv6Loopback(std::uint16_t port);

  // A path in the file system. A leading '@' is kept apart from an abstract
  // name by writing "./" before it. InvalidArgument: empty, too long, or with
  // a zero byte.
  static absl::StatusOr<SocketAddress> UnixPath(std::string_view path);

  // A name in Linux's abstract namespace, given without the '@'; any bytes.
  // InvalidArgument: empty or too long.
  static absl::StatusOr<SocketAddress> UnixAbstract(std::string_view name);

  // A Unix socket that was not bound, such as either end of a pair.
  static SocketAddress UnixUnnamed();

  AddressFamily family() const { return family_; }
  bool is_unspecified() const { return family_ == AddressFamily::kUnspecified; }
  bool is_ipv4() const { return family_ == AddressFamily::kIpv4; }
  bool is_ipv6() const { return family_ == AddressFamily::kIpv6; }
  bool is_unix() const { return family_ == AddressFamily::kUnix; }

  // In host order; 0 if there is none.
  std::uint16_t port() const { return port_; }
  // The same with another port. Only IP addresses have one; others are
  // returned unchanged.
  SocketAddress with_port(std::uint16_t port) const;

  // The interface index of an IPv6 address; 0 if there is none.
  std::uint32_t scope_id() const { return scope_id_; }

  // 4 or 16 bytes in network order; empty if this is no IP address.
  std::span<const std::uint8_t> ip_bytes() const;
  // "127.0.0.1", "fe80::1%2" (RFC 5952); empty if this is no IP address.
  std::string ip() const;

  // The path; empty if this is no Unix address with a path.
  std::string_view path() const;
  // The name without '@'; empty if this is no abstract Unix address.
  std::string_view abstract_name() const;

  // 127.0.0.0/8 and ::1, and the former mapped into IPv6.
  bool is_loopback() const;
  // 0.0.0.0, :: and ::ffff:0.0.0.0: every address of the machine, when bound.
  bool is_any() const;
  // 224.0.0.0/4 and ff00::/8.
  bool is_multicast() const;
  // An IPv4 address written as IPv6, ::ffff:a.b.c.d: what a dual-stack socket
  // calls an IPv4 peer.
  bool is_v4_mapped() const;
  // The IPv4 address of a mapped one; others are returned unchanged.
  SocketAddress unmapped() const;

  // The text described above, for every address that names something; a scope
  // is written as its index. Unnamed Unix: "unix:"; unspecified:
  // "unspecified"; neither can be parsed.
  std::string ToString() const;

  // The bytes of a Unix name as the systems store them: a path without its
  // final zero byte, or a zero byte and the abstract name; at most 108. For
  // those who talk to a system; longer input is cut, and "./" is written before
  // a leading '@', as in UnixPath().
  std::string_view unix_name_bytes() const;
  static SocketAddress FromUnixNameBytes(std::string_view bytes);

  friend bool operator==(const SocketAddress& a, const SocketAddress& b);

  template <typename H>
  friend H AbslHashValue(H hash, const SocketAddress& address) {
    return H::combine(
        H::combine_contiguous(std::move(hash), address.bytes_.data(),
                              address.length_),
        address.family_, address.length_, address.port_, address.scope_id_);
  }

 private:
  static constexpr std::size_t kMaxBytes = 108;

  void SetBytes(AddressFamily family, const void* bytes, std::size_t length);

  // An IP address, or a Unix name as unix_name_bytes() describes it; only the
  // first length_ bytes mean anything.
  alignas(std::uint32_t) std::array<std::uint8_t, kMaxBytes> bytes_{};
  std::uint32_t scope_id_ = 0;
  std::uint16_t port_ = 0;
  std::uint8_t length_ = 0;
  AddressFamily family_ = AddressFamily::kUnspecified;
};

}  // namespace weir

#endif  // WEIR_SOCKET_ADDRESS_H_
