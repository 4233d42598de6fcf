// The HTTP server, asked in order: files, ranges, conditions, connections.

#include "tests/examples/http_server_test.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/examples/http_client.h"
#include "tests/examples/server_process.h"
#include "tests/examples/stream_client.h"

namespace weir::testing {
namespace {

class HttpServer : public HttpServerTest {};

TEST_P(HttpServer, FilesWithTheirFields) {
  HttpClient client(address());
  const HttpResponse digits = client.Get("/digits.txt");
  EXPECT_EQ(digits.status, 200);
  EXPECT_EQ(digits.body, "0123456789");
  EXPECT_EQ(digits.Field("content-length"), "10");
  EXPECT_EQ(digits.Field("content-type"), "text/plain; charset=utf-8");
  EXPECT_EQ(digits.Field("accept-ranges"), "bytes");
  EXPECT_EQ(digits.Field("connection"), "");
  EXPECT_TRUE(digits.Field("date").ends_with(" GMT")) << digits.Field("date");
  EXPECT_TRUE(digits.Field("last-modified").ends_with(" GMT"));
  EXPECT_TRUE(digits.Field("etag").starts_with("\""));
  EXPECT_EQ(client.Get("/inside.txt").body, "0123456789");
  const HttpResponse empty = client.Get("/empty.css");
  EXPECT_EQ(empty.status, 200);
  EXPECT_EQ(empty.body, "");
  EXPECT_EQ(empty.Field("content-type"), "text/css; charset=utf-8");
  for (int i = 0; i < 3; ++i) {
    const HttpResponse whole = client.Get("/big.bin");
    EXPECT_EQ(whole.status, 200);
    EXPECT_TRUE(whole.body == big());
  }
  // On the same connection throughout.
  EXPECT_EQ(client.Get("/digits.txt?query").body, "0123456789");
}

TEST_P(HttpServer, DirectoriesAreTheirIndex) {
  HttpClient client(address());
  EXPECT_EQ(client.Get("/").body, "<p>front</p>");
  EXPECT_EQ(client.Get("/sub%20dir/").body, "<p>sub</p>");
  EXPECT_EQ(client.Get("/sub%20dir/a.txt").body, "a");
  const HttpResponse moved = client.Get("/sub%20dir");
  EXPECT_EQ(moved.status, 301);
  EXPECT_EQ(moved.Field("location"), "/sub%20dir/");
  EXPECT_EQ(client.Get("/bare/").status, 404);
  EXPECT_EQ(client.Get("/bare").status, 404);
  EXPECT_EQ(client.Get("/digits.txt/").status, 404);
  EXPECT_EQ(client.Get("/nothing").status, 404);
  EXPECT_EQ(client.Get("http://test/digits.txt").body, "0123456789");
  EXPECT_EQ(client.Get("http://test").body, "<p>front</p>");
}

TEST_P(HttpServer, HeadIsTheSameWithoutTheBody) {
  HttpClient client(address());
  const HttpResponse get = client.Get("/big.bin");
  client.Request("HEAD", "/big.bin");
  HttpResponse head = client.Receive(/*to_head=*/true);
  EXPECT_EQ(head.status, 200);
  head.fields["date"] = get.Field("date");
  EXPECT_EQ(head.fields, get.fields);
  client.Request("HEAD", "/nothing");
  EXPECT_EQ(client.Receive(/*to_head=*/true).status, 404);
  EXPECT_EQ(client.Get("/digits.txt").status, 200);
}

TEST_P(HttpServer, Ranges) {
  struct Case {
    const char* range;
    int status;
    const char* body;
    const char* content_range;
  };
  const Case kCases[] = {
      {"bytes=0-0", 206, "0", "bytes 0-0/10"},
      {"bytes=2-4", 206, "234", "bytes 2-4/10"},
      {"bytes=7-", 206, "789", "bytes 7-9/10"},
      {"bytes=7-99", 206, "789", "bytes 7-9/10"},
      {"bytes=-3", 206, "789", "bytes 7-9/10"},
      {"bytes=-99", 206, "0123456789", "bytes 0-9/10"},
      {"Bytes=5-5", 206, "5", "bytes 5-5/10"},
      {"bytes=0-99999999999999999999999", 206, "0123456789", "bytes 0-9/10"},
      {"bytes=10-", 416, nullptr, "bytes */10"},
      {"bytes=99999999999999999999999-", 416, nullptr, "bytes */10"},
      {"bytes=-0", 416, nullptr, "bytes */10"},
      // No range, or more than one: all of it.
      {"bytes=4-2", 200, "0123456789", ""},
      {"bytes=", 200, "0123456789", ""},
      {"bytes=-", 200, "0123456789", ""},
      {"bytes=a-b", 200, "0123456789", ""},
      {"bytes=1-2x", 200, "0123456789", ""},
      {"bytes=--5", 200, "0123456789", ""},
      {"bytes=0-1,3-4", 200, "0123456789", ""},
      {"lines=0-1", 200, "0123456789", ""},
  };
  HttpClient client(address());
  for (const Case& test : kCases) {
    const HttpResponse response =
        client.Get("/digits.txt", std::string("Range: ") + test.range + "\r\n");
    EXPECT_EQ(response.status, test.status) << test.range;
    EXPECT_EQ(response.Field("content-range"), test.content_range)
        << test.range;
    if (test.body != nullptr) {
      EXPECT_EQ(response.body, test.body) << test.range;
    }
  }
  EXPECT_EQ(client.Get("/empty.css", "Range: bytes=0-\r\n").status, 416);
  const HttpResponse part =
      client.Get("/big.bin", "Range: bytes=1000000-2999999\r\n");
  EXPECT_EQ(part.status, 206);
  EXPECT_TRUE(part.body == big().substr(1000000, 2000000));
}

TEST_P(HttpServer, Conditions) {
  HttpClient client(address());
  const HttpResponse first = client.Get("/digits.txt");
  const std::string tag = first.Field("etag");
  const std::string date = first.Field("last-modified");
  const std::string old = "Sun, 06 Nov 1994 08:49:37 GMT";
  const auto status = [&](const std::string& fields) {
    const HttpResponse response = client.Get("/digits.txt", fields);
    EXPECT_EQ(response.body.empty(), response.status == 304) << fields;
    if (response.status == 304) {
      EXPECT_EQ(response.Field("etag"), tag);
      EXPECT_EQ(response.fields.count("content-length"), 0u);
    }
    return response.status;
  };
  EXPECT_EQ(status("If-None-Match: " + tag + "\r\n"), 304);
  EXPECT_EQ(status("If-None-Match: W/" + tag + "\r\n"), 304);
  EXPECT_EQ(status("If-None-Match: \"x\", " + tag + ", \"y\"\r\n"), 304);
  EXPECT_EQ(status("If-None-Match: \"x\"\r\nIf-None-Match: " + tag + "\r\n"),
            304);
  EXPECT_EQ(status("If-None-Match: *\r\n"), 304);
  EXPECT_EQ(status("If-None-Match: \"x\"\r\n"), 200);
  EXPECT_EQ(status("If-Modified-Since: " + date + "\r\n"), 304);
  EXPECT_EQ(status("If-Modified-Since: " + old + "\r\n"), 200);
  EXPECT_EQ(status("If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n"),
            200);
  EXPECT_EQ(status("If-Modified-Since: Sun Nov  6 08:49:37 1994\r\n"), 200);
  EXPECT_EQ(status("If-Modified-Since: yesterday\r\n"), 200);
  // The tag counts where there is one.
  EXPECT_EQ(
      status("If-None-Match: \"x\"\r\nIf-Modified-Since: " + date + "\r\n"),
      200);
  EXPECT_EQ(status("If-Match: " + tag + "\r\n"), 200);
  EXPECT_EQ(status("If-Match: *\r\n"), 200);
  EXPECT_EQ(status("If-Match: \"x\"\r\n"), 412);
  EXPECT_EQ(status("If-Match: W/" + tag + "\r\n"), 412);
  EXPECT_EQ(status("If-Unmodified-Since: " + date + "\r\n"), 200);
  EXPECT_EQ(status("If-Unmodified-Since: " + old + "\r\n"), 412);
  // If-Range: the part if the file is the same, else all of it.
  const std::string range = "Range: bytes=1-2\r\n";
  EXPECT_EQ(status(range + "If-Range: " + tag + "\r\n"), 206);
  EXPECT_EQ(status(range + "If-Range: " + date + "\r\n"), 206);
  EXPECT_EQ(status(range + "If-Range: \"x\"\r\n"), 200);
  EXPECT_EQ(status(range + "If-Range: W/" + tag + "\r\n"), 200);
  EXPECT_EQ(status(range + "If-Range: " + old + "\r\n"), 200);
  EXPECT_EQ(status(range + "If-None-Match: " + tag + "\r\n"), 304);
  // Another content has another tag.
  Write("root/digits.txt", "9876543210");
  EXPECT_EQ(client.Get("/digits.txt", "If-None-Match: " + tag + "\r\n").body,
            "9876543210");
}

TEST_P(HttpServer, NothingOutsideTheFolder) {
  std::vector<const char*> targets = {"/../secret.txt",
                                      "/sub%20dir/../../secret.txt",
                                      "/%2e%2e/secret.txt",
                                      "/..%2fsecret.txt",
                                      "/%2e%2e%2fsecret.txt",
                                      "/sub%20dir/..%2f..%2fsecret.txt",
                                      "/../rooted/secret.txt",
                                      "/..\\secret.txt",
                                      "/..%5csecret.txt",
                                      "//../secret.txt",
                                      "/./../secret.txt",
                                      "/digits.txt%00.html",
                                      "/%",
                                      "/%4",
                                      "/%zz",
                                      "http://test/../secret.txt",
                                      "secret.txt",
                                      "*"};
  // Wine follows the links of this system and does not show that they are any.
  if (!IsEmulated()) {
    targets.insert(targets.end(), {"/outside.txt", "/above/secret.txt",
                                   "/beside/secret.txt"});
  }
  for (const char* target : targets) {
    HttpClient client(address());
    const HttpResponse response = client.Get(target);
    EXPECT_TRUE(response.status == 400 || response.status == 404)
        << target << ": " << response.status;
    EXPECT_EQ(response.body.find("secret"), response.body.npos) << target;
    // A path that is not served is no reason to end the connection.
    EXPECT_EQ(client.Get("/digits.txt").status, 200) << target;
  }
  HttpClient client(address());
  EXPECT_EQ(client.Get("/sub%20dir/../digits.txt").status, 200);
  EXPECT_EQ(client.Get("//./sub%20dir//a.txt").status, 200);
}

TEST_P(HttpServer, PipelinedRequestsAreAnsweredInOrder) {
  HttpClient client(address());
  std::string requests;
  for (int i = 0; i < 500; ++i) {
    requests += "GET /digits.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=" +
                std::to_string(i % 10) + "-" + std::to_string(i % 10) +
                "\r\n\r\n";
    if (i % 100 == 50) requests += "GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n";
    if (i % 100 == 70) requests += "GET /none HTTP/1.1\r\nHost: x\r\n\r\n";
  }
  // The answers of the small ones fit in the system's buffers, the big ones
  // make the server wait for this side.
  ASSERT_TRUE(client.Send(requests));
  for (int i = 0; i < 500; ++i) {
    ASSERT_EQ(client.Receive().body, std::to_string(i % 10)) << i;
    if (i % 100 == 50) {
      ASSERT_TRUE(client.Receive().body == big());
    }
    if (i % 100 == 70) {
      ASSERT_EQ(client.Receive().status, 404);
    }
  }
}

TEST_P(HttpServer, RequestsInPiecesOfEverySize) {
  const std::string requests =
      "\r\nGET /digits.txt HTTP/1.1\r\nHost: x\r\n\r\n"
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /"
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"
      "GET /sub%20dir/a.txt HTTP/1.1\r\nHost: x\r\n\r\n";
  for (std::size_t size = 1; size < 80; size += 6) {
    HttpClient client(address());
    for (std::size_t at = 0; at < requests.size(); at += size) {
      ASSERT_TRUE(client.Send(std::string_view(requests).substr(at, size)));
    }
    EXPECT_EQ(client.Receive().body, "0123456789");
    EXPECT_EQ(client.Receive().status, 405);
    EXPECT_EQ(client.Receive().status, 405);
    EXPECT_EQ(client.Receive().body, "a");
  }
}

TEST_P(HttpServer, ConnectionIsKeptAsTheClientWants) {
  HttpClient closing(address());
  const HttpResponse last = closing.Get("/digits.txt", "Connection: close\r\n");
  EXPECT_EQ(last.body, "0123456789");
  EXPECT_EQ(last.Field("connection"), "close");
  EXPECT_TRUE(closing.AtEnd());

  HttpClient old(address());
  ASSERT_TRUE(old.Send("GET /digits.txt HTTP/1.0\r\n\r\n"));
  const HttpResponse of_old = old.Receive();
  EXPECT_EQ(of_old.body, "0123456789");
  EXPECT_EQ(of_old.Field("connection"), "close");
  EXPECT_TRUE(old.AtEnd());

  HttpClient kept(address());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(
        kept.Send("GET /big.bin HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
    const HttpResponse of_kept = kept.Receive();
    EXPECT_EQ(of_kept.Field("connection"), "keep-alive");
    EXPECT_TRUE(of_kept.body == big());
  }
  // What was sent before the client's end is answered.
  ASSERT_TRUE(
      kept.Send("GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n"
                "GET /digits.txt HTTP/1.1\r\nHost: x\r\n\r\n"));
  ::shutdown(kept.socket(), SHUT_WR);
  EXPECT_TRUE(kept.Receive().body == big());
  EXPECT_EQ(kept.Receive().body, "0123456789");
  EXPECT_TRUE(kept.AtEnd());
}

TEST_P(HttpServer, StopsInTheMiddleOfAnswers) {
  std::vector<int> sockets;
  for (int i = 0; i < 20; ++i) {
    sockets.push_back(ConnectTo(address()));
    constexpr std::string_view kRequests =
        "GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n"
        "GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n";
    ASSERT_EQ(::send(sockets.back(), kRequests.data(), kRequests.size(), 0),
              static_cast<ssize_t>(kRequests.size()));
    char byte;
    ASSERT_EQ(::recv(sockets.back(), &byte, 1, 0), 1);
  }
  server().Signal(SIGTERM);
  const Outcome outcome = server().Wait();
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  for (const int socket : sockets) ::close(socket);
}

INSTANTIATE_TEST_SUITE_P(, HttpServer, ::testing::ValuesIn(HttpKinds()),
                         KindName);

// Without a folder.
class HttpServerOfOneText : public ServerTest {};

TEST_P(HttpServerOfOneText, FixedBodyAtTheTop) {
  HttpClient client(address());
  const HttpResponse response = client.Get("/");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "Hello from Weir.\n");
  EXPECT_EQ(client.Get("/etc/passwd").status, 404);
}

INSTANTIATE_TEST_SUITE_P(, HttpServerOfOneText, ::testing::ValuesIn(HttpKinds()),
                         KindName);

}  // namespace
}  // namespace weir::testing
