#include "core/http/path.h"

#include <cstring>

#include "core/http/chars.h"

namespace weir::http {
namespace {

// The character that the escape at `at` stands for, or -1 if there is no complete escape.
int escaped_char(std::string_view text, size_t at) {
  if (text[at] != '%' || text.size() - at < 3) return -1;
  int high = hex_value(text[at + 1]);
  int low = hex_value(text[at + 2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// A text that is rewritten in place, from the front: what has been written is never longer than what was read.
struct Rewrite {
  char* begin;
  size_t size;
  std::string_view view() const { return {begin, size}; }
};

bool has_escaped_slash(std::string_view path) {
  for (size_t i = path.find('%'); i != std::string_view::npos; i = path.find('%', i + 1)) {
    int c = escaped_char(path, i);
    if (c == '/' || c == '\\') return true;
  }
  return false;
}

void unescape_slashes(Rewrite& path) {
  size_t to = 0;
  for (size_t from = 0; from < path.size; ++to) {
    int c = escaped_char(path.view(), from);
    bool slash = c == '/' || c == '\\';
    path.begin[to] = slash ? static_cast<char>(c) : path.begin[from];
    from += slash ? 3 : 1;
  }
  path.size = to;
}

// True if nothing in `path` could change: the common case, which writes nothing.
bool is_normal(std::string_view path) {
  for (size_t i = 0; i < path.size(); ++i) {
    char c = path[i];
    if (c == '%' || c == '\\') return false;
    // Any segment that starts with a dot is looked at closely.
    if (c == '/' && i + 1 < path.size() && path[i + 1] == '.') return false;
  }
  return true;
}

bool has_double_slash(std::string_view path) { return path.find("//") != std::string_view::npos; }

// RFC 3986 6.2.2.2 and '\'. False for %00. A '%' that starts no escape is left alone, and so are escapes within two
// characters behind it: unescaping "%2%66" would make a "%2f" that nobody has looked at.
bool unescape_unreserved(Rewrite& path) {
  size_t to = 0;
  size_t stray_until = 0;
  for (size_t from = 0; from < path.size; ++to) {
    int c = escaped_char(path.view(), from);
    if (c == 0) return false;
    bool unescape = c > 0 && to >= stray_until && is_char(static_cast<char>(c), kUnreservedChar);
    if (c < 0 && path.begin[from] == '%') stray_until = to + 3;
    char plain = path.begin[from] == '\\' ? '/' : path.begin[from];
    path.begin[to] = unescape ? static_cast<char>(c) : plain;
    from += unescape ? 3 : 1;
  }
  path.size = to;
  return true;
}

// RFC 3986 5.2.4 for a path that starts with '/': ".." above the root stays at the root.
void remove_dot_segments(Rewrite& path) {
  size_t to = 0;
  for (size_t from = 0; from < path.size;) {
    // A segment with the slash in front of it.
    size_t end = from + 1;
    while (end < path.size && path.begin[end] != '/') ++end;
    std::string_view segment(path.begin + from + 1, end - from - 1);
    const bool last = end == path.size;
    if (segment == "." || segment == "..") {
      if (segment == "..") {
        while (to > 0 && path.begin[--to] != '/') {
        }
      }
      if (last) path.begin[to++] = '/';
    } else {
      std::memmove(path.begin + to, path.begin + from, end - from);
      to += end - from;
    }
    from = end;
  }
  path.size = to;
}

void merge_slashes(Rewrite& path) {
  size_t to = 0;
  for (size_t from = 0; from < path.size; ++from) {
    if (path.begin[from] == '/' && to > 0 && path.begin[to - 1] == '/') continue;
    path.begin[to++] = path.begin[from];
  }
  path.size = to;
}

}  // namespace

PathParts split_path(std::string_view path_and_query) {
  size_t mark = path_and_query.find('?');
  if (mark == std::string_view::npos) return {path_and_query, {}, false};
  return {path_and_query.substr(0, mark), path_and_query.substr(mark + 1), true};
}

PathVerdict sanitize_path(std::string_view path_and_query, const PathOptions& options, Arena& arena,
                          std::string_view& result) {
  result = path_and_query;
  if (!path_and_query.starts_with('/')) return PathVerdict::kUnchanged;
  const std::string_view path = path_of(path_and_query);

  const bool unescape = options.escaped_slashes > EscapedSlashes::kKeep && has_escaped_slash(path);
  if (unescape && options.escaped_slashes == EscapedSlashes::kReject) return PathVerdict::kReject;
  const bool normalize = options.normalize && !is_normal(path);
  // Removing a segment can bring slashes together that were apart.
  const bool merge = options.merge_slashes && (unescape || normalize || has_double_slash(path));
  if (!unescape && !normalize && !merge) return PathVerdict::kUnchanged;

  Rewrite fresh{arena.allocate_bytes(path_and_query.size()), path.size()};
  std::memcpy(fresh.begin, path.data(), path.size());
  if (unescape) unescape_slashes(fresh);
  if (normalize) {
    if (!unescape_unreserved(fresh)) return PathVerdict::kReject;
    remove_dot_segments(fresh);
  }
  if (merge) merge_slashes(fresh);
  if (fresh.view() == path) return PathVerdict::kUnchanged;
  const std::string_view query = path_and_query.substr(path.size());
  std::memcpy(fresh.begin + fresh.size, query.data(), query.size());
  result = {fresh.begin, fresh.size + query.size()};
  const bool redirect = unescape && options.escaped_slashes == EscapedSlashes::kUnescapeAndRedirect;
  return redirect ? PathVerdict::kRedirect : PathVerdict::kChanged;
}

}  // namespace weir::http
