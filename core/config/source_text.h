// The bytes of a configuration file before anyone parses them: reading, encoding, size.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/config/diagnostics.h"
#include "core/config/position_index.h"

namespace weir::config {

// Checks that `text` is UTF-8 without NUL bytes and not larger than `max_bytes`, and takes a byte order mark off.
bool check_text(std::string_view& text, std::string_view file, size_t max_bytes, Diagnostics& diagnostics);

enum class Content { kText, kBinary };
// Reads a whole file, text up to the first piece with a NUL byte; "-" is standard input.
bool read_file(const std::string& path, Content content, std::string& out, size_t max_bytes, Diagnostics& diagnostics);

// Line and column (in characters) of a byte of `text`.
Place place_of(std::string_view text, size_t offset);

// Appends a code point as UTF-8.
void append_utf8(std::string& out, uint32_t code_point);

}  // namespace weir::config
