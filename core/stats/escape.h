// Escaping of text that others wrote (header values, names from configuration) for the places weir writes it to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::stats {

enum class Escape : uint8_t {
  kLog,         // a line of text: control bytes become \xNN, all else stays
  kField,       // the value of a header: the same, but for the tab, which may stand there (RFC 9110 5.5)
  kJson,        // inside a JSON string; a byte that is not UTF-8 becomes \u00NN
  kPrometheus,  // inside a label value: \\, \" and \n
  kUtf8,        // a text of protobuf: a byte that is not UTF-8 becomes \xNN, all else stays
};

// Escapes what was appended to `out` since it had `from` bytes, in place: no heap but out's own growth, and nothing but
// a scan if there is nothing to escape.
void escape_tail(std::string& out, size_t from, Escape how);

inline void append_escaped(std::string& out, std::string_view text, Escape how) {
  size_t from = out.size();
  out += text;
  escape_tail(out, from, how);
}

}  // namespace weir::stats
