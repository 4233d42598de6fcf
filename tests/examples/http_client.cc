#include "tests/examples/http_client.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tests/examples/stream_client.h"

namespace weir::testing {
namespace {

absl::string_view ForAbsl(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

}  // namespace

std::string HttpResponse::Field(const std::string& name) const {
  const auto found = fields.find(name);
  return found == fields.end() ? "" : found->second;
}

HttpClient::HttpClient(const sockaddr_in& server)
    : socket_(ConnectTo(server)) {}

HttpClient::~HttpClient() { ::close(socket_); }

bool HttpClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent =
        ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool HttpClient::Request(std::string_view method, std::string_view target,
                         std::string_view fields) {
  return Send(absl::StrCat(ForAbsl(method), " ", ForAbsl(target),
                           " HTTP/1.1\r\nHost: test\r\n", ForAbsl(fields),
                           "\r\n"));
}

bool HttpClient::Fill() {
  std::array<char, 64 * 1024> buffer;
  const ssize_t bytes = ::recv(socket_, buffer.data(), buffer.size(), 0);
  if (bytes <= 0) return false;
  input_.append(buffer.data(), static_cast<std::size_t>(bytes));
  return true;
}

HttpResponse HttpClient::Receive(bool to_head) {
  HttpResponse response;
  std::size_t end;
  while ((end = input_.find("\r\n\r\n")) == input_.npos) {
    if (!Fill()) return response;
  }
  const std::string header = input_.substr(0, end + 2);
  input_.erase(0, end + 4);
  if (!header.starts_with("HTTP/1.1 ")) return response;
  const int status = std::atoi(header.c_str() + 9);
  std::size_t at = header.find("\r\n") + 2;
  while (at < header.size()) {
    const std::size_t line_end = header.find("\r\n", at);
    const std::size_t colon = header.find(": ", at);
    if (colon > line_end) return response;
    const std::string name =
        absl::AsciiStrToLower(header.substr(at, colon - at));
    const auto [field, is_first] = response.fields.emplace(
        name, header.substr(colon + 2, line_end - colon - 2));
    if (!is_first) field->second = "twice";
    at = line_end + 2;
  }
  const bool has_body = !to_head && status != 304 && status / 100 != 1;
  const std::size_t size =
      has_body
          ? std::strtoull(response.Field("content-length").c_str(), nullptr, 10)
          : 0;
  while (input_.size() < size) {
    if (!Fill()) return response;
  }
  response.body = input_.substr(0, size);
  input_.erase(0, size);
  response.status = status;
  return response;
}

bool HttpClient::AtEnd() {
  char byte;
  return input_.empty() && ::recv(socket_, &byte, 1, 0) == 0;
}

}  // namespace weir::testing
