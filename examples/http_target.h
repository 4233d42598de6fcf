// The path that a request's target names (RFC 9112, 3.2). Pure.

#ifndef WEIR_EXAMPLES_HTTP_TARGET_H_
#define WEIR_EXAMPLES_HTTP_TARGET_H_

#include <optional>
#include <string>
#include <string_view>

namespace examples {

// The path, decoded: it begins with '/', has no empty segment, and no "." or
// ".." (they are applied); one to a directory ends with '/'. Takes
// "/path?query" and "http://host/path?query". Nothing if it is no such target,
// leads above "/", or holds an encoded zero byte or a backslash, which some
// systems take for a separator.
std::optional<std::string> PathOfTarget(std::string_view target);

// Encodes a path for a Location field.
std::string EncodePath(std::string_view path);

}  // namespace examples

#endif  // WEIR_EXAMPLES_HTTP_TARGET_H_
