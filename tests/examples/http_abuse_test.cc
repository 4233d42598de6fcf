// The HTTP server and clients that are wrong, slow, or many.

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/examples/http_client.h"
#include "tests/examples/http_server_test.h"
#include "tests/examples/server_process.h"
#include "tests/examples/stream_client.h"

namespace weir::testing {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryTells = false;
#else
constexpr bool kMemoryTells = true;
#endif

class HttpAbuse : public HttpServerTest {
 protected:
  // What `request` is answered with; the connection has to end after it.
  int Refusal(const std::string& request) {
    HttpClient client(address());
    client.Send(request);
    const HttpResponse response = client.Receive();
    EXPECT_EQ(response.Field("connection"), "close") << request.substr(0, 80);
    EXPECT_TRUE(client.AtEnd()) << request.substr(0, 80);
    return response.status;
  }

  // A request that would be answered after one that is refused.
  static inline const std::string kNext =
      "GET /digits.txt HTTP/1.1\r\nHost: x\r\n\r\n";
};

TEST_P(HttpAbuse, MalformedRequestsAre400AndTheEnd) {
  for (const std::string request :
       {"nonsense\r\n\r\n", "GET\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",  // no Host
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: x\r\nbad field\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: x\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
        "GET / http/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/x.y\r\nHost: x\r\n\r\n",
        "GET / a HTTP/1.1\r\nHost: x\r\n\r\n",
        "G\x01T / HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n"}) {
    EXPECT_EQ(Refusal(request), 400) << request;
    EXPECT_EQ(Refusal(request + kNext), 400) << request;
  }
  // TLS, which says nothing more before it is answered.
  EXPECT_EQ(Refusal(std::string("\x16\x03\x01\x02\x00\x01\x00", 7)), 400);
  EXPECT_EQ(Refusal(std::string("GET / HTTP/1.1\r\nHost: \0\r\n\r\n", 27)),
            400);
}

// What two readers may understand differently (RFC 9112, 11.2).
TEST_P(HttpAbuse, NoRequestIsSmuggled) {
  const std::string begin = "POST / HTTP/1.1\r\nHost: x\r\n";
  for (const std::string fields :
       {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding : chunked\r\n"}) {
    EXPECT_EQ(Refusal(begin + fields + "\r\n0\r\n\r\n" + kNext), 400) << fields;
  }
  for (const std::string fields :
       {"Transfer-Encoding: gzip\r\n", "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: xchunked\r\n"}) {
    const int status = Refusal(begin + fields + "\r\n0\r\n\r\n" + kNext);
    EXPECT_TRUE(status == 501 || status == 400) << fields << status;
  }
  EXPECT_EQ(Refusal("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "0\r\n\r\n" +
                    kNext),
            400);
  for (const std::string body :
       {"x\r\n", "5\r\nhelloX", "-1\r\n\r\n", "5 5\r\nhello\r\n",
        "fffffffffffffffff\r\n", "\r\n\r\n"}) {
    EXPECT_EQ(Refusal(begin + "Transfer-Encoding: chunked\r\n\r\n" + body +
                      "\r\n\r\n" + kNext),
              400)
        << body;
  }
}

TEST_P(HttpAbuse, OversizedRequestsAreRefused) {
  const std::string host = " HTTP/1.1\r\nHost: x\r\n";
  EXPECT_EQ(Refusal("GET /" + std::string(9000, 'a') + host + "\r\n"), 414);
  // Without ever ending the line, the header, a chunk's line, or the trailer.
  EXPECT_EQ(Refusal("GET /" + std::string(1 << 20, 'a')), 414);
  EXPECT_EQ(Refusal("GET /" + host + "A: " + std::string(1 << 20, 'a')), 431);
  std::string fields;
  for (int i = 0; i < 5000; ++i) fields += "A" + std::to_string(i) + ": b\r\n";
  EXPECT_EQ(Refusal("GET /" + host + fields + "\r\n"), 431);
  const std::string chunked =
      "POST /" + host + "Transfer-Encoding: chunked\r\n\r\n";
  EXPECT_GE(Refusal(chunked + "5;" + std::string(1 << 20, 'a')), 400);
  EXPECT_EQ(Refusal(chunked + "0\r\n" + fields + fields), 431);
  EXPECT_EQ(Refusal("POST /" + host + "Content-Length: 99999999\r\n\r\nx"),
            413);
  std::string chunks;
  for (int i = 0; i < 40; ++i) {
    chunks += "10000\r\n" + std::string(0x10000, 'a') + "\r\n";
  }
  EXPECT_EQ(Refusal(chunked + chunks), 413);
  // What is just not too large is served.
  HttpClient client(address());
  EXPECT_EQ(client.Get("/digits.txt?" + std::string(8000, 'a')).status, 200);
  EXPECT_EQ(client.Get("/digits.txt", "A: " + std::string(16000, 'a') + "\r\n")
                .status,
            200);
}

TEST_P(HttpAbuse, WhatIsNotOfferedHasItsStatus) {
  EXPECT_EQ(Refusal("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), 505);
  EXPECT_EQ(Refusal("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
  EXPECT_EQ(Refusal("POST / HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n"), 417);
  HttpClient client(address());
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "TRACE"}) {
    client.Request(method, "/digits.txt");
    const HttpResponse response = client.Receive();
    EXPECT_EQ(response.status, 405) << method;
    EXPECT_EQ(response.Field("allow"), "GET, HEAD");
  }
  client.Request("BREW", "/pot");
  EXPECT_EQ(client.Receive().status, 501);
  client.Request("get", "/");
  EXPECT_EQ(client.Receive().status, 501);
  // The final answer comes before the body, and instead of it.
  client.Request("PUT", "/x",
                 "Content-Length: 100\r\nExpect: 100-continue\r\n");
  const HttpResponse response = client.Receive();
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(response.Field("connection"), "close");
  EXPECT_TRUE(client.AtEnd());
}

// A client that is still sending gets the answer, not a reset.
TEST_P(HttpAbuse, RefusalReachesAClientThatStillSends) {
  for (int i = 0; i < 20; ++i) {
    HttpClient client(address());
    client.Request("POST", "/", "Content-Length: 9999999\r\n");
    const std::string body(300'000, 'x');
    client.Send(body);
    EXPECT_EQ(client.Receive().status, 413);
  }
}

class HttpSlow : public HttpServerTest {};

TEST_P(HttpSlow, SlowRequestsTimeOut) {
  const int before = HeldByServer();
  std::vector<std::unique_ptr<HttpClient>> slow;
  for (const char* part :
       {"G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: x\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n1234"}) {
    slow.push_back(std::make_unique<HttpClient>(address()));
    ASSERT_TRUE(slow.back()->Send(part));
  }
  // More of it, now and then, gains no time.
  auto trickling = std::make_unique<HttpClient>(address());
  ASSERT_TRUE(trickling->Send("GET / HTTP/1.1\r\nHost: x\r\nA: "));
  pollfd entry = {.fd = trickling->socket(), .events = POLLIN, .revents = 0};
  const auto begin = std::chrono::steady_clock::now();
  while (::poll(&entry, 1, 500) == 0) {
    ASSERT_TRUE(trickling->Send("a"));
    ASSERT_LT(std::chrono::steady_clock::now() - begin,
              std::chrono::milliseconds(kPatienceMs));
  }
  EXPECT_EQ(trickling->Receive().status, 408);
  EXPECT_TRUE(trickling->AtEnd());
  for (const auto& client : slow) {
    EXPECT_EQ(client->Receive().status, 408);
    EXPECT_TRUE(client->AtEnd());
  }
  slow.clear();
  trickling.reset();
  HttpClient next(address());
  while (HeldByServer() > before + 1) {
    ASSERT_EQ(next.Get("/digits.txt").status, 200);
  }
}

// A client that asks and asks and does not receive.
TEST_P(HttpAbuse, AnswersNobodyTakesCostLittle) {
  HttpClient other(address());
  ASSERT_EQ(other.Get("/big.bin").status, 200);
  const long before = server().ResidentKib();
  std::string requests;
  for (int i = 0; i < 1000; ++i) requests += kNext;
  for (const bool files : {true, false}) {
    HttpClient client(address());
    if (!files) {
      requests.clear();
      for (int i = 0; i < 1000; ++i) {
        requests += "GET /none HTTP/1.1\r\nHost: x\r\n\r\n";
      }
    }
    std::size_t sent = 0;
    pollfd entry = {.fd = client.socket(), .events = POLLOUT, .revents = 0};
    while (sent < (64u << 20) && ::poll(&entry, 1, 300) == 1) {
      const ssize_t bytes =
          ::send(client.socket(), requests.data(), requests.size(),
                 MSG_NOSIGNAL | MSG_DONTWAIT);
      ASSERT_GT(bytes, 0);
      sent += static_cast<std::size_t>(bytes);
    }
    EXPECT_LT(sent, 64u << 20);
    if (kMemoryTells) {
      EXPECT_LT(server().ResidentKib() - before, 4096);
    }
    EXPECT_EQ(other.Get("/digits.txt").status, 200);
  }
}

TEST_P(HttpAbuse, AThousandConnectionsAreKept) {
  constexpr int kMany = 1000;
  // Each has a connection and, while it is answered, a file; the loop has some.
  constexpr int kDescriptors = 2 * kMany + 100;
  rlimit limit;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  ASSERT_GT(limit.rlim_max, static_cast<rlim_t>(kDescriptors));
  server().LimitDescriptors(kDescriptors);
  HttpClient first(address());
  ASSERT_EQ(first.Get("/big.bin").status, 200);
  const long before = server().ResidentKib();
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (int i = 0; i < kMany; ++i) {
    clients.push_back(std::make_unique<HttpClient>(address()));
  }
  for (int round = 0; round < 3; ++round) {
    // All ask before anybody is heard.
    for (const auto& client : clients) {
      ASSERT_TRUE(client->Request("GET", "/digits.txt"));
    }
    for (const auto& client : clients) {
      ASSERT_EQ(client->Receive().body, "0123456789");
    }
  }
  if (kMemoryTells) {
    EXPECT_LT(server().ResidentKib() - before, kMany * 16);
  }
  const long processor = server().ProcessorMs();
  ::poll(nullptr, 0, 300);
  EXPECT_LE(server().ProcessorMs() - processor, 60);
}

TEST_P(HttpAbuse, ChurnLeavesNothingBehind) {
  std::mt19937 random(TestSeed());
  HttpClient kept(address());
  ASSERT_EQ(kept.Get("/").status, 200);
  const int before = HeldByServer();
  const auto churn = [&](int connections) {
    for (int i = 0; i < connections; ++i) {
      HttpClient client(address());
      switch (random() % 6) {
        case 0:
          break;
        case 1:
          client.Send("GET / HT");
          break;
        case 2:
          client.Request("GET", "/big.bin");
          break;
        case 3:
          ASSERT_EQ(client.Get("/", "Connection: close\r\n").status, 200);
          break;
        case 4:
          client.Request("GET", "/big.bin");
          client.Request("GET", "/digits.txt");
          break;
        case 5:
          client.Send("nonsense\r\n\r\n");
          break;
      }
      // A reset: bytes of the server's may be unread, or on their way.
      if (random() % 2 == 0) {
        const linger now = {.l_onoff = 1, .l_linger = 0};
        ::setsockopt(client.socket(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
      }
    }
    const auto end = std::chrono::steady_clock::now() +
                     std::chrono::milliseconds(kPatienceMs);
    int held = 0;
    while ((held = HeldByServer()) > before &&
           std::chrono::steady_clock::now() < end) {
      ASSERT_EQ(kept.Get("/").status, 200);
    }
    EXPECT_LE(held, before);
  };
  churn(300);
  if (!IsEmulated()) {
    const long memory = server().ResidentKib();
    churn(1500);
    if (kMemoryTells) {
      EXPECT_LT(server().ResidentKib() - memory, 1024);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, HttpAbuse, ::testing::ValuesIn(HttpKinds()),
                         KindName);

// Each takes as long as a request may.
INSTANTIATE_TEST_SUITE_P(
    , HttpSlow,
    ::testing::Values(ServerKind{"http_server", Backends().front(), 4},
                      ServerKind{"http_server", Backends().back(), 1}),
    KindName);

}  // namespace
}  // namespace weir::testing
