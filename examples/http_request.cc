#include "examples/http_request.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "boost/asio/buffer.hpp"
#include "boost/beast/core/error.hpp"
#include "boost/beast/core/string.hpp"
#include "boost/beast/http/basic_parser.hpp"
#include "boost/beast/http/error.hpp"
#include "boost/beast/http/field.hpp"
#include "boost/beast/http/verb.hpp"
#include "boost/optional.hpp"

namespace examples {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
using ErrorCode = beast::error_code;
using Text = beast::string_view;

constexpr std::string_view kEndOfHeader = "\r\n\r\n";
constexpr std::size_t kMaxLine = HttpRequestParser::kMaxTarget + 64;
constexpr std::size_t kMaxChunkExtension = 1024;
constexpr std::size_t kMaxTrailer = 8 * 1024;

std::string ToString(Text text) {
  return std::string(text.data(), text.size());
}

HttpMethod MethodOf(http::verb verb) {
  switch (verb) {
    case http::verb::get:
      return HttpMethod::kGet;
    case http::verb::head:
      return HttpMethod::kHead;
    case http::verb::unknown:
      return HttpMethod::kUnknown;
    default:
      return HttpMethod::kOther;
  }
}

bool IsDigit(char byte) {
  return absl::ascii_isdigit(static_cast<unsigned char>(byte));
}

// A request line of another version than 1.0 and 1.1.
bool IsOfOtherVersion(std::string_view line) {
  constexpr std::string_view kBegin = " HTTP/";
  const std::size_t at = line.rfind(kBegin);
  if (at == line.npos) return false;
  const std::string_view version = line.substr(at + kBegin.size());
  return version.size() == 3 && IsDigit(version[0]) && version[1] == '.' &&
         IsDigit(version[2]) && version != "1.0" && version != "1.1";
}

// A line that begins with a space goes on with the one before it, an old way of
// writing (RFC 9112, 5.2); a line feed alone ends a line for some (2.2).
bool HasDoubtfulLines(std::string_view header) {
  for (std::size_t at = 0; (at = header.find('\n', at)) != header.npos; ++at) {
    if (at == 0 || header[at - 1] != '\r') return true;
    const std::string_view next = header.substr(at + 1);
    if (next.starts_with(' ') || next.starts_with('\t')) return true;
  }
  return false;
}

}  // namespace

// One message, read by Beast, of which only what is asked for is kept.
class HttpRequestParser::Message : public http::basic_parser<true> {
 public:
  Message() {
    // The sizes of headers are looked after by HttpRequestParser.
    header_limit(2 * kMaxHeader);
    body_limit(kMaxBody);
    eager(true);
  }

  HttpRequest& request() { return request_; }
  // The status to refuse it with that is known better than from an error.
  int refusal() const { return refusal_; }
  bool expects_continue() const { return expects_continue_; }

 private:
  static ErrorCode Refused() { return http::error::bad_value; }

  void Refuse(int status, ErrorCode& error) {
    refusal_ = status;
    error = Refused();
  }

  void on_request_impl(http::verb method, Text, Text target, int version,
                       ErrorCode& error) override {
    if (target.size() > kMaxTarget) return Refuse(414, error);
    request_.method = MethodOf(method);
    request_.target = ToString(target);
    request_.is_http_1_0 = version == 10;
  }

  void on_field_impl(http::field field, Text name, Text value,
                     ErrorCode& error) override {
    if (header_done_) {
      trailer_size_ += name.size() + value.size();
      if (trailer_size_ > kMaxTrailer) Refuse(431, error);
      return;
    }
    switch (field) {
      case http::field::host:
        ++hosts_;
        // RFC 9112, 3.2: an invalid value is a bad request. No host has a space.
        if (value.find(' ') != value.npos || value.find('\t') != value.npos) {
          return Refuse(400, error);
        }
        break;
      case http::field::content_length:
        has_length_ = true;
        break;
      case http::field::transfer_encoding:
        if (std::exchange(has_encoding_, true)) return Refuse(400, error);
        is_chunked_ = beast::iequals(value, "chunked");
        break;
      case http::field::expect:
        expects_continue_ = beast::iequals(value, "100-continue");
        if (!expects_continue_) Refuse(417, error);
        break;
      case http::field::range:
        return Add(request_.range, value);
      case http::field::if_range:
        return Add(request_.if_range, value);
      case http::field::if_match:
        return Add(request_.if_match, value);
      case http::field::if_none_match:
        return Add(request_.if_none_match, value);
      case http::field::if_modified_since:
        return Add(request_.if_modified_since, value);
      case http::field::if_unmodified_since:
        return Add(request_.if_unmodified_since, value);
      default:
        break;
    }
  }

  static void Add(std::string& list, Text value) {
    if (!list.empty()) list.append(", ");
    list.append(value.data(), value.size());
  }

  void on_header_impl(ErrorCode& error) override {
    header_done_ = true;
    if (has_encoding_) {
      if (has_length_ || request_.is_http_1_0) return Refuse(400, error);
      if (!is_chunked_) return Refuse(501, error);
    }
    // RFC 9112, 3.2: exactly one.
    if (hosts_ > 1 || (hosts_ == 0 && !request_.is_http_1_0)) {
      return Refuse(400, error);
    }
    request_.keep_alive = keep_alive();
  }

  void on_chunk_header_impl(std::uint64_t, Text extensions,
                            ErrorCode& error) override {
    if (extensions.size() > kMaxChunkExtension) Refuse(400, error);
  }

  std::size_t on_body_impl(Text body, ErrorCode&) override {
    return body.size();
  }
  std::size_t on_chunk_body_impl(std::uint64_t, Text body,
                                 ErrorCode&) override {
    return body.size();
  }
  void on_body_init_impl(const boost::optional<std::uint64_t>&,
                         ErrorCode&) override {}
  void on_finish_impl(ErrorCode&) override {}
  void on_response_impl(int, Text, int, ErrorCode&) override {}

  HttpRequest request_;
  int refusal_ = 0;
  int hosts_ = 0;
  bool header_done_ = false;
  bool has_length_ = false;
  bool has_encoding_ = false;
  bool is_chunked_ = false;
  bool expects_continue_ = false;
  std::size_t trailer_size_ = 0;
};

namespace {

template <typename AMessage>
int StatusOf(const ErrorCode& error, const AMessage& message,
             std::string_view line) {
  if (message.refusal() != 0) return message.refusal();
  if (error == http::error::body_limit) return 413;
  if (error == http::error::bad_version && IsOfOtherVersion(line)) return 505;
  return 400;
}

std::string_view FirstLine(std::string_view text) {
  std::string_view line = text.substr(0, text.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

HttpRequestParser::HttpRequestParser() = default;
HttpRequestParser::~HttpRequestParser() = default;

void HttpRequestParser::Append(std::string_view bytes) {
  if (!over_) input_.append(bytes.data(), bytes.size());
}

bool HttpRequestParser::in_request() const {
  return message_ != nullptr || !input_.empty();
}

std::optional<HttpRequest> HttpRequestParser::Next() {
  if (over_) return std::nullopt;
  std::optional<HttpRequest> request = NextOfInput();
  // An idle connection keeps no memory.
  if (input_.empty()) std::string().swap(input_);
  return request;
}

std::optional<HttpRequest> HttpRequestParser::NextOfInput() {
  if (message_ == nullptr) {
    // Empty lines before a request are read over (RFC 9112, 2.2).
    while (input_.starts_with("\r\n")) input_.erase(0, 2);
    if (input_.empty()) return std::nullopt;
    const std::size_t end = input_.find(kEndOfHeader);
    const bool whole = end != input_.npos;
    if ((whole ? end + kEndOfHeader.size() : input_.size()) > kMaxHeader) {
      return Refuse(input_.find('\n') > kMaxLine ? 414 : 431);
    }
    if (!whole) {
      const int refusal = CheckPartOfHeader();
      return refusal == 0 ? std::nullopt : Refuse(refusal);
    }
    const auto header =
        std::string_view(input_).substr(0, end + kEndOfHeader.size());
    if (header.find('\n') > kMaxLine) return Refuse(414);
    if (HasDoubtfulLines(header)) return Refuse(400);
    auto message = std::make_unique<Message>();
    ErrorCode error;
    const std::size_t taken = message->put(
        boost::asio::const_buffer(header.data(), header.size()), error);
    if (error || taken != header.size()) {
      return Refuse(StatusOf(error, *message, FirstLine(header)));
    }
    input_.erase(0, taken);
    message_ = std::move(message);
    if (message_->expects_continue() && !message_->is_done()) {
      // The final answer comes instead of the wish to go on, and the body, if
      // it comes all the same, is not looked at (RFC 9110, 10.1.1).
      over_ = true;
      message_->request().keep_alive = false;
      return std::move(std::exchange(message_, nullptr)->request());
    }
  }
  while (!message_->is_done()) {
    if (input_.empty()) return std::nullopt;
    ErrorCode error;
    const std::size_t taken = message_->put(
        boost::asio::const_buffer(input_.data(), input_.size()), error);
    input_.erase(0, taken);
    if (error == http::error::need_more) {
      if (input_.size() > kMaxHeader) return Refuse(431);
      return std::nullopt;
    }
    if (error) return Refuse(StatusOf(error, *message_, ""));
  }
  HttpRequest request = std::move(std::exchange(message_, nullptr)->request());
  over_ = !request.keep_alive;
  return request;
}

std::optional<HttpRequest> HttpRequestParser::Refuse(int status) {
  over_ = true;
  message_ = nullptr;
  input_.clear();
  HttpRequest request;
  request.refusal = status;
  return request;
}

int HttpRequestParser::CheckPartOfHeader() const {
  if (input_ == "\r") return 0;  // the first half of an empty line
  const std::size_t end = input_.find('\n');
  if (end == input_.npos) {
    // What speaks another protocol may wait for an answer, and send no more.
    if (!absl::ascii_isgraph(static_cast<unsigned char>(input_[0]))) {
      return 400;
    }
    return input_.size() > kMaxLine ? 414 : 0;
  }
  if (HasDoubtfulLines(input_)) return 400;
  Message message;
  ErrorCode error;
  message.put(boost::asio::const_buffer(input_.data(), end + 1), error);
  return !error || error == http::error::need_more
             ? 0
             : StatusOf(error, message, FirstLine(input_));
}

}  // namespace examples
