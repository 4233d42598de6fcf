// A UDP echo server by hand on epoll, level-triggered: what waits is received
// in one call, joined where the system can (UDP_GRO), and sent back in one:
// answers of one length to one client as one walk through the network stack
// (UDP_SEGMENT).

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "benchmarks/server_main.h"

namespace {

constexpr unsigned kBatch = 64;
constexpr std::size_t kMostBytes = 64 * 1024;
// UDP_MAX_SEGMENTS of the first Linux that has it, less than one datagram can
// have, and what every way takes whole.
constexpr std::size_t kMostSegments = 64;
constexpr std::size_t kMostJoined = 60'000;
constexpr std::size_t kMostSegment = 1232;

// Room for the one control message that there is in either direction.
struct Control {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> bytes;
};

// What one or several datagrams in a row become.
struct Answers {
  const sockaddr_in* to = nullptr;
  std::size_t bytes = 0;
  std::size_t segment = 0;
  std::size_t segments = 0;
};

class Server {
 public:
  explicit Server(int socket) : socket_(socket) {
    const int on = 1;
    // Where there is none, datagrams come one by one.
    (void)setsockopt(socket_, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
    for (unsigned i = 0; i < kBatch; ++i) {
      vectors_[i] = {buffers_[i].data(), kMostBytes};
      msghdr& in = received_[i].msg_hdr;
      in.msg_name = &sources_[i];
      in.msg_iov = &vectors_[i];
      in.msg_iovlen = 1;
    }
  }

  [[noreturn]] void Run() {
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_event event{};
    event.events = EPOLLIN;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, socket_, &event) != 0) {
      benchmarks::Fail("epoll_ctl");
    }
    for (;;) {
      if (epoll_wait(epoll, &event, 1, -1) == 1) Echo();
    }
  }

 private:
  void Echo() {
    for (unsigned i = 0; i < kBatch; ++i) {
      received_[i].msg_hdr.msg_namelen = sizeof(sources_[i]);
      received_[i].msg_hdr.msg_control = controls_[i].bytes.data();
      received_[i].msg_hdr.msg_controllen = controls_[i].bytes.size();
    }
    const int received =
        recvmmsg(socket_, received_.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (received <= 0) return;
    const unsigned count = Join(static_cast<unsigned>(received));
    for (unsigned sent = 0; sent < count;) {
      const int now = sendmmsg(socket_, &answers_[sent], count - sent, 0);
      // What cannot go out is lost, as it would be on the way.
      sent += now > 0 ? static_cast<unsigned>(now) : 1;
    }
    for (int i = 0; i < received; ++i) {
      vectors_[static_cast<unsigned>(i)].iov_len = kMostBytes;
    }
  }

  // Returns how many answers there are to what was received.
  unsigned Join(unsigned received) {
    unsigned count = 0;
    Answers last;
    for (unsigned i = 0; i < received; ++i) {
      const std::size_t bytes = received_[i].msg_len;
      const std::size_t segment = SegmentOf(received_[i].msg_hdr, bytes);
      const std::size_t segments =
          segment == 0 ? 1 : (bytes + segment - 1) / segment;
      vectors_[i].iov_len = bytes;
      if (count > 0 && MayJoin(last, i, bytes, segment, segments)) {
        // The buffers of what is joined are next to each other.
        ++answers_[count - 1].msg_hdr.msg_iovlen;
        last.bytes += bytes;
        last.segments += segments;
      } else {
        last = {&sources_[i], bytes, segment, segments};
        msghdr& answer = answers_[count++].msg_hdr;
        answer = {};
        answer.msg_name = &sources_[i];
        answer.msg_namelen = sizeof(sources_[i]);
        answer.msg_iov = &vectors_[i];
        answer.msg_iovlen = 1;
      }
      if (last.segments > 1) SetSegment(count - 1, last);
    }
    return count;
  }

  // The last of those that are joined may be shorter, no other.
  bool MayJoin(const Answers& last, unsigned number, std::size_t bytes,
               std::size_t segment, std::size_t segments) const {
    return bytes > 0 && last.segment <= kMostSegment &&
           last.bytes == last.segment * last.segments &&
           (segments == 1 ? bytes <= last.segment : segment == last.segment) &&
           last.bytes + bytes <= kMostJoined &&
           last.segments + segments <= kMostSegments &&
           std::memcmp(last.to, &sources_[number], sizeof(sockaddr_in)) == 0;
  }

  static std::size_t SegmentOf(const msghdr& message, std::size_t bytes) {
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header == nullptr || header->cmsg_level != IPPROTO_UDP ||
        header->cmsg_type != UDP_GRO) {
      return bytes;
    }
    int segment = 0;
    std::memcpy(&segment, CMSG_DATA(header), sizeof(segment));
    return static_cast<std::size_t>(segment);
  }

  void SetSegment(unsigned number, const Answers& answers) {
    msghdr& answer = answers_[number].msg_hdr;
    answer.msg_control = segments_[number].bytes.data();
    answer.msg_controllen = CMSG_SPACE(sizeof(std::uint16_t));
    cmsghdr* header = CMSG_FIRSTHDR(&answer);
    header->cmsg_level = IPPROTO_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
    const auto segment = static_cast<std::uint16_t>(answers.segment);
    std::memcpy(CMSG_DATA(header), &segment, sizeof(segment));
  }

  const int socket_;
  std::array<mmsghdr, kBatch> received_{};
  std::array<mmsghdr, kBatch> answers_{};
  std::array<iovec, kBatch> vectors_{};
  std::array<sockaddr_in, kBatch> sources_{};
  std::array<Control, kBatch> controls_{};
  std::array<Control, kBatch> segments_{};
  std::array<std::array<char, kMostBytes>, kBatch> buffers_;
};

}  // namespace

int main(int argc, char** argv) {
  benchmarks::Serve<Server>(
      benchmarks::BindDatagram(benchmarks::ParseServerFlags(argc, argv)));
}
