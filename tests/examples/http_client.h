// A plain HTTP client on a blocking socket, which sends what it is given and
// believes nothing.

#ifndef WEIR_TESTS_EXAMPLES_HTTP_CLIENT_H_
#define WEIR_TESTS_EXAMPLES_HTTP_CLIENT_H_

#include <netinet/in.h>

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace weir::testing {

struct HttpResponse {
  int status = 0;  // 0: none came, or it is none
  // By their names in lower case; a name that comes twice has "twice" here.
  std::map<std::string, std::string> fields;
  std::string body;

  std::string Field(const std::string& name) const;
};

class HttpClient {
 public:
  explicit HttpClient(const sockaddr_in& server);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  int socket() const { return socket_; }

  // False: the connection is over.
  bool Send(std::string_view bytes);
  // Sends "METHOD TARGET HTTP/1.1", a Host field, `fields` and an empty line.
  bool Request(std::string_view method, std::string_view target,
               std::string_view fields = "");

  // The next response; to HEAD it has no body.
  HttpResponse Receive(bool to_head = false);
  HttpResponse Get(std::string_view target, std::string_view fields = "") {
    Request("GET", target, fields);
    return Receive();
  }

  // Whether the server has ended the connection, in order, after what has been
  // received.
  bool AtEnd();

 private:
  // Until there is more than was; false: there is no more.
  bool Fill();

  int socket_;
  std::string input_;
};

}  // namespace weir::testing

#endif  // WEIR_TESTS_EXAMPLES_HTTP_CLIENT_H_
