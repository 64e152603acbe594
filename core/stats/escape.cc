#include "core/stats/escape.h"

#include <cstring>

#include "core/base/utf8.h"

namespace weir::stats {
namespace {

constexpr char kHex[] = "0123456789abcdef";

bool is_plain(unsigned char c, Escape how) {
  switch (how) {
    case Escape::kLog:
      return c >= 0x20 && c != 0x7f;
    case Escape::kField:
      return (c >= 0x20 && c != 0x7f) || c == '\t';
    case Escape::kJson:
      return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
    case Escape::kPrometheus:
      return c != '"' && c != '\\' && c != '\n';
    case Escape::kUtf8:
      return c < 0x80;
  }
  return true;
}

constexpr size_t kLongest = 6;

// Writes the escaped form of the first character of `rest` to `to`; says how many bytes it took and gave.
struct Step {
  size_t taken;
  size_t given;
};
Step escape_one(std::string_view rest, Escape how, char* to) {
  auto c = static_cast<unsigned char>(rest[0]);
  if (is_plain(c, how)) {
    to[0] = rest[0];
    return {1, 1};
  }
  size_t length = c >= 0x80 && how != Escape::kLog ? utf8_length(rest) : 0;
  if (length > 0) {
    rest.copy(to, length);
    return {length, length};
  }
  if (how == Escape::kLog || how == Escape::kField || how == Escape::kUtf8) {
    std::memcpy(to, "\\x", 2);
    to[2] = kHex[c >> 4];
    to[3] = kHex[c & 15];
    return {1, 4};
  }
  char letter = c == '"' ? '"' : c == '\\' ? '\\' : c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : '\0';
  if (letter != '\0') {
    to[0] = '\\';
    to[1] = letter;
    return {1, 2};
  }
  std::memcpy(to, "\\u00", 4);
  to[4] = kHex[c >> 4];
  to[5] = kHex[c & 15];
  return {1, 6};
}

}  // namespace

void escape_tail(std::string& out, size_t from, Escape how) {
  size_t size = out.size();
  size_t first = from;
  while (first < size && is_plain(static_cast<unsigned char>(out[first]), how)) ++first;
  if (first == size) return;

  char escaped[kLongest];
  size_t extra = 0;
  for (size_t i = first; i < size;) {
    Step step = escape_one(std::string_view(out).substr(i), how, escaped);
    extra += step.given - step.taken;
    i += step.taken;
  }
  if (extra == 0) return;
  // The unescaped text moves to the end of the room; the escaped one, written from the left, never overtakes it.
  out.resize(size + extra);
  std::memmove(out.data() + first + extra, out.data() + first, size - first);
  size_t write = first;
  for (size_t read = first + extra; read < out.size();) {
    Step step = escape_one(std::string_view(out).substr(read), how, escaped);
    std::memcpy(out.data() + write, escaped, step.given);
    read += step.taken;
    write += step.given;
  }
}

}  // namespace weir::stats
