// Requests out of the bytes of an HTTP/1.1 connection (RFC 9112). Knows no
// socket, no file and no clock.

#ifndef WEIR_EXAMPLES_HTTP_REQUEST_H_
#define WEIR_EXAMPLES_HTTP_REQUEST_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace examples {

enum class HttpMethod {
  kGet,
  kHead,
  kOther,    // one that other servers know
  kUnknown,  // none that anybody knows
};

struct HttpRequest {
  // 0; or the status of the answer to bytes that are not a request, or not one
  // that anybody reads to its end. Nothing else in here means anything then,
  // and the connection ends with the answer.
  int refusal = 0;

  HttpMethod method = HttpMethod::kGet;
  // As it was sent.
  std::string target;
  bool is_http_1_0 = false;
  // The client may send more on this connection.
  bool keep_alive = false;

  // Fields, by their names; several of one name as a list. Empty: none.
  std::string range;
  std::string if_range;
  std::string if_match;
  std::string if_none_match;
  std::string if_modified_since;
  std::string if_unmodified_since;
};

// Takes the bytes of one connection as they come, in pieces of any size, and
// gives the requests that they are. Bodies are read over: nothing that is
// served here has a use for them.
//
// What two readers might take for different requests is refused (RFC 9112,
// 11.2): both Content-Length and Transfer-Encoding, an encoding other than
// chunked, a field folded over lines, space before a colon, lines that end
// without a carriage return.
class HttpRequestParser {
 public:
  // In bytes: of a request's target, of all before its body, of its body.
  static constexpr std::size_t kMaxTarget = 8 * 1024;
  static constexpr std::size_t kMaxHeader = 16 * 1024;
  static constexpr std::size_t kMaxBody = 1024 * 1024;

  HttpRequestParser();
  ~HttpRequestParser();
  HttpRequestParser(const HttpRequestParser&) = delete;
  HttpRequestParser& operator=(const HttpRequestParser&) = delete;

  // Keeps a copy of `bytes`. Whoever first takes what Next() gives never has
  // more than kMaxHeader of them kept besides.
  void Append(std::string_view bytes);

  // The next request, once all of it has come. After one with a refusal or
  // without keep_alive there is none.
  std::optional<HttpRequest> Next();

  // Part of a request has come, and the rest has not.
  bool in_request() const;

 private:
  class Message;

  std::optional<HttpRequest> NextOfInput();
  std::optional<HttpRequest> Refuse(int status);
  // Nothing, or the status to refuse what there is of a header with.
  int CheckPartOfHeader() const;

  std::string input_;
  std::unique_ptr<Message> message_;  // whose header has come
  bool over_ = false;
};

}  // namespace examples

#endif  // WEIR_EXAMPLES_HTTP_REQUEST_H_
