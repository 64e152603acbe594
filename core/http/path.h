// The path of a request: cutting off its query, and making equal paths look equal before routes are matched (RFC 3986
// section 6.2.2). The options are those of the published HttpConnectionManager. Queries are never touched.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/arena.h"

namespace weir::http {

struct PathParts {
  std::string_view path;
  std::string_view query;  // without '?'
  bool has_query = false;
};

// A fragment, which no request should carry, counts as part of what it follows.
PathParts split_path(std::string_view path_and_query);
inline std::string_view path_of(std::string_view path_and_query) {
  return path_and_query.substr(0, path_and_query.find('?'));
}

// HttpConnectionManager.PathWithEscapedSlashesAction, its numbers.
enum class EscapedSlashes : uint8_t {
  kDefault = 0,  // kKeep
  kKeep = 1,
  kReject = 2,
  kUnescapeAndRedirect = 3,
  kUnescapeAndForward = 4,
};

struct PathOptions {
  bool normalize = false;      // normalize_path
  bool merge_slashes = false;  // merge_slashes
  EscapedSlashes escaped_slashes = EscapedSlashes::kKeep;

  bool any() const { return normalize || merge_slashes || escaped_slashes > EscapedSlashes::kKeep; }
};

enum class PathVerdict : uint8_t {
  kUnchanged,
  kChanged,
  kRedirect,  // %2F or %5C were unescaped and the options ask for a redirect to the new path (307)
  kReject,    // 400
};

// In this order, each only if its option asks for it:
//  1. escaped slashes (%2F, %5C) are refused or unescaped;
//  2. normalisation: '\' becomes '/', escaped unreserved characters are unescaped, dot segments are removed, whether or
//     not their dots were escaped; a path that leaves no '/' in front or holds %00 is refused;
//  3. adjacent slashes become one.
// With kChanged and kRedirect, `result` is the new path with its query, in `arena`; otherwise it is `path_and_query`.
// A path that does not start with '/' ("*") is unchanged.
PathVerdict sanitize_path(std::string_view path_and_query, const PathOptions& options, Arena& arena,
                          std::string_view& result);

}  // namespace weir::http
