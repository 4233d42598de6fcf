// Every call that a Socket or a File makes at once, with every error that is
// documented for it: told as what it is, and nothing is left behind. With the
// call made again, everything works.

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/faults/fault_test.h"
#include "weir/file.h"
#include "weir/socket.h"

namespace weir::faults {
namespace {

using conformance::Connection;
using conformance::Must;
using conformance::MustOk;

ConstBuffer BytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// One way into a call. `run` does all of it, and cleans up.
struct Way {
  std::string name;
  Call call;
  int detail = Fault::kAny;
  std::function<absl::Status()> run;
};

template <typename T>
absl::Status StatusOf(const absl::StatusOr<T>& value) {
  return value.status();
}

// What the calls are made on: their making is not counted.
Socket UnboundStream() {
  const Unfaulted unfaulted;
  return Must(Socket::Open(AddressFamily::kIpv4, SocketType::kStream));
}
Socket BoundDatagram() {
  const Unfaulted unfaulted;
  return Must(Socket::BindDatagram(SocketAddress::Ipv4Loopback(0)));
}
Connection Pair() {
  const Unfaulted unfaulted;
  return conformance::Connected(AddressFamily::kUnix);
}

absl::Status Adopt() {
  int descriptor = -1;
  {
    const Unfaulted unfaulted;
    descriptor = ::socket(AF_INET, SOCK_STREAM, 0);
  }
  auto socket = Socket::Adopt(static_cast<NativeSocket>(descriptor));
  // On failure it is the caller's still, and open.
  const Unfaulted unfaulted;
  if (!socket.ok()) {
    EXPECT_EQ(::close(descriptor), 0);
  }
  return socket.status();
}

absl::Status OpenFile() {
  // The program itself: a regular file that is always there.
  return File::Open("/proc/self/exe").status();
}

std::vector<Way> Ways() {
  return {
      {"open", Call::k_socket, Fault::kAny,
       [] {
         return Socket::Open(AddressFamily::kIpv4, SocketType::kStream)
             .status();
       }},
      {"pair", Call::k_socketpair, Fault::kAny,
       [] { return Socket::Pair().status(); }},
      {"bind", Call::k_bind, Fault::kAny,
       [] {
         Socket socket = UnboundStream();
         return socket.Bind(SocketAddress::Ipv4Loopback(0));
       }},
      {"listen on", Call::k_bind, Fault::kAny,
       [] { return Socket::Listen(SocketAddress::Ipv4Loopback(0)).status(); }},
      {"listen on, reuse", Call::k_setsockopt, SO_REUSEADDR,
       [] { return Socket::Listen(SocketAddress::Ipv4Loopback(0)).status(); }},
      {"listen on, backlog", Call::k_listen, Fault::kAny,
       [] { return Socket::Listen(SocketAddress::Ipv4Loopback(0)).status(); }},
      {"listen", Call::k_listen, Fault::kAny,
       [] { return UnboundStream().StartListening(); }},
      {"connect", Call::k_connect, Fault::kAny,
       [] {
         Socket socket = BoundDatagram();
         return socket.StartConnecting(SocketAddress::Ipv4Loopback(9)).status();
       }},
      {"local address", Call::k_getsockname, Fault::kAny,
       [] { return UnboundStream().LocalAddress().status(); }},
      {"peer address", Call::k_getpeername, Fault::kAny,
       [] { return Pair().client.PeerAddress().status(); }},
      {"set option", Call::k_setsockopt, SO_KEEPALIVE,
       [] { return UnboundStream().SetOption(SocketOption::kKeepAlive, 1); }},
      {"get option", Call::k_getsockopt, SO_KEEPALIVE,
       [] {
         return UnboundStream().GetOption(SocketOption::kKeepAlive).status();
       }},
      {"option of either family", Call::k_getsockopt, SO_DOMAIN,
       [] {
         return BoundDatagram()
             .GetOption(SocketOption::kMulticastLoop)
             .status();
       }},
      {"join multicast", Call::k_setsockopt, MCAST_JOIN_GROUP,
       [] {
         return BoundDatagram().JoinMulticast(
             Must(SocketAddress::FromIp("239.1.2.3", 0)), 1);
       }},
      {"take error", Call::k_getsockopt, SO_ERROR,
       [] { return UnboundStream().TakeError(); }},
      {"shut down", Call::k_shutdown, Fault::kAny,
       [] { return Pair().client.Shutdown(ShutdownDirection::kBoth); }},
      {"adopt, family", Call::k_getsockopt, SO_DOMAIN, Adopt},
      {"adopt, type", Call::k_getsockopt, SO_TYPE, Adopt},
      {"adopt, listening", Call::k_getsockopt, SO_ACCEPTCONN, Adopt},
      {"adopt, peer", Call::k_getpeername, Fault::kAny, Adopt},
      {"adopt, state", Call::k_poll, Fault::kAny, Adopt},
      {"adopt, mode", Call::k_fcntl, F_GETFL, Adopt},
      {"adopt, new mode", Call::k_fcntl, F_SETFL, Adopt},
      {"open file", Call::k_open, Fault::kAny, OpenFile},
      {"open file, size", Call::k_fstat, Fault::kAny, OpenFile},
      {"open file, mode", Call::k_fcntl, F_SETFL, OpenFile},
      {"interface", Call::k_if_nametoindex, Fault::kAny,
       [] { return SocketAddress::FromIp("fe80::1%lo", 0).status(); }},
      {"receive", Call::k_recv, Fault::kAny,
       [] {
         std::array<std::byte, 4> room;
         return Pair().client.Receive(room).status();
       }},
      {"receive vector", Call::k_recvmsg, Fault::kAny,
       [] {
         std::array<std::byte, 4> room;
         const std::array<MutableBuffer, 1> rooms = {room};
         return Pair().client.ReceiveVector(rooms).status();
       }},
      {"receive from", Call::k_recvmsg, Fault::kAny,
       [] {
         std::array<std::byte, 4> room;
         return BoundDatagram().ReceiveFrom(room).status();
       }},
      {"send", Call::k_send, Fault::kAny,
       [] { return Pair().client.Send(BytesOf("abc")).status(); }},
      {"send vector", Call::k_sendmsg, Fault::kAny,
       [] {
         const std::array<ConstBuffer, 1> parts = {BytesOf("abc")};
         return Pair().client.SendVector(parts).status();
       }},
      {"send to", Call::k_sendto, Fault::kAny,
       [] {
         return BoundDatagram()
             .SendTo(BytesOf("abc"), SocketAddress::Ipv4Loopback(9))
             .status();
       }},
  };
}

// Errors of `call` that its callers are not to notice.
bool IsBridged(const Way& way, int error) {
  if (error == EINTR) return way.call != Call::k_close;
  switch (way.call) {
    case Call::k_connect:
      // Started, and going on; and Linux's own quirk after a failure.
      return error == EINPROGRESS || error == ECONNABORTED;
    case Call::k_recv:
    case Call::k_recvmsg:
    case Call::k_send:
    case Call::k_sendmsg:
    case Call::k_sendto:
      return error == EAGAIN;
    case Call::k_getpeername:
      return way.name == "adopt, peer" && error == ENOTCONN;
    default:
      return false;
  }
}

class SocketCall : public ::testing::Test {
 protected:
  void SetUp() override { Clear(); }
  void TearDown() override { Clear(); }
};

TEST_F(SocketCall, P05_EveryErrorOfEveryCallIsToldAsWhatItIs) {
  for (const Way& way : Ways()) {
    for (const int error : ErrorsOf(way.call)) {
      SCOPED_TRACE(way.name + ": " + ::strerrorname_np(error));
      const std::size_t before = conformance::OpenDescriptors();
      Clear();
      Inject({.call = way.call, .error = error, .detail = way.detail});
      {
        const Armed armed;
        const absl::Status status = way.run();
        EXPECT_EQ(Hits(), 1u);
        if (IsBridged(way, error)) {
          EXPECT_TRUE(status.ok()) << status;
        } else if (way.call == Call::k_open &&
                   (error == ENXIO || error == ENODEV)) {
          // A socket, or a device without a driver.
          EXPECT_EQ(CauseOf(status), ErrorCause::kInvalidArgument) << status;
        } else {
          EXPECT_TRUE(TellsError(status, error));
        }
        // The next one is made.
        const absl::Status again = way.run();
        EXPECT_TRUE(again.ok()) << again;
      }
      EXPECT_THAT(BadDescriptors(), ::testing::IsEmpty());
      EXPECT_EQ(conformance::OpenDescriptors(), before);
    }
  }
}

// A signal may come any number of times.
TEST_F(SocketCall, P05_InterruptedCallsAreMadeAgain) {
  for (const Way& way : Ways()) {
    const std::vector<int> errors = ErrorsOf(way.call);
    if (std::find(errors.begin(), errors.end(), EINTR) == errors.end()) {
      continue;
    }
    SCOPED_TRACE(way.name);
    Clear();
    // An interrupted connect is not to be made again (connect(2)).
    const std::uint64_t times = way.call == Call::k_connect ? 1 : 3;
    Inject({.call = way.call,
            .error = EINTR,
            .times = times,
            .detail = way.detail});
    const Armed armed;
    const absl::Status status = way.run();
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(Hits(), times);
    EXPECT_EQ(CountOf(Call::k_connect), way.call == Call::k_connect ? 1u : 0u);
  }
}

// Whatever close(2) says, the descriptor is gone, and is not closed twice.
TEST_F(SocketCall, R10_ACloseThatFailsIsNotMadeAgain) {
  for (const int error : ErrorsOf(Call::k_close)) {
    SCOPED_TRACE(::strerrorname_np(error));
    const std::size_t before = conformance::OpenDescriptors();
    Clear();
    Inject({.call = Call::k_close, .error = error});
    {
      const Armed armed;
      Socket socket = UnboundStream();
      socket.Close();
    }
    EXPECT_EQ(CountOf(Call::k_close), 1u);
    EXPECT_EQ(conformance::OpenDescriptors(), before);
  }
}

// Errors of connections that died while they waited, and of the network, are
// passed over; all others are told, and lose no connection (R21).
TEST_F(SocketCall, R21_EveryErrorOfAnAccept) {
  for (const int error : ErrorsOf(Call::k_accept4)) {
    SCOPED_TRACE(::strerrorname_np(error));
    Clear();
    Socket listener = conformance::Listener();
    Socket client = Must(Socket::Connect(conformance::AddressOf(listener)));
    conformance::AwaitReadable(listener);
    Inject({.call = Call::k_accept4, .error = error, .times = 2});
    const Armed armed;
    auto accepted = listener.Accept();
    switch (error) {
      case ECONNABORTED:
      case EHOSTDOWN:
      case EHOSTUNREACH:
      case EINTR:
      case ENETDOWN:
      case ENETUNREACH:
      case ENONET:
      case ENOPROTOOPT:
      case EPROTO:
      case ETIMEDOUT:
        EXPECT_EQ(Hits(), 2u);
        break;
      case EAGAIN:
        EXPECT_EQ(Hits(), 1u);
        EXPECT_TRUE(accepted.ok() && !accepted->has_value());
        break;
      default:
        EXPECT_EQ(Hits(), 1u);
        EXPECT_TRUE(TellsError(accepted.status(), error));
        break;
    }
    while (accepted.ok() ? !accepted->has_value() : Hits() < 2) {
      accepted = listener.Accept();
    }
    if (!accepted.ok()) accepted = listener.Accept();
    ASSERT_TRUE(accepted.ok() && accepted->has_value());
    EXPECT_EQ((*accepted)->peer, conformance::AddressOf(client));
  }
}

// One that always says so is told in the end, rather than asked for ever.
TEST_F(SocketCall, R21_AnAcceptPassesOverOnlySoMany) {
  Socket listener = conformance::Listener();
  Inject({.call = Call::k_accept4,
          .error = ECONNABORTED,
          .times = Fault::kForever});
  const Armed armed;
  EXPECT_TRUE(TellsError(listener.Accept().status(), ECONNABORTED));
}

}  // namespace
}  // namespace weir::faults
