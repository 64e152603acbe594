#include "core/config/source_text.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "core/base/utf8.h"

namespace weir::config {
namespace {

std::string megabytes(size_t bytes) { return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB"; }

Diagnostic finding_at(std::string_view file, Place place, std::string message, std::string hint = "") {
  Diagnostic out;
  out.file = file;
  out.line = static_cast<int>(place.line);
  out.column = static_cast<int>(place.column);
  out.message = hint.empty() ? std::move(message) : message + "; " + hint;
  out.hint = std::move(hint);
  return out;
}

Diagnostic too_large(std::string_view file, size_t bytes, size_t max_bytes) {
  return finding_at(file, {}, "the file has " + megabytes(bytes) + "; the limit is " + megabytes(max_bytes));
}

}  // namespace

void append_utf8(std::string& out, uint32_t c) {
  const auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | (c >> 6));
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | (c >> 12));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | (c >> 18));
    put(0x80 | ((c >> 12) & 0x3F));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

Place place_of(std::string_view text, size_t offset) {
  Place place{1, 1};
  for (size_t i = 0; i < offset && i < text.size(); ++i) {
    if (text[i] == '\n') {
      place.line++;
      place.column = 1;
    } else if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) {
      place.column++;
    }
  }
  return place;
}

bool check_text(std::string_view& text, std::string_view file, size_t max_bytes, Diagnostics& diagnostics) {
  if (text.size() > max_bytes) {
    diagnostics.add(too_large(file, text.size(), max_bytes));
    return false;
  }
  if (text.substr(0, 3) == "\xEF\xBB\xBF") {
    text.remove_prefix(3);
  }
  const std::string_view start = text.substr(0, 2);
  if (start == "\x1F\x8B" || text.starts_with("PK\x03\x04")) {
    diagnostics.add(finding_at(file, {1, 1}, "the file is compressed", "unpack it first"));
    return false;
  }
  if (start == "\xFF\xFE" || start == "\xFE\xFF") {
    diagnostics.add(finding_at(file, {1, 1}, "the file is UTF-16", "save it as UTF-8"));
    return false;
  }
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte != 0 && byte < 0x80) {
      ++i;
      continue;
    }
    const size_t length = byte == 0 ? 0 : utf8_length(text.substr(i));
    if (length == 0) {
      char hex[16];
      std::snprintf(hex, sizeof hex, "0x%02X", byte);
      diagnostics.add(byte == 0 ? finding_at(file, place_of(text, i), "a NUL byte; this is not a text file")
                                : finding_at(file, place_of(text, i), std::string("byte ") + hex + " is not UTF-8",
                                             "save the file as UTF-8"));
      return false;
    }
    i += length;
  }
  return true;
}

bool read_file(const std::string& path, Content content, std::string& out, size_t max_bytes, Diagnostics& diagnostics) {
  const auto close = [](std::FILE* file) {
    if (file != stdin) {
      std::fclose(file);
    }
  };
  std::unique_ptr<std::FILE, decltype(close)> file(path == "-" ? stdin : std::fopen(path.c_str(), "rb"), close);
  if (!file) {
    diagnostics.add(finding_at(path, {}, std::string("cannot be opened: ") + std::strerror(errno)));
    return false;
  }
  // What is known to be too large, or no text, is not read to the end: a process that serves has not the memory for it.
  struct stat facts;
  const bool regular = fstat(fileno(file.get()), &facts) == 0 && S_ISREG(facts.st_mode);
  const size_t size = regular ? static_cast<size_t>(facts.st_size) : 0;
  if (size > max_bytes) {
    diagnostics.add(too_large(path, size, max_bytes));
    return false;
  }
  out.reserve(size);
  char buffer[65536];
  while (const size_t n = std::fread(buffer, 1, sizeof buffer, file.get())) {
    if (n > max_bytes - out.size()) {
      diagnostics.add(finding_at(path, {}, "the file is larger than the limit of " + megabytes(max_bytes)));
      return false;
    }
    out.append(buffer, n);
    if (content == Content::kText && std::memchr(buffer, 0, n) != nullptr) break;  // check_text() says where
  }
  if (std::ferror(file.get())) {
    diagnostics.add(finding_at(path, {}, std::string("cannot be read: ") + std::strerror(errno)));
    return false;
  }
  return true;
}

}  // namespace weir::config
