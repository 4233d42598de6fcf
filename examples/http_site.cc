#include "examples/http_site.h"

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "examples/http_conditions.h"
#include "examples/http_target.h"

namespace examples {
namespace {

constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::string_view kFixedBody = "Hello from Weir.\n";

struct Reason {
  int status;
  std::string_view words;
};
constexpr Reason kReasons[] = {
    {200, "OK"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

struct TypeOfExtension {
  std::string_view extension, type;
};
constexpr TypeOfExtension kTypes[] = {
    {".avif", "image/avif"},
    {".css", "text/css; charset=utf-8"},
    {".csv", "text/csv; charset=utf-8"},
    {".gif", "image/gif"},
    {".htm", "text/html; charset=utf-8"},
    {".html", "text/html; charset=utf-8"},
    {".ico", "image/vnd.microsoft.icon"},
    {".jpeg", "image/jpeg"},
    {".jpg", "image/jpeg"},
    {".js", "text/javascript; charset=utf-8"},
    {".json", "application/json"},
    {".md", "text/markdown; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".mp3", "audio/mpeg"},
    {".mp4", "video/mp4"},
    {".pdf", "application/pdf"},
    {".png", "image/png"},
    {".svg", "image/svg+xml"},
    {".txt", kText},
    {".wasm", "application/wasm"},
    {".webm", "video/webm"},
    {".webp", "image/webp"},
    {".woff2", "font/woff2"},
    {".xml", "application/xml"},
};

absl::string_view ForAbsl(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

std::string_view WordsOf(int status) {
  const auto* reason =
      std::find_if(std::begin(kReasons), std::end(kReasons),
                   [&](const Reason& at) { return at.status == status; });
  return reason == std::end(kReasons) ? "Error" : reason->words;
}

std::string_view TypeOf(const std::filesystem::path& path) {
  const std::string extension =
      absl::AsciiStrToLower(path.extension().string());
  const auto* found = std::find_if(
      std::begin(kTypes), std::end(kTypes),
      [&](const TypeOfExtension& at) { return at.extension == extension; });
  return found == std::end(kTypes) ? "application/octet-stream" : found->type;
}

// Formatting it takes longer than the rest of a small answer.
const std::string& DateLine(absl::Time now) {
  thread_local std::int64_t second = -1;
  thread_local std::string line;
  if (const std::int64_t this_second = absl::ToUnixSeconds(now);
      this_second != second) {
    second = this_second;
    line = absl::StrCat("Date: ", HttpDate(now), "\r\n");
  }
  return line;
}

// The status line and the fields that every answer has.
std::string Begin(const HttpRequest& request, int status, absl::Time now) {
  // What has a refusal ends the connection; its version may not be known.
  const bool keep_alive = request.refusal == 0 && request.keep_alive;
  return absl::StrCat(
      "HTTP/1.1 ", status, " ", ForAbsl(WordsOf(status)),
      "\r\nServer: weir\r\n", DateLine(now),
      !keep_alive ? "Connection: close\r\n"
                  : (request.is_http_1_0 ? "Connection: keep-alive\r\n" : ""));
}

HttpAnswer Text(const HttpRequest& request, int status, absl::Time now,
                std::string_view fields, std::string_view body) {
  HttpAnswer answer;
  answer.text = Begin(request, status, now);
  absl::StrAppend(&answer.text, "Content-Type: ", ForAbsl(kText),
                  "\r\nContent-Length: ", body.size(), "\r\n", ForAbsl(fields),
                  "\r\n");
  const bool is_head =
      request.refusal == 0 && request.method == HttpMethod::kHead;
  if (!is_head) answer.text.append(body);
  return answer;
}

HttpAnswer Brief(const HttpRequest& request, int status, absl::Time now,
                 std::string_view fields = "") {
  return Text(request, status, now, fields,
              absl::StrCat(status, " ", ForAbsl(WordsOf(status)), "\n"));
}

bool IsWithin(const std::filesystem::path& path,
              const std::filesystem::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end())
             .first == folder.end();
}

int StatusOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kResourceExhausted:
      return 503;
    default:
      return 500;
  }
}

}  // namespace

absl::StatusOr<HttpSite> HttpSite::OfFolder(std::string_view folder) {
  std::error_code error;
  HttpSite site;
  site.root_ = std::filesystem::canonical(folder, error);
  if (!error && !std::filesystem::is_directory(site.root_, error) && !error) {
    error = std::make_error_code(std::errc::not_a_directory);
  }
  if (error) {
    return absl::NotFoundError(
        absl::StrCat("\"", ForAbsl(folder), "\": ", error.message()));
  }
  return site;
}

HttpAnswer HttpSite::Answer(const HttpRequest& request, absl::Time now) const {
  if (request.refusal != 0) return Brief(request, request.refusal, now);
  if (request.method == HttpMethod::kUnknown) return Brief(request, 501, now);
  if (request.method == HttpMethod::kOther) {
    return Brief(request, 405, now, "Allow: GET, HEAD\r\n");
  }
  const std::optional<std::string> path = PathOfTarget(request.target);
  if (!path.has_value()) return Brief(request, 400, now);
  if (!root_.empty()) return AnswerFile(request, *path, now);
  if (*path != "/") return Brief(request, 404, now);
  return Text(request, 200, now, "", kFixedBody);
}

HttpAnswer HttpSite::AnswerFile(const HttpRequest& request,
                                const std::string& path, absl::Time now) const {
  std::error_code error;
  std::filesystem::path found =
      std::filesystem::canonical(root_ / path.substr(1), error);
  if (error == std::errc::permission_denied) return Brief(request, 403, now);
  if (error || !IsWithin(found, root_)) return Brief(request, 404, now);
  const bool is_directory = std::filesystem::is_directory(found, error);
  if (is_directory) {
    found = std::filesystem::canonical(found / "index.html", error);
    if (error || !IsWithin(found, root_)) return Brief(request, 404, now);
    // What the page names relative to itself is in the directory.
    if (!path.ends_with('/')) {
      return Brief(request, 301, now,
                   absl::StrCat("Location: ", EncodePath(path), "/\r\n"));
    }
  } else if (path.ends_with('/')) {
    return Brief(request, 404, now);
  }
  absl::StatusOr<weir::File> file = weir::File::Open(found.string());
  if (!file.ok()) return Brief(request, StatusOf(file.status()), now);

  const std::uint64_t size = file->size();
  const auto version = HttpVersionOfFile::Of(size, file->modified());
  const std::string validators = absl::StrCat(
      "ETag: ", version.entity_tag,
      "\r\nLast-Modified: ", HttpDate(std::min(version.modified, now)), "\r\n");
  switch (EvaluateConditions(request, version)) {
    case 304: {
      HttpAnswer answer;
      answer.text = absl::StrCat(Begin(request, 304, now), validators, "\r\n");
      return answer;
    }
    case 412:
      return Brief(request, 412, now, validators);
    default:
      break;
  }
  const HttpRange range = SelectRange(request, size, version);
  if (range.status == 416) {
    return Brief(request, 416, now,
                 absl::StrCat("Content-Range: bytes */", size, "\r\n"));
  }
  HttpAnswer answer;
  answer.text = absl::StrCat(Begin(request, range.status, now),
                             "Content-Type: ", ForAbsl(TypeOf(found)),
                             "\r\nContent-Length: ", range.length,
                             "\r\nAccept-Ranges: bytes\r\n", validators);
  if (range.status == 206) {
    absl::StrAppend(&answer.text, "Content-Range: bytes ", range.offset, "-",
                    range.offset + range.length - 1, "/", size, "\r\n");
  }
  answer.text.append("\r\n");
  if (request.method == HttpMethod::kGet && range.length > 0) {
    answer.file = *std::move(file);
    answer.offset = range.offset;
    answer.length = range.length;
  }
  return answer;
}

}  // namespace examples
